/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a file's logical blocks live: extent trees and classic block maps behind
 * one interface (map.c dispatches to extent.c and indirect.c). Not for inline data.
 */
#ifndef FUSE4FS_MAP_H
#define FUSE4FS_MAP_H

#include "inode.h"

enum { RUN_HOLE = 1, RUN_UNWRITTEN = 2 };

/* Logical blocks are 0 .. MAP_END - 1, as in the kernel. */
#define MAP_END 0xffffffffULL

struct run {
	uint32_t lblk;
	uint32_t len;		/* blocks, >= 1 */
	uint64_t pblk;		/* 0 for a hole */
	unsigned flags;		/* RUN_* */
};

/*
 * map_lookup - the longest run from lblk on
 *
 * Returns 0; past the last mapped block a hole to the end of the file's range;
 * -EUCLEAN malformed tree (logged with ino and block); -EIO; -ENOMEM.
 * REQUIRES inode->lock (shared is enough). May read the device.
 */
int map_lookup(struct inode *inode, uint32_t lblk, struct run *ret_run);
/*
 * map_insert - make a hole point to blocks already allocated in this handle
 *
 * run     at most map_max_insert blocks; RUN_UNWRITTEN only in extent trees
 *
 * Merges with neighbours, splits and grows the tree, adds tree blocks. Updates
 * inode->blocks for data and tree blocks; the caller stores the inode.
 * -EEXIST when not all of it was a hole; -ENOSPC; -EFBIG; -EINVAL; -EUCLEAN; -EIO;
 * -ENOMEM: nothing has changed.
 */
int map_insert(struct handle *h, struct inode *inode, const struct run *run);
/* Most blocks that one map_insert takes. */
uint32_t map_max_insert(const struct inode *inode);
/* Unwritten -> written (or back with to_unwritten) for a range that is mapped. Extent by
 * extent: -ENOSPC and the like leave the part before converted, so the caller stores the
 * inode after an error too. -EINVAL meets a hole,
 * -EOPNOTSUPP to_unwritten in a block map. */
int map_convert(struct handle *h, struct inode *inode, uint32_t lblk, uint32_t len,
		bool to_unwritten);
/*
 * map_remove - unmap [lblk, end) and free the blocks; restartable
 *
 * Does as much as the handle's credits allow. *ret_next: where to go on in a new
 * handle; >= end when done (an end past MAP_END means MAP_END). Updates inode->blocks;
 * the caller stores the inode, after an error too. Begin with map_remove_credits.
 */
int map_remove(struct handle *h, struct inode *inode, uint32_t lblk, uint64_t end,
	       uint64_t *ret_next);
/* Credits that inserting or converting one run may need. */
unsigned map_credits(struct inode *inode);
/* Credits that let map_remove make progress. */
unsigned map_remove_credits(struct inode *inode);
/* First lblk >= lblk that is mapped (data incl. unwritten), or UINT64_MAX. */
int map_next_mapped(struct inode *inode, uint32_t lblk, uint64_t *ret_lblk);
/* Counts data or tree blocks in inode->blocks. */
static inline void map_account(struct inode *inode, int64_t nblks)
{
	int64_t sectors = nblks * (int64_t)(inode->fs->block_size / 512);

	if (sectors < 0 && inode->blocks < (uint64_t)-sectors)
		inode->blocks = 0;	/* it was damaged */
	else
		inode->blocks += sectors;
}
/*
 * map_migrate - the same blocks in extents, or (!extents) in a block map
 *
 * Only a map that i_block holds alone in both formats, of a regular file or directory without
 * inline data. Sets EXT4_EXTENTS_FL to match; the caller stores the inode. -EOPNOTSUPP: more
 * than that, or unwritten blocks; -EUCLEAN; -EIO; -ENOMEM: nothing has changed.
 * REQUIRES inode->lock exclusively.
 */
int map_migrate(struct handle *h, struct inode *inode, bool extents);
/* A fresh empty map in i_block, by inode->flags. */
void map_init(struct inode *inode);
/* Forget cached runs (after a change made outside map.c) / free them. */
void map_cache_drop(struct inode *inode);
void map_cache_free(struct inode *inode);
/* Give reserved-ahead blocks back. REQUIRES inode->lock exclusively. */
void map_discard_prealloc(struct inode *inode);

/* For directories, xattrs etc.: the block at lblk as a buf (kind/seed for cache_read).
 * -ENODATA for a hole. */
int map_read_block(struct inode *inode, uint32_t lblk, enum buf_kind kind, struct buf **ret);
/* Allocates one block at lblk (was a hole), zeroed and dirtied in h. */
int map_new_block(struct handle *h, struct inode *inode, uint32_t lblk, enum buf_kind kind,
		  struct buf **ret);

#endif
