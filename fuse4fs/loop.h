/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker threads: who reads /dev/fuse, and when another one is woken.
 *
 * Waking a thread on an idle core costs several times the work of an average request, so one
 * thread leads: it reads a request, answers it itself and reads the next; while requests
 * keep coming it looks again for some microseconds before it sleeps. The others sleep. The
 * lead passes on
 *   - when its holder is about to wait for a device (loop_detach, loop_before_wait),
 *   - when its holder has been busy with one request for longer than a tick: the deputy, one
 *     of the sleepers, looks that often while there is work, so whatever a request may wait
 *     for, the next one is served,
 *   - goes to the keeper when all wait: what it reads, it keeps until one of them is free
 *     again, so that who is interrupted is heard (loop_keeper.c),
 *   - and is shared, by two or by as many as half the cores, while requests queue up.
 */
#ifndef FUSE4FS_LOOP_H
#define FUSE4FS_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct fuse_session;
struct loop;

enum {
	LOOP_OPCODES = 64,		/* counted one by one; others under 0 */
	LOOP_TRANSFER_MAX = 1 << 20,	/* bytes of a read or write */
};

/* Called by the threads, with arg. */
struct loop_hooks {
	void *arg;
	/* Sees each raw request before libfuse. True: it has been answered. It may rewrite the
	 * request in place. */
	bool (*filter)(void *arg, void *request, size_t len);
	/* A request has been carried out after its caller had been told EINTR, because he was
	 * dying: what the kernel believes from then on may be wrong. May be NULL. */
	void (*too_late)(void *arg, const void *request);
	/* Does a piece of what was put off (loop_put_off), the oldest. May be NULL. */
	void (*spare)(void *arg);
};

/*
 * Threads that serve the session's descriptor, which becomes non-blocking, until it is
 * unmounted or loop_stop. 0; -ENOMEM, -EAGAIN no thread could be started.
 */
int loop_start(struct fuse_session *se, unsigned threads, const struct loop_hooks *hooks,
	       struct loop **ret);
/* Readable when the threads have ended or are about to. */
int loop_done_fd(const struct loop *l);
/* Ends the threads as soon as they have answered what they are at. Any thread. */
void loop_stop(struct loop *l);
/* Waits for the threads, frees l. 0; -ENODEV unmounted; -ECONNABORTED; -errno of read. */
int loop_join(struct loop *l);

/* The rest is for the thread that serves a request; from other threads a no-op. */

/* This thread may wait from now on: another one takes the lead. */
void loop_detach(void);
/* The same for a wait for the device: through a short read (blkdev.h) this thread keeps the lead
 * while no other request comes at such times (loop_alone.h). */
void loop_before_wait(bool is_short);
void loop_after_short_wait(void);
/* The raw request being served (struct fuse_in_header), or NULL. */
const void *loop_request(void);
/* This thread's buffer for a reply of up to LOOP_TRANSFER_MAX bytes. */
char *loop_reply_buffer(void);
/*
 * Once this request has been answered and no other one waits, this thread calls run: what is
 * going to be asked for next can be had ready. At most once; never where nobody spins, which is
 * where the client needs the core, nor with one thread. run may wait for a device.
 */
void loop_afterwards(void (*run)(void *arg), void *arg);
/*
 * There is one piece of work more that nobody waits for: the hook `spare` is called for it when
 * no request waits, or after some that did. What is left at the end is the caller's. False: it
 * would not be called soon, the work is to be done now.
 */
bool loop_put_off(void);
/*
 * Before asking the kernel for something it answers only after the server has served other
 * requests (writing dirty pages back). False when no thread would be left to serve them.
 * loop_callback_end afterwards.
 */
bool loop_callback_begin(void);
void loop_callback_end(void);

struct loop_stats {
	unsigned threads;
	uint64_t requests[LOOP_OPCODES];	/* by opcode */
	uint64_t total;
	uint64_t handed_on, taken_over, slept;	/* leads passed on, seized; sleeps of the leader */
};
void loop_get_stats(struct loop *l, struct loop_stats *ret);

#endif
