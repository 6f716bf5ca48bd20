/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The context that joins what is served with its FUSE session: one per process. */
#ifndef FUSE4FS_SERVER_H
#define FUSE4FS_SERVER_H

#include <limits.h>
#include <stdatomic.h>
#include <time.h>

#include "daemon.h"
#include "device.h"
#include "op_ahead.h"
#include "op_listed.h"
#include "options.h"
#include "sandbox.h"
#include "vfs.h"

struct blkdev;
struct fuse_in_header;
struct fuse_init_out;
struct fuse_lowlevel_ops;
struct fuse_session;
struct json_object;
struct loop;
struct server;

enum { SERVER_LATE_SLOTS = 64 };

/* What the device is served as. */
struct server_role {
	const struct fuse_lowlevel_ops *ops;
	/* Hooks of struct loop_hooks; arg is the server. */
	bool (*filter)(void *arg, void *request, size_t len);
	void (*too_late)(void *arg, const void *request);	/* or NULL */
	void (*spare)(void *arg);	/* NULL: nothing is put off */
	/* Adds to the reply to INIT what libfuse cannot say; may be NULL. */
	void (*amend_init)(struct server *srv, const struct fuse_in_header *in,
			   struct fuse_init_out *out);
	/* srv->dev is open. 0, or -errno with a sentence in why (or without: strerror). */
	int (*open)(struct server *srv, char *why, size_t why_len);
	/* No request is under way; afterwards everything is durable. 0 or -errno. */
	int (*close)(struct server *srv);
	/* Its part of --status, between what all have. */
	void (*add_status)(struct server *srv, struct json_object *o);
};

extern const struct server_role server_fs_role;	/* an ext4 file system */

struct server {
	const struct options *opt;	/* [init only] */
	const struct server_role *role;	/* [init only] */
	struct daemon *daemon;		/* [init only] */
	struct device device;		/* [init only] */
	struct blkdev *dev;		/* [init only] device.dev */
	struct vfs vfs;			/* server_fs_role */
	void *role_data;		/* [init only] of other roles */
	struct fuse_session *se;	/* [init only] */
	struct loop *loop;		/* [init only] */
	char image[PATH_MAX];		/* [init only] absolute where it is a path */
	char mountpoint[PATH_MAX];	/* [init only] absolute, or /dev/fd/N */
	struct timespec started;	/* [init only] CLOCK_MONOTONIC */
	uint64_t pid_namespace;		/* [init only] status_pid_namespace */
	_Atomic bool confined;		/* sandbox is set: the first requests are served before */
	struct sandbox_state sandbox;	/* [init only] from then on */

	int agreed_fd;			/* [init only] eventfd: INIT has been answered */
	/* What INIT settled; written by its worker before any other request. */
	bool no_open;			/* the kernel opens files without us (ro) */
	bool no_opendir;
	struct op_listed listed;	/* [atomic] */
	struct op_ahead ahead;		/* [own lock] */
	bool kill_suid;			/* the kernel says when to clear set-user-ID */
	bool direct_io_mmap;		/* what bypasses the page cache can be mapped, and agrees with it */
	bool setxattr_ext;		/* SETXATTR has flags: op_raw.c */
	uint32_t proto_minor, max_write, max_readahead;
	_Atomic uint64_t late[SERVER_LATE_SLOTS];	/* op_late.c */
};

/* The mount is somebody else's, who passed its descriptor. */
bool server_passed_on(const struct server *srv);

/*
 * server_run - everything from the device to the last flush
 *
 * role: what it is served as. Opens the image, mounts, tells the daemon it is ready, serves
 * until it is unmounted or a signal says so, closes. Says what fails, on one line.
 * catch_signals is called once, before the mount is made, which is unmounted in any case then:
 * until then signals simply kill, which the image survives; its result is a descriptor that
 * becomes readable when it is time to end, or -errno.
 * Returns the process's exit status (MNT_EX_*).
 */
int server_run(const struct options *opt, const struct server_role *role, struct daemon *daemon,
	       int (*catch_signals)(void));

#endif
