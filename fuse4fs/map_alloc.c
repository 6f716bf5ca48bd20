// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which blocks a file gets: next to its neighbours, and for files that grow from a
 * window reserved ahead (map_window.c).
 */
#include <errno.h>

#include "map_cache.h"
#include "map_window.h"

enum {
	NEAR_NBLKS = 32768,	/* farther neighbours say nothing about a block's place */
	GAP_NBLKS = 1024,	/* writes this far ahead of their turn leave room for the others */
};

static uint64_t find_goal(struct inode *inode, uint32_t lblk)
{
	int64_t distance = (int64_t)lblk - inode->goal_lblk;
	struct run left;

	if (inode->goal_pblk && distance == 0)
		return inode->goal_pblk;
	if (lblk > 0 && map_lookup(inode, lblk - 1, &left) == 0 && !(left.flags & RUN_HOLE))
		return left.pblk + 1;
	if (inode->goal_pblk && distance > -NEAR_NBLKS && distance < NEAR_NBLKS &&
	    (int64_t)inode->goal_pblk + distance > 0)
		return inode->goal_pblk + distance;
	return balloc_goal(inode->fs, inode);
}

/* Reserves, for block maps only below 2^32. */
static int reserve(struct inode *inode, uint64_t goal, uint32_t want, bool root,
		   uint64_t *ret_pblk, uint32_t *ret_len)
{
	bool narrow = !(inode->flags & EXT4_EXTENTS_FL);
	int err;

	err = balloc_reserve(inode->fs, goal, want, root, ret_pblk, ret_len);
	if (err || !narrow || (*ret_pblk + *ret_len - 1) >> 32 == 0)
		return err;
	balloc_unreserve(inode->fs, *ret_pblk, *ret_len);
	err = balloc_reserve(inode->fs, inode->fs->first_data_block, want, root, ret_pblk, ret_len);
	if (err || (*ret_pblk + *ret_len - 1) >> 32 == 0)
		return err;
	balloc_unreserve(inode->fs, *ret_pblk, *ret_len);
	return -ENOSPC;
}

/* Reserving ahead must not make others run out: at most 1/64 of what is left. */
static uint32_t bounded_ahead(const struct fs *fs, uint32_t ahead)
{
	int64_t avail = atomic_load(&fs->avail_blocks);

	return avail <= 0 ? 0 : (uint32_t)MIN((uint64_t)ahead, (uint64_t)avail / 64);
}

/*
 * Where to start reserving for a growing file whose requests overtake each other: at
 * the end of what was reserved last, if only a short hole lies between.
 */
static uint32_t gap_start(struct inode *inode, const struct map_cache *mc, uint32_t lblk)
{
	uint32_t start = inode->goal_lblk;
	struct run gap;

	if (lblk <= start || lblk - start > GAP_NBLKS ||
	    map_window_room(mc, start, lblk - start) < lblk - start)
		return lblk;
	if (map_lookup(inode, start, &gap) || !(gap.flags & RUN_HOLE) || gap.len < lblk - start)
		return lblk;
	return start;
}

/* Reserves [start, lblk + len) with a window in front of lblk; false: not worth it. */
static bool reserve_with_gap(struct inode *inode, struct map_cache *mc, uint32_t lblk, uint32_t len,
			     bool root, uint64_t *ret_pblk, uint32_t *ret_len)
{
	uint32_t start = gap_start(inode, mc, lblk), before = lblk - start, got;
	uint64_t pblk;

	if (before == 0 || reserve(inode, find_goal(inode, start), before + len, root, &pblk, &got))
		return false;
	if (got <= before) {
		balloc_unreserve(inode->fs, pblk, got);
		return false;
	}
	map_window_keep(inode, mc, start, pblk, before);
	*ret_pblk = pblk + before;
	*ret_len = got - before;
	return true;
}

/* The end of what was reserved last; a straggler does not move it back. */
static void move_goal(struct inode *inode, uint32_t lblk, uint64_t pblk)
{
	if (inode->goal_pblk && lblk < inode->goal_lblk && inode->goal_lblk - lblk < GAP_NBLKS)
		return;
	inode->goal_lblk = lblk;
	inode->goal_pblk = pblk;
}

int map_reserve(struct inode *inode, uint32_t lblk, uint32_t want, uint32_t ahead, bool root,
		uint64_t *ret_pblk, uint32_t *ret_len)
{
	struct map_cache *mc = map_cache_of(inode);
	uint32_t len, got;
	int err = 0;

	if (!mc)
		return -ENOMEM;
	if (map_window_take(inode, mc, lblk, want, ret_pblk, ret_len))
		goto out;
	ahead = bounded_ahead(inode->fs, ahead);
	len = map_window_room(mc, lblk, want + ahead);
	if (!ahead || !reserve_with_gap(inode, mc, lblk, len, root, ret_pblk, &got))
		err = reserve(inode, find_goal(inode, lblk), len, root, ret_pblk, &got);
	if (err == -ENOSPC) {
		map_discard_prealloc(inode);
		map_window_reclaim(inode->fs);
		err = reserve(inode, find_goal(inode, lblk), want, root, ret_pblk, &got);
	}
	if (err)
		return err;
	*ret_len = MIN(got, want);
	map_window_keep(inode, mc, lblk + *ret_len, *ret_pblk + *ret_len, got - *ret_len);
out:
	move_goal(inode, lblk + *ret_len, *ret_pblk + *ret_len);
	return 0;
}
