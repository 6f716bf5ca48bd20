/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transactions: every change of metadata happens inside a handle.
 *
 *   txn_begin(fs, credits, &h)     may wait for a commit; holds inode locks at most
 *     cache_read/cache_new, txn_dirty(&h, buf), change bytes, ...
 *   txn_stop(&h)
 *
 * Handles join the running transaction. A commit closes it (no new handle),
 * waits for its handles, lets super.c and group.c encode what they hold in core,
 * copies its blocks, opens the next transaction, and then seals and writes the
 * copies without any lock: to the journal, or home where there is none.
 *
 * Lock order: inode->io, inode->lock, handle, group->lock, orphans lock, fs->super_lock,
 * cache shard, txn lock. No lock above the handle is taken inside one (ARCHITECTURE.md has the
 * exception); never wait for a commit with a handle open.
 *
 * Order rules (DESIGN I1..I6): file data is written to the device *before* the
 * handle that makes it reachable stops (the commit flushes the device before the
 * commit record); freed blocks and inodes are not reusable until the commit is
 * durable (txn_free_blocks / txn_free_inode remember them).
 */
#ifndef FUSE4FS_TXN_H
#define FUSE4FS_TXN_H

#include "cache.h"

struct txn;

/* On the caller's stack between begin and stop. */
struct handle {
	struct fs *fs;
	struct txn *txn;
	uint32_t tid;		/* id of the transaction joined */
	unsigned credits;	/* blocks that may still be dirtied */
	bool sync;		/* set: txn_stop commits and waits */
};

int txn_open(struct fs *fs, struct txn_mgr **ret);
/* Last commit, stop threads, free. Returns the first error. */
int txn_close(struct txn_mgr *m);

/*
 * txn_begin - start a change of at most `credits` blocks
 *
 * Returns 0; -EROFS, -EIO by fs state; -ENOSPC more credits than the journal can ever
 * hold; -EINTR never. Blocks while a commit is closing, or the running transaction is
 * full (then commits it).
 */
int txn_begin(struct fs *fs, unsigned credits, struct handle *h);
/* More credits without waiting; -EAGAIN: stop at a consistent point, begin anew. */
int txn_extend(struct handle *h, unsigned credits);
/* Ends the handle. Returns 0, or the commit's error when h->sync. */
int txn_stop(struct handle *h);

/* Must be called before the bytes of b change. Idempotent within a transaction.
 * Returns 0, or -EIO after an abort. Keeps b referenced until committed. */
int txn_dirty(struct handle *h, struct buf *b);
/* The block of b is being freed (txn_free_blocks sees to a journal that holds it): not to
 * be written any more, b leaves the cache. Consumes the caller's reference. */
void txn_forget(struct handle *h, struct buf *b);
/* Like txn_forget for blocks that may be cached or journaled: freed metadata. */
void txn_revoke(struct handle *h, uint64_t pblk, uint64_t n);

/* Remembered until the commit is durable, then group.c is told (group_release_*).
 * -ENOMEM: not remembered; they are to be held until the unmount, as a journal may hold their
 * old contents. Called by balloc.c / ialloc.c only. */
int txn_free_blocks(struct handle *h, uint64_t pblk, uint64_t n);
int txn_free_inode(struct handle *h, uint32_t ino);

/* Makes transaction tid (and all before) durable; a running one is committed.
 * Returns 0 or its error. Concurrent callers share one commit. If nothing is
 * left to commit up to tid: one device flush when `flush`, else nothing. */
int txn_force(struct fs *fs, uint32_t tid, bool flush);
/* Commits the running transaction if it has changes; waits until that and all before
 * are durable and what they freed can be allocated again. */
int txn_commit_now(struct fs *fs);
/* What was written to the device before the call is durable on return; no commit.
 * Callers at the same time share a flush. Use this, not blkdev_flush, for fsync: a device
 * tells of a lost write once, so a failure seen here stops the file system for all. */
int txn_flush(struct fs *fs);
/* tid of the running transaction. */
uint32_t txn_current(struct fs *fs);
/* The superblock has something to tell that no handle brings: it is in the next commit, which
 * comes as if there had been a change. Callers may have a handle and any lock above its own. */
void txn_want_super(struct fs *fs);
/* Stop writing for good (I6): later begins give -EROFS, commits -EIO. A journal remembers
 * err, so that the next mount knows; -ESHUTDOWN is no error. */
void txn_abort(struct fs *fs, int err);

struct txn_stats {
	uint64_t commits, blocks, forced, running_blocks, last_commit_us;
	uint64_t overdrawn;	/* blocks dirtied by handles without a credit left: a mistake */
	bool aborted;
	/* Of a journal, else 0. */
	uint64_t log_blocks, log_free;
	uint64_t checkpoints;		/* passes */
	uint64_t checkpoint_blocks;	/* committed, not home yet */
	uint64_t checkpoint_lag;	/* transactions that a recovery would replay now */
};
void txn_get_stats(struct fs *fs, struct txn_stats *ret);

#endif
