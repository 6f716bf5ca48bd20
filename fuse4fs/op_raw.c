// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests libfuse 3.14 does not know, answered or rewritten before it sees them.
 *
 * TMPFILE has the body of CREATE and the name "/", which no CREATE can have: it becomes one.
 * STATX brings the birth time and the inode flags to stat(1); SYNCFS, once kernels send it
 * to servers like this one, is a commit. Newer libfuse know some of them; it is the same
 * code for all.
 */
#include "op.h"

#include <errno.h>
#include <linux/fuse.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "loop.h"

enum { OPCODE_STATX = 52 };

/* Protocol 7.39; the headers of Debian 12 stop at 7.38. */
struct wire_time {
	int64_t sec;
	uint32_t nsec;
	int32_t reserved;
};

struct wire_statx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, spare0;
	uint64_t ino, size, blocks, attributes_mask;
	struct wire_time atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t spare2[14];
};

struct wire_statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec, flags;
	uint64_t spare[2];
	struct wire_statx stat;
};
_Static_assert(sizeof(struct wire_statx_out) == 288, "fuse_statx_out");

static void send_raw(struct server *srv, const struct fuse_in_header *in, int err, void *body,
		     size_t len)
{
	struct fuse_out_header out = { .unique = in->unique, .error = err };
	struct iovec iov[2] = { { &out, sizeof(out) }, { body, err ? 0 : len } };

	out.len = (uint32_t)(sizeof(out) + iov[1].iov_len);
	/* Nothing to do about a caller that is gone. */
	if (writev(fuse_session_fd(srv->se), iov, err || !len ? 1 : 2) < 0)
		return;
}

static struct wire_time wire_time(struct timespec t)
{
	return (struct wire_time){ .sec = t.tv_sec, .nsec = (uint32_t)t.tv_nsec };
}

/* Flags of the inode, as statx(2) names them. */
static uint64_t statx_attributes(uint32_t flags)
{
	return (flags & FS_IMMUTABLE_FL ? STATX_ATTR_IMMUTABLE : 0) |
	       (flags & FS_APPEND_FL ? STATX_ATTR_APPEND : 0) |
	       (flags & FS_NODUMP_FL ? STATX_ATTR_NODUMP : 0);
}

static struct wire_statx wire_statx(const struct stat *st, struct timespec birth, uint32_t flags)
{
	return (struct wire_statx){
		.mask = STATX_BASIC_STATS | (birth.tv_sec || birth.tv_nsec ? STATX_BTIME : 0),
		.blksize = (uint32_t)st->st_blksize,
		.attributes = statx_attributes(flags),
		.attributes_mask = STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP,
		.nlink = (uint32_t)st->st_nlink, .uid = st->st_uid, .gid = st->st_gid,
		.mode = (uint16_t)st->st_mode, .ino = st->st_ino,
		.size = (uint64_t)st->st_size, .blocks = (uint64_t)st->st_blocks,
		.atime = wire_time(st->st_atim), .btime = wire_time(birth),
		.ctime = wire_time(st->st_ctim), .mtime = wire_time(st->st_mtim),
		.rdev_major = major(st->st_rdev), .rdev_minor = minor(st->st_rdev),
	};
}

static void raw_statx(struct server *srv, const struct fuse_in_header *in)
{
	struct wire_statx_out out = { 0 };
	struct timespec birth = { 0 };
	uint32_t ino, flags = 0;
	struct stat st;
	int err = ino_from_nodeid(&srv->vfs.ids, in->nodeid, &ino);

	if (!err)
		err = vfs_getattr(&srv->vfs, ino, &st);
	if (!err)
		err = vfs_birth_time(&srv->vfs, ino, &birth, &flags);
	if (!err) {
		out.attr_valid = (uint64_t)op_attr_sec(srv, ino);
		out.stat = wire_statx(&st, birth, flags);
	}
	send_raw(srv, in, err, &out, sizeof(out));
}

/*
 * libfuse reads the short form of SETXATTR, so the long one is shortened. Its one flag moves
 * to the header's unused half-word.
 */
static void shorten_setxattr(struct fuse_in_header *in, size_t len)
{
	const size_t extra = sizeof(struct fuse_setxattr_in) - FUSE_COMPAT_SETXATTR_IN_SIZE;
	struct fuse_setxattr_in *body = (void *)(in + 1);
	char *end = (char *)body + FUSE_COMPAT_SETXATTR_IN_SIZE;

	if (len < sizeof(*in) + sizeof(*body))
		return;
	in->padding = body->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID;
	memmove(end, end + extra, len - sizeof(*in) - sizeof(*body));
	in->len -= (uint32_t)extra;
}

bool op_raw(void *arg, void *request, size_t len)
{
	struct fuse_in_header *in = request;
	struct server *srv = arg;

	switch (in->opcode) {
	case FUSE_TMPFILE:
		if (len > sizeof(*in) + sizeof(struct fuse_create_in))
			in->opcode = FUSE_CREATE;
		return false;
	case FUSE_SETXATTR:
		if (srv->setxattr_ext)
			shorten_setxattr(in, len);
		return false;
	case OPCODE_STATX:
		raw_statx(srv, in);
		return true;
	case FUSE_SYNCFS:
		loop_detach();
		send_raw(srv, in, vfs_sync(&srv->vfs), NULL, 0);
		return true;
	default:
		return false;
	}
}

bool op_kill_suid_wanted(struct server *srv)
{
	const struct fuse_in_header *in = loop_request();
	const void *body;

	if (!in)
		return false;
	if (in->opcode == FUSE_SETXATTR)
		return srv->setxattr_ext && in->padding;
	if (!srv->kill_suid)
		return false;
	body = in + 1;
	if (in->opcode == FUSE_WRITE)
		return ((const struct fuse_write_in *)body)->write_flags & FUSE_WRITE_KILL_SUIDGID;
	if (in->opcode == FUSE_SETATTR)
		return ((const struct fuse_setattr_in *)body)->valid & FATTR_KILL_SUIDGID;
	return false;
}
