// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The keeper: whoever waits for a request and is killed does not wait any longer.
 *
 * When a caller is interrupted, the kernel sends INTERRUPT and still waits for the answer. If
 * the caller is dying the keeper answers EINTR for the worker, who goes on: a lock, a
 * commit or a network that others wait for, too, cannot be left half way. His own answer
 * then finds nobody, and the operations take back what they had handed out; what the kernel
 * now believes wrongly is the hook too_late's to put right. Bytes of a file that such a worker
 * still changes are not touched by later requests until he is done (wait_turn).
 *
 * A caller who only caught a signal gets his answer: programs do not expect EINTR from
 * files. Whether he is dying is in /proc; where that cannot be seen, who is interrupted and has
 * waited for UNSEEN_NS counts as dying.
 *
 * Nobody hears INTERRUPT when all workers wait. Then the keeper reads: other requests are put
 * aside for the next worker that is free, within PARKED_MAX and PARKED_BYTES; beyond that the
 * kernel keeps them, and their callers can be killed without us.
 *
 * States of w->unique: 0 -> request (keeper_begin) -> request | GIVEN_UP (give_up) -> 0
 * (keeper_finish).
 */
#include "compat_fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "loop_int.h"

enum {
	ROUND_MS = 20,		/* between two looks while all workers are busy */
	JUDGE_MS = 100,		/* the same, at who was interrupted */
	ALONE_ROUNDS = 2,	/* without a leader, before the keeper leads */
	AWAKE_ROUNDS = 50,	/* without work, before it sleeps until it is woken */
	PARKED_MAX = 256,
	PARKED_BYTES = 16 << 20,
	INTERRUPTS_MAX = 1024,
};

#define GIVEN_UP	(UINT64_C(1) << 63)
#define UNSEEN_NS	UINT64_C(1000000000)

/* A request nobody serves yet. */
struct parked {
	struct list link;
	size_t len;
	uint64_t bytes[];	/* aligned as in a worker's buffer */
};

/* A request whose caller was interrupted. */
struct interrupt {
	uint64_t unique;
	uint64_t since_ns;
	pid_t caller;
};

struct keeper {
	pthread_t thread;
	int wake_fd, proc_fd;		/* [init only] */
	char *buffer;			/* [keeper] LOOP_READ_BYTES */
	unsigned alone;			/* [keeper] rounds without a leader */
	_Atomic bool napping, leading;	/* [keeper writes] */
	_Atomic unsigned late;		/* workers that were given up */
	struct cond turn;		/* one of them is done, or waits and was given up */
	struct list parked;		/* [l->lock] oldest first */
	size_t nparked, parked_bytes;	/* [l->lock] */
	struct interrupt interrupts[INTERRUPTS_MAX];	/* [l->lock] */
	size_t ninterrupts;		/* [l->lock] */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void keeper_wake(struct loop *l)
{
	struct keeper *k = l->keeper;

	if (atomic_load(&k->napping) || atomic_load(&k->leading) || atomic_load(&l->stop))
		eventfd_write(k->wake_fd, 1);
}

static void answer(const struct loop *l, uint64_t unique, int err)
{
	const struct fuse_out_header out = { .len = sizeof(out), .error = err, .unique = unique };

	/* Answered or withdrawn meanwhile: all is well. */
	if (write(l->fd, &out, sizeof(out)) < 0)
		return;
}

/* What the caller may not be told EINTR for: nobody waits, or only the kernel does. */
static bool stays(const struct fuse_in_header *in, size_t len)
{
	const struct fuse_write_in *write = (const void *)(in + 1);

	switch (in->opcode) {
	case FUSE_WRITE:
		return len < sizeof(*in) + sizeof(*write) ||
		       (write->write_flags & FUSE_WRITE_CACHE);
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INIT:
	case FUSE_DESTROY:
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
		return true;
	default:
		return false;
	}
}

/* The file whose bytes or size it changes, or 0. */
static uint64_t changed_node(const struct fuse_in_header *in, size_t len)
{
	const struct fuse_copy_file_range_in *copy = (const void *)(in + 1);
	const struct fuse_setattr_in *set = (const void *)(in + 1);

	switch (in->opcode) {
	case FUSE_WRITE:
	case FUSE_FALLOCATE:
		return in->nodeid;
	case FUSE_SETATTR:
		return len >= sizeof(*in) + sizeof(*set) && set->valid & FATTR_SIZE ? in->nodeid : 0;
	case FUSE_COPY_FILE_RANGE:
		return len < sizeof(*in) + sizeof(*copy) ? 0 : copy->nodeid_out;
	default:
		return 0;
	}
}

static bool is_given_up(const struct worker *w)
{
	return atomic_load(&w->unique) & GIVEN_UP;
}

/* Somebody who was given up still changes this file. */
static bool must_wait(const struct loop *l, const struct worker *w, uint64_t node)
{
	for (unsigned i = 0; i < l->nworkers; i++) {
		const struct worker *x = &l->workers[i];

		if (x != w && is_given_up(x) && atomic_load(&x->changes) == node)
			return true;
	}
	return false;
}

/* False: it was given up meanwhile. */
static bool wait_turn(struct worker *w, uint64_t node)
{
	struct loop *l = w->loop;
	bool go_on;

	mutex_lock(&l->lock);
	if (must_wait(l, w, node)) {
		mutex_unlock(&l->lock);
		loop_detach();
		mutex_lock(&l->lock);
	}
	while (must_wait(l, w, node) && !is_given_up(w) && !atomic_load(&l->stop))
		cond_wait(&l->keeper->turn, &l->lock);
	go_on = !is_given_up(w);
	mutex_unlock(&l->lock);
	return go_on;
}

static void note(struct worker *w, const struct fuse_in_header *in, size_t len)
{
	atomic_store_explicit(&w->changes, changed_node(in, len), memory_order_relaxed);
	atomic_store_explicit(&w->caller, stays(in, len) ? -1 : (pid_t)in->pid,
			      memory_order_relaxed);
	atomic_store_explicit(&w->unique, in->unique, memory_order_release);
}

bool keeper_begin(struct worker *w, const struct fuse_in_header *in, size_t len)
{
	uint64_t node = changed_node(in, len);

	/* One that was put aside may have been given up already. */
	if (!atomic_load_explicit(&w->unique, memory_order_relaxed))
		note(w, in, len);
	if (is_given_up(w)) {
		keeper_finish(w);
		return false;
	}
	if (!node || !atomic_load(&w->loop->keeper->late) || wait_turn(w, node))
		return true;
	keeper_finish(w);
	return false;
}

bool keeper_finish(struct worker *w)
{
	struct loop *l = w->loop;

	if (!(atomic_exchange(&w->unique, 0) & GIVEN_UP))
		return false;
	mutex_lock(&l->lock);
	atomic_fetch_sub(&l->keeper->late, 1);
	cond_broadcast(&l->keeper->turn);
	mutex_unlock(&l->lock);
	return true;
}

static struct parked *find_parked(struct keeper *k, uint64_t unique)
{
	for (struct list *l = k->parked.next; l != &k->parked; l = l->next) {
		struct parked *p = container_of(l, struct parked, link);

		if (((const struct fuse_in_header *)(const void *)p->bytes)->unique == unique)
			return p;
	}
	return NULL;
}

static void unpark_locked(struct keeper *k, struct parked *p)
{
	list_unlink(&p->link);
	k->nparked--;
	k->parked_bytes -= p->len;
}

bool keeper_has_locked(const struct loop *l)
{
	return l->keeper->nparked != 0;
}

bool keeper_leads(const struct loop *l)
{
	return atomic_load(&l->keeper->leading);
}

size_t keeper_take_locked(struct loop *l, struct worker *w)
{
	struct keeper *k = l->keeper;
	struct parked *p;
	const struct fuse_in_header *in = (const void *)w->in;
	size_t len;

	if (!k->nparked)
		return 0;
	p = container_of(k->parked.next, struct parked, link);
	unpark_locked(k, p);
	len = p->len;
	memcpy(w->in, p->bytes, len);
	note(w, in, len);	/* who looks for it finds it all the time */
	free(p);
	return len;
}

/* Whose request it is; 0: he is not ours to see; -1: it stays, or it is not here. */
static pid_t caller_of(struct loop *l, uint64_t unique, bool *ret_here) REQUIRES(l->lock)
{
	const struct parked *p = find_parked(l->keeper, unique);
	const struct fuse_in_header *in = p ? (const void *)p->bytes : NULL;

	*ret_here = true;
	if (p)
		return stays(in, p->len) ? -1 : (pid_t)in->pid;
	for (unsigned i = 0; i < l->nworkers; i++)
		if (atomic_load(&l->workers[i].unique) == unique)
			return atomic_load(&l->workers[i].caller);
	*ret_here = false;
	return -1;
}

void keeper_interrupt(struct loop *l, const struct fuse_in_header *in)
{
	uint64_t unique = ((const struct fuse_interrupt_in *)(const void *)(in + 1))->unique;
	struct keeper *k = l->keeper;
	bool here;
	pid_t caller;

	if (in->len < sizeof(*in) + sizeof(struct fuse_interrupt_in))
		return;
	mutex_lock(&l->lock);
	caller = caller_of(l, unique, &here);
	if (here && caller >= 0 && k->ninterrupts < INTERRUPTS_MAX)
		k->interrupts[k->ninterrupts++] = (struct interrupt){ unique, now_ns(), caller };
	mutex_unlock(&l->lock);
	/* Read by a worker that has not come to noting it: the kernel shall say it again. */
	if (!here)
		answer(l, in->unique, -EAGAIN);
	eventfd_write(k->wake_fd, 1);
}

/* Signals that end a process unless it says otherwise, apart from those the kernel turns into
 * SIGKILL at once: they leave a core. */
static const uint64_t core_signals = 1ULL << (SIGQUIT - 1) | 1ULL << (SIGILL - 1) |
	1ULL << (SIGTRAP - 1) | 1ULL << (SIGABRT - 1) | 1ULL << (SIGBUS - 1) |
	1ULL << (SIGFPE - 1) | 1ULL << (SIGSEGV - 1) | 1ULL << (SIGXCPU - 1) |
	1ULL << (SIGXFSZ - 1) | 1ULL << (SIGSYS - 1);

static uint64_t mask_of(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 16) : 0;
}

/* 1 yes, 0 no, -1 nobody can tell. */
static int is_dying(const struct keeper *k, pid_t caller)
{
	char name[32], text[4096];
	uint64_t pending, deaf;
	ssize_t n;
	int fd;

	if (caller == 0 || k->proc_fd < 0)
		return -1;
	snprintf(name, sizeof(name), "%ld/status", (long)caller);
	fd = openat(k->proc_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	if (!strstr(text, "\nSigPnd:"))
		return -1;
	pending = mask_of(text, "\nSigPnd:");
	if (pending & 1ULL << (SIGKILL - 1))
		return 1;
	deaf = mask_of(text, "\nSigBlk:") | mask_of(text, "\nSigIgn:") | mask_of(text, "\nSigCgt:");
	return ((pending | mask_of(text, "\nShdPnd:")) & ~deaf & core_signals) != 0;
}

/* Answers for who has it. False: nobody has it any more. */
static bool give_up_locked(struct loop *l, uint64_t unique) REQUIRES(l->lock)
{
	struct keeper *k = l->keeper;
	struct parked *p = find_parked(k, unique);

	if (p) {
		unpark_locked(k, p);
		free(p);
		return true;
	}
	atomic_fetch_add(&k->late, 1);
	for (unsigned i = 0; i < l->nworkers; i++) {
		uint64_t expected = unique;

		if (atomic_compare_exchange_strong(&l->workers[i].unique, &expected,
						   unique | GIVEN_UP)) {
			cond_broadcast(&k->turn);
			return true;
		}
	}
	atomic_fetch_sub(&k->late, 1);
	return false;
}

/* Looks at everybody who was interrupted. True: some are left. */
static bool judge_all(struct loop *l)
{
	struct keeper *k = l->keeper;
	bool left;

	mutex_lock(&l->lock);
	for (size_t i = 0; i < k->ninterrupts; ) {
		const struct interrupt it = k->interrupts[i];
		int dying = is_dying(k, it.caller);
		bool here;

		caller_of(l, it.unique, &here);
		if (here && !(dying > 0 || (dying < 0 && now_ns() - it.since_ns >= UNSEEN_NS))) {
			i++;
			continue;
		}
		if (here && give_up_locked(l, it.unique))
			answer(l, it.unique, -EINTR);
		k->interrupts[i] = k->interrupts[--k->ninterrupts];
	}
	left = k->ninterrupts;
	mutex_unlock(&l->lock);
	return left;
}

static void park(struct loop *l, size_t len)
{
	struct keeper *k = l->keeper;
	struct parked *p = malloc(sizeof(*p) + len);

	if (!p) {
		answer(l, ((const struct fuse_in_header *)(const void *)k->buffer)->unique, -ENOMEM);
		return;
	}
	list_init(&p->link);
	p->len = len;
	memcpy(p->bytes, k->buffer, len);
	mutex_lock(&l->lock);
	atomic_fetch_add_explicit(&l->taken, 1, memory_order_relaxed);
	list_push(&k->parked, &p->link);
	k->nparked++;
	k->parked_bytes += len;
	mutex_unlock(&l->lock);
}

static void read_one(struct loop *l)
{
	struct keeper *k = l->keeper;
	const struct fuse_in_header *in = (const void *)k->buffer;
	ssize_t n = read(l->fd, k->buffer, LOOP_READ_BYTES);

	/* The end is for the workers to find. */
	if (n < (ssize_t)sizeof(*in))
		return;
	if (in->opcode == FUSE_INTERRUPT)
		keeper_interrupt(l, in);
	else
		park(l, (size_t)n);
}

static bool has_room_locked(const struct keeper *k)
{
	return k->nparked < PARKED_MAX && k->parked_bytes < PARKED_BYTES;
}

static bool workers_wait_locked(const struct loop *l)
{
	return !l->sleepers && !l->deputy;
}

/* Waits at most so long, for the kernel, too, if the keeper leads. Events of the latter. */
static short wait_ms(struct loop *l, int ms, bool leading)
{
	struct keeper *k = l->keeper;
	struct pollfd fds[] = { { .fd = k->wake_fd, .events = POLLIN },
				{ .fd = leading ? l->fd : -1, .events = POLLIN } };
	eventfd_t n;

	if (poll(fds, ARRAY_LEN(fds), ms) > 0 && fds[0].revents)
		eventfd_read(k->wake_fd, &n);
	return fds[1].revents;
}

/* Reads while nobody else can. */
static void keep_reading(struct loop *l)
{
	struct keeper *k = l->keeper;
	bool go_on = true;

	while (go_on && !atomic_load(&l->stop)) {
		short events = wait_ms(l, JUDGE_MS, true);

		if (events & POLLIN)
			read_one(l);
		judge_all(l);
		mutex_lock(&l->lock);
		go_on = workers_wait_locked(l) && has_room_locked(k) &&
			!(events & (POLLERR | POLLNVAL));
		mutex_unlock(&l->lock);
	}
	mutex_lock(&l->lock);
	l->leaders--;
	atomic_store(&k->leading, false);
	if (!workers_wait_locked(l))
		loop_wake_one_locked(l);
	mutex_unlock(&l->lock);
}

/* True: nobody has led for a while, and now it is the keeper. */
static bool take_lead(struct loop *l, bool *ret_busy)
{
	struct keeper *k = l->keeper;
	bool quiet, alone;

	mutex_lock(&l->lock);
	*ret_busy = !l->single && workers_wait_locked(l);
	if (*ret_busy)
		loop_tick_locked(l, &quiet);
	alone = *ret_busy && l->leaders == 0 && has_room_locked(k);
	k->alone = alone ? k->alone + 1 : 0;
	alone = k->alone > ALONE_ROUNDS;
	if (alone) {
		l->leaders++;
		atomic_store(&k->leading, true);
	}
	mutex_unlock(&l->lock);
	return alone;
}

static void *keeper_main(void *arg)
{
	struct loop *l = arg;
	struct keeper *k = l->keeper;
	unsigned idle = 0;

	while (!atomic_load(&l->stop)) {
		bool busy, left;

		if (take_lead(l, &busy))
			keep_reading(l);
		left = judge_all(l);
		idle = busy || left ? 0 : idle + 1;
		if (idle < AWAKE_ROUNDS) {
			wait_ms(l, busy ? ROUND_MS : JUDGE_MS, false);
			continue;
		}
		atomic_store(&k->napping, true);
		mutex_lock(&l->lock);
		busy = !l->single && workers_wait_locked(l);	/* who came so before does not wake us */
		mutex_unlock(&l->lock);
		if (!busy)
			wait_ms(l, -1, false);
		atomic_store(&k->napping, false);
		idle = 0;
	}
	mutex_lock(&l->lock);
	cond_broadcast(&k->turn);
	mutex_unlock(&l->lock);
	return NULL;
}

static void keeper_free(struct keeper *k)
{
	while (!list_empty(&k->parked)) {
		struct parked *p = container_of(k->parked.next, struct parked, link);

		unpark_locked(k, p);
		free(p);
	}
	if (k->wake_fd >= 0)
		close(k->wake_fd);
	if (k->proc_fd >= 0)
		close(k->proc_fd);
	cond_fini(&k->turn);
	free(k->buffer);
	free(k);
}

int keeper_start(struct loop *l)
{
	struct keeper *k = calloc(1, sizeof(*k));
	int err = 0;

	if (!k)
		return -ENOMEM;
	list_init(&k->parked);
	cond_init(&k->turn);
	k->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	k->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	k->buffer = malloc(LOOP_READ_BYTES);
	if (!k->buffer)
		err = -ENOMEM;
	else if (k->wake_fd < 0)
		err = -errno;
	l->keeper = k;
	if (!err)
		err = -pthread_create(&k->thread, NULL, keeper_main, l);
	if (err) {
		l->keeper = NULL;
		keeper_free(k);
	}
	return err;
}

void keeper_end(struct loop *l)
{
	keeper_wake(l);
	pthread_join(l->keeper->thread, NULL);
	keeper_free(l->keeper);
	l->keeper = NULL;
}
