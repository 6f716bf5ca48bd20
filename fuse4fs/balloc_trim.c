/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FITRIM: tells the device which blocks are free.
 *
 * One free run at a time is held, so that nobody allocates it, then discarded without a
 * lock and given back. An allocation that finds nothing because of that waits for
 * trim_lock and tries again.
 */
#include <errno.h>

#include "balloc_internal.h"
#include "blkdev.h"

struct trim {
	uint32_t min;		/* blocks; shorter runs are left */
	uint64_t done;		/* blocks */
};

/* The next free run in bits [*from, end), held; 0 when there is none. */
static int next_run(struct groups *gs, uint32_t g, uint32_t *from, uint32_t end, uint32_t min,
		    uint32_t *ret_len) NO_TSA
{
	struct group_map *map;
	uint32_t len = 0;
	int ret;

	ret = group_map_get(gs, g, GROUP_BLOCKS, &map);
	if (ret)
		return ret;
	while ((*from = bitmap_next_zero(map->busy, *from, end)) < end) {
		len = bitmap_next_one(map->busy, *from, end) - *from;
		if (len >= min)
			break;
		*from += len;
		len = 0;
	}
	if (len)
		balloc_hold(gs, map, *from, len);
	mutex_unlock(group_lock_of(gs, g));
	*ret_len = len;
	return 0;
}

static int give_back(struct groups *gs, uint32_t g, uint32_t bit, uint32_t n) NO_TSA
{
	struct group_map *map;
	int ret;

	ret = group_map_get(gs, g, GROUP_BLOCKS, &map);
	if (ret)
		return ret;
	balloc_unhold(gs, map, bit, n);
	mutex_unlock(group_lock_of(gs, g));
	return 0;
}

static int trim_group(struct fs *fs, uint32_t g, uint32_t from, uint32_t end, struct trim *trim)
{
	struct groups *gs = fs->groups;

	while (from < end) {
		uint32_t len;
		int ret, err;

		mutex_lock(&gs->trim_lock);
		ret = next_run(gs, g, &from, end, trim->min, &len);
		if (!ret && len) {
			ret = blkdev_discard(fs->dev, fs_off(fs, group_first_block(fs, g) + from),
					     (uint64_t)len << fs->block_bits);
			err = give_back(gs, g, from, len);
			ret = ret ? ret : err;
		}
		mutex_unlock(&gs->trim_lock);
		if (ret || !len)
			return ret;
		trim->done += len;
		from += len;
	}
	return 0;
}

int balloc_trim(struct fs *fs, uint64_t start, uint64_t len, uint64_t minlen,
		uint64_t *ret_trimmed)
{
	uint64_t first = start >> fs->block_bits, count = len >> fs->block_bits, end;
	uint64_t min = div_up(minlen, fs->block_size);
	struct trim trim = { .min = (uint32_t)MAX(min, (uint64_t)1) };
	int ret;

	ret = fs_may_write(fs);
	if (ret)
		return ret;
	if (!fs->dev->info.can_discard)
		return -EOPNOTSUPP;
	if (first >= fs->blocks_count || min > fs->blocks_per_group || !count)
		return -EINVAL;
	first = MAX(first, (uint64_t)fs->first_data_block);
	end = count > fs->blocks_count - first ? fs->blocks_count : first + count;
	while (first < end && !ret) {
		uint32_t bit, g = group_of_block(fs, first, &bit);
		uint32_t stop = (uint32_t)MIN(end - first + bit, (uint64_t)group_nblks(fs, g));

		if (fs->groups->avail[g] >= trim.min)
			ret = trim_group(fs, g, bit, stop, &trim);
		if (ret == -EUCLEAN)
			ret = 0;	/* a bad bitmap is known and its group left alone */
		first += stop - bit;
	}
	*ret_trimmed = trim.done << fs->block_bits;
	return ret;
}
