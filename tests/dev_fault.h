/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A block device that fails on demand. A fault test runs an operation with the first,
 * second, third, ... device call failing until it completes without meeting the fault:
 *
 *   for (n = 1, fired = true; fired; n++) {
 *           dev_fault_arm(dev, DEV_FAULT_WRITE | DEV_FAULT_FLUSH, n, -EIO, true);
 *           ... the operation; judge its result ...
 *           fired = dev_fault_fired(dev);
 *   }
 */
#ifndef TESTS_DEV_FAULT_H
#define TESTS_DEV_FAULT_H

#include "transport/blkdev.h"

enum dev_fault_op {
	DEV_FAULT_READ = 1,
	DEV_FAULT_WRITE = 2,
	DEV_FAULT_FLUSH = 4,
	DEV_FAULT_DISCARD = 8,
	DEV_FAULT_ALL = 15,
};

/* own_lower: close closes lower too. Starts disarmed. Returns 0; -ENOMEM. */
int dev_fault_open(struct blkdev *lower, bool own_lower, struct blkdev **ret);

/*
 * Counts calls of the kinds in ops from now on and lets the nth (from 1) fail with err
 * (-errno); forever: all later ones of these kinds too. A call that fails does nothing
 * below. nth 0 only counts. Arming again starts anew.
 */
void dev_fault_arm(struct blkdev *dev, unsigned ops, uint64_t nth, int err, bool forever);
void dev_fault_disarm(struct blkdev *dev);
/* Calls counted since dev_fault_arm. */
uint64_t dev_fault_count(struct blkdev *dev);
/* Whether a call has failed since dev_fault_arm. */
bool dev_fault_fired(struct blkdev *dev);

/*
 * From now on, writes and discards that begin after a call has failed are strays unless
 * allow says that one may touch these bytes. They go through all the same.
 */
void dev_fault_watch(struct blkdev *dev, bool (*allow)(void *arg, uint64_t off, uint64_t len),
		     void *arg);
/* Strays since dev_fault_arm. */
uint64_t dev_fault_strays(struct blkdev *dev);

#endif
