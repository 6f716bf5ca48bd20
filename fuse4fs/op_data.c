// SPDX-License-Identifier: GPL-2.0-or-later
/* The contents of files: transfers, syncing, space, holes. */
#include "op.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "loop.h"

static bool get_file(fuse_req_t req, fuse_ino_t nodeid, const struct fuse_file_info *fi,
		     struct vfs_file *ret)
{
	uint32_t ino;
	int err;

	if (!op_ino(req, nodeid, &ino))
		return false;
	err = vfs_file_get(&op_server(req)->vfs, ino, fi ? fi->fh : 0, ret);
	if (err)
		op_reply_err(req, err);
	return !err;
}

void op_read(fuse_req_t req, fuse_ino_t nodeid, size_t size, off_t off, struct fuse_file_info *fi)
{
	char *buf = loop_reply_buffer();
	struct vfs_file f;
	ssize_t n;

	if (!get_file(req, nodeid, fi, &f))
		return;
	if (size > LOOP_TRANSFER_MAX)
		size = LOOP_TRANSFER_MAX;
	n = vfs_read(&f, buf, size, (uint64_t)off);
	vfs_file_put(&f);
	if (n < 0)
		op_reply_err(req, (int)n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

/* The mode changes behind the kernel's back, so it is told to ask again. */
static int kill_suid(struct server *srv, fuse_ino_t nodeid, struct vfs_file *f)
{
	int changed = vfs_kill_suid(f);

	if (changed > 0)
		fuse_lowlevel_notify_inval_inode(srv->se, nodeid, -1, 0);
	return changed < 0 ? changed : 0;
}

/* Of a write the kernel says whether set-user-ID has to go, of other changes it does not. */
static int kill_suid_unasked(fuse_req_t req, fuse_ino_t nodeid, struct vfs_file *f)
{
	return op_is_root(req) ? 0 : kill_suid(op_server(req), nodeid, f);
}

/*
 * The kernel takes a short count of a direct write for EIO: it is told why the rest could not be
 * written, and takes the size back.
 */
static ssize_t write_all(struct vfs_file *f, const char *buf, size_t size, uint64_t off)
{
	ssize_t n = 0;

	for (size_t done = 0; done < size; done += (size_t)n) {
		n = vfs_write(f, buf + done, size - done, off + done, false);
		if (n <= 0)
			return n;
	}
	return (ssize_t)size;
}

void op_write(fuse_req_t req, fuse_ino_t nodeid, const char *buf, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	struct server *srv = op_server(req);
	struct vfs_file f;
	uint32_t ino;
	ssize_t n;

	if (!get_file(req, nodeid, fi, &f))
		return;
	n = op_kill_suid_wanted(srv) ? kill_suid(srv, nodeid, &f) : 0;
	if (!n && fi && !fi->writepage && (fi->flags & O_DIRECT))
		n = write_all(&f, buf, size, (uint64_t)off);
	else if (!n)
		n = vfs_write(&f, buf, size, (uint64_t)off, fi && fi->writepage);
	vfs_file_put(&f);
	if (n < 0 && fi && fi->writepage && op_ino(req, nodeid, &ino))
		op_late_note(srv, nodeid, ino, (int)n);
	if (n < 0)
		op_reply_err(req, (int)n);
	else
		fuse_reply_write(req, (size_t)n);
}

/* Files and directories, whatever the descriptor was opened for. */
void op_fsync(fuse_req_t req, fuse_ino_t nodeid, int datasync, struct fuse_file_info *fi)
{
	struct server *srv = op_server(req);
	struct vfs_file f;
	uint32_t ino;
	int err;

	if (!get_file(req, nodeid, fi, &f))
		return;
	loop_detach();
	/* What failed before is told by this fsync; what fails from now on is not. */
	if (ino_from_nodeid(&srv->vfs.ids, nodeid, &ino) == 0)
		op_late_take(srv, ino);
	err = vfs_fsync(&f, datasync);
	vfs_file_put(&f);
	op_reply_err(req, err);
}

void op_fallocate(fuse_req_t req, fuse_ino_t nodeid, int mode, off_t off, off_t len,
		  struct fuse_file_info *fi)
{
	struct vfs_file f;
	int err;

	if (!get_file(req, nodeid, fi, &f))
		return;
	err = kill_suid_unasked(req, nodeid, &f);
	if (!err)
		err = vfs_fallocate(&f, mode, (uint64_t)off, (uint64_t)len);
	vfs_file_put(&f);
	op_reply_err(req, err);
}

/*
 * Pages that were written but are still only in the page cache would look like a hole: the
 * kernel does not write them back before it asks. Invalidating them makes it. Without a
 * thread to serve those writes the caller is told to do without, and reads everything.
 */
static int64_t seek_with_writers(fuse_req_t req, fuse_ino_t nodeid, struct vfs_file *f, off_t off,
				 int whence)
{
	if (!loop_callback_begin())
		return -EOPNOTSUPP;
	fuse_lowlevel_notify_inval_inode(op_server(req)->se, nodeid, 0, 0);
	loop_callback_end();
	return vfs_seek(f, (uint64_t)off, whence);
}

void op_lseek(fuse_req_t req, fuse_ino_t nodeid, off_t off, int whence,
	      struct fuse_file_info *fi)
{
	struct vfs_file f;
	int64_t pos;

	if (!get_file(req, nodeid, fi, &f))
		return;
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		pos = -EINVAL;
	else if (vfs_has_writers(&f))
		pos = seek_with_writers(req, nodeid, &f, off, whence);
	else
		pos = vfs_seek(&f, (uint64_t)off, whence);
	vfs_file_put(&f);
	if (pos < 0)
		op_reply_err(req, (int)pos);
	else
		fuse_reply_lseek(req, pos);
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t nodeid_in, off_t off_in,
			struct fuse_file_info *fi_in, fuse_ino_t nodeid_out, off_t off_out,
			struct fuse_file_info *fi_out, size_t len, int flags)
{
	struct vfs_file in, out;
	ssize_t n;

	if (!get_file(req, nodeid_in, fi_in, &in))
		return;
	if (!get_file(req, nodeid_out, fi_out, &out)) {
		vfs_file_put(&in);
		return;
	}
	loop_detach();
	n = flags ? -EINVAL : kill_suid_unasked(req, nodeid_out, &out);
	if (!n)
		n = vfs_copy(&in, (uint64_t)off_in, &out, (uint64_t)off_out, len);
	vfs_file_put(&in);
	vfs_file_put(&out);
	if (n < 0)
		op_reply_err(req, (int)n);
	else
		fuse_reply_write(req, (size_t)n);
}

void op_bmap(fuse_req_t req, fuse_ino_t nodeid, size_t block_size, uint64_t block)
{
	uint32_t ino;
	int err;

	if (!op_ino(req, nodeid, &ino))
		return;
	err = vfs_bmap(&op_server(req)->vfs, ino, (uint32_t)block_size, &block);
	if (err)
		op_reply_err(req, err);
	else
		fuse_reply_bmap(req, block);
}
