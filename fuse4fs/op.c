// SPDX-License-Identifier: GPL-2.0-or-later
/* The table of operations, and how they reply. */
#include "op.h"

#include <errno.h>
#include <string.h>

const struct fuse_lowlevel_ops op_table = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.statfs = op_statfs,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.symlink = op_symlink,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.create = op_create,		/* O_TMPFILE, too: op_raw.c */
	.release = op_release,
	.flush = op_flush,
	.opendir = op_opendir,
	.releasedir = op_releasedir,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
	.fsyncdir = op_fsync,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.copy_file_range = op_copy_file_range,
	.bmap = op_bmap,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.setxattr = op_setxattr,
	.removexattr = op_removexattr,
	.ioctl = op_ioctl,
};

void op_reply_err(fuse_req_t req, int err)
{
	fuse_reply_err(req, err == -ENOSYS ? EOPNOTSUPP : -err);
}

bool op_ino(fuse_req_t req, fuse_ino_t nodeid, uint32_t *ret_ino)
{
	int err = ino_from_nodeid(&op_server(req)->vfs.ids, nodeid, ret_ino);

	if (err)
		op_reply_err(req, err);
	return !err;
}

bool op_name_ok(fuse_req_t req, const char *name)
{
	/* The kernel passes longer names on. */
	if (strnlen(name, OP_NAME_MAX + 1) <= OP_NAME_MAX)
		return true;
	op_reply_err(req, -ENAMETOOLONG);
	return false;
}

bool op_is_root(fuse_req_t req)
{
	return fuse_req_ctx(req)->uid == 0;
}

struct vfs_cred op_cred(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct vfs_cred){ .uid = ctx->uid, .gid = ctx->gid,
				  .umask = (uint16_t)(ctx->umask & 0777), .root = ctx->uid == 0 };
}

double op_attr_sec(struct server *srv, uint32_t ino)
{
	return vfs_is_open(&srv->vfs, ino) ? OP_OPEN_SEC : OP_FOREVER_SEC;
}

void op_reply_stat(fuse_req_t req, int err, uint32_t ino, const struct stat *st)
{
	if (err)
		op_reply_err(req, err);
	else
		fuse_reply_attr(req, st, op_attr_sec(op_server(req), ino));
}

struct fuse_entry_param op_entry_param(struct server *srv, const struct vfs_entry *e)
{
	return (struct fuse_entry_param){
		.ino = ino_to_nodeid(&srv->vfs.ids, e->ino),
		.generation = e->gen,
		.attr = e->st,
		.attr_timeout = op_attr_sec(srv, e->ino),
		.entry_timeout = OP_FOREVER_SEC,
	};
}

void op_reply_entry(fuse_req_t req, int err, const struct vfs_entry *e)
{
	struct server *srv = op_server(req);
	struct fuse_entry_param p;

	if (err) {
		op_reply_err(req, err);
		return;
	}
	p = op_entry_param(srv, e);
	if (fuse_reply_entry(req, &p))
		vfs_forget(&srv->vfs, e->ino, 1);
}
