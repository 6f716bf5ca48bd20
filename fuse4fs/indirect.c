// SPDX-License-Identifier: GPL-2.0-or-later
/* Block maps: lookup and insertion. */
#include <errno.h>

#include "indirect.h"

static uint64_t run_end(const struct run *r)
{
	return (uint64_t)r->lblk + r->len;
}

/* A subtree that does not exist. */
static struct run missing_run(const struct indirect_path *path, uint32_t lblk)
{
	uint64_t span = indirect_span(path, path->have), below = 0, end;

	/* Offset of lblk in the subtree: its indexes below the missing pointer. */
	for (unsigned i = path->have + 1; i <= path->depth; i++)
		below += path->off[i] * indirect_span(path, i);
	end = MIN(lblk - below + span, MAP_END);
	return (struct run) { lblk - below, end - (lblk - below), 0, RUN_HOLE };
}

/* The run of pointers around path->off[depth] that go on from each other. */
static int array_run(const struct indirect_path *path, struct run *ret_run)
{
	struct inode *inode = path->inode;
	unsigned level = path->depth, at = path->off[level], from = at, to = at + 1;
	unsigned width = indirect_width(path, level);
	uint64_t pblk = indirect_get(path, level, at), step = pblk != 0;

	while (to < width && indirect_get(path, level, to) == pblk + (to - at) * step)
		to++;
	while (from > 0 && (!step || pblk > at - from + 1) &&
	       indirect_get(path, level, from - 1) == pblk - (at - from + 1) * step)
		from--;
	*ret_run = (struct run) {
		path->first + from, to - from, pblk - (at - from) * step, step ? 0 : RUN_HOLE
	};
	if (!step || fs_block_valid(inode->fs, ret_run->pblk, ret_run->len))
		return 0;
	*ret_run = (struct run) { path->first + at, 1, pblk, 0 };
	if (fs_block_valid(inode->fs, pblk, 1))
		return 0;
	return fs_error(inode->fs, -EUCLEAN, inode->ino, pblk,
			"block %u is mapped outside the data area", ret_run->lblk);
}

int indirect_lookup(struct inode *inode, uint32_t lblk, struct run *ret_run)
{
	AUTOIPATH path;
	int err;

	err = indirect_path_open(inode, lblk, &path);
	if (err == -EFBIG) {
		*ret_run = (struct run) { lblk, MAP_END - lblk, 0, RUN_HOLE };
		return 0;
	}
	if (err)
		return err;
	if (path.have == path.depth)
		return array_run(&path, ret_run);
	*ret_run = missing_run(&path, lblk);
	return 0;
}

uint32_t indirect_max_insert(const struct inode *inode)
{
	return inode->fs->block_size / sizeof(uint32_t);
}

unsigned indirect_credits(struct inode *inode)
{
	/* Two arrays side by side share at least their root. */
	return 2 * INDIRECT_MAX_DEPTH * (2 + BALLOC_CREDITS) + INODE_STORE_CREDITS;
}

static int new_level(struct handle *h, struct inode *inode, uint64_t goal, struct buf **ret_buf)
{
	uint64_t pblk;
	int err;

	err = balloc_new_block(h, goal, &pblk);
	if (err)
		return err;
	err = pblk >> 32 ? -ENOSPC :
	      cache_new(inode->fs->cache, pblk, BUF_RAW, 0, ret_buf);
	if (!err) {
		err = txn_dirty(h, *ret_buf);
		if (err)
			cache_put(*ret_buf);
	}
	if (err)
		balloc_free(h, pblk, 1, true);
	return err;
}

/* Adds the missing indirect blocks of path, or none. */
static int add_levels(struct handle *h, struct indirect_path *path, uint64_t goal)
{
	unsigned old = path->have;
	int err = 0;

	if (old == path->depth)
		return 0;
	if (old > 0)
		err = txn_dirty(h, path->buf[old]);
	while (path->have < path->depth && !err) {
		err = new_level(h, path->inode, goal, &path->buf[path->have + 1]);
		if (!err)
			goal = path->buf[++path->have]->pblk + 1;
	}
	for (; err && path->have > old; path->have--) {
		struct buf *buf = path->buf[path->have];
		uint64_t pblk = buf->pblk;

		cache_put(buf);
		balloc_free(h, pblk, 1, true);
	}
	if (err)
		return err;
	for (unsigned i = old; i < path->depth; i++)
		indirect_put(path, i, path->off[i], path->buf[i + 1]->pblk);
	map_account(path->inode, path->depth - old);
	return 0;
}

/* Inserts the part of run that lies in one array; *done counts its blocks. */
static int insert_step(struct handle *h, struct inode *inode, const struct run *run,
		       uint32_t *done)
{
	AUTOIPATH path;
	uint64_t pblk = run->pblk + *done;
	unsigned at, n;
	int err;

	err = indirect_path_open(inode, run->lblk + *done, &path);
	if (err)
		return err;
	if (path.have == path.depth && path.depth > 0)
		err = txn_dirty(h, path.buf[path.depth]);
	if (!err)
		err = add_levels(h, &path, pblk);
	if (err)
		return err;
	at = path.off[path.depth];
	n = MIN(run->len - *done, indirect_width(&path, path.depth) - at);
	for (unsigned i = 0; i < n; i++)
		indirect_put(&path, path.depth, at + i, pblk + i);
	*done += n;
	return 0;
}

/* All of the run must be a hole that can be addressed. */
static int check_hole(struct inode *inode, const struct run *run)
{
	uint64_t at = run->lblk;

	if (run_end(run) > indirect_end(inode))
		return -EFBIG;
	while (at < run_end(run)) {
		struct run r;
		int err = indirect_lookup(inode, at, &r);

		if (err)
			return err;
		if (!(r.flags & RUN_HOLE))
			return -EEXIST;
		at = run_end(&r);
	}
	return 0;
}

/* Takes back what insert_step did, the levels it added too; the data stays the caller's. */
static void undo_insert(struct handle *h, struct inode *inode, const struct run *run,
			uint32_t done)
{
	for (uint32_t i = 0; i < done;) {
		AUTOIPATH path;
		unsigned at, n;

		if (indirect_path_open(inode, run->lblk + i, &path) || path.have < path.depth)
			return;
		at = path.off[path.depth];
		n = MIN(done - i, indirect_width(&path, path.depth) - at);
		for (unsigned k = 0; k < n; k++)
			indirect_put(&path, path.depth, at + k, 0);
		i += n;
		/* A failure has been logged, the rest is the caller's to store (map_insert). */
		if (indirect_prune(h, &path))
			return;
	}
}

int indirect_insert(struct handle *h, struct inode *inode, const struct run *run)
{
	uint32_t done = 0;
	int err;

	if ((run->pblk + run->len - 1) >> 32)
		return -EINVAL;
	err = check_hole(inode, run);
	while (!err && done < run->len)
		err = insert_step(h, inode, run, &done);
	if (err)
		undo_insert(h, inode, run, done);
	else
		map_account(inode, run->len);
	return err;
}
