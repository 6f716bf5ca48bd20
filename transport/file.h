/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A block device that is a local regular file or a local block device. */
#ifndef TRANSPORT_FILE_H
#define TRANSPORT_FILE_H

#include "blkdev.h"

/*
 * file_dev_open - serve a local file or block device
 *
 * path      opened when fd is -1; in both cases the device's name in messages
 * fd        descriptor to use instead, or -1. On success it belongs to the device,
 *           which makes it close-on-exec; on failure it stays the caller's.
 * readonly  opens O_RDONLY and never writes a byte; needs read permission only
 *
 * Returns 0; what open(2) says (-ENOENT, -EACCES, -EROFS, -EISDIR, ...); -EISDIR a
 * directory; -ENOTBLK neither a regular file nor a block device; -ENODATA empty;
 * -EACCES fd is not open for what is wanted; -EINVAL fd has O_APPEND or O_DIRECT,
 * which change what a transfer does; -EROFS a block device set read-only; -ENOMEM.
 * Never blocks on a FIFO. Size is fixed at open: a file that shrinks afterwards gives
 * -EIO from reads beyond its end and from flush.
 */
int file_dev_open(const char *path, int fd, bool readonly, struct blkdev **ret);

/* The descriptor of a device opened by file_dev_open, which keeps it. -1 for any other. */
int file_dev_fd(const struct blkdev *dev);

#endif
