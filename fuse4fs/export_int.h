/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by export*.c only. */
#ifndef FUSE4FS_EXPORT_INT_H
#define FUSE4FS_EXPORT_INT_H

#include "compat_fuse.h"
#include "export.h"

enum { EXPORT_ROOT = FUSE_ROOT_ID, EXPORT_DEVICE = 2 };	/* the two nodes */

/* What role_data points to. */
struct export_state {
	uint32_t uid, gid;		/* [init only] owner of both nodes */
	_Atomic int64_t written_ns;	/* time of the last change, CLOCK_REALTIME */
};

static inline struct server *export_server(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* A change is about to be reported to its maker. */
void export_touch(struct server *srv);

/* export_data.c: on EXPORT_DEVICE only; -EISDIR for the root. */
void export_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
		 struct fuse_file_info *fi);
void export_write(fuse_req_t req, fuse_ino_t node, const char *buf, size_t size, off_t off,
		  struct fuse_file_info *fi);
void export_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t off, off_t len,
		      struct fuse_file_info *fi);
/* Either node: the device is flushed. */
void export_fsync(fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *fi);

#endif
