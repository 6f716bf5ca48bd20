/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libfuse, at the one API level we write for (3.14, Debian 12), and what differs up to 3.18.
 * Included instead of <fuse_lowlevel.h>, first.
 */
#ifndef FUSE4FS_COMPAT_FUSE_H
#define FUSE4FS_COMPAT_FUSE_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <stdint.h>

/*
 * Asks for the capabilities `want` where the kernel has them and none of `refuse`; others
 * stay as libfuse sets them. 3.17 added a 64-bit copy of the mask, and 3.17.0 to 3.17.2
 * refuse to mount when the two disagree: both are set.
 */
void compat_fuse_want(struct fuse_conn_info *conn, uint32_t want, uint32_t refuse);

/*
 * The last word on every message to the kernel: libfuse 3.14 cannot negotiate what it does
 * not know, so the reply to INIT is amended on its way out (op_init.c). The session must
 * be mounted. writev: as writev(2), userdata is the session's. 0 or -errno.
 */
typedef ssize_t (*compat_fuse_writev)(int fd, struct iovec *iov, int count, void *userdata);
int compat_fuse_intercept(struct fuse_session *se, compat_fuse_writev send);

#endif
