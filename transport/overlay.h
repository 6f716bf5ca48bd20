/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A block device that reads from another one and keeps what is written in memory.
 * Journal recovery of a read-only mount goes here: the image is never changed.
 */
#ifndef TRANSPORT_OVERLAY_H
#define TRANSPORT_OVERLAY_H

#include "blkdev.h"

/*
 * overlay_dev_open - a writable view of lower, gone when it is closed
 *
 * lower      only read; nobody else may change its bytes meanwhile
 * own_lower  on success lower belongs to the overlay, whose close closes it
 * limit      most bytes of memory for written data, a multiple of 4 KiB counts;
 *            beyond it writes give -ENOSPC. 0: no limit
 *
 * Flush succeeds and makes nothing durable. Discard is accepted and changes nothing.
 * Returns 0; -ENOMEM.
 */
int overlay_dev_open(struct blkdev *lower, bool own_lower, uint64_t limit,
		     struct blkdev **ret);

/* Bytes of data held in memory; 0 means the view equals the lower device. */
uint64_t overlay_dev_bytes(struct blkdev *dev);

#endif
