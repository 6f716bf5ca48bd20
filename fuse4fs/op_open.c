// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Opening and closing.
 *
 * Permission was the kernel's to check and is not asked again: a file created with mode 0444
 * is open for writing. Directories have no state, their cookies say all, so the kernel opens
 * and caches them without us; a read-only mount's files, too.
 */
#include "op.h"

#include <errno.h>

/* Where the kernel keeps pages and what was written past them the same, and maps such files. */
static bool bypasses_cache(const struct server *srv, uint64_t fh)
{
	return srv->direct_io_mmap && vfs_writes_through(fh);
}

void op_open(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi)
{
	const struct vfs_cred cred = op_cred(req);
	struct server *srv = op_server(req);
	const bool writes = (fi->flags & O_ACCMODE) != O_RDONLY;
	struct vfs_opened opened;
	uint32_t ino;
	int err;

	if (srv->no_open) {
		fuse_reply_err(req, ENOSYS);	/* from now on without us */
		return;
	}
	if (!op_ino(req, nodeid, &ino))
		return;
	err = vfs_open_file(&srv->vfs, ino, fi->flags, &cred, &opened);
	if (err) {
		op_reply_err(req, err);
		return;
	}
	/* See OP_OPEN_SEC. What failed before is not this descriptor's to report. */
	if (writes)
		op_late_take(srv, ino);
	if (writes || opened.touched)
		fuse_lowlevel_notify_inval_inode(srv->se, nodeid, -1, 0);
	fi->fh = opened.fh;
	fi->direct_io = writes && bypasses_cache(srv, fi->fh);
	fi->keep_cache = !opened.uncached;
	fi->noflush = srv->opt->readonly;
	if (fuse_reply_open(req, fi))
		vfs_release(&srv->vfs, fi->fh, fi->flags);
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	const struct vfs_cred cred = op_cred(req);
	struct server *srv = op_server(req);
	struct fuse_entry_param p;
	struct vfs_entry e;
	uint32_t dir;
	int err;

	if (!op_name_ok(req, name) || !op_ino(req, parent, &dir))
		return;
	if (name[0] == '/')	/* was TMPFILE: op_raw.c */
		err = vfs_tmpfile(&srv->vfs, dir, mode, fi->flags, &cred, &e, &fi->fh);
	else
		err = vfs_create(&srv->vfs, dir, name, mode, fi->flags, &cred, &e, &fi->fh);
	if (err) {
		op_reply_err(req, err);
		return;
	}
	/* The number may have been another file's. */
	op_late_take(srv, e.ino);
	fi->direct_io = bypasses_cache(srv, fi->fh);
	fi->keep_cache = 1;
	p = op_entry_param(srv, &e);
	if (fuse_reply_create(req, &p, fi)) {
		vfs_release(&srv->vfs, fi->fh, fi->flags);
		vfs_forget(&srv->vfs, e.ino, 1);
	}
}

void op_release(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi)
{
	struct server *srv = op_server(req);
	uint32_t ino;

	if (vfs_release(&srv->vfs, fi->fh, fi->flags) &&
	    ino_from_nodeid(&srv->vfs.ids, nodeid, &ino) == 0)
		op_late_take(srv, ino);
	fuse_reply_err(req, 0);
}

void op_flush(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi)
{
	/* Nothing is held back here: the kernel need not ask at every close. */
	fuse_reply_err(req, ENOSYS);
}

void op_opendir(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi)
{
	struct server *srv = op_server(req);
	uint32_t ino;

	if (!op_ino(req, nodeid, &ino))
		return;
	if (srv->no_opendir && op_listed_enough(&srv->listed, ino)) {
		fuse_reply_err(req, ENOSYS);	/* from now on without us */
		return;
	}
	fi->cache_readdir = !srv->no_opendir;
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

void op_releasedir(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}
