/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What map.c and file_*.c keep in core per inode: recently used runs, blocks
 * reserved ahead, and the ranges that writers are allocating just now. Made on
 * first use, freed with the in-core inode; its size is fixed.
 */
#ifndef FUSE4FS_MAP_CACHE_H
#define FUSE4FS_MAP_CACHE_H

#include "group.h"
#include "map.h"

enum { MAP_CACHE_RUNS = 16, MAP_WINDOWS = 4 };

struct map_cache {
	struct mutex lock;
	/* [lock] Disjoint, in no order. Readers add what they looked up; only holders
	 * of inode->lock exclusively cut. */
	struct run runs[MAP_CACHE_RUNS];
	unsigned nruns, victim;
	/* [lock] Block ranges claimed by writers (file_range.c). */
	struct list claims;
	struct cond unclaimed;			/* a claim or a cutter has gone */
	atomic_uint cutters;			/* waiting for inode->io exclusively */
	/* Reserved blocks and where in the file they are to go (map_window.h). */
	struct inode *inode;			/* [init only] */
	struct prealloc window[MAP_WINDOWS];	/* [inode->lock] len 0: none */
	struct list windows_node;		/* [fs->super_lock] */
	bool enlisted;				/* [inode->lock and fs->super_lock] */
	/* [lock] Where the last read ended: sequential readers get prefetches. */
	uint64_t read_end, prefetch_end;
};

/* The inode's map_cache, made if need be; NULL without memory. */
struct map_cache *map_cache_of(struct inode *inode);
/* The cached run that covers lblk. */
bool map_cache_find(struct inode *inode, uint32_t lblk, struct run *ret_run);
/* Remembers a run (hole or mapped); replaces what overlaps, joins what continues. */
void map_cache_add(struct inode *inode, const struct run *run);
/* Forgets [lblk, end). */
void map_cache_cut(struct inode *inode, uint64_t lblk, uint64_t end);

/*
 * map_reserve - blocks for the hole [lblk, lblk + want), in core only (map_alloc.c)
 *
 * From a window reserved ahead where one fits, else new ones near the file's
 * neighbours. ahead: blocks worth reserving beyond `want`.
 * Returns 0 with at least one block, -ENOSPC, -EIO, -EUCLEAN, -ENOMEM.
 * Give back with balloc_unreserve. REQUIRES inode->lock exclusively.
 */
int map_reserve(struct inode *inode, uint32_t lblk, uint32_t want, uint32_t ahead, bool root,
		uint64_t *ret_pblk, uint32_t *ret_len);

#endif
