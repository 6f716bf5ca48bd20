/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of in-core inodes: who has one, who may have one, who goes first.
 *
 * Sharded by number; a shard's lock is held over memory only. An inode in the table
 * is one of
 *   referenced            any state
 *   on the LRU            LIVE, no reference, nlink > 0: the first to go
 *   neither               LIVE, no reference, nlink 0: the kernel still knows it, or
 *                         the file system may not be written to delete it;
 *                         LIVE, an orphan with links: its truncate failed half-way, and
 *                         the chain of orphans goes through it;
 *                         DEAD: its deletion failed, so it must not come back
 * A DEAD inode leaves the table before its number is freed (evict.c), so a number that
 * ialloc_new hands out is never in the table, unless the bitmap is wrong.
 */
#include <errno.h>

#include "inode_int.h"
#include "map.h"
#include "orphan.h"

enum {
	LRU_MAX = 4096,				/* inodes, all shards together */
	LRU_BYTES = 16 << 20,			/* on-disk bytes they may hold */
	MIN_BUCKETS = 64,
};

static struct inode_shard *shard_of(struct inode_cache *c, uint32_t ino)
{
	return &c->shards[ino % INODE_SHARDS];
}

static struct inode **bucket_of(struct inode_shard *s, uint32_t ino)
{
	return &s->buckets[ino / INODE_SHARDS & (s->nbuckets - 1)];
}

static struct inode *find(struct inode_shard *s, uint32_t ino) REQUIRES(s->lock)
{
	struct inode *inode = *bucket_of(s, ino);

	while (inode && inode->ino != ino)
		inode = inode->hash_next;
	return inode;
}

/* No memory for a wider table is no error: the chains get longer. */
static void grow(struct inode_shard *s) REQUIRES(s->lock)
{
	struct inode_shard wide = { .nbuckets = s->nbuckets * 2 };

	wide.buckets = calloc(wide.nbuckets, sizeof(*wide.buckets));
	if (!wide.buckets)
		return;
	for (size_t i = 0; i < s->nbuckets; i++) {
		struct inode *inode, *next;

		for (inode = s->buckets[i]; inode; inode = next) {
			struct inode **to = bucket_of(&wide, inode->ino);

			next = inode->hash_next;
			inode->hash_next = *to;
			*to = inode;
		}
	}
	free(s->buckets);
	s->buckets = wide.buckets;
	s->nbuckets = wide.nbuckets;
}

static void hash(struct inode_shard *s, struct inode *inode) REQUIRES(s->lock)
{
	struct inode **bucket;

	if (s->nhashed >= 2 * s->nbuckets)
		grow(s);
	bucket = bucket_of(s, inode->ino);
	inode->hash_next = *bucket;
	*bucket = inode;
	inode->hashed = true;
	s->nhashed++;
}

static void unhash(struct inode_shard *s, struct inode *inode) REQUIRES(s->lock)
{
	struct inode **p = bucket_of(s, inode->ino);

	if (!inode->hashed)
		return;
	while (*p != inode)
		p = &(*p)->hash_next;
	*p = inode->hash_next;
	inode->hashed = false;
	s->nhashed--;
}

static void lru_remove(struct inode_shard *s, struct inode *inode) REQUIRES(s->lock)
{
	if (list_empty(&inode->lru))
		return;
	list_unlink(&inode->lru);
	s->nlru--;
}

/* Returns an inode that had to make room, for inode_free outside the lock, or NULL. */
static struct inode *lru_add(struct inode_cache *c, struct inode_shard *s, struct inode *inode)
	REQUIRES(s->lock)
{
	struct inode *victim;

	list_push(&s->lru, &inode->lru);
	if (++s->nlru <= c->lru_max)
		return NULL;
	victim = container_of(s->lru.next, struct inode, lru);
	lru_remove(s, victim);
	unhash(s, victim);
	return victim;
}

struct inode *inode_alloc(struct fs *fs, uint32_t ino)
{
	struct inode *inode = calloc(1, sizeof(*inode) + fs->inode_size);

	if (!inode)
		return NULL;
	inode->fs = fs;
	inode->ino = ino;
	inode->listing = atomic_fetch_add(&fs->listings, 1) << 32;
	inode->raw = (uint8_t *)(inode + 1);
	inode->refs = 1;
	rwlock_init(&inode->io);
	rwlock_init(&inode->lock);
	list_init(&inode->lru);
	list_init(&inode->orphan_node);
	return inode;
}

void inode_free(struct inode *inode)
{
	if (!inode)
		return;
	if (inode->pa.len) {
		rwlock_write(&inode->lock);
		map_discard_prealloc(inode);
		rwlock_write_unlock(&inode->lock);
	}
	map_cache_free(inode);
	rwlock_fini(&inode->io);
	rwlock_fini(&inode->lock);
	free(inode);
}

static bool number_allowed(const struct fs *fs, uint32_t ino, unsigned allow)
{
	if (ino == 0 || ino > fs->inodes_count)
		return false;
	return ino >= fs->first_ino || ino == EXT2_ROOT_INO || (allow & INODE_ALLOW_INTERNAL);
}

/* A hit: takes a reference, waits for whoever is loading it. The lock is dropped. */
static int get_cached(struct inode_shard *s, struct inode *inode, unsigned allow,
		      struct inode **ret) RELEASE(s->lock)
{
	int err = 0;

	/* No reference to these two, not even for a moment: their owner ends them. */
	if (inode->state == INODE_NEW || inode->state == INODE_DEAD) {
		mutex_unlock(&s->lock);
		return -ESTALE;
	}
	s->hits++;
	inode->refs++;
	lru_remove(s, inode);
	while (inode->state == INODE_LOADING)
		cond_wait(&s->loaded, &s->lock);
	if (inode->state != INODE_LIVE)
		err = inode->load_err;
	else if (inode->internal && !(allow & INODE_ALLOW_INTERNAL))
		err = -ESTALE;
	mutex_unlock(&s->lock);
	if (err)
		inode_put(inode);
	else
		*ret = inode;
	return err;
}

/*
 * Nothing may be known about what earlier changes to it are still uncommitted: it may
 * have been in core, changed, and left. So a first fsync commits what is running.
 */
static void assume_changed(struct inode *inode)
{
	struct fs *fs = inode->fs;

	if (!fs->txns || fs->opt.readonly)
		return;
	inode->sync_tid = inode->datasync_tid = txn_current(fs);
	inode->has_sync_tid = true;
}

static int finish_load(struct inode_shard *s, struct inode *inode, int err)
{
	mutex_lock(&s->lock);
	inode->state = err ? INODE_DEAD : INODE_LIVE;
	inode->load_err = err;
	if (err)
		unhash(s, inode);
	cond_broadcast(&s->loaded);
	mutex_unlock(&s->lock);
	return err;
}

int inode_get_allow(struct fs *fs, uint32_t ino, unsigned allow, struct inode **ret)
{
	struct inode_shard *s = shard_of(fs->inodes, ino);
	struct inode *inode;
	int err;

	if (!number_allowed(fs, ino, allow))
		return -ESTALE;
	mutex_lock(&s->lock);
	inode = find(s, ino);
	if (inode)
		return get_cached(s, inode, allow, ret);
	inode = inode_alloc(fs, ino);
	if (!inode) {
		mutex_unlock(&s->lock);
		return -ENOMEM;
	}
	s->misses++;
	inode->state = INODE_LOADING;
	hash(s, inode);
	mutex_unlock(&s->lock);

	err = inode_load(inode, allow);
	assume_changed(inode);
	err = finish_load(s, inode, err);
	if (!err && inode->internal && !(allow & INODE_ALLOW_INTERNAL))
		err = -ESTALE;
	if (err)
		inode_put(inode);
	else
		*ret = inode;
	return err;
}

int inode_get(struct fs *fs, uint32_t ino, struct inode **ret)
{
	return inode_get_allow(fs, ino, 0, ret);
}

int inode_get_internal(struct fs *fs, uint32_t ino, struct inode **ret)
{
	return inode_get_allow(fs, ino, INODE_ALLOW_INTERNAL, ret);
}

void inode_ref(struct inode *inode)
{
	struct inode_shard *s = shard_of(inode->fs->inodes, inode->ino);

	mutex_lock(&s->lock);
	inode->refs++;
	mutex_unlock(&s->lock);
}

static bool kernel_knows(struct fs *fs, uint32_t ino)
{
	return fs->opt.inode_known && fs->opt.inode_known(fs->opt.inode_known_arg, ino);
}

/* An unlinked LIVE inode nobody holds: claims it for deletion (DEAD) if it is time. */
static bool claim_for_evict(struct inode *inode)
{
	struct fs *fs = inode->fs;

	if (inode->refs || inode->state != INODE_LIVE || inode->nlink)
		return false;
	if (fs_may_write(fs) || kernel_knows(fs, inode->ino))
		return false;
	inode->state = INODE_DEAD;
	return true;
}

/* A claimed inode. When deleting fails it stays, DEAD: it is still on the orphan list. */
static int evict(struct inode *inode)
{
	int err = inode_evict(inode);

	if (!inode->hashed)
		inode_free(inode);
	return err;
}

void inode_put(struct inode *inode)
{
	struct inode_cache *c;
	struct inode_shard *s;
	struct inode *victim = NULL;
	bool claimed;

	if (!inode)
		return;
	c = inode->fs->inodes;
	s = shard_of(c, inode->ino);
	mutex_lock(&s->lock);
	inode->refs--;
	claimed = claim_for_evict(inode);
	if (!claimed && !inode->refs && !inode->hashed)
		victim = inode;
	else if (!claimed && !inode->refs && inode->state == INODE_LIVE && inode->nlink &&
		 !inode->orphan)
		victim = lru_add(c, s, inode);
	mutex_unlock(&s->lock);
	inode_free(victim);
	if (claimed)
		evict(inode);
}

int inode_put_delete(struct inode *inode)
{
	struct inode_shard *s = shard_of(inode->fs->inodes, inode->ino);
	bool last;

	mutex_lock(&s->lock);
	last = --inode->refs == 0;
	if (last)
		inode->state = INODE_DEAD;
	mutex_unlock(&s->lock);
	return last ? evict(inode) : -EBUSY;
}

void inode_forgotten(struct fs *fs, uint32_t ino)
{
	struct inode_shard *s = shard_of(fs->inodes, ino);
	struct inode *inode;
	bool claimed;

	mutex_lock(&s->lock);
	inode = find(s, ino);
	claimed = inode && claim_for_evict(inode);
	mutex_unlock(&s->lock);
	if (claimed)
		evict(inode);
}

int inode_hash_new(struct inode *inode)
{
	struct inode_shard *s = shard_of(inode->fs->inodes, inode->ino);
	struct inode *other;

	mutex_lock(&s->lock);
	/* A stale handle's load finds it free soon, and goes. */
	while ((other = find(s, inode->ino)) && other->state == INODE_LOADING)
		cond_wait(&s->loaded, &s->lock);
	if (!other) {
		inode->state = INODE_NEW;
		hash(s, inode);
	}
	mutex_unlock(&s->lock);
	return other ? -EUCLEAN : 0;
}

void inode_unhash(struct inode *inode)
{
	struct inode_shard *s = shard_of(inode->fs->inodes, inode->ino);

	mutex_lock(&s->lock);
	unhash(s, inode);
	mutex_unlock(&s->lock);
}

void inode_unlock_new(struct inode *inode)
{
	struct inode_shard *s = shard_of(inode->fs->inodes, inode->ino);

	mutex_lock(&s->lock);
	inode->internal = inode->flags & EXT4_EA_INODE_FL;
	inode->state = INODE_LIVE;
	mutex_unlock(&s->lock);
	rwlock_write_unlock(&inode->lock);
}

int inode_cache_open(struct fs *fs, struct inode_cache **ret)
{
	struct inode_cache *c = calloc(1, sizeof(*c));
	int err = 0;

	if (!c)
		return -ENOMEM;
	c->fs = fs;
	c->lru_max = MAX(MIN(LRU_MAX, LRU_BYTES / fs->inode_size) / INODE_SHARDS, 1u);
	for (unsigned i = 0; i < INODE_SHARDS; i++) {
		struct inode_shard *s = &c->shards[i];

		mutex_init(&s->lock);
		cond_init(&s->loaded);
		list_init(&s->lru);
		s->nbuckets = MIN_BUCKETS;
		s->buckets = calloc(s->nbuckets, sizeof(*s->buckets));
		if (!s->buckets)
			err = -ENOMEM;
	}
	for (unsigned i = 0; i < INODE_SLOT_LOCKS; i++)
		mutex_init(&c->slots[i]);
	if (err)
		inode_cache_close(c);
	else
		*ret = c;
	return err;
}

/* Moves a shard's unlinked inodes to *doomed, DEAD. */
static void claim_unlinked(struct inode_shard *s, struct list *doomed)
{
	mutex_lock(&s->lock);
	for (size_t i = 0; i < s->nbuckets; i++) {
		for (struct inode *inode = s->buckets[i]; inode; inode = inode->hash_next) {
			if (inode->state != INODE_LIVE || inode->refs || inode->nlink)
				continue;
			inode->state = INODE_DEAD;
			list_push(doomed, &inode->lru);
		}
	}
	mutex_unlock(&s->lock);
}

/* What the kernel still knew when it went away. */
static void evict_unlinked(struct inode_cache *c)
{
	struct list doomed;

	list_init(&doomed);
	for (unsigned i = 0; i < INODE_SHARDS; i++)
		claim_unlinked(&c->shards[i], &doomed);
	while (!list_empty(&doomed)) {
		struct inode *inode = container_of(doomed.next, struct inode, lru);

		list_unlink(&inode->lru);
		evict(inode);
	}
}

static void close_shard(struct inode_shard *s)
{
	for (size_t i = 0; i < s->nbuckets && s->buckets; i++) {
		struct inode *inode, *next;

		for (inode = s->buckets[i]; inode; inode = next) {
			next = inode->hash_next;
			inode_free(inode);
		}
	}
	free(s->buckets);
	cond_fini(&s->loaded);
	mutex_fini(&s->lock);
}

void inode_cache_close(struct inode_cache *c)
{
	if (!c)
		return;
	if (c->fs->inodes && !fs_may_write(c->fs))
		evict_unlinked(c);
	for (unsigned i = 0; i < INODE_SHARDS; i++)
		close_shard(&c->shards[i]);
	for (unsigned i = 0; i < INODE_SLOT_LOCKS; i++)
		mutex_fini(&c->slots[i]);
	free(c);
}

void inode_cache_get_stats(struct inode_cache *c, struct inode_cache_stats *ret)
{
	*ret = (struct inode_cache_stats){ .limit = c->lru_max * INODE_SHARDS };
	for (unsigned i = 0; i < INODE_SHARDS; i++) {
		struct inode_shard *s = &c->shards[i];

		mutex_lock(&s->lock);
		ret->cached += s->nhashed;
		ret->hits += s->hits;
		ret->misses += s->misses;
		mutex_unlock(&s->lock);
	}
}
