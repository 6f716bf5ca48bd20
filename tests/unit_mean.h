/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A block device that goes bad in use: it shrinks, fails now and then, or lies. */
#ifndef TESTS_UNIT_MEAN_H
#define TESTS_UNIT_MEAN_H

#include "transport/blkdev.h"

/* What is wrong with it; may change at any time while no call is under way. */
struct unit_mean {
	uint64_t limit;			/* transfers that end behind this offset fail; 0: none */
	unsigned read_fails, write_fails, flush_fails;	/* one in so many; 0: never */
	unsigned lies;			/* one in so many reads has a byte changed; 0: never */
	uint64_t seed;
};

/* lower is a dev_mem and stays the caller's. Returns 0; -ENOMEM. */
int unit_mean_open(struct blkdev *lower, struct blkdev **ret);
void unit_mean_set(struct blkdev *dev, const struct unit_mean *how);
/* Failed or wrong calls so far, by kind. */
struct unit_mean_count {
	unsigned reads, writes, lies;	/* writes: flushes too */
};
struct unit_mean_count unit_mean_get(struct blkdev *dev);

#endif
