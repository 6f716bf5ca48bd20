// SPDX-License-Identifier: GPL-2.0-or-later
/* The exported device's two nodes, and the role as a whole; see export.h. */
#include "export_int.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "blkdev.h"
#include "loop.h"
#include "status.h"

#define FOREVER_SEC	(365 * 86400.0)	/* nothing changes behind the kernel's back */

enum { MAX_BACKGROUND = 64, CONGESTION_THRESHOLD = 48, MAX_READAHEAD = 8 << 20, SECTOR = 512,
       STATFS_BLOCK = 4096 };

static const char device_name[] = "device";

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

void export_touch(struct server *srv)
{
	struct export_state *x = srv->role_data;

	atomic_store_explicit(&x->written_ns, now_ns(), memory_order_relaxed);
}

static int fill_stat(struct server *srv, fuse_ino_t node, struct stat *st)
{
	struct export_state *x = srv->role_data;
	const struct blkdev_info *info = &srv->dev->info;
	int64_t t = atomic_load_explicit(&x->written_ns, memory_order_relaxed);

	*st = (struct stat){
		.st_ino = node, .st_uid = x->uid, .st_gid = x->gid,
		.st_mtim = { .tv_sec = t / 1000000000, .tv_nsec = t % 1000000000 },
	};
	st->st_atim = st->st_ctim = st->st_mtim;
	st->st_blksize = info->io_min > STATFS_BLOCK ? info->io_min : STATFS_BLOCK;
	switch (node) {
	case EXPORT_ROOT:
		st->st_mode = S_IFDIR | 0755;
		st->st_nlink = 2;
		return 0;
	case EXPORT_DEVICE:
		st->st_mode = S_IFREG | (info->readonly ? 0400 : 0600);
		st->st_nlink = 1;
		st->st_size = (off_t)info->size;
		st->st_blocks = (blkcnt_t)(info->size / SECTOR);
		return 0;
	default:
		return -ESTALE;
	}
}

static void reply_stat(fuse_req_t req, fuse_ino_t node, int err)
{
	struct stat st;

	if (!err)
		err = fill_stat(export_server(req), node, &st);
	if (err)
		fuse_reply_err(req, -err);
	else
		fuse_reply_attr(req, &st, FOREVER_SEC);
}

static void export_init(void *userdata, struct fuse_conn_info *conn)
{
	/* No write-back cache: it would take writes beyond the end, and keep their errors. */
	const uint32_t want = FUSE_CAP_ASYNC_DIO | FUSE_CAP_ASYNC_READ | FUSE_CAP_IOCTL_DIR;
	const uint32_t refuse = FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_AUTO_INVAL_DATA |
		FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
		FUSE_CAP_SPLICE_MOVE | FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS;
	struct server *srv = userdata;

	compat_fuse_want(conn, want, refuse);
	if (conn->max_write > LOOP_TRANSFER_MAX)
		conn->max_write = LOOP_TRANSFER_MAX;
	if (conn->max_readahead > MAX_READAHEAD)
		conn->max_readahead = MAX_READAHEAD;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = CONGESTION_THRESHOLD;
	conn->time_gran = 1;
	srv->proto_minor = conn->proto_minor;
	srv->max_write = conn->max_write;
	srv->max_readahead = conn->max_readahead;
}

static void export_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .generation = 1, .attr_timeout = FOREVER_SEC,
				      .entry_timeout = FOREVER_SEC };

	if (parent == EXPORT_ROOT && !strcmp(name, device_name))
		e.ino = EXPORT_DEVICE;
	else if (!strcmp(name, ".") || !strcmp(name, ".."))
		e.ino = parent == EXPORT_DEVICE && name[1] == '\0' ? EXPORT_DEVICE : EXPORT_ROOT;
	else
		e.ino = 0;	/* there is none, and will be none */
	if (e.ino && fill_stat(export_server(req), e.ino, &e.attr))
		fuse_reply_err(req, ESTALE);
	else
		fuse_reply_entry(req, &e);
}

static void export_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	(void)fi;
	reply_stat(req, node, 0);
}

/* Opening a block device with O_TRUNC changes nothing; ftruncate(2) on one is EINVAL. */
static void export_setattr(fuse_req_t req, fuse_ino_t node, struct stat *st, int to_set,
			   struct fuse_file_info *fi)
{
	const int times = FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_CTIME |
		FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;
	const uint64_t size = blkdev_size(export_server(req)->dev);
	int err = 0;

	if (to_set & ~(FUSE_SET_ATTR_SIZE | times))
		err = -EPERM;
	else if ((to_set & FUSE_SET_ATTR_SIZE) && (uint64_t)st->st_size != size &&
		 (fi || st->st_size))
		err = -EINVAL;
	reply_stat(req, node, err);
}

static void export_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	if (node != EXPORT_DEVICE) {
		fuse_reply_err(req, node == EXPORT_ROOT ? EISDIR : ESTALE);
		return;
	}
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

static void export_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
			   struct fuse_file_info *fi)
{
	static const struct { const char *name; fuse_ino_t node; mode_t type; } entries[] = {
		{ ".", EXPORT_ROOT, S_IFDIR }, { "..", EXPORT_ROOT, S_IFDIR },
		{ device_name, EXPORT_DEVICE, S_IFREG },
	};
	const off_t n = sizeof(entries) / sizeof(entries[0]);
	char buf[512];
	size_t used = 0;

	(void)fi;
	if (node != EXPORT_ROOT) {
		fuse_reply_err(req, ENOTDIR);
		return;
	}
	if (size > sizeof(buf))
		size = sizeof(buf);
	for (; off >= 0 && off < n; off++) {
		struct stat st = { .st_ino = entries[off].node, .st_mode = entries[off].type };
		size_t len = fuse_add_direntry(req, buf + used, size - used, entries[off].name,
					       &st, off + 1);

		if (len > size - used)
			break;
		used += len;
	}
	fuse_reply_buf(req, buf, used);
}

static void export_statfs(fuse_req_t req, fuse_ino_t node)
{
	struct statvfs st = { .f_bsize = STATFS_BLOCK, .f_frsize = STATFS_BLOCK, .f_files = 2,
			      .f_namemax = 255 };

	(void)node;
	st.f_blocks = blkdev_size(export_server(req)->dev) / STATFS_BLOCK;
	fuse_reply_statfs(req, &st);
}

static void export_ioctl(fuse_req_t req, fuse_ino_t node, unsigned int cmd, void *arg,
			 struct fuse_file_info *fi, unsigned flags, const void *in,
			 size_t in_size, size_t out_size)
{
	const bool json = cmd == (unsigned)STATUS_IOC_JSON;
	char out[STATUS_BYTES];

	(void)node, (void)arg, (void)fi, (void)flags, (void)in, (void)in_size;
	if ((!json && cmd != (unsigned)STATUS_IOC_TEXT) || out_size < sizeof(out))
		fuse_reply_err(req, ENOTTY);
	else
		fuse_reply_ioctl(req, 0, out,
				 status_print(export_server(req), json, out, sizeof(out)));
}

static const struct fuse_lowlevel_ops export_ops = {
	.init = export_init,
	.lookup = export_lookup,
	.getattr = export_getattr,
	.setattr = export_setattr,
	.open = export_open,
	.read = export_read,
	.write = export_write,
	.fsync = export_fsync,
	.fsyncdir = export_fsync,
	.fallocate = export_fallocate,
	.readdir = export_readdir,
	.statfs = export_statfs,
	.ioctl = export_ioctl,
};

/* SYNCFS, which libfuse 3.14 does not know, is a flush. */
static bool export_filter(void *arg, void *request, size_t len)
{
	const struct fuse_in_header *in = request;
	struct server *srv = arg;
	struct fuse_out_header out = { .len = sizeof(out), .unique = in->unique };
	struct iovec iov = { &out, sizeof(out) };

	if (len < sizeof(*in) || in->opcode != FUSE_SYNCFS)
		return false;
	loop_detach();
	out.error = srv->dev->info.readonly ? 0 : blkdev_flush(srv->dev);
	/* Nothing to do about a caller that is gone. */
	if (writev(fuse_session_fd(srv->se), &iov, 1) < 0)
		return true;
	return true;
}

static int open_export(struct server *srv, char *why, size_t why_len)
{
	const struct options *o = srv->opt;
	struct export_state *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	if (srv->dev->info.readonly && !o->readonly) {
		snprintf(why, why_len, "cannot be written; export it with -o ro");
		free(x);
		return -EROFS;
	}
	x->uid = o->squash_uid ? (uint32_t)o->uid : geteuid();
	x->gid = o->squash_gid ? (uint32_t)o->gid : getegid();
	atomic_init(&x->written_ns, now_ns());
	srv->role_data = x;
	return 0;
}

static int close_export(struct server *srv)
{
	free(srv->role_data);
	srv->role_data = NULL;
	return srv->dev->info.readonly ? 0 : blkdev_flush(srv->dev);
}

static void add_status(struct server *srv, struct json_object *o)
{
	status_add_string(o, "serves", "block device");
	status_add_string(o, "access", srv->dev->info.readonly ? "ro" : "rw");
}

const struct server_role export_role = {
	.ops = &export_ops,
	.filter = export_filter,
	.open = open_export,
	.close = close_export,
	.add_status = add_status,
};
