/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside of the transactions. Only txn*.c and commit*.c include this.
 *
 * Life of a struct txn (who moves it):
 *   RUNNING -> CLOSING     commit_run: no new handle; waits for the open ones
 *   CLOSING -> RUNNING     commit_run, when there was no memory to copy the blocks
 *   CLOSING -> COMMITTING  commit_run: blocks copied, another txn is running now
 *   COMMITTING -> gone     commit_run: durable, or kept in ->failed for its pins
 *
 * One thread at a time is the committer (->busy): a caller of txn_force, or the commit
 * thread. It holds no lock while it seals, copies and writes.
 */
#ifndef FUSE4FS_TXN_MGR_H
#define FUSE4FS_TXN_MGR_H

#include "commit.h"

enum txn_state { TXN_RUNNING, TXN_CLOSING, TXN_COMMITTING };

struct ranges {
	struct range *r;
	size_t n, cap;
};

/* [txn_mgr lock] while RUNNING, the committer's own afterwards. */
struct txn {
	uint32_t tid;			/* [init only] */
	enum txn_state state;
	unsigned handles;		/* open */
	unsigned outstanding;		/* credits of open handles not yet used */
	unsigned nblocks;		/* on `dirty` */
	struct list dirty;		/* struct buf by txn_node, each pinned */
	struct ranges freed;		/* to be released when durable */
	uint32_t *freed_inodes;
	size_t n_freed_inodes, cap_freed_inodes;
	bool kicked;			/* the commit thread knows that it is large */
	struct timespec first_change;
};

struct txn_mgr {
	struct fs *fs;			/* [init only] */
	struct commit_writer *writer;	/* [init only] */
	unsigned soft_max, hard_max;	/* [init only] blocks: commit soon; wait */
	unsigned commit_sec;		/* [init only] */
	unsigned idle_ms;		/* [init only] */

	struct mutex lock;
	struct cond opened;		/* handles may join again, or there is room, or abort */
	unsigned waiters;		/* [lock] for that */
	struct cond drained;		/* a closing txn lost its last handle */
	struct cond done;		/* a commit or flush has ended */
	struct cond wake;		/* the commit thread has work or a clock to watch */
	struct txn *running;		/* [lock] */
	bool busy;			/* [lock] a committer is at work */
	uint32_t durable;		/* [lock] last tid that is */
	uint32_t released;		/* [lock] last tid whose freed blocks are free */
	int aborted;			/* [lock] -errno once and for all, or 0 */
	struct commit *failed;		/* [lock] what an abort left */
	uint64_t activity;		/* [lock] handles begun */
	uint64_t flush_started, flush_done;	/* [lock] see commit_flush */
	bool flush_leader;		/* [lock] an fsync is flushing for all that wait */
	bool want_super;		/* [lock] errors were recorded: see txn_want_super */
	bool stop, kick, asleep;	/* [lock] the commit thread: end; work; no timer */
	pthread_t thread;
	bool has_thread;		/* [init only] */
	struct txn_stats stats;		/* [lock] */
	uint64_t overdrawn;		/* [lock] blocks dirtied without a credit */

	uint8_t *spare;			/* [committer] staging kept for small commits */
	size_t spare_len;
};

struct txn *txn_new(uint32_t tid);
/* Drops what it has not handed on; pins too. NULL is fine. */
void txn_free(struct txn *t);

static inline bool txn_has_changes(const struct txn *t)
{
	return t->nblocks || t->freed.n || t->n_freed_inodes;
}
/* Whether there is something to commit. */
static inline bool txn_has_work(const struct txn_mgr *m)
{
	return txn_has_changes(m->running) || m->want_super;
}
/* a is before b; tids wrap around. */
static inline bool tid_before(uint32_t a, uint32_t b) { return (int32_t)(a - b) < 0; }

/* Appends, merging with the last one if adjacent. -ENOMEM. */
int ranges_add(struct ranges *rs, uint64_t pblk, uint64_t n);
/* Sorts and merges adjacent ones. */
void ranges_normalize(struct ranges *rs);
void ranges_fini(struct ranges *rs);

/*
 * Commits the running transaction in the calling thread. Caller: ->busy is false, the
 * transaction has changes, no handle is open in this thread. Drops the lock meanwhile.
 * Returns 0 (durable, and what it freed released); -ENOMEM, nothing happened, try
 * later; else the error of the abort that followed.
 */
int commit_run(struct txn_mgr *m) REQUIRES(m->lock);
/* Stops writing for good; the first error is kept. The caller changes fs->state. */
void commit_abort_locked(struct txn_mgr *m, int err) REQUIRES(m->lock);

/* With the pins and the transaction it still has. NULL is fine. */
void commit_free(struct commit *c);

int commit_thread_start(struct txn_mgr *m);
void commit_thread_stop(struct txn_mgr *m);
/* The running transaction got its first change: the thread watches the clock. */
void commit_thread_arm(struct txn_mgr *m) REQUIRES(m->lock);
void commit_thread_kick(struct txn_mgr *m) REQUIRES(m->lock);

#endif
