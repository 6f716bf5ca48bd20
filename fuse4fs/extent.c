// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is done with extent trees: every operation finds one leaf, says which of
 * its entries become which others, and leaves the rest to extent_edit.c.
 */
#include <errno.h>

#include "extent.h"

static uint64_t run_end(const struct run *r)
{
	return (uint64_t)r->lblk + r->len;
}

static uint32_t max_len(unsigned flags)
{
	return flags & RUN_UNWRITTEN ? EXTENT_MAX_UNWRITTEN_LEN : EXTENT_MAX_LEN;
}

static bool contiguous(const struct run *a, const struct run *b)
{
	return run_end(a) == b->lblk && a->pblk + a->len == b->pblk && a->flags == b->flags;
}

static bool can_merge(const struct run *a, const struct run *b)
{
	return contiguous(a, b) && a->len + b->len <= max_len(a->flags);
}

static unsigned leaf_entries(const struct extent_path *path)
{
	return extent_entries(&path->level[path->depth]);
}

void extent_init(struct inode *inode)
{
	struct ext3_extent_header eh = {
		.eh_magic = htole16(EXT3_EXT_MAGIC),
		.eh_max = htole16(EXTENT_ROOT_ENTRIES),
	};

	memset(inode_block(inode), 0, sizeof(((struct ext2_inode *)0)->i_block));
	memcpy(inode_block(inode), &eh, sizeof(eh));
}

/* The extent at pos together with what follows it without a gap in the same leaf. */
static int mapped_run(const struct extent_path *path, unsigned pos, struct run *ret_run)
{
	struct inode *inode = path->inode;
	struct run run = extent_leaf_run(path, pos), all = run;

	if (!fs_block_valid(inode->fs, run.pblk, run.len))
		return fs_error(inode->fs, -EUCLEAN, inode->ino, run.pblk,
				"extent at block %u lies outside the data area", run.lblk);
	while (++pos < leaf_entries(path)) {
		struct run next = extent_leaf_run(path, pos);

		if (!contiguous(&all, &next))
			break;
		all.len += next.len;
	}
	if (all.len != run.len && fs_block_valid(inode->fs, all.pblk, all.len))
		run = all;
	*ret_run = run;
	return 0;
}

int extent_lookup(struct inode *inode, uint32_t lblk, struct run *ret_run)
{
	AUTOPATH path;
	const struct extent_level *leaf;
	struct run run;
	uint64_t start, end;
	unsigned pos;
	int err;

	err = extent_path_open(inode, lblk, &path);
	if (err)
		return err;
	leaf = &path.level[path.depth];
	pos = extent_leaf_search(&path, lblk);
	end = leaf->hi;
	if (pos < leaf_entries(&path)) {
		run = extent_leaf_run(&path, pos);
		if (run.lblk <= lblk)
			return mapped_run(&path, pos, ret_run);
		end = run.lblk;
	}
	start = MIN(lblk, leaf->lo);
	if (pos > 0) {
		run = extent_leaf_run(&path, pos - 1);
		start = run_end(&run);
	}
	*ret_run = (struct run) { start, end - start, 0, RUN_HOLE };
	return 0;
}

unsigned extent_credits(struct inode *inode)
{
	const struct ext3_extent_header *eh = (const void *)inode_block(inode);
	unsigned levels = MIN(le16toh(eh->eh_depth), EXTENT_MAX_DEPTH) + 1;

	/* Each level: its node, and a new or freed one. */
	return levels * (2 + BALLOC_CREDITS) + INODE_STORE_CREDITS;
}

int extent_insert(struct handle *h, struct inode *inode, const struct run *run)
{
	AUTOPATH path;
	struct extent_edit e = { .h = h, .path = &path, .n = 1 };
	struct run all = *run, near;
	uint64_t hole_end;
	int err;

	err = extent_path_open(inode, run->lblk, &path);
	if (err)
		return err;
	e.pos = extent_leaf_search(&path, run->lblk);
	hole_end = path.level[path.depth].hi;
	if (e.pos < leaf_entries(&path)) {
		near = extent_leaf_run(&path, e.pos);
		hole_end = near.lblk;
	}
	if (hole_end < run_end(run))
		return -EEXIST;
	if (e.pos < leaf_entries(&path) && can_merge(&all, &near)) {
		all.len += near.len;
		e.del++;
	}
	if (e.pos > 0) {
		near = extent_leaf_run(&path, e.pos - 1);
		if (can_merge(&near, &all)) {
			near.len += all.len;
			all = near;
			e.pos--;
			e.del++;
		}
	}
	e.add[0] = extent_encode(&all);
	err = extent_edit_prepare(&e);
	if (err)
		return err;
	map_account(inode, run->len);
	extent_edit_apply(&e);
	return 0;
}

static void edit_add(struct extent_edit *e, struct run run)
{
	if (run.len > 0)
		e->add[e->n++] = extent_encode(&run);
}

/* Part [lblk, end) of a run. */
static struct run run_part(const struct run *r, uint64_t lblk, uint64_t end)
{
	return (struct run) { lblk, end - lblk, r->pblk + (lblk - r->lblk), r->flags };
}

/*
 * The entries that [lblk, end) of old becomes: the part before, the part itself in
 * its new state merged with its neighbours, and the part after.
 */
static void convert_edit(struct extent_edit *e, const struct run *old, uint64_t lblk,
			 uint64_t end, unsigned flags)
{
	const struct extent_path *path = e->path;
	struct run mid = run_part(old, lblk, end), near;
	uint32_t cut = 0;

	mid.flags = flags;
	if (end == run_end(old) && e->pos + 1 < leaf_entries(path)) {
		near = extent_leaf_run(path, e->pos + 1);
		if (can_merge(&mid, &near)) {
			mid.len += near.len;
			e->del++;
		}
	}
	if (lblk == old->lblk && e->pos > 0) {
		near = extent_leaf_run(path, e->pos - 1);
		if (can_merge(&near, &mid)) {
			near.len += mid.len;
			mid = near;
			e->pos--;
			e->del++;
		}
	}
	edit_add(e, run_part(old, old->lblk, lblk));
	/* A full written extent is one block too long to be unwritten. */
	if (mid.len > max_len(flags))
		cut = mid.len / 2;
	edit_add(e, run_part(&mid, mid.lblk, mid.lblk + cut));
	edit_add(e, run_part(&mid, mid.lblk + cut, run_end(&mid)));
	edit_add(e, run_part(old, end, run_end(old)));
}

/* Converts what of [lblk, end) lies in one extent. */
static int convert_step(struct handle *h, struct inode *inode, uint64_t *lblk, uint64_t end,
			unsigned flags)
{
	AUTOPATH path;
	struct extent_edit e = { .h = h, .path = &path, .del = 1 };
	struct run old;
	uint64_t from = *lblk, to;
	int err;

	err = extent_path_open(inode, from, &path);
	if (err)
		return err;
	e.pos = extent_leaf_search(&path, from);
	if (e.pos == leaf_entries(&path))
		return -EINVAL;
	old = extent_leaf_run(&path, e.pos);
	if (old.lblk > from)
		return -EINVAL;
	to = MIN(end, run_end(&old));
	if (old.flags != flags) {
		convert_edit(&e, &old, from, to, flags);
		err = extent_edit_prepare(&e);
		if (err)
			return err;
		extent_edit_apply(&e);
	}
	*lblk = to;
	return 0;
}

int extent_convert(struct handle *h, struct inode *inode, uint32_t lblk, uint32_t len,
		   bool to_unwritten)
{
	uint64_t at = lblk, end = at + len;
	int err = 0;

	while (at < end && !err)
		err = convert_step(h, inode, &at, end, to_unwritten ? RUN_UNWRITTEN : 0);
	return err;
}
