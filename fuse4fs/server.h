/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The context that joins a file system with its FUSE session: one per process. */
#ifndef FUSE4FS_SERVER_H
#define FUSE4FS_SERVER_H

#include <limits.h>
#include <stdatomic.h>
#include <time.h>

#include "daemon.h"
#include "options.h"
#include "vfs.h"

struct blkdev;
struct fuse_session;
struct loop;

enum { SERVER_LATE_SLOTS = 64 };

struct server {
	const struct options *opt;	/* [init only] */
	struct daemon *daemon;		/* [init only] */
	struct blkdev *dev;		/* [init only] */
	struct vfs vfs;
	struct fuse_session *se;	/* [init only] */
	struct loop *loop;		/* [init only] */
	char image[PATH_MAX];		/* [init only] absolute where it is a path */
	char mountpoint[PATH_MAX];	/* [init only] absolute, or /dev/fd/N */
	struct timespec started;	/* [init only] CLOCK_MONOTONIC */

	int agreed_fd;			/* [init only] eventfd: INIT has been answered */
	/* What INIT settled; written by its worker before any other request. */
	bool no_open;			/* the kernel opens files without us (ro) */
	bool no_opendir;
	bool kill_suid;			/* the kernel says when to clear set-user-ID */
	bool setxattr_ext;		/* SETXATTR has flags: op_raw.c */
	uint32_t proto_minor, max_write, max_readahead;
	_Atomic uint64_t late[SERVER_LATE_SLOTS];	/* op_late.c */
};

/*
 * server_run - everything from the device to the last flush
 *
 * Opens the image, mounts, tells the daemon it is ready, serves until it is unmounted or a
 * signal says so, closes. Says what fails, on one line. catch_signals is called once, when
 * all is ready: until then signals simply kill, which the image survives; its result is a
 * descriptor that becomes readable when it is time to end, or -errno.
 * Returns the process's exit status (MNT_EX_*).
 */
int server_run(const struct options *opt, struct daemon *daemon, int (*catch_signals)(void));

#endif
