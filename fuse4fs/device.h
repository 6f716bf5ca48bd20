/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From options to the device that holds a file system or container: local images. */
#ifndef FUSE4FS_DEVICE_H
#define FUSE4FS_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/blkdev.h"
#include "transport/imglock.h"

struct device_options {
	const char *image;	/* path, or "fd:N" for an inherited descriptor, N > 2 */
	bool readonly;
	uint64_t offset;	/* bytes */
	uint64_t sizelimit;	/* bytes, 0: up to the end */
	int partition;		/* from 1, 0: none; excludes offset and sizelimit */
	enum imglock_mode lock;
	unsigned lock_timeout_ms;	/* for IMGLOCK_WAIT; 0: its default */
};

/*
 * device_open - open a local image, lock it, cut out the window asked for
 *
 * ret       the device; image must live as long as it does
 * ret_lock  release it after the device has been flushed and closed; may be NULL
 * why       on failure one sentence for the user: the object and the way out
 *
 * An inherited descriptor belongs to the device from then on, and is closed if what
 * comes after opening it fails. Neither the image's bytes nor its size change.
 * Returns 0; -EINVAL options that exclude each other, a window outside; -EBUSY in use;
 * those of file_dev_open, imglock_take and partition_find. Blocks for the lock.
 */
int device_open(const struct device_options *opt, struct blkdev **ret,
		struct imglock **ret_lock, char *why, size_t why_len);

#endif
