// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is agreed with the kernel, once, at the start.
 *
 * HANDLE_KILLPRIV_V2 is worth going behind libfuse 3.14's back for: without it the kernel
 * asks for security.capability before every write(2), a round trip per call. With it the
 * kernel remembers that there is none, and says in each request when set-user-ID must go.
 * SETXATTR_EXT says the same of an access control list that is set. DIRECT_IO_ALLOW_MMAP lets
 * files be written past the page cache (chattr +S) and mapped all the same.
 */
#include "op.h"

#include <errno.h>
#include <linux/fuse.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "loop.h"

enum {
	MAX_BACKGROUND = 64,
	CONGESTION_THRESHOLD = 48,
	MAX_READAHEAD = 8 << 20,
	/* Before 7.36 (Linux 5.17) cached writes did not clear set-user-ID under V2. */
	KILLPRIV_V2_MINOR = 36,
	/* FUSE_DIRECT_IO_ALLOW_MMAP, bit 36 of the flags: Linux 6.6, newer than some headers. */
	DIRECT_IO_MMAP_2 = 1 << 4,
};

static uint32_t wanted(const struct server *srv)
{
	uint32_t want = FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_READ |
		FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_CACHE_SYMLINKS |
		FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_IOCTL_DIR | FUSE_CAP_DONT_MASK;

	/* Who waits for direct I/O in pieces cannot be killed, and a network may be long in
	 * coming back. */
	if (!srv->device.remote)
		want |= FUSE_CAP_ASYNC_DIO;
	if (!srv->opt->readonly)
		want |= FUSE_CAP_WRITEBACK_CACHE;
	if (!srv->opt->noacl && !srv->opt->squash_uid && !srv->opt->squash_gid)
		want |= FUSE_CAP_POSIX_ACL;
	return want;
}

void op_init(void *userdata, struct fuse_conn_info *conn)
{
	/* Locks stay in the kernel: we are the only writer. O_TRUNC comes as a setattr. */
	const uint32_t refuse = FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_ATOMIC_O_TRUNC |
		FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
		FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_HANDLE_KILLPRIV;
	struct server *srv = userdata;

	compat_fuse_want(conn, wanted(srv),
			 refuse | (srv->device.remote ? FUSE_CAP_ASYNC_DIO : 0));
	if (conn->max_write > LOOP_TRANSFER_MAX)
		conn->max_write = LOOP_TRANSFER_MAX;
	if (conn->max_readahead > MAX_READAHEAD)
		conn->max_readahead = MAX_READAHEAD;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = CONGESTION_THRESHOLD;
	conn->time_gran = vfs_time_gran(&srv->vfs);
	if (conn->want & FUSE_CAP_WRITEBACK_CACHE)
		vfs_client_keeps_times(&srv->vfs);
	srv->no_open = srv->opt->readonly && (conn->capable & FUSE_CAP_NO_OPEN_SUPPORT);
	srv->no_opendir = conn->capable & FUSE_CAP_NO_OPENDIR_SUPPORT;
	srv->proto_minor = conn->proto_minor;
	srv->max_write = conn->max_write;
	srv->max_readahead = conn->max_readahead;
}

void op_amend_init(struct server *srv, const struct fuse_in_header *in, struct fuse_init_out *out)
{
	const struct fuse_init_in *offer = (const void *)(in + 1);

	if (offer->minor >= KILLPRIV_V2_MINOR && (offer->flags & FUSE_HANDLE_KILLPRIV_V2)) {
		out->flags |= FUSE_HANDLE_KILLPRIV_V2;
		srv->kill_suid = true;
	}
	/* Wanted, but libfuse 3.14 does not pass it on. Far away, lookups of one directory could
	 * take all workers: who exits then has to close his files, which the kernel does not
	 * interrupt. */
	if (srv->device.remote)
		out->flags &= ~(uint32_t)FUSE_PARALLEL_DIROPS;
	else
		out->flags |= offer->flags & FUSE_PARALLEL_DIROPS;
	if ((offer->flags & FUSE_INIT_EXT) && (offer->flags2 & DIRECT_IO_MMAP_2)) {
		out->flags |= FUSE_INIT_EXT;
		out->flags2 |= DIRECT_IO_MMAP_2;
		srv->direct_io_mmap = true;
		vfs_sync_files_bypass_cache(&srv->vfs);
	}
	if (offer->flags & FUSE_SETXATTR_EXT) {
		out->flags |= FUSE_SETXATTR_EXT;
		srv->setxattr_ext = true;
	}
}

static bool can_be_amended(const struct fuse_in_header *in, const struct fuse_out_header *out,
			   size_t len)
{
	return !out->error && in->len >= sizeof(*in) + offsetof(struct fuse_init_in, flags2) &&
	       len >= sizeof(*out) + offsetof(struct fuse_init_out, max_background);
}

bool op_serve_init(struct server *srv, void *request, size_t len)
{
	struct {
		struct fuse_out_header header;
		struct fuse_init_out body;
	} reply = { .body = { .major = 0 } };
	struct fuse_in_header *in = request;
	ssize_t n;

	if (len < sizeof(*in) || in->opcode != FUSE_INIT)
		return false;
	n = compat_fuse_answer(srv->se, request, len, &reply, sizeof(reply));
	if (n < (ssize_t)sizeof(reply.header)) {
		fuse_session_exit(srv->se);	/* else the mount would hang */
		return true;
	}
	if (srv->role->amend_init && can_be_amended(in, &reply.header, (size_t)n))
		srv->role->amend_init(srv, in, &reply.body);
	if (write(fuse_session_fd(srv->se), &reply, (size_t)n) != n)
		fuse_session_exit(srv->se);
	else if (!reply.header.error)
		eventfd_write(srv->agreed_fd, 1);	/* the kernel has taken it in by now */
	return true;
}
