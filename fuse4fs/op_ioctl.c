// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ioctl(2): chattr and its kin, labels, trimming, shutting down, and our own --status.
 *
 * The kernel copies the argument by the size in the command's number. Some of ext4's
 * commands say "long" and mean int, so what goes back is never more than the 4 bytes a
 * caller has room for.
 */
#include "op.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "loop.h"
#include "status.h"

/* From the kernel's fs/ext4/ext4.h; not in installed headers. */
#define EXT4_IOC_GETVERSION	_IOR('f', 3, long)
#define EXT4_IOC_SETVERSION	_IOW('f', 4, long)
#define EXT4_IOC_SHUTDOWN	_IOR('X', 125, uint32_t)
#define IOC_GETFSUUID		_IOR(0x15, 0, struct fs_uuid)

struct fs_uuid {
	uint8_t len;
	uint8_t uuid[16];
};

struct ioctl_ctx {
	fuse_req_t req;
	struct server *srv;
	fuse_ino_t nodeid;
	uint32_t ino;
	const void *in;		/* at least the handler's in_size bytes */
	char *out;		/* room for STATUS_BYTES */
};

/* Length of the answer in ctx->out, or -errno. */
typedef ssize_t (*ioctl_fn)(struct ioctl_ctx *ctx);

enum { ANYONE, OWNER, ADMIN };

/* Attributes changed behind the kernel's back: ctime at the least. */
static ssize_t changed(struct ioctl_ctx *ctx, int err)
{
	if (!err)
		fuse_lowlevel_notify_inval_inode(ctx->srv->se, ctx->nodeid, -1, 0);
	return err;
}

/* What write(2) has taken is written before a flag forbids it. Without a thread to serve that
 * its writer is told by fsync(2) that it was refused. */
static void write_back(struct ioctl_ctx *ctx)
{
	if (!loop_callback_begin())
		return;
	fuse_lowlevel_notify_inval_inode(ctx->srv->se, ctx->nodeid, 0, 0);
	loop_callback_end();
}

static ssize_t get_flags(struct ioctl_ctx *ctx)
{
	uint32_t flags;
	int err = vfs_get_flags(&ctx->srv->vfs, ctx->ino, &flags);

	if (err)
		return err;
	memcpy(ctx->out, &flags, sizeof(flags));
	return sizeof(flags);
}

static ssize_t set_flags(struct ioctl_ctx *ctx)
{
	uint32_t flags;

	memcpy(&flags, ctx->in, sizeof(flags));
	if (flags & FS_IMMUTABLE_FL)
		write_back(ctx);
	return changed(ctx, vfs_set_flags(&ctx->srv->vfs, ctx->ino, flags,
					  op_is_root(ctx->req)));
}

static ssize_t get_version(struct ioctl_ctx *ctx)
{
	uint32_t gen;
	int err = vfs_get_generation(&ctx->srv->vfs, ctx->ino, &gen);

	if (err)
		return err;
	memcpy(ctx->out, &gen, sizeof(gen));
	return sizeof(gen);
}

static ssize_t set_version(struct ioctl_ctx *ctx)
{
	uint32_t gen;

	memcpy(&gen, ctx->in, sizeof(gen));
	return changed(ctx, vfs_set_generation(&ctx->srv->vfs, ctx->ino, gen));
}

static ssize_t get_xflags(struct ioctl_ctx *ctx)
{
	struct fsxattr out = { 0 };
	struct vfs_xattr x;
	int err = vfs_get_xflags(&ctx->srv->vfs, ctx->ino, &x);

	if (err)
		return err;
	out.fsx_xflags = x.xflags;
	out.fsx_projid = x.projid;
	memcpy(ctx->out, &out, sizeof(out));
	return sizeof(out);
}

static ssize_t set_xflags(struct ioctl_ctx *ctx)
{
	struct fsxattr in;
	struct vfs_xattr x;

	memcpy(&in, ctx->in, sizeof(in));
	if (in.fsx_extsize || in.fsx_cowextsize)
		return -EOPNOTSUPP;
	if (in.fsx_xflags & FS_XFLAG_IMMUTABLE)
		write_back(ctx);
	x = (struct vfs_xattr){ .xflags = in.fsx_xflags, .projid = in.fsx_projid };
	return changed(ctx, vfs_set_xflags(&ctx->srv->vfs, ctx->ino, &x, op_is_root(ctx->req)));
}

static ssize_t get_label(struct ioctl_ctx *ctx)
{
	char label[VFS_LABEL_MAX + 1] = "";
	int err = vfs_get_label(&ctx->srv->vfs, label);

	if (err)
		return err;
	memset(ctx->out, 0, FSLABEL_MAX);
	memcpy(ctx->out, label, sizeof(label));
	return FSLABEL_MAX;
}

static ssize_t set_label(struct ioctl_ctx *ctx)
{
	const char *label = ctx->in;

	if (strnlen(label, FSLABEL_MAX) > VFS_LABEL_MAX)
		return -EINVAL;
	return vfs_set_label(&ctx->srv->vfs, label);
}

static ssize_t get_uuid(struct ioctl_ctx *ctx)
{
	struct fs_uuid uuid = { .len = sizeof(uuid.uuid) };
	int err = vfs_get_uuid(&ctx->srv->vfs, uuid.uuid);

	if (err)
		return err;
	memcpy(ctx->out, &uuid, sizeof(uuid));
	return sizeof(uuid);
}

static ssize_t trim(struct ioctl_ctx *ctx)
{
	struct fstrim_range range;
	uint64_t trimmed;
	int err;

	memcpy(&range, ctx->in, sizeof(range));
	err = vfs_trim(&ctx->srv->vfs, range.start, range.len, range.minlen, &trimmed);
	if (err)
		return err;
	range.len = trimmed;
	memcpy(ctx->out, &range, sizeof(range));
	return sizeof(range);
}

/* The command's number says that it only returns data, so the flags in its argument never
 * get here: the gentlest meaning, everything is committed first. */
static ssize_t shutdown_fs(struct ioctl_ctx *ctx)
{
	return vfs_shutdown(&ctx->srv->vfs, true);
}

static ssize_t status_text(struct ioctl_ctx *ctx)
{
	return (ssize_t)status_print(ctx->srv, false, ctx->out, STATUS_BYTES);
}

static ssize_t status_json(struct ioctl_ctx *ctx)
{
	return (ssize_t)status_print(ctx->srv, true, ctx->out, STATUS_BYTES);
}

static const struct {
	uint32_t cmd;
	ioctl_fn fn;
	size_t in_size, out_size;	/* bytes the kernel must bring, must have room for */
	int who;
} commands[] = {
	{ (uint32_t)FS_IOC_GETFLAGS, get_flags, 0, 4, ANYONE },
	{ (uint32_t)FS_IOC_SETFLAGS, set_flags, 4, 0, OWNER },
	{ (uint32_t)FS_IOC32_GETFLAGS, get_flags, 0, 4, ANYONE },
	{ (uint32_t)FS_IOC32_SETFLAGS, set_flags, 4, 0, OWNER },
	{ (uint32_t)FS_IOC_GETVERSION, get_version, 0, 4, ANYONE },
	{ (uint32_t)FS_IOC_SETVERSION, set_version, 4, 0, OWNER },
	{ (uint32_t)EXT4_IOC_GETVERSION, get_version, 0, 4, ANYONE },
	{ (uint32_t)EXT4_IOC_SETVERSION, set_version, 4, 0, OWNER },
	{ (uint32_t)FS_IOC_FSGETXATTR, get_xflags, 0, sizeof(struct fsxattr), ANYONE },
	{ (uint32_t)FS_IOC_FSSETXATTR, set_xflags, sizeof(struct fsxattr), 0, OWNER },
	{ (uint32_t)FS_IOC_GETFSLABEL, get_label, 0, FSLABEL_MAX, ANYONE },
	{ (uint32_t)FS_IOC_SETFSLABEL, set_label, FSLABEL_MAX, 0, ADMIN },
	{ (uint32_t)IOC_GETFSUUID, get_uuid, 0, sizeof(struct fs_uuid), ANYONE },
	{ (uint32_t)FITRIM, trim, sizeof(struct fstrim_range), sizeof(struct fstrim_range), ADMIN },
	{ (uint32_t)EXT4_IOC_SHUTDOWN, shutdown_fs, 0, 0, ADMIN },
	{ (uint32_t)STATUS_IOC_TEXT, status_text, 0, STATUS_BYTES, ANYONE },
	{ (uint32_t)STATUS_IOC_JSON, status_json, 0, STATUS_BYTES, ANYONE },
};

/* Newer kernels check most of this, too; older ones leave it to us. */
static int may_ioctl(struct ioctl_ctx *ctx, int who)
{
	struct stat st;
	int err;

	if (who == ANYONE || op_is_root(ctx->req))
		return 0;
	if (who == ADMIN)
		return -EPERM;
	err = vfs_getattr(&ctx->srv->vfs, ctx->ino, &st);
	if (err)
		return err;
	return st.st_uid == fuse_req_ctx(ctx->req)->uid ? 0 : -EPERM;
}

static ssize_t run(struct ioctl_ctx *ctx, uint32_t cmd, size_t in_size, size_t out_size)
{
	int err;

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (commands[i].cmd != cmd)
			continue;
		if (in_size < commands[i].in_size || out_size < commands[i].out_size)
			return -EINVAL;
		err = may_ioctl(ctx, commands[i].who);
		return err ? err : commands[i].fn(ctx);
	}
	return -ENOTTY;
}

void op_ioctl(fuse_req_t req, fuse_ino_t nodeid, unsigned int cmd, void *arg,
	      struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
	      size_t out_size)
{
	char out[STATUS_BYTES];
	struct ioctl_ctx ctx = { .req = req, .srv = op_server(req), .nodeid = nodeid, .in = in,
				 .out = out };
	ssize_t n;

	if (!op_ino(req, nodeid, &ctx.ino))
		return;
	n = run(&ctx, cmd, in_size, out_size);
	if (n < 0)
		op_reply_err(req, (int)n);
	else
		fuse_reply_ioctl(req, 0, out, (size_t)n);
}
