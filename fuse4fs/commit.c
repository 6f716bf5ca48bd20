/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Committing: closing the running transaction, copying its blocks, having them
 * written, and telling who waits.
 *
 * 1. CLOSING: no new handle; the open ones end.
 * 2. super_seal and group_seal encode what is held in core.
 * 3. The blocks are copied, sorted. The next transaction opens; handles go on.
 * 4. The copies get their checksums and are written (struct commit_writer).
 * 5. Durable: waiters of txn_force go on. What was freed is discarded, then released
 *    for reuse (I3), in this order, or a discard would hit its next owner.
 *
 * The bufs stay pinned from txn_dirty to the end of 4: what a cache miss would read
 * from the device meanwhile is old. After an abort they stay so for good.
 */
#include <assert.h>
#include <errno.h>

#include "blkdev.h"
#include "commit_hooks.h"
#include "csum.h"
#include "txn_mgr.h"

enum { PAGE = 4096, SPARE_MAX = 1 << 20 };

void commit_abort_locked(struct txn_mgr *m, int err)
{
	if (!m->aborted)
		m->aborted = err < 0 && err != -EUCLEAN && err != -ESHUTDOWN ? err : -EIO;
	cond_broadcast(&m->opened);
	cond_broadcast(&m->done);
	cond_signal(&m->drained);
	cond_signal(&m->wake);
}

/* True when it was not yet. */
static bool go_readonly(struct fs *fs)
{
	int rw = FS_RW;

	return atomic_compare_exchange_strong(&fs->state, &rw, FS_RO);
}

/* True when this is the first abort. */
static bool stop_writing(struct txn_mgr *m, int err)
{
	bool first;
	int kept;

	mutex_lock(&m->lock);
	first = !m->aborted;
	commit_abort_locked(m, err);
	kept = m->aborted;
	mutex_unlock(&m->lock);
	if (first && err != -ESHUTDOWN && m->writer->ops->failed)
		m->writer->ops->failed(m->writer, kept);
	return first;
}

void txn_abort(struct fs *fs, int err)
{
	if (!fs->txns)
		return;
	stop_writing(fs->txns, err);
	go_readonly(fs);
}

bool commit_aborted(struct txn_mgr *m)
{
	bool aborted;

	mutex_lock(&m->lock);
	aborted = m->aborted != 0;
	mutex_unlock(&m->lock);
	return aborted;
}

/* Aborts and, if this is the first anybody hears of it, says so: in the log, and in the
 * superblock whatever errors= is, for going on is not possible here. Returns err. */
static int fail(struct txn_mgr *m, int err, const char *what)
{
	if (!stop_writing(m, err))
		return err;
	fs_error(m->fs, err == -EUCLEAN ? err : -EIO, 0, 0,
		 "%s failed (%s), nothing more is written", what, strerror(-err));
	if (go_readonly(m->fs))
		super_write_error(m->fs);
	return err;
}

/* Who stops writing sets ->aborted first and writes the record last: seen unset here, it is
 * still to come; set, it is written twice at most. A shutdown leaves none. */
void commit_wrote_home(struct txn_mgr *m, uint64_t pblk, uint64_t n)
{
	const uint64_t super = SUPERBLOCK_OFFSET >> m->fs->block_bits;

	if (pblk <= super && super - pblk < n && commit_aborted(m) &&
	    atomic_load(&m->fs->state) == FS_RO)
		super_write_error(m->fs);
}

void commit_fail(struct txn_mgr *m, int err, const char *what)
{
	fail(m, err, what);
}

int commit_flush(struct txn_mgr *m)
{
	uint64_t n;
	int err;

	mutex_lock(&m->lock);
	n = ++m->flush_started;
	mutex_unlock(&m->lock);
	err = blkdev_flush(m->fs->dev);
	/* Whoever has heard of a lost write: all do (flushes.h). */
	if (err)
		return fail(m, err, "device flush");
	mutex_lock(&m->lock);
	m->flush_done = MAX(m->flush_done, n);
	cond_broadcast(&m->done);
	mutex_unlock(&m->lock);
	return 0;
}

/* Waits until a flush with number >= need is done; one of the waiters does it. */
static int flush_shared(struct txn_mgr *m, uint64_t need) REQUIRES(m->lock)
{
	while (!m->aborted && m->flush_done < need) {
		if (m->flush_leader) {
			cond_wait(&m->done, &m->lock);
			continue;
		}
		m->flush_leader = true;
		mutex_unlock(&m->lock);
		commit_flush(m);
		mutex_lock(&m->lock);
		m->flush_leader = false;
		cond_broadcast(&m->done);
	}
	return m->aborted;
}

const struct range *commit_freed(const struct commit *c, size_t *ret_n)
{
	*ret_n = c->txn->freed.n;
	return c->txn->freed.r;
}

/* Memory for n blocks, the spare one if it is large enough. */
static uint8_t *get_staging(struct txn_mgr *m, size_t len, size_t *ret_len)
{
	uint8_t *mem = m->spare;

	if (m->spare_len >= len) {
		*ret_len = m->spare_len;
		m->spare = NULL;
		m->spare_len = 0;
		return mem;
	}
	*ret_len = round_up(MAX(len, PAGE), PAGE);
	return aligned_alloc(PAGE, *ret_len);
}

static void put_staging(struct txn_mgr *m, uint8_t *mem, size_t len)
{
	if (len > SPARE_MAX || len <= m->spare_len) {
		free(mem);
		return;
	}
	free(m->spare);
	m->spare = mem;
	m->spare_len = len;
}

static void drop_pins(struct commit *c)
{
	for (size_t i = 0; i < c->n; i++) {
		if (c->copies[i].buf)
			cache_unpin(c->copies[i].buf);
		c->copies[i].buf = NULL;
	}
}

void commit_free(struct commit *c)
{
	if (!c)
		return;
	drop_pins(c);
	txn_free(c->txn);
	free(c->copies);
	free(c->staging);
	free(c);
}

static struct commit *commit_new(struct txn_mgr *m, struct txn *t)
{
	struct commit *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->mgr = m;
	c->tid = t->tid;
	c->copies = calloc(MAX(t->nblocks, 1u), sizeof(*c->copies));
	c->staging = get_staging(m, t->nblocks * (size_t)m->fs->block_size, &c->staging_len);
	if (c->copies && c->staging)
		return c;
	commit_free(c);
	return NULL;
}

static int by_pblk(const void *a, const void *b)
{
	const struct copy *x = a, *y = b;

	return (x->pblk > y->pblk) - (x->pblk < y->pblk);
}

/* Moves the bufs and their pins from the closed transaction to c, with their content.
 * Nobody else looks at t: it is closed and has no handle. */
static void copy_blocks(struct commit *c, struct txn *t)
{
	size_t bs = c->mgr->fs->block_size;

	assert(t->state == TXN_CLOSING && !t->handles);	/* I1: whole operations */
	while (!list_empty(&t->dirty)) {
		struct buf *b = container_of(t->dirty.next, struct buf, txn_node);

		list_unlink(&b->txn_node);
		c->copies[c->n++] = (struct copy){
			.buf = b, .pblk = b->pblk, .seed = b->seed, .kind = b->kind,
		};
	}
	qsort(c->copies, c->n, sizeof(*c->copies), by_pblk);
	for (size_t i = 0; i < c->n; i++) {
		c->copies[i].data = c->staging + i * bs;
		memcpy(c->copies[i].data, c->copies[i].buf->data, bs);
		atomic_store(&c->copies[i].buf->txn, NULL);
	}
	c->txn = t;
}

/*
 * Brings the superblock into the closed transaction t when it has errors to tell. A journal
 * that has no room for one block more gets it with the next transaction; an abort meanwhile
 * writes them itself.
 */
static void join_super(struct txn_mgr *m, struct txn *t)
{
	struct handle h = { .fs = m->fs, .txn = t, .tid = t->tid, .credits = 1 };
	unsigned max = m->writer->max_handle;
	bool join;

	mutex_lock(&m->lock);
	join = m->want_super && (!max || t->nblocks < max);
	if (join) {
		m->want_super = false;
		t->outstanding += h.credits;
	}
	mutex_unlock(&m->lock);
	if (!join)
		return;
	(void)super_dirty(&h);
	mutex_lock(&m->lock);
	t->outstanding -= h.credits;
	mutex_unlock(&m->lock);
}

/* Steps 2 and 3 up to the opening: -ENOMEM leaves everything as it was. */
static int stage(struct txn_mgr *m, struct txn *t, struct commit **ret, struct txn **ret_next)
{
	struct txn *next = txn_new(t->tid + 1);
	struct commit *c;
	int err;

	join_super(m, t);
	c = commit_new(m, t);
	err = next && c ? 0 : -ENOMEM;
	if (!err)
		err = super_seal(m->fs);
	if (!err)
		err = group_seal(m->fs);
	if (err) {
		commit_free(c);
		txn_free(next);
		return err;
	}
	copy_blocks(c, t);
	*ret = c;
	*ret_next = next;
	return 0;
}

static int write_out(struct txn_mgr *m, struct commit *c)
{
	int err;

	for (size_t i = 0; i < c->n; i++) {
		struct copy *k = &c->copies[i];

		csum_seal(m->fs, k->kind, k->seed, k->pblk, k->data);
	}
	ranges_normalize(&c->txn->freed);
	err = commit_aborted(m) ? -EIO : m->writer->ops->write(m->writer, c);
	return err ? fail(m, err, "commit") : 0;
}

/* group.c gets pieces that lie in one group. */
static void release_range(struct fs *fs, const struct range *r)
{
	uint64_t pblk = r->pblk, end = r->pblk + r->n;

	while (pblk < end) {
		uint64_t in_group = (pblk - fs->first_data_block) % fs->blocks_per_group;
		uint64_t n = MIN(end - pblk, fs->blocks_per_group - in_group);

		group_release_blocks(fs, pblk, n);
		pblk += n;
	}
}

static void release(struct txn_mgr *m, struct txn *t)
{
	struct fs *fs = m->fs;
	bool discard = fs->opt.discard && fs->dev->info.can_discard;

	for (size_t i = 0; i < t->freed.n; i++) {
		const struct range *r = &t->freed.r[i];

		/* A hint to the device: an error changes nothing, a refusal is final. */
		if (discard && blkdev_discard(fs->dev, fs_off(fs, r->pblk),
					      r->n << fs->block_bits) == -EOPNOTSUPP)
			discard = false;
		release_range(fs, r);
	}
	for (size_t i = 0; i < t->n_freed_inodes; i++)
		group_release_inode(fs, t->freed_inodes[i]);
}

/* Step 5, with the lock held at both ends. Frees c. */
static void finish(struct txn_mgr *m, struct commit *c, uint64_t us) REQUIRES(m->lock)
{
	uint32_t tid = c->tid;

	assert(tid_before(m->durable, tid));
	m->durable = tid;
	m->stats.commits++;
	m->stats.blocks += c->n;
	m->stats.last_commit_us = us;
	cond_broadcast(&m->done);
	mutex_unlock(&m->lock);

	drop_pins(c);
	release(m, c->txn);	/* I3: durable, and not before */
	put_staging(m, c->staging, c->staging_len);
	c->staging = NULL;
	commit_free(c);
	mutex_lock(&m->lock);
	m->released = tid;
}

static uint64_t us_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - start->tv_sec) * 1000000 + (now.tv_nsec - start->tv_nsec) / 1000;
}

static int commit_locked(struct txn_mgr *m) REQUIRES(m->lock)
{
	struct txn *t = m->running, *next = NULL;
	struct commit *c = NULL;
	struct timespec start;
	int err;

	clock_gettime(CLOCK_MONOTONIC, &start);
	assert(t->state == TXN_RUNNING && !m->aborted);	/* I6 */
	t->state = TXN_CLOSING;
	while (t->handles)
		cond_wait(&m->drained, &m->lock);
	mutex_unlock(&m->lock);
	err = stage(m, t, &c, &next);
	if (err && err != -ENOMEM)
		fail(m, err, "closing a transaction");
	mutex_lock(&m->lock);
	if (err) {
		t->state = TXN_RUNNING;
		t->kicked = false;
		return err;
	}
	t->state = TXN_COMMITTING;
	m->running = next;
	cond_broadcast(&m->opened);
	mutex_unlock(&m->lock);
	err = write_out(m, c);
	mutex_lock(&m->lock);
	if (err) {
		m->failed = c;
		return m->aborted;
	}
	finish(m, c, us_since(&start));
	return 0;
}

int commit_run(struct txn_mgr *m)
{
	int err;

	m->busy = true;
	m->kick = false;
	err = commit_locked(m);
	m->busy = false;
	cond_broadcast(&m->opened);
	cond_broadcast(&m->done);
	/* The thread may have been told while it could do nothing about it. */
	if (m->kick)
		cond_signal(&m->wake);
	return err;
}

/* Until tid and all before are durable, or released too. */
static int force_locked(struct txn_mgr *m, uint32_t tid, bool released) REQUIRES(m->lock)
{
	if (tid_before(m->running->tid, tid))
		tid = m->running->tid;
	while (tid_before(released ? m->released : m->durable, tid)) {
		int err;

		if (m->aborted)
			return m->aborted;
		if (m->busy) {
			cond_wait(&m->done, &m->lock);
			continue;
		}
		if (!txn_has_work(m))
			return 0;
		m->stats.forced++;
		err = commit_run(m);
		if (err)
			return err;
	}
	return 0;
}

int txn_force(struct fs *fs, uint32_t tid, bool flush)
{
	struct txn_mgr *m = fs->txns;
	uint64_t need;
	int err;

	mutex_lock(&m->lock);
	need = m->flush_started + 1;
	err = force_locked(m, tid, false);
	if (!err && flush)
		err = flush_shared(m, need);
	mutex_unlock(&m->lock);
	return err;
}

int txn_flush(struct fs *fs)
{
	struct txn_mgr *m = fs->txns;
	int err;

	mutex_lock(&m->lock);
	err = flush_shared(m, m->flush_started + 1);
	mutex_unlock(&m->lock);
	return err;
}

int txn_commit_now(struct fs *fs)
{
	struct txn_mgr *m = fs->txns;
	int err;

	mutex_lock(&m->lock);
	err = force_locked(m, m->running->tid, true);
	mutex_unlock(&m->lock);
	return err;
}
