/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the orphan*.c files share; not for others. */
#ifndef FUSE4FS_ORPHAN_INT_H
#define FUSE4FS_ORPHAN_INT_H

#include "orphan.h"

/* inode->orphan_slot of an inode on the list. */
enum { ORPHAN_ON_LIST = 0xFFFFFFFF };

/* One block of the orphan file. */
struct orphan_block {
	uint64_t pblk;		/* [init only] */
	uint32_t used;		/* [lock] slots that hold a number, as far as we know */
	uint32_t hint;		/* [lock] slot to look at first */
};

struct orphans {
	struct fs *fs;
	/* Inside a handle; outside fs->super_lock, slot locks and the cache's locks. */
	struct mutex lock;
	/*
	 * [lock] In-core orphans of the list, head first: what s_last_orphan and the
	 * dtimes chain, or its beginning (before orphan_process has seen the rest).
	 */
	struct list list;
	/* Orphan file; nblocks 0: there is none. */
	struct orphan_block *blocks;
	uint32_t nblocks;	/* [init only] */
	uint32_t nslots;	/* [init only] per block */
	uint32_t seed;		/* [init only] checksum seed of its inode */
	uint32_t current;	/* [lock] block to look at first */
};

/* orphan.c: marks an inode that the disk says is an orphan. False: it was one already. */
bool orphan_adopt(struct orphans *o, struct inode *inode, uint32_t slot);

/* orphan_file.c */
int orphan_file_open(struct orphans *o);
/* A valid block of the file. Errors are not logged. */
int orphan_file_read(struct orphans *o, uint32_t block, struct buf **ret);
/* -ENOSPC: full, use the list. lock held. */
int orphan_file_add(struct orphans *o, struct handle *h, struct inode *inode);
int orphan_file_del(struct orphans *o, struct handle *h, struct inode *inode);
/* No slot is in use. lock held. */
bool orphan_file_empty(const struct orphans *o);

#endif
