/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of the block cache: slabs, the clock that chooses what to give up, the
 * opening and closing.
 *
 * Each shard has an equal share of the budget. A new buf takes the place of an old
 * one once the share is used up; when all that the hand meets is in use, the shard
 * grows beyond it (pinned bufs are bounded by the size of transactions) and shrinks
 * later by giving up two for one.
 */
#include <errno.h>

#include "cache_priv.h"

enum {
	DEFAULT_BYTES = 32 << 20,
	MAX_SHARDS = 64,
	MIN_SHARD_BUFS = 32,
	SLAB_BYTES = 128 << 10,
	PAGE = 4096,
	HAND_STEPS = 64,	/* bufs the hand looks at before the shard grows */
};

struct slab {
	struct slab *next;
	uint8_t *data;
	struct buf bufs[];
};

static bool grow(struct shard *s) REQUIRES(s->lock)
{
	struct cache *c = s->cache;
	size_t bs = c->fs->block_size;
	struct slab *slab = calloc(1, sizeof(*slab) + c->slab_bufs * sizeof(slab->bufs[0]));

	if (!slab)
		return false;
	slab->data = aligned_alloc(PAGE, round_up(c->slab_bufs * bs, PAGE));
	if (!slab->data) {
		free(slab);
		return false;
	}
	slab->next = s->slabs;
	s->slabs = slab;
	for (unsigned i = c->slab_bufs; i-- > 0; ) {
		struct buf *b = &slab->bufs[i];

		b->cache = c;
		b->data = slab->data + i * bs;
		list_init(&b->lru);
		list_init(&b->txn_node);
		b->hash_next = s->free;
		s->free = b;
	}
	return s->free != NULL;
}

void shard_unhash(struct shard *s, struct buf *b)
{
	struct buf **p = shard_bucket(s, b->pblk);

	while (*p != b)
		p = &(*p)->hash_next;
	*p = b->hash_next;
	b->hash_next = NULL;
	b->hashed = false;
	b->recent = false;
}

/* Off the clock and onto the free list. */
static void give_up(struct shard *s, struct buf *b) REQUIRES(s->lock)
{
	if (b->hashed)
		shard_unhash(s, b);
	list_unlink(&b->lru);
	s->count--;
	s->evictions++;
	b->state = BUF_EMPTY;
	b->hash_next = s->free;
	s->free = b;
}

/* Moves the hand until it has freed `want` bufs or has looked at enough. */
static void turn_clock(struct shard *s, unsigned want) REQUIRES(s->lock)
{
	for (unsigned i = 0; i < HAND_STEPS && want && !list_empty(&s->clock); i++) {
		struct buf *b = container_of(s->clock.next, struct buf, lru);

		/* Acquire: what the last user did to data is over. */
		if (!b->recent && atomic_load_explicit(&b->refs, memory_order_acquire) == 0) {
			give_up(s, b);
			want--;
			continue;
		}
		b->recent = false;
		list_unlink(&b->lru);
		list_push(&s->clock, &b->lru);
	}
}

struct buf *shard_add(struct shard *s, uint64_t pblk)
{
	struct buf **bucket = shard_bucket(s, pblk);
	struct buf *b;

	if (s->count >= s->cache->shard_max)
		turn_clock(s, s->count > s->cache->shard_max ? 2 : 1);
	if (!s->free && !grow(s))
		return NULL;
	b = s->free;
	s->free = b->hash_next;
	b->pblk = pblk;
	b->state = BUF_EMPTY;
	b->kind = BUF_RAW;
	b->seed = 0;
	b->err = 0;
	b->verified = false;
	b->recent = false;	/* a second use earns it: one long scan does not flush all */
	b->checkpoint = false;
	b->forgotten = false;
	atomic_store(&b->touched, false);
	atomic_store_explicit(&b->refs, 1, memory_order_relaxed);
	b->hash_next = *bucket;
	*bucket = b;
	b->hashed = true;
	list_push(&s->clock, &b->lru);
	s->count++;
	return b;
}

static int shard_init(struct shard *s, struct cache *c, uint64_t nbuckets) NO_TSA
{
	s->buckets = calloc(nbuckets, sizeof(*s->buckets));
	if (!s->buckets)
		return -ENOMEM;
	s->bucket_mask = nbuckets - 1;
	s->cache = c;
	list_init(&s->clock);
	mutex_init(&s->lock);
	cond_init(&s->filled);
	return 0;
}

static void shard_fini(struct shard *s) NO_TSA
{
	struct slab *slab;

	if (!s->buckets)
		return;
	while ((slab = s->slabs)) {
		s->slabs = slab->next;
		free(slab->data);
		free(slab);
	}
	free(s->buckets);
	mutex_fini(&s->lock);
	cond_fini(&s->filled);
}

/* Shards as many as leave each a clock worth its name. */
static void choose_geometry(struct cache *c, size_t bytes)
{
	uint64_t bufs = bytes / c->fs->block_size;

	c->nshards = MAX_SHARDS;
	while (c->nshards > 1 && bufs / c->nshards < MIN_SHARD_BUFS)
		c->nshards /= 2;
	c->shard_max = MIN(MAX(bufs / c->nshards, MIN_SHARD_BUFS), 1u << 24);
	c->slab_bufs = MAX(SLAB_BYTES / c->fs->block_size, 1u);
}

int cache_open(struct fs *fs, size_t bytes, struct cache **ret_cache)
{
	struct cache *c = calloc(1, sizeof(*c));
	uint64_t nbuckets = 1;
	int err = 0;

	if (!c)
		return -ENOMEM;
	c->fs = fs;
	choose_geometry(c, bytes ? bytes : DEFAULT_BYTES);
	while (nbuckets < c->shard_max)
		nbuckets *= 2;
	c->shards = aligned_alloc(CACHE_LINE, c->nshards * sizeof(*c->shards));
	if (!c->shards) {
		free(c);
		return -ENOMEM;
	}
	memset(c->shards, 0, c->nshards * sizeof(*c->shards));
	for (unsigned i = 0; i < c->nshards && !err; i++)
		err = shard_init(&c->shards[i], c, nbuckets);
	if (err) {
		cache_close(c);
		return err;
	}
	*ret_cache = c;
	return 0;
}

void cache_close(struct cache *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < c->nshards; i++)
		shard_fini(&c->shards[i]);
	free(c->shards);
	free(c);
}

void cache_get_stats(struct cache *c, struct cache_stats *ret)
{
	struct cache_stats st = { 0 };

	for (unsigned i = 0; i < c->nshards; i++) {
		struct shard *s = &c->shards[i];

		mutex_lock(&s->lock);
		st.hits += s->hits;
		st.misses += s->misses;
		st.evictions += s->evictions;
		st.bytes += (uint64_t)s->count * c->fs->block_size;
		mutex_unlock(&s->lock);
	}
	st.limit = (uint64_t)c->nshards * c->shard_max * c->fs->block_size;
	st.dirty_bytes = atomic_load(&c->pinned) * (uint64_t)c->fs->block_size;
	*ret = st;
}
