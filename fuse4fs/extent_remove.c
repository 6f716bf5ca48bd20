// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Removing a range from an extent tree, leaf by leaf in ascending order.
 *
 * What one handle can do is bounded by its credits: freeing costs a bitmap and a
 * descriptor per group, so a step takes as many blocks of a leaf as there are
 * groups left in the budget, and the caller goes on in a new handle.
 */
#include <errno.h>

#include "extent.h"

enum {
	REMOVE_GROUPS = 8,	/* groups asked for at a time */
	REMOVE_STEPS = 64,	/* leaves in one handle: a commit may be waiting */
};

/* What a step cuts out of its leaf: [from, to) from `del` entries at pos. */
struct cut {
	unsigned pos, del;
	uint64_t from, to;
};

static uint64_t run_end(const struct run *r)
{
	return (uint64_t)r->lblk + r->len;
}

unsigned extent_remove_credits(struct inode *inode)
{
	return extent_credits(inode) + REMOVE_GROUPS * BALLOC_CREDITS;
}

/* Groups whose bitmaps the handle may still change beside the tree; may extend it. */
static unsigned group_budget(struct handle *h, struct inode *inode)
{
	unsigned base = extent_credits(inode);

	if (h->credits < base + BALLOC_CREDITS && txn_extend(h, extent_remove_credits(inode)))
		return 0;
	return (h->credits - base) / BALLOC_CREDITS;
}

/* Takes of run r what lies before end and in affordable groups; false: not all of it. */
static bool cut_run(const struct fs *fs, struct cut *cut, const struct run *r, uint64_t end,
		    uint64_t *group, unsigned *budget)
{
	uint64_t at = MAX(cut->from, r->lblk), stop = MIN(end, run_end(r));
	bool counted = false;

	while (at < stop) {
		uint64_t rel = r->pblk + (at - r->lblk) - fs->first_data_block;
		uint64_t left = fs->blocks_per_group - rel % fs->blocks_per_group;

		if (rel / fs->blocks_per_group != *group) {
			if (*budget == 0)
				return false;
			--*budget;
			*group = rel / fs->blocks_per_group;
		}
		at += MIN(left, stop - at);
		cut->to = at;
		cut->del += !counted;
		counted = true;
	}
	return true;
}

static void plan_cut(const struct extent_path *path, struct cut *cut, uint64_t end,
		     unsigned budget)
{
	unsigned n = extent_entries(&path->level[path->depth]);
	uint64_t group = UINT64_MAX;

	cut->to = cut->from;
	for (unsigned i = cut->pos; i < n; i++) {
		struct run r = extent_leaf_run(path, i);

		if (r.lblk >= end || !cut_run(path->inode->fs, cut, &r, end, &group, &budget))
			return;
	}
}

/* Blocks of directories and the like were written through the cache. */
static bool holds_metadata(const struct inode *inode)
{
	return !S_ISREG(inode->mode) || (inode->flags & EXT4_EA_INODE_FL);
}

/* A bitmap that cannot be read stops us here; a damaged one will not. */
static int join_cut(struct handle *h, const struct extent_path *path, const struct cut *cut)
{
	int err = 0;

	for (unsigned i = cut->pos; i < cut->pos + cut->del && !err; i++) {
		struct run r = extent_leaf_run(path, i);
		uint64_t from = MAX(cut->from, r.lblk), to = MIN(cut->to, run_end(&r));

		err = balloc_join(h, r.pblk + (from - r.lblk), to - from);
	}
	return err;
}

static int free_cut(struct handle *h, const struct extent_path *path, const struct cut *cut)
{
	struct inode *inode = path->inode;
	int err = 0;

	/* After the first failure (logged) the mapping goes all the same, the bits stay. */
	for (unsigned i = cut->pos; i < cut->pos + cut->del; i++) {
		struct run r = extent_leaf_run(path, i);
		uint64_t from = MAX(cut->from, r.lblk), to = MIN(cut->to, run_end(&r));

		if (!err)
			err = balloc_free(h, r.pblk + (from - r.lblk), to - from,
					  holds_metadata(inode));
		map_account(inode, -(int64_t)(to - from));
	}
	return err;
}

static int apply_cut(struct handle *h, struct extent_path *path, const struct cut *cut)
{
	struct extent_edit e = { .h = h, .path = path, .pos = cut->pos, .del = cut->del };
	struct run first = extent_leaf_run(path, cut->pos);
	struct run last = extent_leaf_run(path, cut->pos + cut->del - 1);
	int err;

	if (first.lblk < cut->from) {
		first.len = cut->from - first.lblk;
		e.add[e.n++] = extent_encode(&first);
	}
	if (run_end(&last) > cut->to) {
		uint32_t gone = cut->to - last.lblk;

		last.lblk += gone;
		last.pblk += gone;
		last.len -= gone;
		e.add[e.n++] = extent_encode(&last);
	}
	err = join_cut(h, path, cut);
	if (!err)
		err = extent_edit_prepare(&e);
	if (err)
		return err;
	err = free_cut(h, path, cut);
	extent_edit_apply(&e);
	return err;
}

/* One leaf. -EAGAIN: the handle is used up. */
static int remove_step(struct handle *h, struct inode *inode, uint64_t *lblk, uint64_t end)
{
	AUTOPATH path;
	struct cut cut = { .del = 0 };
	struct run first;
	unsigned budget;
	int err;

	err = extent_path_open(inode, *lblk, &path);
	if (err)
		return err;
	cut.pos = extent_leaf_search(&path, *lblk);
	if (cut.pos == extent_entries(&path.level[path.depth])) {
		*lblk = MIN(end, path.level[path.depth].hi);
		return 0;
	}
	first = extent_leaf_run(&path, cut.pos);
	if (first.lblk >= end) {
		*lblk = end;
		return 0;
	}
	budget = group_budget(h, inode);
	if (budget == 0)
		return -EAGAIN;
	cut.from = MAX(*lblk, first.lblk);
	plan_cut(&path, &cut, end, budget);
	err = apply_cut(h, &path, &cut);
	if (!err)
		*lblk = cut.to;
	return err;
}

int extent_remove(struct handle *h, struct inode *inode, uint32_t lblk, uint64_t end,
		  uint64_t *ret_next)
{
	uint64_t at = lblk;
	int err = 0;

	end = MIN(end, MAP_END);
	for (unsigned i = 0; i < REMOVE_STEPS && at < end && !err; i++)
		err = remove_step(h, inode, &at, end);
	if (err && err != -EAGAIN)
		return err;
	if (at >= end)
		extent_collapse(h, inode);
	*ret_next = at;
	return 0;
}
