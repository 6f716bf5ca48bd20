// SPDX-License-Identifier: GPL-2.0-or-later
/* The role of a server that mounts a file system: op_*.c over vfs. */
#include "op.h"

#include "status.h"
#include "transport/sftp.h"

/* An image with holes needs room there for what is free in here. */
static void compare_room(struct server *srv)
{
	const unsigned mib_shift = 20;
	struct sftp_status far;
	struct statvfs here;
	uint64_t free_len;

	if (!srv->device.remote || srv->opt->readonly || vfs_statfs(&srv->vfs, &here))
		return;
	sftp_dev_status(srv->device.remote, &far);
	free_len = (uint64_t)here.f_bfree * here.f_frsize;
	if (far.knows_free && far.free_len < free_len)
		daemon_printf(srv->daemon, VFS_LOG_WARN, "the server's disk has %llu MiB left, this "
			      "file system %llu MiB: if the image there is sparse, writing may fail",
			      (unsigned long long)(far.free_len >> mib_shift),
			      (unsigned long long)(free_len >> mib_shift));
}

static int open_fs(struct server *srv, char *why, size_t why_len)
{
	struct options opt = *srv->opt;
	int err;

	/* What the superblock notes; a descriptor that was passed is no place. */
	opt.mountpoint = server_passed_on(srv) ? NULL : srv->mountpoint;
	err = vfs_open(&opt, srv->dev, daemon_log, srv->daemon, &srv->vfs, why, why_len);
	if (!err)
		compare_room(srv);
	return err;
}

static int close_fs(struct server *srv)
{
	return vfs_close(&srv->vfs);
}

static void carry_out_forget(void *server)
{
	struct server *srv = server;

	vfs_forget_one(&srv->vfs);
}

const struct server_role server_fs_role = {
	.ops = &op_table,
	.filter = op_raw,
	.too_late = op_too_late,
	.spare = carry_out_forget,
	.amend_init = op_amend_init,
	.open = open_fs,
	.close = close_fs,
	.add_status = status_add_fs,
};
