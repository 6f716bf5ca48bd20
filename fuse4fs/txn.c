/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Handles: joining the running transaction, and what they tell it.
 *
 * Beginning and ending a handle is one short lock each; dirtying a block that is
 * already in the transaction is one atomic load.
 */
#include <errno.h>

#include "journal.h"
#include "txn_mgr.h"

enum {
	SOFT_BLOCKS = 4096,
	SOFT_BYTES = 16 << 20,
	MIN_SOFT_BLOCKS = 64,
	SOFT_FREED = 65536,		/* ranges and inodes to remember */
	IDLE_MS = 1000,
};

struct txn *txn_new(uint32_t tid)
{
	struct txn *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->tid = tid;
	list_init(&t->dirty);
	return t;
}

void txn_free(struct txn *t)
{
	if (!t)
		return;
	while (!list_empty(&t->dirty)) {
		struct buf *b = container_of(t->dirty.next, struct buf, txn_node);

		list_unlink(&b->txn_node);
		atomic_store(&b->txn, NULL);
		cache_unpin(b);
	}
	ranges_fini(&t->freed);
	free(t->freed_inodes);
	free(t);
}

static bool too_large(const struct txn_mgr *m, const struct txn *t, unsigned credits)
{
	/* One handle alone is let in whatever it asks for. */
	if (!t->handles && !t->nblocks)
		return false;
	return t->nblocks + t->outstanding + credits > m->hard_max;
}

static void watch_size(struct txn_mgr *m, struct txn *t) REQUIRES(m->lock)
{
	if (t->kicked)
		return;
	if (t->nblocks < m->soft_max && t->freed.n < SOFT_FREED &&
	    t->n_freed_inodes < SOFT_FREED)
		return;
	t->kicked = true;
	commit_thread_kick(m);
}

/* The running transaction, once it can take `credits` more; NULL after an abort. */
static struct txn *wait_room(struct txn_mgr *m, unsigned credits) REQUIRES(m->lock)
{
	for (;;) {
		struct txn *t = m->running;

		if (m->aborted)
			return NULL;
		if (t->state == TXN_RUNNING && !too_large(m, t, credits))
			return t;
		if (t->state == TXN_RUNNING)
			commit_thread_kick(m);
		m->waiters++;
		cond_wait(&m->opened, &m->lock);
		m->waiters--;
	}
}

int txn_begin(struct fs *fs, unsigned credits, struct handle *h)
{
	struct txn_mgr *m = fs->txns;
	struct txn *t;
	int err = fs_may_write(fs);

	if (err)
		return err;
	if (m->writer->max_handle && credits > m->writer->max_handle)
		return -ENOSPC;
	mutex_lock(&m->lock);
	t = wait_room(m, credits);
	if (t) {
		t->handles++;
		t->outstanding += credits;
		m->activity++;
		*h = (struct handle){ .fs = fs, .txn = t, .tid = t->tid, .credits = credits };
	}
	mutex_unlock(&m->lock);
	if (t)
		return 0;
	err = fs_may_write(fs);
	return err ? err : -EROFS;
}

int txn_extend(struct handle *h, unsigned credits)
{
	struct txn_mgr *m = h->fs->txns;
	struct txn *t = h->txn;
	int err = -EAGAIN;

	mutex_lock(&m->lock);
	if (t->state == TXN_RUNNING && !m->aborted &&
	    t->nblocks + t->outstanding + credits <= m->hard_max) {
		t->outstanding += credits;
		h->credits += credits;
		err = 0;
	}
	mutex_unlock(&m->lock);
	return err;
}

int txn_stop(struct handle *h)
{
	struct txn_mgr *m = h->fs->txns;
	struct txn *t = h->txn;

	mutex_lock(&m->lock);
	t->outstanding -= h->credits;
	t->handles--;
	if (t->state == TXN_CLOSING && !t->handles)
		cond_signal(&m->drained);
	/* What it reserved and did not use may be room enough for another. */
	if (h->credits && m->waiters)
		cond_broadcast(&m->opened);
	watch_size(m, t);
	mutex_unlock(&m->lock);
	h->txn = NULL;
	h->credits = 0;
	return h->sync ? txn_force(h->fs, h->tid, true) : 0;
}

static void changed(struct txn_mgr *m, struct txn *t) REQUIRES(m->lock)
{
	if (txn_has_changes(t))
		return;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &t->first_change);
	commit_thread_arm(m);
}

static void add_block(struct txn_mgr *m, struct handle *h, struct buf *b) REQUIRES(m->lock)
{
	struct txn *t = h->txn;

	changed(m, t);
	atomic_store_explicit(&b->txn, t, memory_order_release);
	list_push(&t->dirty, &b->txn_node);
	t->nblocks++;
	if (!h->credits) {
		m->overdrawn++;
		return;
	}
	h->credits--;
	t->outstanding--;
}

int txn_dirty(struct handle *h, struct buf *b)
{
	struct txn_mgr *m = h->fs->txns;
	bool added = false;
	int err = 0;

	/* Only this transaction's handles, ours is one, take it out again. */
	if (atomic_load_explicit(&b->txn, memory_order_acquire) == h->txn)
		return 0;
	cache_pin(b);
	mutex_lock(&m->lock);
	if (m->aborted) {
		err = -EIO;
	} else if (atomic_load(&b->txn) != h->txn) {
		add_block(m, h, b);
		added = true;
	}
	mutex_unlock(&m->lock);
	if (!added)
		cache_unpin(b);
	return err;
}

/* Takes b out of the running transaction and the cache. */
static void forget(struct handle *h, struct buf *b)
{
	struct txn_mgr *m = h->fs->txns;
	struct txn *t = h->txn;
	bool was_ours = false;

	mutex_lock(&m->lock);
	if (atomic_load(&b->txn) == t) {
		list_unlink(&b->txn_node);
		atomic_store(&b->txn, NULL);
		t->nblocks--;
		was_ours = true;
	}
	b->forgotten = true;
	mutex_unlock(&m->lock);
	cache_forget(b);
	if (was_ours)
		cache_unpin(b);
}

void txn_forget(struct handle *h, struct buf *b)
{
	forget(h, b);
	cache_put(b);
}

void txn_revoke(struct handle *h, uint64_t pblk, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		AUTOBUF b = cache_find(h->fs->cache, pblk + i);

		if (b)
			forget(h, b);
	}
}

int txn_free_blocks(struct handle *h, uint64_t pblk, uint64_t n)
{
	struct txn_mgr *m = h->fs->txns;
	int err;

	mutex_lock(&m->lock);
	changed(m, h->txn);
	err = ranges_add(&h->txn->freed, pblk, n);
	mutex_unlock(&m->lock);
	return err;
}

int txn_free_inode(struct handle *h, uint32_t ino)
{
	struct txn_mgr *m = h->fs->txns;
	struct txn *t = h->txn;
	int err = 0;

	mutex_lock(&m->lock);
	changed(m, t);
	if (t->n_freed_inodes == t->cap_freed_inodes) {
		size_t cap = MAX(64, 2 * t->cap_freed_inodes);
		uint32_t *inos = reallocarray(t->freed_inodes, cap, sizeof(*inos));

		if (inos) {
			t->freed_inodes = inos;
			t->cap_freed_inodes = cap;
		} else {
			err = -ENOMEM;
		}
	}
	if (!err)
		t->freed_inodes[t->n_freed_inodes++] = ino;
	mutex_unlock(&m->lock);
	return err;
}

void txn_want_super(struct fs *fs)
{
	struct txn_mgr *m = fs->txns;

	if (!m)
		return;
	mutex_lock(&m->lock);
	if (!m->want_super)
		changed(m, m->running);
	m->want_super = true;
	mutex_unlock(&m->lock);
}

uint32_t txn_current(struct fs *fs)
{
	struct txn_mgr *m = fs->txns;
	uint32_t tid;

	mutex_lock(&m->lock);
	tid = m->running->tid;
	mutex_unlock(&m->lock);
	return tid;
}

void txn_get_stats(struct fs *fs, struct txn_stats *ret)
{
	struct txn_mgr *m = fs->txns;

	mutex_lock(&m->lock);
	*ret = m->stats;
	ret->running_blocks = m->running->nblocks;
	ret->aborted = m->aborted != 0;
	ret->overdrawn = m->overdrawn;
	mutex_unlock(&m->lock);
	if (m->writer->ops->stats)
		m->writer->ops->stats(m->writer, ret);
}

static void set_bounds(struct txn_mgr *m)
{
	uint32_t bs = m->fs->block_size;
	struct cache_stats st;
	uint64_t soft = MIN(SOFT_BLOCKS, SOFT_BYTES / bs);

	cache_get_stats(m->fs->cache, &st);
	soft = MAX(MIN(soft, st.limit / bs / 2), (uint64_t)MIN_SOFT_BLOCKS);
	/* Room to go on while the one before is written. */
	m->hard_max = soft + soft / 2;
	if (m->writer->max_blocks)
		m->hard_max = MIN(m->hard_max, m->writer->max_blocks);
	m->soft_max = MIN(soft, (uint64_t)m->hard_max * 2 / 3);
}

static void mgr_free(struct txn_mgr *m)
{
	mutex_fini(&m->lock);
	cond_fini(&m->opened);
	cond_fini(&m->drained);
	cond_fini(&m->done);
	cond_fini(&m->wake);
	txn_free(m->running);
	free(m->spare);
	free(m);
}

int txn_open(struct fs *fs, struct txn_mgr **ret)
{
	struct txn_mgr *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	m->fs = fs;
	m->commit_sec = fs->opt.commit_sec ? fs->opt.commit_sec : 5;
	m->idle_ms = fs->opt.idle_ms ? fs->opt.idle_ms : IDLE_MS;
	mutex_init(&m->lock);
	cond_init(&m->opened);
	cond_init(&m->drained);
	cond_init(&m->done);
	cond_init(&m->wake);
	if (fs->has_journal && !fs->opt.readonly)
		err = journal_open(fs, &m->writer);
	else
		err = commit_home_open(fs, &m->writer);
	if (err)
		goto out;
	set_bounds(m);
	m->durable = m->released = m->writer->first_tid - 1;
	m->running = txn_new(m->writer->first_tid);
	err = m->running ? 0 : -ENOMEM;
	if (!err && !fs->opt.readonly)
		err = commit_thread_start(m);
	if (err)
		m->writer->ops->close(m->writer, true);
out:
	if (err) {
		mgr_free(m);
		return err;
	}
	*ret = m;
	return 0;
}

int txn_close(struct txn_mgr *m)
{
	int err = 0, err2;

	commit_thread_stop(m);
	mutex_lock(&m->lock);
	if (txn_has_work(m) && !m->aborted)
		err = commit_run(m);
	/* No memory even now: what is left cannot be written. */
	if (!err)
		err = m->aborted;
	mutex_unlock(&m->lock);
	err2 = m->writer->ops->close(m->writer, err != 0);
	commit_free(m->failed);
	mgr_free(m);
	return err ? err : err2;
}
