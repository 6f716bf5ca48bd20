/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the journal*.c files share.
 *
 * Two threads work here: the committer, one at a time, appends transactions
 * (journal.c, journal_log.c), and the checkpointer brings blocks home and moves the
 * tail (journal_checkpoint.c). The table (journal_table.c) joins them: for every block
 * that the live log holds, the last transaction that has it, and its content until
 * that is home.
 *
 * j->lock is taken with none of the others held and none is taken inside it; no device
 * is called with it held. super_lock is a leaf and the one lock held over a write, of one
 * block: what is written last must be what was decided last.
 */
#ifndef FUSE4FS_JOURNAL_INT_H
#define FUSE4FS_JOURNAL_INT_H

#include "journal.h"
#include "recover_int.h"

/* A transaction in the live log, which ends where the next one starts. */
struct logged {
	struct list node;	/* in j->logged, oldest first */
	uint32_t tid;
	uint32_t start, nblks;	/* in the ring */
	size_t pending;		/* blocks whose newest content is its, and not home yet */
	bool gone;		/* the tail is behind it */
};

/* A block that the live log holds. */
struct entry {
	struct entry *next;	/* in its bucket, or among the spare ones */
	uint64_t pblk;
	struct logged *in;	/* the newest transaction that has it */
	struct buf *buf;	/* pinned while data is not home: the device is older */
	uint8_t *data;		/* sealed content; NULL: home */
};

struct table {
	uint32_t block_size;
	struct entry **buckets;
	size_t mask;
	size_t count, npending;		/* entries; those with data */
	struct entry *spare;
	void *spare_data;		/* blocks, each starting with a pointer to the next */
	size_t nspare, nspare_data;
};

struct journal {
	struct commit_writer w;		/* first */
	struct fs *fs;			/* [init only] */
	struct log log;			/* [init only]; super_block: super_lock */
	uint32_t capacity;		/* [init only] blocks of the ring */
	bool in_use;			/* [init only] and the disk says so */
	size_t max_pending;		/* [init only] blocks: commits wait beyond */
	uint8_t *out;			/* [committer] OUT_BYTES, log blocks to be written */
	uint8_t *home;			/* [checkpointer] HOME_BYTES, blocks on their way */
	struct mutex super_lock;	/* held while log's superblock changes and is written */
	bool failed;			/* [super_lock] it says so; no tail is written any more */
	uint64_t *revokes;		/* [committer] of the transaction being written */
	size_t nrevokes, revokes_size;

	struct mutex lock;
	struct cond wake;		/* the checkpointer has work, or is to stop */
	struct cond room;		/* blocks went home, the tail moved, or it is over */
	struct txn_mgr *mgr;		/* [lock] from the first commit on */
	struct table table;		/* [lock] */
	struct list logged;		/* [lock] */
	uint32_t head, next_tid;	/* [lock] where the next transaction goes */
	uint32_t used;			/* [lock] blocks of the ring from the tail on */
	bool writing;			/* [lock] the checkpointer has a write under way */
	uint64_t writes;		/* [lock] that have ended */
	bool want_pass, want_all;	/* [lock] checkpoint now; until nothing is left */
	bool stop, over;		/* [lock] thread shall end; nothing goes home any more */
	struct timespec last_commit;	/* [lock] */
	uint64_t passes;		/* [lock] */
	pthread_t thread;
	bool has_thread;		/* [init only] */
};

enum { OUT_BYTES = 1 << 20, HOME_BYTES = 1 << 20 };

/* journal_table.c; all REQUIRE the journal's lock, but init and fini. */
int table_init(struct table *t, uint32_t block_size, uint32_t log_nblks);
void table_fini(struct table *t);	/* what is pinned is unpinned */
struct entry *table_find(const struct table *t, uint64_t pblk);
/* So that n calls of table_put succeed. -ENOMEM. */
int table_reserve(struct table *t, size_t n);
/* The content of k, committed in `in`, replaces what there was. Keeps k's pin, setting
 * k->buf to NULL, unless it has one of the same buf. */
void table_put(struct table *t, struct copy *k, struct logged *in);
/* The content is home. */
void table_settle(struct table *t, struct entry *e);
/* The block was freed: its content is not wanted at home, and not in the cache. */
void table_remove(struct table *t, uint64_t pblk);
/* Drops entries of transactions that are gone. */
void table_sweep(struct table *t);

/* journal_log.c */
/* Blocks that c with nrevokes takes in the log, its commit block included. */
uint64_t log_space(const struct journal *j, const struct commit *c, size_t nrevokes);
/* Most blocks that a transaction may change: a quarter of the log, as jbd2 has it. */
unsigned log_max_blocks(const struct journal *j);
/* Most that one handle alone may: what fits an empty log whatever is revoked with it. */
unsigned log_max_handle(const struct journal *j);
/* All of c but the commit block, from ring block `start` on. Not flushed. */
int log_write(struct journal *j, struct commit *c, uint32_t start, uint32_t *ret_crc);
/* The commit block, at ring block lblk. Not flushed. crc: of log_write. */
int log_write_commit(struct journal *j, const struct commit *c, uint32_t lblk, uint32_t crc);
/* Where `n` blocks after lblk are. */
uint32_t log_after(const struct journal *j, uint32_t lblk, uint64_t n);

/* journal.c */
/* Tells the journal superblock where the log starts; 0: empty. Durable on return. */
int journal_set_tail(struct journal *j, uint32_t start, uint32_t tid);

/* journal_checkpoint.c */
int checkpoint_start(struct journal *j);
void checkpoint_stop(struct journal *j);
/* The calling thread's, once the thread is stopped: everything home. 0 or -errno. */
int checkpoint_rest(struct journal *j);
/* Waits until the log has room for need blocks and memory is not short; all: until
 * nothing is left to bring home. -EIO when that will not be. */
int checkpoint_wait(struct journal *j, uint64_t need, bool all) REQUIRES(j->lock);
/* There is no memory; it may come back: 100 ms without the lock. */
void checkpoint_pause(struct journal *j) REQUIRES(j->lock);
/* Has the thread look whether a checkpoint is due. */
void checkpoint_poke(struct journal *j) REQUIRES(j->lock);

#endif
