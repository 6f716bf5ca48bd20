/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What loop.c and loop_keeper.c share. */
#ifndef FUSE4FS_LOOP_INT_H
#define FUSE4FS_LOOP_INT_H

#include <stdatomic.h>
#include <sys/types.h>

#include "lock.h"
#include "loop.h"
#include "loop_alone.h"
#include "util.h"

struct fuse_in_header;
struct keeper;

enum { LOOP_READ_BYTES = LOOP_TRANSFER_MAX + 4096 };	/* of one read of /dev/fuse */

enum worker_state { WAITING, READING, WORKING, DETACHED };

struct worker {
	struct loop *loop;
	pthread_t thread;
	_Atomic int state;		/* enum worker_state */
	char *mem, *in, *out;		/* [own] buffers: all, request, reply */
	void (*afterwards)(void *arg);	/* [own] loop_afterwards; or NULL */
	void *afterwards_arg;
	/* How the device is waited for, a short read only: with the lead, or without. */
	enum { NOT_WAITING, KEPT, PASSED } wait;	/* [own] */
	uint64_t kept_since_ns;		/* [own] KEPT */
	uint64_t taken_then;		/* [own] PASSED: the loop's taken */
	unsigned streak;		/* [own] requests read without waiting */
	int spin_score;			/* [own] how often spinning paid */
	unsigned sleeps;		/* [own] */
	uint64_t empty_since_ns;	/* [own] the queue was first seen empty; 0: it is not */
	uint64_t yielded_ns;		/* [own] last look at the empty queue */
	_Atomic uint64_t counts[LOOP_OPCODES];	/* [own writes] */
	_Atomic uint64_t served;	/* [own writes] */
	/* The request it is at, for the keeper. [own writes] */
	_Atomic uint64_t unique;	/* 0: none */
	_Atomic uint64_t changes;	/* the node whose bytes it changes, or 0 */
	_Atomic pid_t caller;
	_Atomic uint64_t given_up;	/* unique of a request answered for it [keeper writes] */
	uint64_t served_at_tick;	/* [lock] what the deputy saw last */
};

struct loop {
	struct fuse_session *se;	/* [init only] */
	int fd, stop_fd, done_fd;	/* [init only] */
	struct loop_hooks hooks;	/* [init only] */
	unsigned nworkers, max_leaders;	/* [init only] */
	bool may_spin;			/* [init only] */
	/* One thread was asked for. There is a second one, which serves only while the first
	 * waits for the kernel to be served (loop_callback_begin). [init only] */
	bool single;
	_Atomic bool stop;
	_Atomic bool napping;		/* the deputy waits without a timeout */
	_Atomic unsigned callbacks;
	_Atomic unsigned put_off;	/* calls of the hook spare that are due */
	_Atomic uint64_t handed_on, taken_over, slept;
	_Atomic uint64_t taken;		/* requests read, by whomever */
	struct loop_alone alone;	/* [atomic] */

	struct mutex lock;
	struct cond wake;		/* sleepers other than the deputy */
	struct cond tick;		/* the deputy */
	unsigned leaders, slots;	/* [lock] leaders <= slots <= max_leaders */
	unsigned sleepers;		/* [lock] waiting on wake */
	struct worker *deputy;		/* [lock] waiting on tick, or NULL */
	struct keeper *keeper;		/* [init only] */
	unsigned running;		/* [lock] threads not yet ended */
	int error;			/* [lock] why the loop ended */
	struct worker workers[];
};

/* loop.c */
enum { LOOP_SPIN_SCORE = 4 };	/* a worker's to start with */
void *loop_worker(void *arg);	/* a thread's main; its struct worker */
void loop_wake_one_locked(struct loop *l) REQUIRES(l->lock);
/* The deputy's look at the leaders. True: one was stuck and the lead is free. */
bool loop_tick_locked(struct loop *l, bool *ret_quiet) REQUIRES(l->lock);

/* loop_keeper.c */
int keeper_start(struct loop *l);
/* The loop stops, or there is something to look at. Any thread. */
void keeper_wake(struct loop *l);
/* Ends its thread and frees it; the loop has stopped. */
void keeper_end(struct loop *l);
/* The kernel says that the caller of a request was interrupted. */
void keeper_interrupt(struct loop *l, const struct fuse_in_header *in);
/* Notes what w is at from now on. False: there is nothing to do, it was given up. */
bool keeper_begin(struct worker *w, const struct fuse_in_header *in, size_t len);
/* w has answered it. True: the caller had been answered before. */
bool keeper_finish(struct worker *w);
/* A request that waits for a worker, into w->in: its length; 0 there is none. */
size_t keeper_take_locked(struct loop *l, struct worker *w) REQUIRES(l->lock);
bool keeper_has_locked(const struct loop *l) REQUIRES(l->lock);
/* Nobody else reads then. */
bool keeper_leads(const struct loop *l);

#endif
