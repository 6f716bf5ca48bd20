/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a closed transaction becomes durable: the interface between the commit
 * (commit.c) and what writes it, home (commit_home.c) or to a journal.
 */
#ifndef FUSE4FS_COMMIT_H
#define FUSE4FS_COMMIT_H

#include "txn.h"

/* One block of a commit. Sorted by pblk; data of neighbours is contiguous. */
struct copy {
	struct buf *buf;	/* pinned; a writer that keeps the pin sets it to NULL */
	uint64_t pblk;
	uint8_t *data;		/* sealed; the writer's to change */
	uint32_t seed;
	uint8_t kind;		/* enum buf_kind */
};

struct commit {
	struct txn_mgr *mgr;
	struct txn *txn;
	uint32_t tid;
	size_t n;
	struct copy *copies;
	uint8_t *staging;	/* all data */
	size_t staging_len;
};

struct commit_writer;
struct commit_writer_ops {
	/* Everything of c durable on return, and all data written before. Called by
	 * one thread at a time, no lock held. An error aborts for good. It must stop
	 * writing when commit_aborted(). */
	int (*write)(struct commit_writer *w, struct commit *c);
	/* Writing has stopped for good because of err: notes that where its own state is
	 * kept, if that can still be written. Once, no lock held. NULL: nothing to note. */
	void (*failed)(struct commit_writer *w, int err);
	/* Adds what it knows. NULL: nothing. */
	void (*stats)(struct commit_writer *w, struct txn_stats *st);
	/* After the last write: 0 or -errno. Frees w. aborted: writes nothing. */
	int (*close)(struct commit_writer *w, bool aborted);
};

struct commit_writer {
	const struct commit_writer_ops *ops;
	struct fs *fs;
	unsigned max_blocks;	/* hard bound of a transaction; 0: none of its own */
	unsigned max_handle;	/* blocks that always fit, for one handle alone; 0: any */
	uint32_t first_tid;
};

/* Writes blocks straight home; for images without a journal. */
int commit_home_open(struct fs *fs, struct commit_writer **ret);

bool commit_aborted(struct txn_mgr *m);
/* A device flush: what was written before the call is durable after. 0 or -errno. */
int commit_flush(struct txn_mgr *m);
/*
 * n blocks from pblk on have been written home. Were they on the way when writing stopped, the
 * superblock among them may have gone over the record of the error, which is written again.
 */
void commit_wrote_home(struct txn_mgr *m, uint64_t pblk, uint64_t n);
/* Stops writing for good after an error of `what`, and says so once. */
void commit_fail(struct txn_mgr *m, int err, const char *what);

struct range { uint64_t pblk, n; };
/* What the transaction freed, sorted and disjoint: a journal must not replay it. */
const struct range *commit_freed(const struct commit *c, size_t *ret_n);

#endif
