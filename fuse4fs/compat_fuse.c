// SPDX-License-Identifier: GPL-2.0-or-later
/* What differs between libfuse 3.14 and 3.18; see compat_fuse.h. */
#include "compat_fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
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

/*
 * One end of a pair that keeps messages apart takes the place of the session's descriptor.
 * It is kept by dup, which ThreadSanitizer follows as it does not F_DUPFD: what it knows of
 * the kernel's order of replies and requests hangs on the descriptor.
 */
static int swap_in(int fd, int pair[2])
{
	int kept = dup(fd), err = 0;

	if (kept < 0)
		return -errno;
	fcntl(kept, F_SETFD, FD_CLOEXEC);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		err = -errno;
	} else if (dup3(pair[1], fd, O_CLOEXEC) < 0) {
		err = -errno;
		close(pair[0]);
		close(pair[1]);
	}
	if (!err)
		return kept;
	close(kept);
	return err;
}

ssize_t compat_fuse_answer(struct fuse_session *se, void *request, size_t len, void *reply,
			   size_t size)
{
	const struct fuse_buf buf = { .mem = request, .size = len };
	int fd = fuse_session_fd(se), pair[2] = { -1, -1 }, kept = swap_in(fd, pair);
	ssize_t n;

	if (kept < 0)
		return kept;
	fuse_session_process_buf(se, &buf);
	n = recv(pair[0], reply, size, MSG_DONTWAIT);
	if (n < 0)
		n = errno == EAGAIN ? 0 : -errno;
	if (dup3(kept, fd, O_CLOEXEC) < 0)
		n = -errno;
	close(kept);
	close(pair[0]);
	close(pair[1]);
	return n;
}
