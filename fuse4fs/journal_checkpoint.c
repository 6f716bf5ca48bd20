/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checkpoints: the log's blocks go home, and the tail moves.
 *
 * A pass writes the newest committed content of every block that is not home, sorted and
 * merged, flushes, and then lets the journal superblock start at the oldest transaction
 * with something left. Only when that is durable the room before it is used again. A
 * block logged anew meanwhile belongs to the newer transaction: older ones need it at
 * home no more.
 *
 * Passes run in a thread of their own: when half of the log or half of the memory is
 * used, when a commit waits for either, and when nothing was committed for a while.
 */
#include <assert.h>
#include <errno.h>

#include "blkdev.h"
#include "journal_int.h"
#include "thread.h"

enum { IDLE_MS = 5000, RETRY_MS = 100 };

/* A block of a pass. */
struct work {
	uint64_t pblk;
	struct logged *in;	/* whose content was written; NULL: not written */
};

struct pass {
	struct work *work;
	size_t n;
};

static int by_pblk(const void *a, const void *b)
{
	const struct work *x = a, *y = b;

	return (x->pblk > y->pblk) - (x->pblk < y->pblk);
}

static int flush(struct journal *j)
{
	return j->mgr ? commit_flush(j->mgr) : blkdev_flush(j->fs->dev);
}

/* The blocks that are not home, sorted. */
static int collect(struct journal *j, struct pass *p) REQUIRES(j->lock)
{
	const struct table *t = &j->table;

	p->n = 0;
	p->work = calloc(MAX(t->npending, 1u), sizeof(*p->work));
	if (!p->work)
		return -ENOMEM;
	for (size_t i = 0; i <= t->mask; i++)
		for (struct entry *e = t->buckets[i]; e; e = e->next)
			if (e->data)
				p->work[p->n++].pblk = e->pblk;
	qsort(p->work, p->n, sizeof(*p->work), by_pblk);
	return 0;
}

/* Copies a run of neighbours from work[i] on. Returns its length; 0: work[i] is gone. */
static size_t gather(struct journal *j, struct pass *p, size_t i) REQUIRES(j->lock)
{
	uint32_t bs = j->log.block_size;
	size_t n = 0, max = MAX(HOME_BYTES / bs, 1u);

	for (; n < max && i + n < p->n; n++) {
		struct work *w = &p->work[i + n];
		const struct entry *e;

		if (n && w->pblk != w[-1].pblk + 1)
			break;
		e = table_find(&j->table, w->pblk);
		if (!e || !e->data)
			break;
		assert(jbd2_tid_cmp(e->in->tid, j->next_tid) < 0);	/* I1: it is durable */
		memcpy(j->home + n * bs, e->data, bs);
		w->in = e->in;
	}
	return n;
}

static int write_home(struct journal *j, struct pass *p) REQUIRES(j->lock)
{
	int err = 0;

	for (size_t i = 0; i < p->n && !err; ) {
		size_t n = gather(j, p, i);

		if (!n) {
			i++;
			continue;
		}
		/* Who frees one of these blocks waits until the write is done. */
		j->writing = true;
		mutex_unlock(&j->lock);
		err = j->mgr && commit_aborted(j->mgr) ? -EIO :
		      blkdev_write(j->fs->dev, j->home, n * j->log.block_size,
				   fs_off(j->fs, p->work[i].pblk));
		if (j->mgr)
			commit_wrote_home(j->mgr, p->work[i].pblk, n);
		mutex_lock(&j->lock);
		j->writing = false;
		j->writes++;
		cond_broadcast(&j->room);
		i += n;
	}
	return err;
}

static void settle(struct journal *j, const struct pass *p) REQUIRES(j->lock)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct work *w = &p->work[i];
		struct entry *e = w->in ? table_find(&j->table, w->pblk) : NULL;

		if (e && e->in == w->in)
			table_settle(&j->table, e);
	}
}

/* Marks what lies before the new tail; returns its blocks. */
static uint32_t find_tail(struct journal *j, uint32_t *ret_start, uint32_t *ret_tid)
	REQUIRES(j->lock)
{
	uint32_t passed = 0;

	*ret_start = j->head;
	*ret_tid = j->next_tid;
	for (struct list *l = j->logged.next; l != &j->logged; l = l->next) {
		struct logged *lt = container_of(l, struct logged, node);

		if (lt->pending) {
			*ret_start = lt->start;
			*ret_tid = lt->tid;
			break;
		}
		lt->gone = true;	/* its blocks are home and flushed, or logged again */
		passed += lt->nblks;
	}
	return passed;
}

static void drop_gone(struct journal *j) REQUIRES(j->lock)
{
	table_sweep(&j->table);
	while (!list_empty(&j->logged)) {
		struct logged *lt = container_of(j->logged.next, struct logged, node);

		if (!lt->gone)
			break;
		list_unlink(&lt->node);
		free(lt);
	}
}

static int move_tail(struct journal *j) REQUIRES(j->lock)
{
	uint32_t start, tid, passed = find_tail(j, &start, &tid);
	int err;

	if (!passed)
		return 0;
	mutex_unlock(&j->lock);
	err = j->mgr && commit_aborted(j->mgr) ? -EIO : journal_set_tail(j, start, tid);
	mutex_lock(&j->lock);
	if (err)
		return err;
	j->used -= passed;
	drop_gone(j);
	return 0;
}

/* Drops the lock meanwhile. */
static int run_pass(struct journal *j) REQUIRES(j->lock)
{
	struct pass p = { .n = 0 };
	int err = collect(j, &p);

	if (!err && p.n) {
		err = write_home(j, &p);
		if (!err) {
			mutex_unlock(&j->lock);
			err = flush(j);
			mutex_lock(&j->lock);
		}
		if (!err)
			settle(j, &p);
	}
	free(p.work);
	if (!err)
		err = move_tail(j);
	if (!err)
		j->passes++;
	cond_broadcast(&j->room);
	return err;
}

static bool crowded(const struct journal *j)
{
	return j->used > j->capacity / 2 || j->table.npending > j->max_pending / 2;
}

static bool is_due(const struct journal *j, struct timespec *ret_until)
{
	const unsigned ms = j->fs->opt.checkpoint_ms ? j->fs->opt.checkpoint_ms : IDLE_MS;
	struct timespec now;

	if (j->want_pass || crowded(j))
		return true;
	clock_gettime(CLOCK_MONOTONIC, &now);
	*ret_until = j->last_commit;
	ret_until->tv_sec += ms / 1000;
	ret_until->tv_nsec += ms % 1000 * 1000000L;
	if (ret_until->tv_nsec >= 1000000000) {
		ret_until->tv_sec++;
		ret_until->tv_nsec -= 1000000000;
	}
	return now.tv_sec > ret_until->tv_sec ||
	       (now.tv_sec == ret_until->tv_sec && now.tv_nsec >= ret_until->tv_nsec);
}

void checkpoint_pause(struct journal *j)
{
	const struct timespec ts = { .tv_nsec = RETRY_MS * 1000000 };

	mutex_unlock(&j->lock);
	nanosleep(&ts, NULL);
	mutex_lock(&j->lock);
}

/* One round of the thread: a pass, or sleep. */
static void turn(struct journal *j) REQUIRES(j->lock)
{
	struct timespec until;
	int err;

	if (list_empty(&j->logged)) {
		j->want_pass = false;
		cond_broadcast(&j->room);
		cond_wait(&j->wake, &j->lock);
		return;
	}
	if (!is_due(j, &until)) {
		cond_wait_until(&j->wake, &j->lock, &until);
		return;
	}
	j->want_pass = false;
	err = run_pass(j);
	if (err == -ENOMEM)
		checkpoint_pause(j);
	if (!err || err == -ENOMEM)
		return;
	j->over = true;
	mutex_unlock(&j->lock);
	commit_fail(j->mgr, err, "checkpoint");
	mutex_lock(&j->lock);
	cond_broadcast(&j->room);
}

static void *thread_main(void *arg)
{
	struct journal *j = arg;

	mutex_lock(&j->lock);
	while (!j->stop) {
		if (j->over)
			cond_wait(&j->wake, &j->lock);
		else
			turn(j);
	}
	mutex_unlock(&j->lock);
	return NULL;
}

int checkpoint_start(struct journal *j)
{
	int err = thread_start(&j->thread, thread_main, j);

	j->has_thread = !err;
	return err;
}

void checkpoint_stop(struct journal *j)
{
	if (!j->has_thread)
		return;
	mutex_lock(&j->lock);
	j->stop = true;
	cond_signal(&j->wake);
	mutex_unlock(&j->lock);
	pthread_join(j->thread, NULL);
	j->has_thread = false;
}

int checkpoint_rest(struct journal *j)
{
	int err = 0;

	mutex_lock(&j->lock);
	while (!err && !list_empty(&j->logged))
		err = j->over ? -EIO : run_pass(j);
	mutex_unlock(&j->lock);
	return err;
}

int checkpoint_wait(struct journal *j, uint64_t need, bool all)
{
	while (all ? !list_empty(&j->logged) :
	       j->used + need > j->capacity || j->table.npending > j->max_pending) {
		if (j->over || (list_empty(&j->logged) && need > j->capacity))
			return -EIO;
		j->want_pass = true;
		cond_signal(&j->wake);
		cond_wait(&j->room, &j->lock);
	}
	return 0;
}

void checkpoint_poke(struct journal *j)
{
	if (crowded(j) || j->logged.next->next == &j->logged)
		cond_signal(&j->wake);
}
