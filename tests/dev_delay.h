/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A block device that takes its time: a far disk for tests. */
#ifndef TESTS_DEV_DELAY_H
#define TESTS_DEV_DELAY_H

#include "transport/blkdev.h"

/* Microseconds added to each call of a kind, in the calling thread: calls of several
 * threads overlap as they do on a network. */
struct dev_delay_times {
	unsigned read_us, write_us, flush_us, discard_us;
};

/* own_lower: close closes lower too. Returns 0; -ENOMEM. */
int dev_delay_open(struct blkdev *lower, bool own_lower, const struct dev_delay_times *times,
		   struct blkdev **ret);

#endif
