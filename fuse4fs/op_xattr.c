// SPDX-License-Identifier: GPL-2.0-or-later
/* Extended attributes. */
#include "op.h"

#include <errno.h>

#include "loop.h"

enum { XATTR_REPLY_MAX = 65536 };	/* XATTR_SIZE_MAX, XATTR_LIST_MAX */

/* n: length or -errno; size 0: only the length was asked. */
static void reply_value(fuse_req_t req, ssize_t n, const char *buf, size_t size)
{
	if (n < 0)
		op_reply_err(req, (int)n);
	else if (!size)
		fuse_reply_xattr(req, (size_t)n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

void op_getxattr(fuse_req_t req, fuse_ino_t nodeid, const char *name, size_t size)
{
	char *buf = loop_reply_buffer();
	uint32_t ino;

	if (!op_ino(req, nodeid, &ino))
		return;
	if (size > XATTR_REPLY_MAX)
		size = XATTR_REPLY_MAX;
	reply_value(req, vfs_getxattr(&op_server(req)->vfs, ino, name, buf, size), buf, size);
}

void op_listxattr(fuse_req_t req, fuse_ino_t nodeid, size_t size)
{
	char *buf = loop_reply_buffer();
	uint32_t ino;

	if (!op_ino(req, nodeid, &ino))
		return;
	if (size > XATTR_REPLY_MAX)
		size = XATTR_REPLY_MAX;
	reply_value(req, vfs_listxattr(&op_server(req)->vfs, ino, buf, size, op_is_root(req)),
		    buf, size);
}

static uint64_t sectors_of(struct vfs *v, uint32_t ino)
{
	struct stat st;

	return vfs_getattr(v, ino, &st) ? 0 : (uint64_t)st.st_blocks;
}

/* A block of attributes counts in st_blocks, of which the kernel's client does not think. */
static void tell_sectors(fuse_req_t req, fuse_ino_t nodeid, uint32_t ino, uint64_t before)
{
	struct server *srv = op_server(req);

	if (sectors_of(&srv->vfs, ino) != before)
		fuse_lowlevel_notify_inval_inode(srv->se, nodeid, -1, 0);
}

void op_setxattr(fuse_req_t req, fuse_ino_t nodeid, const char *name, const char *value,
		 size_t size, int flags)
{
	struct vfs *v = &op_server(req)->vfs;
	uint64_t sectors;
	uint32_t ino;
	int err;

	if (!op_ino(req, nodeid, &ino))
		return;
	sectors = sectors_of(v, ino);
	err = vfs_setxattr(v, ino, name, value, size, flags);
	/* An access control list set by somebody outside the file's group. */
	if (!err && op_kill_suid_wanted(op_server(req)))
		err = vfs_kill_sgid(v, ino);
	tell_sectors(req, nodeid, ino, sectors);
	op_reply_err(req, err);
}

void op_removexattr(fuse_req_t req, fuse_ino_t nodeid, const char *name)
{
	struct vfs *v = &op_server(req)->vfs;
	uint64_t sectors;
	uint32_t ino;
	int err;

	if (!op_ino(req, nodeid, &ino))
		return;
	sectors = sectors_of(v, ino);
	err = vfs_removexattr(v, ino, name);
	tell_sectors(req, nodeid, ino, sectors);
	op_reply_err(req, err);
}
