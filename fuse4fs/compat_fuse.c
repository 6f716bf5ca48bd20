// SPDX-License-Identifier: GPL-2.0-or-later
/* What differs between libfuse 3.14 and 3.18; see compat_fuse.h. */
#include "compat_fuse.h"

#include <errno.h>
#include <unistd.h>

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
static void set_both(struct fuse_conn_info *conn, uint32_t want)
{
	conn->want = want;
	conn->want_ext = (conn->want_ext & ~(uint64_t)UINT32_MAX) | want;
}
#else
static void set_both(struct fuse_conn_info *conn, uint32_t want)
{
	conn->want = want;
}
#endif

void compat_fuse_want(struct fuse_conn_info *conn, uint32_t want, uint32_t refuse)
{
	set_both(conn, (conn->want | (conn->capable & want)) & ~refuse);
}

/* libfuse asks for a reader, too; ours is loop.c, which reads the descriptor itself. */
static ssize_t never_read(int fd, void *buf, size_t len, void *userdata)
{
	(void)fd, (void)buf, (void)len, (void)userdata;
	errno = EIO;
	return -1;
}

int compat_fuse_intercept(struct fuse_session *se, compat_fuse_writev send)
{
	const struct fuse_custom_io io = { .writev = send, .read = never_read };

	return fuse_session_custom_io(se, &io, fuse_session_fd(se));
}
