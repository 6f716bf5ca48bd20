/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the block cache: shards and their memory. Only cache*.c include this. */
#ifndef FUSE4FS_CACHE_PRIV_H
#define FUSE4FS_CACHE_PRIV_H

#include "cache.h"

enum { CACHE_LINE = 64 };

/* Memory of many bufs, never given back before cache_close. */
struct slab;

struct shard {
	struct cache *cache;	/* [init only] */
	uint64_t bucket_mask;	/* [init only] */
	struct mutex lock;
	struct cond filled;	/* a FILLING buf of this shard is no longer */
	unsigned waiters;	/* [lock] for that */
	unsigned count;		/* [lock] bufs on the clock */
	struct buf **buckets;	/* [lock] */
	struct list clock;	/* [lock] the hand points at the head */
	struct buf *free;	/* [lock] by hash_next */
	struct slab *slabs;	/* [lock] */
	uint64_t hits, misses, evictions;	/* [lock] */
} __attribute__((aligned(CACHE_LINE)));

struct cache {
	struct fs *fs;		/* [init only] */
	struct shard *shards;	/* [init only] */
	unsigned nshards;	/* [init only] power of 2, <= 64 */
	unsigned shard_max;	/* [init only] bufs a shard keeps */
	unsigned slab_bufs;	/* [init only] bufs per slab */
	atomic_ulong pinned;	/* [atomic] bufs */
};

/* Adjacent blocks land in different shards (multiplication by 2^64 / golden ratio). */
static inline uint64_t cache_hash(uint64_t pblk) { return pblk * 0x9E3779B97F4A7C15u; }

static inline struct shard *cache_shard(struct cache *c, uint64_t pblk)
{
	return &c->shards[(cache_hash(pblk) >> 58) & (c->nshards - 1)];
}

static inline struct buf **shard_bucket(struct shard *s, uint64_t pblk) REQUIRES(s->lock)
{
	return &s->buckets[(cache_hash(pblk) >> 26) & s->bucket_mask];
}

/* A new hashed EMPTY buf with one reference, the caller's; NULL: no memory. Takes
 * away another one when the shard has its share. */
struct buf *shard_add(struct shard *s, uint64_t pblk) REQUIRES(s->lock);
/* Later lookups miss; the clock frees it when the last reference is gone. */
void shard_unhash(struct shard *s, struct buf *b) REQUIRES(s->lock);

/* A FILLING buf of the caller's, or NULL: cached already, or no memory. */
struct buf *cache_claim(struct cache *c, uint64_t pblk);
/* The claimed one is read (unverified) or err; gives the reference back. */
void cache_claim_done(struct buf *b, int err);

#endif
