// SPDX-License-Identifier: GPL-2.0-or-later
/* The role of a server that mounts a file system: op_*.c over vfs. */
#include "op.h"
#include "status.h"

static int open_fs(struct server *srv, char *why, size_t why_len)
{
	return vfs_open(srv->opt, srv->dev, daemon_log, srv->daemon, &srv->vfs, why, why_len);
}

static int close_fs(struct server *srv)
{
	return vfs_close(&srv->vfs);
}

const struct server_role server_fs_role = {
	.ops = &op_table,
	.filter = op_raw,
	.too_late = op_too_late,
	.amend_init = op_amend_init,
	.open = open_fs,
	.close = close_fs,
	.add_status = status_add_fs,
};
