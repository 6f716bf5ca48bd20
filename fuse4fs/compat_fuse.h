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
#include <sys/types.h>

/*
 * Asks for the capabilities `want` where the kernel has them and none of `refuse`; others
 * stay as libfuse sets them. 3.17 added a 64-bit copy of the mask, and 3.17.0 to 3.17.2
 * refuse to mount when the two disagree: both are set.
 */
void compat_fuse_want(struct fuse_conn_info *conn, uint32_t want, uint32_t refuse);

/*
 * compat_fuse_answer - let libfuse answer a request, and take the answer instead of the kernel
 *
 * reply  size bytes for it; the caller sends it
 *
 * libfuse 3.14 cannot negotiate what it does not know, so the answer to INIT is amended on its
 * way (op_init.c); libfuse's own hook for that, custom I/O, is compiled out of 3.18. The
 * session's descriptor stands for a socket meanwhile: no other thread may use it, so this is
 * for the first request only. Returns bytes, 0: there was no answer; -errno.
 */
ssize_t compat_fuse_answer(struct fuse_session *se, void *request, size_t len, void *reply,
			   size_t size);

#endif
