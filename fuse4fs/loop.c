// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The worker threads; see loop.h for who leads.
 *
 * States of a worker and their transitions (function):
 *   WAITING  -> READING   it gets the lead (follow, under the lock)
 *   READING  -> WORKING   it has read a request (lead), or has time for other work (work_on)
 *   WORKING  -> READING   it has answered, or is done, and still leads (serve, work_on)
 *   WORKING  -> DETACHED  it passed the lead on (pass_lead), or the deputy or the keeper took
 *                         it (loop_tick_locked)
 *   READING  -> WAITING   it shared the lead and the queue is empty (go_idle), or the end
 *   DETACHED -> WAITING   it has answered (serve)
 * The two edges out of WORKING race and are decided by compare-and-swap; whoever moves a
 * worker to DETACHED gives its place among the leaders free.
 */
#include "compat_fuse.h"

#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "loop_int.h"

enum {
	SPIN_NS = 100000,	/* between two READDIRs of a listing; a wake-up costs about half of it */
	SPIN_SCORE_MAX = 2 * LOOP_SPIN_SCORE,
	SPIN_PROBE = 16,	/* with a bad score, every so many sleeps spin all the same */
	YIELD_LONG_NS = 200000,	/* a yield that took longer gave the core to other work */
	TICK_NS = 5000000,	/* how often the deputy looks */
	QUIET_TICKS = 20,	/* after that many without a request it sleeps, too */
	BACKLOG = 16,		/* requests in a row that were already waiting */
};

/* The worker this thread is, for the hooks below the request layer. */
static _Thread_local struct worker *self;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void bump(_Atomic uint64_t *counter)
{
	/* One writer: no locked instruction. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

void loop_wake_one_locked(struct loop *l)
{
	if (l->sleepers)
		cond_signal(&l->wake);
	else if (l->deputy)
		cond_signal(&l->tick);
	else
		keeper_wake(l);
}

static void stop_with(struct loop *l, int error)
{
	mutex_lock(&l->lock);
	if (!atomic_exchange(&l->stop, true))
		l->error = error;
	cond_broadcast(&l->wake);
	cond_broadcast(&l->tick);
	mutex_unlock(&l->lock);
	keeper_wake(l);
	eventfd_write(l->stop_fd, 1);
	eventfd_write(l->done_fd, 1);
}

void loop_stop(struct loop *l)
{
	stop_with(l, 0);
}

/* Takes the lead from a worker in WORKING. False: it has just left that state. */
static bool unseat_locked(struct loop *l, struct worker *w) REQUIRES(l->lock)
{
	int expected = WORKING;

	if (!atomic_compare_exchange_strong(&w->state, &expected, DETACHED))
		return false;
	l->leaders--;
	return true;
}

static void pass_lead(struct worker *w)
{
	struct loop *l = w->loop;

	if (atomic_load(&w->state) != WORKING)
		return;
	mutex_lock(&l->lock);
	if (unseat_locked(l, w)) {
		bump(&l->handed_on);
		loop_wake_one_locked(l);
	}
	mutex_unlock(&l->lock);
}

void loop_detach(void)
{
	if (self && !self->loop->single)
		pass_lead(self);
}

/* A worker that keeps the lead while it waits must not find the deputy asleep. */
static void rouse_deputy(struct loop *l)
{
	atomic_thread_fence(memory_order_seq_cst);	/* our state first, wait_as_deputy_locked */
	if (!atomic_load(&l->napping))
		return;
	mutex_lock(&l->lock);
	cond_signal(&l->tick);
	mutex_unlock(&l->lock);
}

void loop_before_wait(bool is_short)
{
	struct worker *w = self;

	if (!is_short) {
		loop_detach();
		return;
	}
	if (!w || w->loop->single || atomic_load(&w->state) != WORKING)
		return;
	if (alone_keeps(&w->loop->alone)) {
		w->wait = KEPT;
		w->kept_since_ns = now_ns();
		rouse_deputy(w->loop);
	} else {
		w->wait = PASSED;
		w->taken_then = atomic_load(&w->loop->taken);
		pass_lead(w);
	}
}

/* Before the answer: who has it asks the next thing. */
void loop_after_short_wait(void)
{
	struct pollfd fd = { .events = POLLIN };
	struct worker *w = self;
	struct loop *l;

	if (!w || w->wait == NOT_WAITING)
		return;
	l = w->loop;
	fd.fd = l->fd;
	if (w->wait == PASSED) {
		alone_note(&l->alone, atomic_load(&l->taken) == w->taken_then);
	} else {
		alone_note(&l->alone, poll(&fd, 1, 0) == 0);
		alone_note_time(&l->alone, now_ns() - w->kept_since_ns);
	}
	w->wait = NOT_WAITING;
}

const void *loop_request(void)
{
	return self ? self->in : NULL;
}

char *loop_reply_buffer(void)
{
	return self->out;
}

void loop_afterwards(void (*run)(void *arg), void *arg)
{
	if (!self || !self->loop->may_spin || self->loop->single)
		return;
	self->afterwards = run;
	self->afterwards_arg = arg;
}

/* Takes one of what was put off. */
static bool claim_put_off(struct loop *l)
{
	unsigned n = atomic_load_explicit(&l->put_off, memory_order_relaxed);

	while (n > 0)
		if (atomic_compare_exchange_weak(&l->put_off, &n, n - 1))
			return true;
	return false;
}

bool loop_put_off(void)
{
	struct worker *w = self;

	if (!w || atomic_load(&w->state) != WORKING)
		return false;
	atomic_fetch_add(&w->loop->put_off, 1);
	/* Who leads now may have looked already, and sleep. */
	return atomic_load(&w->state) == WORKING || !claim_put_off(w->loop);
}

bool loop_callback_begin(void)
{
	struct loop *l = self->loop;

	if (atomic_fetch_add(&l->callbacks, 1) + 1 >= l->nworkers) {
		atomic_fetch_sub(&l->callbacks, 1);
		return false;
	}
	pass_lead(self);
	return true;
}

void loop_callback_end(void)
{
	atomic_fetch_sub(&self->loop->callbacks, 1);
}

bool loop_tick_locked(struct loop *l, bool *ret_quiet)
{
	bool seized = false;

	*ret_quiet = true;
	for (unsigned i = 0; i < l->nworkers; i++) {
		struct worker *w = &l->workers[i];
		uint64_t served = atomic_load_explicit(&w->served, memory_order_relaxed);
		bool working = atomic_load(&w->state) == WORKING;

		if (working || served != w->served_at_tick)
			*ret_quiet = false;
		if (working && served == w->served_at_tick && !l->single &&
		    unseat_locked(l, w)) {
			bump(&l->taken_over);
			seized = true;
		}
		w->served_at_tick = served;
	}
	return seized;
}

static bool may_lead_locked(const struct loop *l) REQUIRES(l->lock)
{
	return l->leaders < l->slots && !keeper_leads(l);
}

static struct timespec tick_time(void)
{
	uint64_t at = now_ns() + TICK_NS;

	return (struct timespec){ .tv_sec = (time_t)(at / 1000000000),
				  .tv_nsec = (long)(at % 1000000000) };
}

static bool somebody_works(const struct loop *l)
{
	for (unsigned i = 0; i < l->nworkers; i++)
		if (atomic_load(&l->workers[i].state) == WORKING)
			return true;
	return false;
}

/* Waits for a free lead as the deputy does: looking at the clock while there is work. */
static void wait_as_deputy_locked(struct loop *l, struct worker *w) REQUIRES(l->lock)
{
	unsigned quiet_ticks = 0;

	l->deputy = w;
	while (!atomic_load(&l->stop) && !may_lead_locked(l) && !keeper_has_locked(l)) {
		struct timespec until = tick_time();
		bool quiet;

		if (quiet_ticks >= QUIET_TICKS) {
			atomic_store(&l->napping, true);
			atomic_thread_fence(memory_order_seq_cst);	/* rouse_deputy */
			if (!somebody_works(l))
				cond_wait(&l->tick, &l->lock);
			atomic_store(&l->napping, false);
			quiet_ticks = 0;
			loop_tick_locked(l, &quiet);
			continue;
		}
		if (cond_wait_until(&l->tick, &l->lock, &until))
			continue;
		if (loop_tick_locked(l, &quiet))
			break;
		quiet_ticks = quiet ? quiet_ticks + 1 : 0;
	}
	l->deputy = NULL;
	if (l->sleepers)
		cond_signal(&l->wake);	/* the next deputy */
}

/* Who goes on sees to it that somebody else looks after what is left. */
static void leave_locked(struct loop *l) REQUIRES(l->lock)
{
	if (!l->sleepers && !l->deputy)
		keeper_wake(l);
	else if (l->leaders == 0 || keeper_has_locked(l))
		loop_wake_one_locked(l);
}

/*
 * Sleeps until there is a lead to take, or a request that the keeper has read: *ret_len then,
 * else 0. False: the end.
 */
static bool follow(struct worker *w, size_t *ret_len)
{
	struct loop *l = w->loop;
	bool go_on;

	w->afterwards = NULL;
	mutex_lock(&l->lock);
	atomic_store(&w->state, WAITING);
	*ret_len = 0;
	while (!atomic_load(&l->stop) && !(*ret_len = keeper_take_locked(l, w)) &&
	       !may_lead_locked(l)) {
		if (keeper_leads(l))
			keeper_wake(l);
		if (!l->deputy) {
			wait_as_deputy_locked(l, w);
			continue;
		}
		l->sleepers++;
		cond_wait(&l->wake, &l->lock);
		l->sleepers--;
	}
	go_on = !atomic_load(&l->stop);
	if (go_on && *ret_len) {
		atomic_store(&w->state, DETACHED);
	} else if (go_on) {
		l->leaders++;
		atomic_store(&w->state, READING);
	}
	if (go_on)
		leave_locked(l);
	mutex_unlock(&l->lock);
	return go_on;
}

static void count(struct worker *w, const struct fuse_in_header *in)
{
	bump(&w->counts[in->opcode < LOOP_OPCODES ? in->opcode : 0]);
	bump(&w->served);
}

static void answer(struct worker *w, size_t len)
{
	struct loop *l = w->loop;
	struct fuse_buf buf = { .mem = w->in, .size = len };
	const struct fuse_in_header *in = (const void *)w->in;

	w->afterwards = NULL;
	count(w, in);
	if (!keeper_begin(w, in, len))
		return;
	if (!l->hooks.filter(l->hooks.arg, w->in, len))
		fuse_session_process_buf(l->se, &buf);
	if (keeper_finish(w) && l->hooks.too_late)
		l->hooks.too_late(l->hooks.arg, w->in);
	if (fuse_session_exited(l->se))
		loop_stop(l);
}

/* Answers the request in w->in. True: still leading. */
static bool serve(struct worker *w, size_t len)
{
	int expected = WORKING;

	atomic_store_explicit(&w->state, WORKING, memory_order_relaxed);
	answer(w, len);
	return atomic_compare_exchange_strong(&w->state, &expected, READING);
}

/* Requests have been waiting for a while: one more leader, if the machine has the cores. */
static void share_lead(struct loop *l)
{
	mutex_lock(&l->lock);
	if (l->slots < l->max_leaders && (l->sleepers || l->deputy)) {
		l->slots++;
		loop_wake_one_locked(l);
	}
	mutex_unlock(&l->lock);
}

/* False: another one leads, too, and can wait for the next request. */
static bool last_leader(struct worker *w)
{
	struct loop *l = w->loop;
	bool last;

	mutex_lock(&l->lock);
	last = l->leaders == 1;
	if (!last) {
		l->leaders--;
		l->slots--;
	}
	mutex_unlock(&l->lock);
	return last;
}

static void sleep_for_request(struct worker *w)
{
	struct loop *l = w->loop;
	struct pollfd fds[] = { { .fd = l->fd, .events = POLLIN },
				{ .fd = l->stop_fd, .events = POLLIN } };

	bump(&l->slept);
	w->sleeps++;
	poll(fds, ARRAY_LEN(fds), -1);
	w->empty_since_ns = 0;
	rouse_deputy(l);
}

static void add_score(struct worker *w, int points)
{
	w->spin_score = MAX(-SPIN_SCORE_MAX, MIN(w->spin_score + points, SPIN_SCORE_MAX));
}

static bool worth_spinning(const struct worker *w)
{
	return w->loop->may_spin && (w->spin_score > 0 || w->sleeps % SPIN_PROBE == 0);
}

/* Between requests: something else. As serve(). */
static bool work_on(struct worker *w, void (*run)(void *arg), void *arg)
{
	int expected = WORKING;

	atomic_store_explicit(&w->state, WORKING, memory_order_relaxed);
	run(arg);
	return atomic_compare_exchange_strong(&w->state, &expected, READING);
}

/* The queue is empty: time for loop_afterwards. As serve(). */
static bool work_ahead(struct worker *w)
{
	void (*run)(void *arg) = w->afterwards;

	w->afterwards = NULL;
	return work_on(w, run, w->afterwards_arg);
}

/*
 * The queue is empty. Looks again while the last request is recent and that has paid of
 * late; then sleeps. True: read again.
 */
static bool go_idle(struct worker *w)
{
	uint64_t now;

	w->streak = 0;
	if (w->afterwards)
		return work_ahead(w);
	if (claim_put_off(w->loop))
		return work_on(w, w->loop->hooks.spare, w->loop->hooks.arg);
	now = now_ns();
	if (!w->empty_since_ns)
		w->empty_since_ns = now;
	w->yielded_ns = now;
	if (now - w->empty_since_ns < SPIN_NS && worth_spinning(w)) {
		sched_yield();	/* the client may need this very core */
		return true;
	}
	if (!last_leader(w))
		return false;
	if (worth_spinning(w))
		add_score(w, -2);
	sleep_for_request(w);
	return true;
}

/* On a busy machine sleepers are served sooner than those who yield: a yield that took long
 * counts against spinning even though a request was there in the end. */
static void note_request(struct worker *w)
{
	if (w->empty_since_ns) {
		add_score(w, now_ns() - w->yielded_ns > YIELD_LONG_NS ? -4 : 1);
		w->empty_since_ns = 0;
	} else if (++w->streak % BACKLOG == 0 && w->loop->max_leaders > 1) {
		share_lead(w->loop);
	}
}

/* Requests keep coming: what was put off gets its turn now and then. As serve(). */
static bool work_under_load(struct worker *w)
{
	struct loop *l = w->loop;

	if (w->streak == 0 || w->streak % BACKLOG || !claim_put_off(l))
		return true;
	return work_on(w, l->hooks.spare, l->hooks.arg);
}

/* Reads and serves until the lead is lost or everything ends. */
static void lead(struct worker *w)
{
	struct loop *l = w->loop;

	while (!atomic_load_explicit(&l->stop, memory_order_relaxed)) {
		const struct fuse_in_header *in = (const void *)w->in;
		ssize_t n = read(l->fd, w->in, LOOP_READ_BYTES);

		if (n >= (ssize_t)sizeof(*in) && in->opcode == FUSE_INTERRUPT) {
			keeper_interrupt(l, in);
		} else if (n >= (ssize_t)sizeof(*in)) {
			atomic_fetch_add_explicit(&l->taken, 1, memory_order_relaxed);
			note_request(w);
			if (!serve(w, (size_t)n) || !work_under_load(w))
				return;
		} else if (n >= 0) {
			stop_with(l, -EIO);
		} else if (errno == EAGAIN) {
			if (!go_idle(w))
				return;
		} else if (errno != EINTR && errno != ENOENT) {	/* ENOENT: withdrawn */
			stop_with(l, -errno);
		}
	}
}

void *loop_worker(void *arg)
{
	struct worker *w = arg;
	struct loop *l = w->loop;
	size_t len;

	self = w;
	while (follow(w, &len)) {
		if (len)
			answer(w, len);
		else
			lead(w);
	}
	mutex_lock(&l->lock);
	l->running--;
	mutex_unlock(&l->lock);
	return NULL;
}
