// SPDX-License-Identifier: GPL-2.0-or-later
/* Making, linking, renaming and removing names. */
#include "op.h"

#include <errno.h>
#include <limits.h>

static void make(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev,
		 const char *target)
{
	const struct vfs_cred cred = op_cred(req);
	struct vfs_entry e;
	uint32_t dir;

	if (op_name_ok(req, name) && op_ino(req, parent, &dir))
		op_reply_entry(req, vfs_make(&op_server(req)->vfs, dir, name, mode, rdev, target,
					     &cred, &e), &e);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	make(req, parent, name, mode & S_IFMT ? mode : mode | S_IFREG, rdev, NULL);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	make(req, parent, name, S_IFDIR | (mode & 07777), 0, NULL);
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	make(req, parent, name, S_IFLNK | 0777, 0, target);
}

void op_link(fuse_req_t req, fuse_ino_t nodeid, fuse_ino_t newparent, const char *newname)
{
	struct vfs_entry e;
	uint32_t ino, dir;

	if (op_name_ok(req, newname) && op_ino(req, nodeid, &ino) && op_ino(req, newparent, &dir))
		op_reply_entry(req, vfs_link(&op_server(req)->vfs, ino, dir, newname, &e), &e);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	uint32_t dir;

	if (op_name_ok(req, name) && op_ino(req, parent, &dir))
		op_reply_err(req, vfs_unlink(&op_server(req)->vfs, dir, name));
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	uint32_t dir;

	if (op_name_ok(req, name) && op_ino(req, parent, &dir))
		op_reply_err(req, vfs_rmdir(&op_server(req)->vfs, dir, name));
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	       const char *newname, unsigned flags)
{
	const struct vfs_cred cred = op_cred(req);
	uint32_t dir, newdir;

	if (op_name_ok(req, name) && op_name_ok(req, newname) && op_ino(req, parent, &dir) &&
	    op_ino(req, newparent, &newdir))
		op_reply_err(req, vfs_rename(&op_server(req)->vfs, dir, name, newdir, newname,
					     flags, &cred));
}

void op_readlink(fuse_req_t req, fuse_ino_t nodeid)
{
	char target[PATH_MAX + 1];
	uint32_t ino;
	int err;

	if (!op_ino(req, nodeid, &ino))
		return;
	err = vfs_readlink(&op_server(req)->vfs, ino, target, sizeof(target));
	if (err)
		op_reply_err(req, err);
	else
		fuse_reply_readlink(req, target);
}
