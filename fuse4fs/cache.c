/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The block cache: shards of a hash table with a clock each.
 *
 * A hit costs one shard lock: find, count a reference, mark `recent`. Giving a
 * reference back costs one atomic subtraction and never frees: only the clock
 * hand (cache_mem.c) takes bufs away, those with no reference, under the lock.
 *
 * Invariants: a hashed buf is on its shard's clock; at most one hashed buf per
 * block; FILLING bufs are referenced by who fills them, and only he changes data
 * meanwhile; refs go from 0 to 1 only under the shard lock.
 */
#include <errno.h>

#include "blkdev.h"
#include "cache_priv.h"
#include "csum.h"

/* Of some kinds the checksum does not depend on the inode that owns the block. */
static bool same_use(const struct buf *b, enum buf_kind kind, uint32_t seed)
{
	if (b->kind != kind)
		return false;
	return b->seed == seed || kind == BUF_RAW || kind == BUF_XATTR;
}

static struct buf *find_locked(struct shard *s, uint64_t pblk) REQUIRES(s->lock)
{
	struct buf *b = *shard_bucket(s, pblk);

	while (b && b->pblk != pblk)
		b = b->hash_next;
	return b;
}

static void ref_locked(struct shard *s, struct buf *b) REQUIRES(s->lock)
{
	atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	b->recent = true;
}

static void wait_filled_locked(struct shard *s) REQUIRES(s->lock)
{
	s->waiters++;
	cond_wait(&s->filled, &s->lock);
	s->waiters--;
}

static void filled_locked(struct shard *s, struct buf *b, int err) REQUIRES(s->lock)
{
	b->err = err;
	b->state = err ? BUF_FAILED : BUF_VALID;
	if (s->waiters)
		cond_broadcast(&s->filled);
}

static int read_block(struct cache *c, struct buf *b)
{
	int err = blkdev_read(c->fs->dev, b->data, c->fs->block_size, fs_off(c->fs, b->pblk));

	/* The cache has checked the range: the device is shorter than the file system. */
	return err == -EINVAL ? -EIO : err;
}

/* Makes b valid as kind, the shard unlocked meanwhile. read: from the device first. */
static int fill_locked(struct shard *s, struct buf *b, enum buf_kind kind, uint32_t seed,
		       bool read) REQUIRES(s->lock)
{
	struct cache *c = b->cache;
	int err = 0;

	b->state = BUF_FILLING;
	s->misses += read;
	mutex_unlock(&s->lock);
	if (read)
		err = read_block(c, b);
	if (!err && !csum_verify(c->fs, kind, seed, b->pblk, b->data))
		err = -EUCLEAN;
	mutex_lock(&s->lock);
	if (read)
		atomic_store(&b->touched, false);
	b->kind = kind;
	b->seed = seed;
	b->verified = true;
	filled_locked(s, b, err);
	return err;
}

/* A verified clean block that somebody reads as something else than the last one did. */
static int reuse_locked(struct shard *s, struct buf *b, enum buf_kind kind, uint32_t seed)
	REQUIRES(s->lock)
{
	enum buf_kind old_kind = b->kind;
	uint32_t old_seed = b->seed;
	bool touched = atomic_load(&b->touched);
	bool shared = atomic_load(&b->refs) > 1;
	int err;

	if (atomic_load(&b->pins) || (touched && shared))
		return -EUCLEAN;
	err = fill_locked(s, b, kind, seed, touched);
	if (!err || !shared)
		return err;
	/* Good for the other user still. */
	b->kind = old_kind;
	b->seed = old_seed;
	b->state = BUF_VALID;
	return err;
}

/* Brings a referenced buf to VALID as kind, or says why not. */
static int settle_locked(struct shard *s, struct buf *b, enum buf_kind kind, uint32_t seed)
	REQUIRES(s->lock)
{
	bool waited = false;

	while (b->state == BUF_FILLING) {
		waited = true;
		wait_filled_locked(s);
	}
	if (b->state == BUF_FAILED && waited)
		return b->err;
	if (b->state != BUF_VALID)
		return fill_locked(s, b, kind, seed, true);
	if (!b->verified)
		return fill_locked(s, b, kind, seed, false);
	s->hits++;
	if (same_use(b, kind, seed))
		return 0;
	return reuse_locked(s, b, kind, seed);
}

int cache_read(struct cache *c, uint64_t pblk, enum buf_kind kind, uint32_t seed,
	       struct buf **ret_buf)
{
	struct shard *s = cache_shard(c, pblk);
	struct buf *b;
	int err = 0;

	if (pblk >= c->fs->blocks_count)
		return -EUCLEAN;
	mutex_lock(&s->lock);
	b = find_locked(s, pblk);
	if (b)
		ref_locked(s, b);
	else
		b = shard_add(s, pblk);
	err = b ? settle_locked(s, b, kind, seed) : -ENOMEM;
	mutex_unlock(&s->lock);
	if (err) {
		cache_put(b);
		return err;
	}
	*ret_buf = b;
	return 0;
}

int cache_new(struct cache *c, uint64_t pblk, enum buf_kind kind, uint32_t seed,
	      struct buf **ret_buf)
{
	struct shard *s = cache_shard(c, pblk);
	struct buf *b;

	if (pblk >= c->fs->blocks_count)
		return -EUCLEAN;
	mutex_lock(&s->lock);
	while ((b = find_locked(s, pblk)) && b->state == BUF_FILLING)
		wait_filled_locked(s);
	if (b && atomic_load(&b->pins)) {
		mutex_unlock(&s->lock);
		return -EUCLEAN;
	}
	/* Who still looks at the former content keeps it. */
	if (b)
		shard_unhash(s, b);
	b = shard_add(s, pblk);
	if (!b) {
		mutex_unlock(&s->lock);
		return -ENOMEM;
	}
	memset(b->data, 0, c->fs->block_size);
	atomic_store(&b->touched, true);
	b->kind = kind;
	b->seed = seed;
	b->verified = true;
	b->state = BUF_VALID;
	mutex_unlock(&s->lock);
	*ret_buf = b;
	return 0;
}

struct buf *cache_find(struct cache *c, uint64_t pblk)
{
	struct shard *s = cache_shard(c, pblk);
	struct buf *b;

	mutex_lock(&s->lock);
	b = find_locked(s, pblk);
	if (b)
		ref_locked(s, b);
	mutex_unlock(&s->lock);
	return b;
}

struct buf *cache_peek(struct cache *c, uint64_t pblk)
{
	struct shard *s = cache_shard(c, pblk);
	struct buf *b;

	mutex_lock(&s->lock);
	b = find_locked(s, pblk);
	if (b && (b->state != BUF_VALID || !b->verified))
		b = NULL;
	if (b)
		ref_locked(s, b);
	mutex_unlock(&s->lock);
	return b;
}

void cache_get(struct buf *b)
{
	atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
}

void cache_put(struct buf *b)
{
	if (b)
		atomic_fetch_sub_explicit(&b->refs, 1, memory_order_release);
}

void cache_pin(struct buf *b)
{
	cache_get(b);
	atomic_store(&b->touched, true);
	if (atomic_fetch_add(&b->pins, 1) == 0)
		atomic_fetch_add_explicit(&b->cache->pinned, 1, memory_order_relaxed);
}

void cache_unpin(struct buf *b)
{
	if (atomic_fetch_sub(&b->pins, 1) == 1)
		atomic_fetch_sub_explicit(&b->cache->pinned, 1, memory_order_relaxed);
	cache_put(b);
}

void cache_forget(struct buf *b)
{
	struct shard *s = cache_shard(b->cache, b->pblk);

	mutex_lock(&s->lock);
	if (b->hashed)
		shard_unhash(s, b);
	mutex_unlock(&s->lock);
}

void buf_set_kind(struct buf *b, enum buf_kind kind, uint32_t seed)
{
	struct shard *s = cache_shard(b->cache, b->pblk);

	mutex_lock(&s->lock);
	b->kind = kind;
	b->seed = seed;
	b->verified = true;
	mutex_unlock(&s->lock);
}

static void drop_locked(struct shard *s, struct buf *b) REQUIRES(s->lock)
{
	/* A referenced clean one can only be read ahead or be a stale view. */
	if (b->hashed && !atomic_load(&b->pins))
		shard_unhash(s, b);
}

static void drop_range_locked(struct shard *s, uint64_t pblk, uint64_t n) REQUIRES(s->lock)
{
	struct list *l, *next;

	for (l = s->clock.next; l != &s->clock; l = next) {
		struct buf *b = container_of(l, struct buf, lru);

		next = l->next;
		if (b->pblk >= pblk && b->pblk - pblk < n)
			drop_locked(s, b);
	}
}

void cache_drop(struct cache *c, uint64_t pblk, uint64_t n)
{
	/* Whichever is shorter: the range, or what is cached. */
	if (n > c->nshards * (uint64_t)c->shard_max) {
		for (unsigned i = 0; i < c->nshards; i++) {
			mutex_lock(&c->shards[i].lock);
			drop_range_locked(&c->shards[i], pblk, n);
			mutex_unlock(&c->shards[i].lock);
		}
		return;
	}
	for (uint64_t i = 0; i < n; i++) {
		struct shard *s = cache_shard(c, pblk + i);
		struct buf *b;

		mutex_lock(&s->lock);
		b = find_locked(s, pblk + i);
		if (b)
			drop_locked(s, b);
		mutex_unlock(&s->lock);
	}
}

struct buf *cache_claim(struct cache *c, uint64_t pblk)
{
	struct shard *s = cache_shard(c, pblk);
	struct buf *b = NULL;

	mutex_lock(&s->lock);
	if (!find_locked(s, pblk))
		b = shard_add(s, pblk);
	if (b) {
		b->state = BUF_FILLING;
		s->misses++;
	}
	mutex_unlock(&s->lock);
	return b;
}

void cache_claim_done(struct buf *b, int err)
{
	struct shard *s = cache_shard(b->cache, b->pblk);

	mutex_lock(&s->lock);
	filled_locked(s, b, err);
	mutex_unlock(&s->lock);
	cache_put(b);
}
