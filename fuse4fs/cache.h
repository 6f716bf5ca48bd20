/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cache of file-system blocks through which all metadata goes.
 *
 * A buf is one block of the file system in memory. Sharded hash, eviction of clean
 * unreferenced bufs by a clock (an LRU whose hits move nothing), bounded by bytes
 * (dirty bufs are bounded by the transaction size). Who may touch a buf's bytes:
 * directory, extent, xattr and symlink blocks belong to their inode (inode->lock);
 * bitmaps to their group (group->lock); inode-table bytes of one inode to that inode;
 * the superblock to fs->super_lock. Bytes change only inside a transaction handle and
 * after txn_dirty(), so a commit, which has no handle open, can copy them.
 *
 * Checksums are verified when a block is read from the device and sealed when
 * a commit copies it (csum.h), not on every change.
 */
#ifndef FUSE4FS_CACHE_H
#define FUSE4FS_CACHE_H

#include <stdatomic.h>

#include "fs.h"

/* What a block is, for verifying and sealing. Table in csum.c. */
enum buf_kind {
	BUF_RAW,	/* no checksum: indirect blocks, symlinks, inode tables, bitmaps, GDT, super */
	BUF_DIR,	/* directory leaf: checksum in a tail entry, if has_csum */
	BUF_DX,		/* htree root or interior node: dx_tail */
	BUF_EXTENT,	/* extent tree block: extent_tail */
	BUF_XATTR,	/* external attribute block: h_checksum over block number */
	BUF_ORPHAN,	/* orphan file block */
};

/*
 * State of a buf. Transitions (cache.c):
 *   EMPTY -> FILLING   cache_read, one thread reads, others wait
 *   FILLING -> VALID   device read and checksum succeeded
 *   FILLING -> FAILED  they did not; the error is ->err; the next read tries again
 *   EMPTY -> VALID     cache_new
 */
enum buf_state { BUF_EMPTY, BUF_FILLING, BUF_VALID, BUF_FAILED };

struct buf {
	struct cache *cache;	/* [init only] */
	uint8_t *data;		/* [init only] fs->block_size bytes; content: see above */
	uint64_t pblk;		/* [constant while referenced] */
	atomic_uint refs;	/* [atomic]; leaves 0 only under the shard lock */
	atomic_uint pins;	/* [atomic] transactions whose content of it is not home yet */
	atomic_bool touched;	/* [atomic] changed since read: the checksum in data is stale */
	/* [shard lock] */
	bool hashed;		/* found by lookups; false: free, or forgotten and soon free */
	bool verified;		/* as kind and seed; false: prefetched */
	bool recent;		/* used since the clock hand passed */
	uint8_t state;		/* enum buf_state */
	uint8_t kind;		/* enum buf_kind; written by the block's owner */
	int err;
	uint32_t seed;		/* checksum seed of the owning inode (csum_inode_seed) */
	struct buf *hash_next;
	struct list lru;
	/* [txn lock] (txn.c); a handle may compare txn with its own at any time */
	_Atomic(struct txn *) txn;	/* running transaction that has changed it, or NULL */
	struct list txn_node;
	bool checkpoint;	/* committed to the journal, not yet home */
	bool forgotten;
};

int cache_open(struct fs *fs, size_t bytes, struct cache **ret_cache);
/* No buf may be referenced or dirty. NULL is fine. */
void cache_close(struct cache *c);

/*
 * cache_read - a referenced, valid buf of block pblk
 *
 * kind, seed  what the caller takes it for; a block read from the device is
 *             verified as that. A clean cached block of another kind is
 *             verified anew; a dirty one of another kind is -EUCLEAN. (So is
 *             a clean one that was changed and is in use as the other kind.)
 * Returns 0; -EUCLEAN checksum wrong or pblk out of range; -EIO; -ENOMEM.
 * Errors are not logged here: the caller knows the object (fs_error).
 * Blocks: may read the device. No other lock than the caller's is held meanwhile.
 */
int cache_read(struct cache *c, uint64_t pblk, enum buf_kind kind, uint32_t seed,
	       struct buf **ret_buf);
/* A zeroed valid buf for a newly allocated block; the device is not read. A copy still
 * cached from the block's former life is forgotten. -EUCLEAN out of range, or dirty:
 * somebody else has the block; -ENOMEM. */
int cache_new(struct cache *c, uint64_t pblk, enum buf_kind kind, uint32_t seed,
	      struct buf **ret_buf);
/* A buf only if it is cached, valid and verified, else NULL. Takes a reference. */
struct buf *cache_peek(struct cache *c, uint64_t pblk);
void cache_get(struct buf *b);		/* one more reference */
void cache_put(struct buf *b);		/* NULL is fine */
void buf_set_kind(struct buf *b, enum buf_kind kind, uint32_t seed);
/* Blocks [pblk, pblk+n) will be read soon; a hint. Up to 32 are read now, adjacent
 * uncached ones in one device call; the device is told of the rest. Errors show when
 * the block itself is read, and so does a bad checksum. */
void cache_prefetch(struct cache *c, uint64_t pblk, unsigned n);
/* Drops clean unreferenced cached copies: the blocks are free or hold data now. */
void cache_drop(struct cache *c, uint64_t pblk, uint64_t n);

/*
 * For transactions only. A pinned buf is dirty: newer than its home, never evicted.
 * pin takes a reference that unpin gives back. find: a referenced buf in any state,
 * or NULL. forget: no later lookup finds b (its block is free); references stay good.
 */
void cache_pin(struct buf *b);
void cache_unpin(struct buf *b);
struct buf *cache_find(struct cache *c, uint64_t pblk);
void cache_forget(struct buf *b);

struct cache_stats { uint64_t hits, misses, evictions, bytes, limit, dirty_bytes; };
void cache_get_stats(struct cache *c, struct cache_stats *ret);

static inline void cleanup_buf(struct buf **b) { cache_put(*b); }
/* Scope-owned reference. */
#define AUTOBUF __attribute__((cleanup(cleanup_buf))) struct buf *

#endif
