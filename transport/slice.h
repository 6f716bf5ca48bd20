/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A block device that is a window on another one: a partition, offset=, sizelimit=. */
#ifndef TRANSPORT_SLICE_H
#define TRANSPORT_SLICE_H

#include "blkdev.h"

/*
 * slice_dev_open - serve bytes [off, off + len) of lower
 *
 * lower  on success it belongs to the slice, whose close closes it; on failure it
 *        stays the caller's
 * len    bytes, 0: up to the end of lower
 *
 * Returns 0; -EINVAL the window is empty or does not lie inside lower; -ENOMEM.
 */
int slice_dev_open(struct blkdev *lower, uint64_t off, uint64_t len, struct blkdev **ret);

#endif
