/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread that commits without being asked: every commit= seconds, about a second
 * after the last handle, and when the running transaction has grown large.
 *
 * While there is something to commit it wakes up twice a second; otherwise it sleeps
 * until the first change wakes it (`asleep`), so that neither an idle mount nor a busy
 * one pays for a wake-up per operation.
 */
#include <errno.h>

#include "thread.h"
#include "txn_mgr.h"

enum { TICK_MS = 500, RETRY_MS = 1000 };

/* What the thread last saw, to tell idleness. */
struct watch {
	uint64_t activity;
	struct timespec since;
};

static int64_t ms_between(const struct timespec *a, const struct timespec *b)
{
	return (int64_t)(b->tv_sec - a->tv_sec) * 1000 + (b->tv_nsec - a->tv_nsec) / 1000000;
}

/* Until then or woken; deaf: only by the end. */
static void wait_ms(struct txn_mgr *m, int64_t ms, bool deaf) REQUIRES(m->lock)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (cond_wait_until(&m->wake, &m->lock, &until) && deaf && !m->stop)
		;
}

static bool is_due(struct txn_mgr *m, const struct watch *w, const struct timespec *now)
	REQUIRES(m->lock)
{
	const struct txn *t = m->running;

	if (m->busy || m->aborted || !txn_has_work(m))
		return false;
	if (m->kick || ms_between(&t->first_change, now) >= m->commit_sec * INT64_C(1000))
		return true;
	return !t->handles && ms_between(&w->since, now) >= m->idle_ms;
}

/* One round: commits or sleeps. */
static void turn(struct txn_mgr *m, struct watch *w) REQUIRES(m->lock)
{
	struct timespec now;
	bool active = w->activity != m->activity;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (active) {
		w->activity = m->activity;
		w->since = now;
	}
	if (is_due(m, w, &now)) {
		if (commit_run(m) && !m->stop)
			wait_ms(m, RETRY_MS, true);
		return;
	}
	if (m->aborted || (!active && !txn_has_work(m))) {
		m->asleep = true;
		cond_wait(&m->wake, &m->lock);
		m->asleep = false;
		return;
	}
	wait_ms(m, TICK_MS, false);
}

static void *thread_main(void *arg)
{
	struct txn_mgr *m = arg;
	struct watch w = { 0 };

	mutex_lock(&m->lock);
	while (!m->stop)
		turn(m, &w);
	mutex_unlock(&m->lock);
	return NULL;
}

void commit_thread_arm(struct txn_mgr *m)
{
	if (m->asleep)
		cond_signal(&m->wake);
}

void commit_thread_kick(struct txn_mgr *m)
{
	m->kick = true;
	cond_signal(&m->wake);
}

int commit_thread_start(struct txn_mgr *m)
{
	int err = thread_start(&m->thread, thread_main, m);

	m->has_thread = !err;
	return err;
}

void commit_thread_stop(struct txn_mgr *m)
{
	if (!m->has_thread)
		return;
	mutex_lock(&m->lock);
	m->stop = true;
	cond_signal(&m->wake);
	mutex_unlock(&m->lock);
	pthread_join(m->thread, NULL);
}
