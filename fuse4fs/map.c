// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Block maps: chooses the format by EXT4_EXTENTS_FL and keeps the cache of runs
 * exact: what changes is cut out before and added after.
 */
#include <errno.h>

#include "extent.h"
#include "indirect.h"
#include "map_cache.h"

static bool is_extents(const struct inode *inode)
{
	return inode->flags & EXT4_EXTENTS_FL;
}

static uint64_t run_end(const struct run *r)
{
	return (uint64_t)r->lblk + r->len;
}

/* Drops what lies before lblk. */
static void trim_head(struct run *r, uint32_t lblk)
{
	uint32_t n = lblk - r->lblk;

	r->lblk += n;
	r->len -= n;
	if (!(r->flags & RUN_HOLE))
		r->pblk += n;
}

int map_lookup(struct inode *inode, uint32_t lblk, struct run *ret_run)
{
	struct run run;
	int err;

	if (lblk >= MAP_END)
		return -EINVAL;
	if (!map_cache_find(inode, lblk, &run)) {
		err = is_extents(inode) ? extent_lookup(inode, lblk, &run) :
					  indirect_lookup(inode, lblk, &run);
		if (err)
			return err;
		map_cache_add(inode, &run);
	}
	trim_head(&run, lblk);
	*ret_run = run;
	return 0;
}

uint32_t map_max_insert(const struct inode *inode)
{
	return is_extents(inode) ? EXTENT_MAX_UNWRITTEN_LEN : indirect_max_insert(inode);
}

int map_insert(struct handle *h, struct inode *inode, const struct run *run)
{
	int err;

	if (run->len == 0 || run->len > map_max_insert(inode) || (run->flags & RUN_HOLE))
		return -EINVAL;
	if (run_end(run) > MAP_END)
		return -EFBIG;
	if (!is_extents(inode) && run->flags)
		return -EOPNOTSUPP;
	err = is_extents(inode) ? extent_insert(h, inode, run) : indirect_insert(h, inode, run);
	if (err)
		return err;
	map_cache_add(inode, run);
	return 0;
}

int map_convert(struct handle *h, struct inode *inode, uint32_t lblk, uint32_t len,
		bool to_unwritten)
{
	struct run run;
	bool known;
	int err;

	if (!is_extents(inode))
		return to_unwritten ? -EOPNOTSUPP : 0;
	known = map_cache_find(inode, lblk, &run) && run_end(&run) >= (uint64_t)lblk + len;
	map_cache_cut(inode, lblk, (uint64_t)lblk + len);
	err = extent_convert(h, inode, lblk, len, to_unwritten);
	if (err || !known)
		return err;
	trim_head(&run, lblk);
	run.len = len;
	run.flags = to_unwritten ? RUN_UNWRITTEN : 0;
	map_cache_add(inode, &run);
	return 0;
}

int map_remove(struct handle *h, struct inode *inode, uint32_t lblk, uint64_t end,
	       uint64_t *ret_next)
{
	map_cache_cut(inode, lblk, end);
	return is_extents(inode) ? extent_remove(h, inode, lblk, end, ret_next) :
				   indirect_remove(h, inode, lblk, end, ret_next);
}

unsigned map_credits(struct inode *inode)
{
	return is_extents(inode) ? extent_credits(inode) : indirect_credits(inode);
}

unsigned map_remove_credits(struct inode *inode)
{
	return is_extents(inode) ? extent_remove_credits(inode) : indirect_remove_credits(inode);
}

int map_next_mapped(struct inode *inode, uint32_t lblk, uint64_t *ret_lblk)
{
	struct run run = { .lblk = lblk };

	for (uint64_t at = lblk; at < MAP_END; at = run_end(&run)) {
		int err = map_lookup(inode, at, &run);

		if (err)
			return err;
		if (!(run.flags & RUN_HOLE)) {
			*ret_lblk = at;
			return 0;
		}
	}
	*ret_lblk = UINT64_MAX;
	return 0;
}

void map_init(struct inode *inode)
{
	map_cache_drop(inode);
	if (is_extents(inode))
		extent_init(inode);
	else
		indirect_init(inode);
}
