/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mounting, and the words for its failure. */
#ifndef FUSE4FS_MOUNT_MAKE_H
#define FUSE4FS_MOUNT_MAKE_H

#include <stddef.h>

struct server;

/*
 * mount_make - mounts srv->se at srv->mountpoint
 *
 * What libfuse and fusermount3(1) say meanwhile becomes part of why: "cannot mount: WHY (way
 * out)". What other threads write to standard error comes a little later. With --private the
 * mount point is covered before, so that what COMMAND leaves running writes nothing below when
 * the mount has ended. 0 or -errno.
 */
int mount_make(struct server *srv, char *why, size_t why_len);

#endif
