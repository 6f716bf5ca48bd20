/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where to allocate blocks.
 *
 * A group is chosen by two numbers per group that need no lock and no bitmap: its free
 * blocks and an upper bound for its longest free run. The goal's group comes first, then
 * its followers. The run asked for is looked for in full, then by halves, so that a
 * fragmented file system costs a few walks over these arrays and not over bitmaps.
 */
#include <errno.h>

#include "balloc_internal.h"

enum {
	MAX_FAILED_TRIES = 4,	/* bitmaps searched in vain per length before it is halved */
	GOAL_MIN = 16,		/* so many blocks right at the goal beat a longer run elsewhere */
};

void balloc_hold(struct groups *gs, struct group_map *map, uint32_t bit, uint32_t n)
{
	bitmap_set(map->busy, bit, n);
	map->held += n;
	gs->avail[map->group] -= n;
}

void balloc_unhold(struct groups *gs, struct group_map *map, uint32_t bit, uint32_t n)
{
	bitmap_clear(map->busy, bit, n);
	map->held -= n;
	gs->avail[map->group] += n;
	gs->max_run[map->group] = gs->avail[map->group];
	map->hint = MIN(map->hint, bit);
}

/* The best run of one group, at most want: at the goal, behind it, anywhere. Its length. */
static uint32_t best_run(struct group_map *map, uint32_t nbits, uint32_t goal, uint32_t want,
			 uint32_t *ret_bit)
{
	uint32_t len;

	map->hint = bitmap_next_zero(map->busy, map->hint, nbits);
	if (goal > map->hint && goal < nbits) {
		len = bitmap_next_one(map->busy, goal, MIN(nbits, goal + want)) - goal;
		if (len >= MIN(want, (uint32_t)GOAL_MIN)) {
			*ret_bit = goal;
			return len;
		}
		len = bitmap_find_run(map->busy, goal, nbits, want, ret_bit);
		if (len >= want)
			return len;
	}
	return bitmap_find_run(map->busy, map->hint, nbits, want, ret_bit);
}

struct request {
	uint32_t want, goal_group, goal_bit;
};

/* Takes the best run of group g if it has at least `least` blocks. */
static int try_group(struct groups *gs, uint32_t g, const struct request *req, uint32_t least,
		     uint64_t *ret_pblk, uint32_t *ret_len) NO_TSA
{
	struct fs *fs = gs->fs;
	struct group_map *map;
	uint32_t bit = 0, len;
	int ret;

	ret = group_map_get(gs, g, GROUP_BLOCKS, &map);
	if (ret)
		return ret == -ENOMEM ? ret : -ENOSPC;
	len = best_run(map, group_nblks(fs, g), g == req->goal_group ? req->goal_bit : 0,
		       req->want, &bit);
	if (len >= least && len) {
		balloc_hold(gs, map, bit, len);
		*ret_pblk = group_first_block(fs, g) + bit;
		*ret_len = len;
	} else {
		gs->max_run[g] = len;
		ret = -ENOSPC;
	}
	mutex_unlock(group_lock_of(gs, g));
	return ret;
}

/* One walk over the groups from the goal's on, for runs of at least `least` blocks. */
static int walk(struct groups *gs, const struct request *req, uint32_t least,
		uint64_t *ret_pblk, uint32_t *ret_len)
{
	uint32_t n = gs->fs->ngroups, g = req->goal_group;
	int tries = 0;

	for (uint32_t i = 0; i < n; i++, g = g + 1 == n ? 0 : g + 1) {
		int ret;

		if (gs->max_run[g] < least || gs->avail[g] < least)
			continue;
		ret = try_group(gs, g, req, least, ret_pblk, ret_len);
		if (ret != -ENOSPC)
			return ret;
		if (least > 1 && ++tries == MAX_FAILED_TRIES)
			return -ENOSPC;
	}
	return -ENOSPC;
}

int balloc_search(struct fs *fs, uint64_t goal, uint32_t want, uint64_t *ret_pblk,
		  uint32_t *ret_len)
{
	struct request req = { .want = MIN(want, fs->blocks_per_group) };
	int ret;

	if (goal < fs->first_data_block || goal >= fs->blocks_count)
		goal = fs->first_data_block;
	req.goal_group = group_of_block(fs, goal, &req.goal_bit);
	for (uint32_t least = req.want; ; least = div_up(least, 2)) {
		ret = walk(fs->groups, &req, least, ret_pblk, ret_len);
		if (ret != -ENOSPC || least <= 1)
			return ret;
	}
}
