/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A block device that remembers, in order, everything that changed the one below.
 *
 * A crash test records a workload that starts from a known image, then for a cut point
 * takes a fresh copy of that image and applies the log up to there: every entry before
 * the last flush ahead of the cut, and of those behind it any subset, in any order, or
 * a torn one. Order of the log: a write or discard stands where it completed, a flush
 * where it began, so a flush covers exactly the entries before it, at least.
 */
#ifndef TESTS_DEV_RECORD_H
#define TESTS_DEV_RECORD_H

#include "transport/blkdev.h"

enum dev_record_op { DEV_RECORD_WRITE, DEV_RECORD_DISCARD, DEV_RECORD_FLUSH };

struct dev_record_entry {
	enum dev_record_op op;
	uint64_t off, len;	/* bytes; 0 for a flush */
	const uint8_t *data;	/* of a write, else NULL */
};

/* own_lower: close closes lower too. Returns 0; -ENOMEM. */
int dev_record_open(struct blkdev *lower, bool own_lower, struct blkdev **ret);

/* Entries so far. Those with a smaller index no longer change. */
size_t dev_record_count(struct blkdev *dev);
/* One entry; data is valid until dev_record_clear or close. */
struct dev_record_entry dev_record_get(struct blkdev *dev, size_t index);
/* Number of entries that are durable when only the first n have been issued: one
 * more than the index of the last flush among them, or 0. */
size_t dev_record_durable(struct blkdev *dev, size_t n);
/* Forgets everything. */
void dev_record_clear(struct blkdev *dev);

/* Does one entry to dst, a write or discard only up to max_len bytes of it (torn).
 * A discard is applied as zeros, a flush not at all. */
int dev_record_apply(const struct dev_record_entry *entry, struct blkdev *dst,
		     uint64_t max_len);
/* The first n entries, in order. Returns 0 or dst's error. */
int dev_record_replay(struct blkdev *dev, size_t n, struct blkdev *dst);

#endif
