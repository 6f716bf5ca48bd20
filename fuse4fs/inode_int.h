/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the inode_*.c, orphan*.c and evict.c files share; not for others. */
#ifndef FUSE4FS_INODE_INT_H
#define FUSE4FS_INODE_INT_H

#include "inode.h"

enum { INODE_SHARDS = 16, INODE_SLOT_LOCKS = 64 };

struct inode_shard {
	struct mutex lock;
	struct cond loaded;		/* an inode has left LOADING */
	struct inode **buckets;		/* [lock] */
	size_t nbuckets, nhashed;	/* [lock] power of 2 */
	struct list lru;		/* [lock] unreferenced LIVE inodes, coldest first */
	size_t nlru;			/* [lock] */
	uint64_t hits, misses;		/* [lock] */
};

struct inode_cache {
	struct fs *fs;
	size_t lru_max;			/* per shard */
	struct inode_shard shards[INODE_SHARDS];
	/*
	 * One inode's bytes in the table block, by number: inode_store of the inode,
	 * inode_store_dtime of the same inode by orphan code, a load. Innermost but for
	 * the cache's locks.
	 */
	struct mutex slots[INODE_SLOT_LOCKS];
};

static inline struct mutex *inode_slot_lock(struct fs *fs, uint32_t ino)
{
	return &fs->inodes->slots[ino % INODE_SLOT_LOCKS];
}

/* inode_cache.c */
enum { INODE_ALLOW_INTERNAL = 1, INODE_ALLOW_UNLINKED = 2 };
/* inode_get with exceptions: reserved and EA inodes; unlinked ones not yet in core. */
int inode_get_allow(struct fs *fs, uint32_t ino, unsigned allow, struct inode **ret);
/* inode_put of an unlinked inode's last reference that deletes it whoever knows it.
 * Errors as inode_evict. */
int inode_put_delete(struct inode *inode);
/* A blank inode with zeroed raw, locks made, refs 1, not hashed. NULL: no memory. */
struct inode *inode_alloc(struct fs *fs, uint32_t ino);
/* No reference, not hashed; NULL is fine. */
void inode_free(struct inode *inode);
/* Enters a NEW inode. -EUCLEAN when that number is in use in core. */
int inode_hash_new(struct inode *inode);
/* Takes it out of reach: the number may be used again. */
void inode_unhash(struct inode *inode);

/* inode_load.c */
/* Reads, verifies, decodes. allow: INODE_ALLOW_*. Errors as inode_get. */
int inode_load(struct inode *inode, unsigned allow);

/* inode_codec.c */
void inode_decode(struct inode *inode);	/* raw -> fields */
/* fields -> raw, but for dtime. -EUCLEAN blocks beyond what the format holds. */
int inode_encode(struct inode *inode);
/* Bytes of the fields behind the first 128 that this inode has. */
unsigned inode_extra_isize(const struct inode *inode);

#endif
