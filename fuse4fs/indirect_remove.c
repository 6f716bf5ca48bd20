// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Removing a range from a block map, one pointer array at a time in ascending order.
 * Indirect blocks that become empty go too. Bounded by credits like extent_remove.c.
 */
#include <errno.h>

#include "indirect.h"

enum {
	REMOVE_GROUPS = 8,	/* groups asked for at a time */
	REMOVE_STEPS = 64,	/* arrays in one handle: a commit may be waiting */
};

unsigned indirect_remove_credits(struct inode *inode)
{
	return indirect_credits(inode) + REMOVE_GROUPS * BALLOC_CREDITS;
}

static unsigned group_budget(struct handle *h, struct inode *inode)
{
	unsigned base = indirect_credits(inode);

	if (h->credits < base + BALLOC_CREDITS && txn_extend(h, indirect_remove_credits(inode)))
		return 0;
	return (h->credits - base) / BALLOC_CREDITS;
}

static bool holds_metadata(const struct inode *inode)
{
	return !S_ISREG(inode->mode) || (inode->flags & EXT4_EA_INODE_FL);
}

/* Pointers from `at` that go on from each other, inside one group and below stop. */
static unsigned run_length(const struct indirect_path *path, unsigned at, unsigned stop)
{
	const struct fs *fs = path->inode->fs;
	uint32_t pblk = indirect_get(path, path->depth, at);
	uint64_t left = fs->blocks_per_group - (pblk - fs->first_data_block) % fs->blocks_per_group;
	unsigned n = 1;

	while (at + n < stop && n < left &&
	       indirect_get(path, path->depth, at + n) == (uint64_t)pblk + n)
		n++;
	return n;
}

/* Frees and clears n pointers. A bitmap that cannot be read stops it before, a damaged one
 * (logged) leaves the bits behind. */
static int free_run(struct handle *h, struct indirect_path *path, unsigned at, unsigned n)
{
	struct inode *inode = path->inode;
	uint32_t pblk = indirect_get(path, path->depth, at);
	int err = balloc_join(h, pblk, n);

	if (err)
		return err;
	err = balloc_free(h, pblk, n, holds_metadata(inode));
	for (unsigned i = 0; i < n; i++)
		indirect_put(path, path->depth, at + i, 0);
	map_account(inode, -(int64_t)n);
	return err;
}

static bool is_empty(const struct indirect_path *path, unsigned level)
{
	unsigned width = indirect_width(path, level);

	for (unsigned i = 0; i < width; i++)
		if (indirect_get(path, level, i))
			return false;
	return true;
}

int indirect_prune(struct handle *h, struct indirect_path *path)
{
	while (path->have > 0 && is_empty(path, path->have)) {
		struct buf *buf = path->buf[path->have];
		uint64_t pblk = buf->pblk;
		int err = 0;

		if (path->have > 1)
			err = txn_dirty(h, path->buf[path->have - 1]);
		if (!err)
			err = balloc_join(h, pblk, 1);
		if (err)
			return err;
		path->have--;
		indirect_put(path, path->have, path->off[path->have], 0);
		cache_put(buf);
		balloc_free(h, pblk, 1, true);
		map_account(path->inode, -1);
	}
	return 0;
}

/* Clears pointers [at, stop) of the last array; *ret_at is where the budget ended. */
static int clear_array(struct handle *h, struct indirect_path *path, unsigned at, unsigned stop,
		       unsigned budget, unsigned *ret_at)
{
	const struct fs *fs = path->inode->fs;
	uint64_t group = UINT64_MAX;
	int err = 0;

	while (at < stop && !err) {
		uint32_t pblk = indirect_get(path, path->depth, at);
		uint64_t g = (pblk - fs->first_data_block) / fs->blocks_per_group;
		unsigned n = 1;

		if (pblk) {
			if (g != group && budget-- == 0)
				break;
			group = g;
			n = run_length(path, at, stop);
			err = free_run(h, path, at, n);
		}
		at += n;
	}
	*ret_at = at;
	return err;
}

/* One array. -EAGAIN: the handle is used up. */
static int remove_step(struct handle *h, struct inode *inode, uint64_t *lblk, uint64_t end)
{
	AUTOIPATH path;
	unsigned budget, at, stop;
	struct run run;
	int err;

	err = indirect_path_open(inode, *lblk, &path);
	if (err)
		return err;
	if (path.have < path.depth) {
		indirect_path_close(&path);
		err = indirect_lookup(inode, *lblk, &run);
		if (!err)
			*lblk = MIN(end, (uint64_t)run.lblk + run.len);
		return err;
	}
	budget = group_budget(h, inode);
	if (budget == 0)
		return -EAGAIN;
	if (path.depth > 0)
		err = txn_dirty(h, path.buf[path.depth]);
	if (err)
		return err;
	at = path.off[path.depth];
	stop = MIN(indirect_width(&path, path.depth), end - path.first);
	err = clear_array(h, &path, at, stop, budget, &at);
	*lblk = (uint64_t)path.first + at;
	if (!err)
		err = indirect_prune(h, &path);
	return err;
}

int indirect_remove(struct handle *h, struct inode *inode, uint32_t lblk, uint64_t end,
		    uint64_t *ret_next)
{
	uint64_t at = lblk, limit = indirect_end(inode);
	int err = 0;

	end = MIN(end, limit);
	for (unsigned i = 0; i < REMOVE_STEPS && at < end && !err; i++)
		err = remove_step(h, inode, &at, end);
	if (err && err != -EAGAIN)
		return err;
	*ret_next = at >= limit ? MAP_END : at;
	return 0;
}
