/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exclusive use of a local image.
 *
 * One writer or several readers. Whoever else uses the image and can be known is
 * respected and named: another server (fcntl locks of the open file description),
 * QEMU (its locks on single bytes), the kernel (mounts, loop devices, claimed block
 * devices). Works without privilege as far as /proc and /sys can be read.
 */
#ifndef TRANSPORT_IMGLOCK_H
#define TRANSPORT_IMGLOCK_H

#include <stdbool.h>
#include <stddef.h>

struct imglock;

enum imglock_mode {
	IMGLOCK_WAIT,	/* try again until the timeout */
	IMGLOCK_FAIL,	/* try once */
	IMGLOCK_NONE,	/* neither lock nor look */
};

enum {
	IMGLOCK_TIMEOUT_MS = 15000,	/* default of IMGLOCK_WAIT */
};

struct imglock_request {
	int fd;			/* open image: for reading, unless readonly for writing too */
	const char *path;	/* or NULL: not known */
	bool readonly;
	enum imglock_mode mode;
	unsigned timeout_ms;	/* 0: IMGLOCK_TIMEOUT_MS */
};

/*
 * imglock_take - become a user of the image
 *
 * why      on failure a sentence part that follows the image's name, as "is in use by
 *          process 1234 (fuse4fs)"
 * ret      released with imglock_release; NULL after success with IMGLOCK_NONE
 *
 * The lock has a file description of its own wherever that can be had, so that it ends
 * with this process although fd may be shared with others. The image is not changed.
 * Returns 0; -EBUSY in use; -ENOLCK locks are not supported there (readers are let
 * through); other errors of open(2) and fcntl(2); -ENOMEM. Blocks up to the timeout.
 */
int imglock_take(const struct imglock_request *req, struct imglock **ret, char *why,
		 size_t why_len);

/* NULL is fine. Call it after the last flush: others may write from then on. */
void imglock_release(struct imglock *lock);

/*
 * Waits until the process that now holds the image at path as a writer has released it
 * or ended; takes nothing. For umount, which must not return before the server has
 * written everything. Readers have nothing to write and are not waited for.
 * Returns 0; -ETIMEDOUT; an error of open(2).
 */
int imglock_wait_free(const char *path, unsigned timeout_ms);

#endif
