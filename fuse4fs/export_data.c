// SPDX-License-Identifier: GPL-2.0-or-later
/* The exported device's bytes: requests become calls on the block device below. */
#include "export_int.h"

#include <errno.h>
#include <fcntl.h>

#include "blkdev.h"
#include "loop.h"

static int check_node(fuse_ino_t node)
{
	return node == EXPORT_DEVICE ? 0 : node == EXPORT_ROOT ? -EISDIR : -ESTALE;
}

/* Bytes of [off, off + len) that the device has. */
static size_t inside(const struct blkdev *dev, uint64_t off, size_t len)
{
	const uint64_t size = blkdev_size(dev);

	if (off >= size)
		return 0;
	return len < size - off ? len : (size_t)(size - off);
}

static void reply_err(fuse_req_t req, int err)
{
	/* ENOSYS would turn the operation off for good. */
	fuse_reply_err(req, err == -ENOSYS ? EOPNOTSUPP : -err);
}

void export_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
		 struct fuse_file_info *fi)
{
	struct blkdev *dev = export_server(req)->dev;
	char *buf = loop_reply_buffer();
	int err = check_node(node);
	size_t len;

	(void)fi;
	len = inside(dev, (uint64_t)off, size < LOOP_TRANSFER_MAX ? size : LOOP_TRANSFER_MAX);
	if (!err)
		err = blkdev_read(dev, buf, len, (uint64_t)off);
	if (err)
		reply_err(req, err);
	else
		fuse_reply_buf(req, buf, len);
}

void export_write(fuse_req_t req, fuse_ino_t node, const char *buf, size_t size, off_t off,
		  struct fuse_file_info *fi)
{
	struct server *srv = export_server(req);
	const size_t len = inside(srv->dev, (uint64_t)off, size);
	int err = check_node(node);

	(void)fi;
	if (!err && size && !len)
		err = -ENOSPC;
	if (!err)
		err = blkdev_write(srv->dev, buf, len, (uint64_t)off);
	if (err) {
		reply_err(req, err);
		return;
	}
	export_touch(srv);
	fuse_reply_write(req, len);
}

/* A hole where one can be made; what is encrypted has none, a discard would leave noise. */
static int punch(struct blkdev *dev, uint64_t off, uint64_t len)
{
	int err = dev->info.discard_zeros ? blkdev_discard(dev, off, len) : -EOPNOTSUPP;

	return err == -EOPNOTSUPP ? blkdev_write_zeros(dev, off, len) : err;
}

/* Space is not promised: a sparse image's blocks come with the writes. */
void export_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t off, off_t len,
		      struct fuse_file_info *fi)
{
	struct server *srv = export_server(req);
	const uint64_t size = blkdev_size(srv->dev);
	const int zeroing = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
	int err = check_node(node);

	(void)fi;
	if (!err && (!(mode & zeroing) || (mode & ~(zeroing | FALLOC_FL_KEEP_SIZE))))
		err = -EOPNOTSUPP;
	if (!err && (mode & FALLOC_FL_ZERO_RANGE) && !(mode & FALLOC_FL_KEEP_SIZE) &&
	    ((uint64_t)off > size || (uint64_t)len > size - (uint64_t)off))
		err = -ENOSPC;
	if (!err && (uint64_t)off < size) {
		uint64_t n = (uint64_t)len < size - (uint64_t)off ? (uint64_t)len
								   : size - (uint64_t)off;

		loop_detach();
		err = mode & FALLOC_FL_PUNCH_HOLE ? punch(srv->dev, (uint64_t)off, n)
						  : blkdev_write_zeros(srv->dev, (uint64_t)off, n);
		export_touch(srv);
	}
	reply_err(req, err);
}

void export_fsync(fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *fi)
{
	struct blkdev *dev = export_server(req)->dev;

	(void)node, (void)datasync, (void)fi;
	loop_detach();
	reply_err(req, dev->info.readonly ? 0 : blkdev_flush(dev));
}
