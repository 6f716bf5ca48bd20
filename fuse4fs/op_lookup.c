// SPDX-License-Identifier: GPL-2.0-or-later
/* Finding inodes, forgetting them, their attributes. */
#include "op.h"

#include <errno.h>
#include <string.h>

#include "loop.h"

static void reply_negative(fuse_req_t req)
{
	/* Node 0 lets the kernel remember that there is no such name. */
	const struct fuse_entry_param none = { .entry_timeout = OP_FOREVER_SEC };

	fuse_reply_entry(req, &none);
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct vfs *v = &op_server(req)->vfs;
	struct vfs_entry e;
	uint32_t dir;
	int err;

	if (!op_name_ok(req, name) || !op_ino(req, parent, &dir))
		return;
	/* "." and "..": somebody opens a file handle whose inode the kernel has forgotten. */
	if (!strcmp(name, "."))
		err = vfs_lookup_ino(v, dir, &e);
	else if (!strcmp(name, ".."))
		err = vfs_lookup_parent(v, dir, &e);
	else
		err = vfs_lookup(v, dir, name, &e);
	if (err == -ENOENT)
		reply_negative(req);
	else
		op_reply_entry(req, err, &e);
}

static void forget_one(struct server *srv, fuse_ino_t nodeid, uint64_t count)
{
	uint32_t ino;

	/* The root was never counted. */
	if (nodeid == FUSE_ROOT_ID || ino_from_nodeid(&srv->vfs.ids, nodeid, &ino))
		return;
	if (!vfs_forget_later(&srv->vfs, ino, count))
		vfs_forget(&srv->vfs, ino, count);
	else if (!loop_put_off())
		vfs_forget_one(&srv->vfs);
}

void op_forget(fuse_req_t req, fuse_ino_t nodeid, uint64_t count)
{
	forget_one(op_server(req), nodeid, count);
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t n, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < n; i++)
		forget_one(op_server(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

void op_getattr(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi)
{
	struct stat st;
	uint32_t ino;
	int err;

	if (!op_ino(req, nodeid, &ino))
		return;
	/* With a file it is a write(2) that asks. */
	err = fi ? op_late_take(op_server(req), ino) : 0;
	if (!err)
		err = vfs_getattr(&op_server(req)->vfs, ino, &st);
	op_reply_stat(req, err, ino, &st);
}

/* FUSE's bits for what a setattr sets, and ours. */
static const struct { int fuse; unsigned vfs; } set_bits[] = {
	{ FUSE_SET_ATTR_MODE, VFS_SET_MODE }, { FUSE_SET_ATTR_UID, VFS_SET_UID },
	{ FUSE_SET_ATTR_GID, VFS_SET_GID }, { FUSE_SET_ATTR_SIZE, VFS_SET_SIZE },
	{ FUSE_SET_ATTR_ATIME, VFS_SET_ATIME },
	{ FUSE_SET_ATTR_ATIME_NOW, VFS_SET_ATIME | VFS_SET_ATIME_NOW },
	{ FUSE_SET_ATTR_MTIME, VFS_SET_MTIME }, { FUSE_SET_ATTR_MTIME_NOW, VFS_SET_MTIME },
	{ FUSE_SET_ATTR_CTIME, VFS_SET_CTIME },
};

static unsigned resolve_setattr(struct stat *st, int to_set)
{
	struct timespec now;
	unsigned what = 0;

	for (size_t i = 0; i < sizeof(set_bits) / sizeof(set_bits[0]); i++)
		if (to_set & set_bits[i].fuse)
			what |= set_bits[i].vfs;
	if (to_set & (FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW)) {
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
		if (to_set & FUSE_SET_ATTR_ATIME_NOW)
			st->st_atim = now;
		if (to_set & FUSE_SET_ATTR_MTIME_NOW)
			st->st_mtim = now;
	}
	return what;
}

void op_setattr(fuse_req_t req, fuse_ino_t nodeid, struct stat *st, int to_set,
		struct fuse_file_info *fi)
{
	unsigned what = resolve_setattr(st, to_set);
	const struct vfs_cred cred = op_cred(req);
	struct server *srv = op_server(req);
	struct stat new;
	uint32_t ino;
	int err;

	if (!op_ino(req, nodeid, &ino))
		return;
	/* Nobody but its write-back names a file for times alone. */
	if (fi && !(what & VFS_SET_SIZE))
		what |= VFS_SET_LATE;
	err = vfs_setattr(&srv->vfs, ino, st, what, op_kill_suid_wanted(srv), &cred, &new);
	op_reply_stat(req, err, ino, &new);
}

void op_statfs(fuse_req_t req, fuse_ino_t nodeid)
{
	struct statvfs st;
	int err = vfs_statfs(&op_server(req)->vfs, &st);

	if (err)
		op_reply_err(req, err);
	else
		fuse_reply_statfs(req, &st);
}
