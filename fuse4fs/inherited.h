/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors that the caller left open.
 *
 * Those that options name by number (fd:N, /dev/fd/N, passfd=N) are ours. Any other is
 * somebody's lock, pipe or file, which a server in the background would hold for as long as it
 * is mounted, and which nothing takes away from it in its sandbox.
 */
#ifndef FUSE4FS_INHERITED_H
#define FUSE4FS_INHERITED_H

#include <stddef.h>

struct options;

/*
 * inherited_check - that the descriptors which are named are there, and a mount point's FUSE's
 *
 * Call it before anything is opened, or its number may be one that was named. Standard streams
 * that are closed become /dev/null, or memory where there is none: messages must not end up in
 * what is opened next.
 * 0; -EBADF, -ENODEV, -EINVAL with a sentence in why.
 */
int inherited_check(const struct options *opt, char *why, size_t why_len);

/* Closes all but the standard streams, the named ones, and those in kept. */
void inherited_close(const struct options *opt, const int *kept, unsigned n);

/* Closes the named ones alone: for what is started beside the server. */
void inherited_leave(const struct options *opt);

#endif
