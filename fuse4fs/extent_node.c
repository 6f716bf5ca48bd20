// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Nodes of an extent tree: checking them, and the way from the root to a leaf.
 *
 * A node's header and the order of all its entries are checked on every visit
 * (a few hundred compares); where an entry points is checked when it is followed.
 * So nothing from the disk is used unchecked, and no state says what was checked.
 */
#include <errno.h>

#include "extent.h"

unsigned extent_capacity(const struct inode *inode, unsigned level)
{
	if (level == 0)
		return EXTENT_ROOT_ENTRIES;
	return (inode->fs->block_size - sizeof(struct ext3_extent_header)) /
	       sizeof(struct ext3_extent);
}

static uint32_t entry_len(const struct ext3_extent *ex)
{
	uint32_t len = le16toh(ex->ee_len);

	return len <= EXTENT_MAX_LEN ? len : len - EXTENT_MAX_LEN;
}

static struct run decode(const struct ext3_extent *ex)
{
	return (struct run) {
		.lblk = le32toh(ex->ee_block),
		.len = entry_len(ex),
		.pblk = le32toh(ex->ee_start) | (uint64_t)le16toh(ex->ee_start_hi) << 32,
		.flags = le16toh(ex->ee_len) > EXTENT_MAX_LEN ? RUN_UNWRITTEN : 0,
	};
}

struct ext3_extent extent_encode(const struct run *run)
{
	bool unwritten = run->flags & RUN_UNWRITTEN;

	return (struct ext3_extent) {
		.ee_block = htole32(run->lblk),
		.ee_len = htole16(run->len + (unwritten ? EXTENT_MAX_LEN : 0)),
		.ee_start = htole32((uint32_t)run->pblk),
		.ee_start_hi = htole16((uint16_t)(run->pblk >> 32)),
	};
}

struct run extent_leaf_run(const struct extent_path *path, unsigned pos)
{
	return decode(extent_leaf_entry(&path->level[path->depth], pos));
}

unsigned extent_leaf_search(const struct extent_path *path, uint32_t lblk)
{
	const struct extent_level *lv = &path->level[path->depth];
	unsigned lo = 0, hi = extent_entries(lv);

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		const struct ext3_extent *ex = extent_leaf_entry(lv, mid);

		if ((uint64_t)le32toh(ex->ee_block) + entry_len(ex) > lblk)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* The last index entry at or before lblk; the first one if all are after it. */
static unsigned index_search(const struct extent_level *lv, uint32_t lblk)
{
	unsigned lo = 0, hi = extent_entries(lv);

	while (hi - lo > 1) {
		unsigned mid = (lo + hi) / 2;

		if (extent_key(lv, mid) <= lblk)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static const char *check_header(const struct extent_path *path, unsigned level)
{
	const struct ext3_extent_header *eh = path->level[level].eh;
	unsigned cap = extent_capacity(path->inode, level);
	unsigned max = le16toh(eh->eh_max), depth = le16toh(eh->eh_depth);

	if (le16toh(eh->eh_magic) != EXT3_EXT_MAGIC)
		return "bad magic";
	if (level == 0 ? depth > EXTENT_MAX_DEPTH : depth != path->depth - level)
		return "bad depth";
	/* Old tools left room for a tail. */
	if (max > cap || max + 2 < cap)
		return "bad capacity";
	if (le16toh(eh->eh_entries) > max)
		return "too many entries";
	if (depth > 0 && eh->eh_entries == 0)
		return "empty index";
	return NULL;
}

static const char *check_leaf(const struct extent_level *lv)
{
	unsigned n = extent_entries(lv);
	uint64_t next = lv->lo;

	for (unsigned i = 0; i < n; i++) {
		const struct ext3_extent *ex = extent_leaf_entry(lv, i);
		uint32_t lblk = le32toh(ex->ee_block);

		if (ex->ee_len == 0)
			return "extent of length 0";
		if (lblk < next)
			return "extents overlap or are out of order";
		next = (uint64_t)lblk + entry_len(ex);
	}
	return next > lv->hi ? "extent ends outside its node's range" : NULL;
}

static const char *check_index(const struct extent_level *lv)
{
	unsigned n = extent_entries(lv);
	uint64_t next = lv->lo;

	for (unsigned i = 0; i < n; i++) {
		uint32_t key = extent_key(lv, i);

		if (key < next)
			return "index keys are out of order";
		next = (uint64_t)key + 1;
	}
	return next > lv->hi ? "index key outside its node's range" : NULL;
}

static int check_node(const struct extent_path *path, unsigned level)
{
	const struct extent_level *lv = &path->level[level];
	struct inode *inode = path->inode;
	const char *why = check_header(path, level);

	if (!why && lv->eh->eh_depth)
		why = check_index(lv);
	else if (!why)
		why = check_leaf(lv);
	if (!why)
		return 0;
	return fs_error(inode->fs, -EUCLEAN, inode->ino, lv->buf ? lv->buf->pblk : 0,
			"extent tree level %u: %s", level, why);
}

/* Reads the child that level[i - 1].pos points to into level[i]. */
static int read_level(struct extent_path *path, unsigned i)
{
	struct inode *inode = path->inode;
	struct extent_level *up = &path->level[i - 1], *lv = &path->level[i];
	uint64_t pblk = extent_child(up, up->pos);
	int err;

	if (!fs_block_valid(inode->fs, pblk, 1))
		return fs_error(inode->fs, -EUCLEAN, inode->ino, pblk,
				"extent tree level %u: child outside the data area", i - 1);
	err = cache_read(inode->fs->cache, pblk, BUF_EXTENT, inode->csum_seed, &lv->buf);
	if (err == -ENOMEM)
		return err;
	if (err)
		return fs_error(inode->fs, err, inode->ino, pblk,
				"cannot read an extent tree block");
	lv->eh = (void *)lv->buf->data;
	lv->lo = extent_key(up, up->pos);
	lv->hi = up->pos + 1 < extent_entries(up) ? extent_key(up, up->pos + 1) : up->hi;
	return 0;
}

int extent_path_open(struct inode *inode, uint32_t lblk, struct extent_path *path)
{
	struct extent_level *root = &path->level[0];
	int err;

	path->inode = inode;
	path->depth = 0;
	*root = (struct extent_level) { .eh = (void *)inode_block(inode), .hi = MAP_END };
	err = check_node(path, 0);
	if (err)
		return err;
	path->depth = le16toh(root->eh->eh_depth);
	for (unsigned i = 1; i <= path->depth; i++)
		path->level[i].buf = NULL;
	for (unsigned i = 1; i <= path->depth && !err; i++) {
		path->level[i - 1].pos = index_search(&path->level[i - 1], lblk);
		err = read_level(path, i);
		if (!err)
			err = check_node(path, i);
	}
	if (err)
		extent_path_close(path);
	return err;
}

void extent_path_close(struct extent_path *path)
{
	for (unsigned i = 1; i <= path->depth; i++) {
		cache_put(path->level[i].buf);
		path->level[i].buf = NULL;
	}
	path->depth = 0;
}
