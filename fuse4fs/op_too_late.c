// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests carried out after their caller was told EINTR (loop_keeper.c). The kernel took
 * that for a failure, or for "perhaps"; what it remembers of the names, attributes and bytes
 * concerned is dropped, so that it asks again. Nothing can be done about a directory that
 * somebody stands in, and the kernel does not do more either.
 */
#include "op.h"

#include <linux/fuse.h>
#include <string.h>

#include "loop.h"

enum { ATTRIBUTES = -1 };	/* as offset: no bytes */

/* The directory's entries and times, and the name. */
static void drop_name(struct server *srv, fuse_ino_t dir, const char *name)
{
	fuse_lowlevel_notify_inval_inode(srv->se, dir, ATTRIBUTES, 0);
	fuse_lowlevel_notify_inval_entry(srv->se, dir, name, strnlen(name, OP_NAME_MAX));
}

static void drop_two_names(struct server *srv, const struct fuse_in_header *in, fuse_ino_t newdir,
			   const char *names)
{
	drop_name(srv, in->nodeid, names);
	drop_name(srv, newdir, names + strlen(names) + 1);
}

static void drop_bytes(struct server *srv, fuse_ino_t nodeid)
{
	fuse_lowlevel_notify_inval_inode(srv->se, nodeid, 0, 0);
}

static void drop_all(struct server *srv, const struct fuse_in_header *in)
{
	const void *body = in + 1;

	switch (in->opcode) {
	case FUSE_MKNOD:
		drop_name(srv, in->nodeid, (const char *)body + sizeof(struct fuse_mknod_in));
		break;
	case FUSE_MKDIR:
		drop_name(srv, in->nodeid, (const char *)body + sizeof(struct fuse_mkdir_in));
		break;
	case FUSE_CREATE:
		drop_name(srv, in->nodeid, (const char *)body + sizeof(struct fuse_create_in));
		break;
	case FUSE_LINK:
		drop_name(srv, in->nodeid, (const char *)body + sizeof(struct fuse_link_in));
		fuse_lowlevel_notify_inval_inode(
			srv->se, ((const struct fuse_link_in *)body)->oldnodeid, ATTRIBUTES, 0);
		break;
	case FUSE_SYMLINK:
	case FUSE_UNLINK:
	case FUSE_RMDIR:
		drop_name(srv, in->nodeid, body);
		break;
	case FUSE_RENAME:
		drop_two_names(srv, in, ((const struct fuse_rename_in *)body)->newdir,
			       (const char *)body + sizeof(struct fuse_rename_in));
		break;
	case FUSE_RENAME2:
		drop_two_names(srv, in, ((const struct fuse_rename2_in *)body)->newdir,
			       (const char *)body + sizeof(struct fuse_rename2_in));
		break;
	case FUSE_SETATTR:
	case FUSE_WRITE:
	case FUSE_FALLOCATE:
		drop_bytes(srv, in->nodeid);
		break;
	case FUSE_COPY_FILE_RANGE:
		drop_bytes(srv, ((const struct fuse_copy_file_range_in *)body)->nodeid_out);
		break;
	case FUSE_SETXATTR:
	case FUSE_REMOVEXATTR:
	case FUSE_IOCTL:
		fuse_lowlevel_notify_inval_inode(srv->se, in->nodeid, ATTRIBUTES, 0);
		break;
	default:
		break;
	}
}

void op_too_late(void *arg, const void *request)
{
	struct server *srv = arg;

	/* The kernel may have to write pages back, or wait for who holds the directory. */
	if (!loop_callback_begin())
		return;
	drop_all(srv, request);
	loop_callback_end();
}
