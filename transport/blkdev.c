/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checked calls through which every block device is used.
 *
 * Invariant: an operation of struct blkdev_ops is entered only with a range that
 * lies inside the device and, if it changes bytes, only on a writable device.
 */
#include <errno.h>
#include <stdlib.h>

#include "blkdev.h"
#include "flushes.h"

enum { ZERO_PIECE = 1024 * 1024 };

static bool range_ok(const struct blkdev *dev, uint64_t off, uint64_t len)
{
	return off <= dev->info.size && len <= dev->info.size - off;
}

static void count(atomic_ullong *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static int counted(struct blkdev *dev, int err)
{
	if (err)
		count(&dev->stats.errors, 1);
	return err;
}

static void about_to_wait(struct blkdev *dev, bool is_short)
{
	if (dev->before_wait)
		dev->before_wait(dev->before_wait_arg, is_short);
}

void blkdev_about_to_wait(struct blkdev *dev)
{
	about_to_wait(dev, false);
}

int blkdev_read(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	int err = -EAGAIN;

	if (!range_ok(dev, off, len))
		return -EINVAL;
	if (!len)
		return 0;
	count(&dev->stats.reads, 1);
	count(&dev->stats.read_bytes, len);
	/* Two attempts are worth their price only to somebody who wants to know. */
	if (dev->before_wait && dev->ops->read_nowait)
		err = dev->ops->read_nowait(dev, buf, len, off);
	if (err == -EAGAIN) {
		about_to_wait(dev, len <= BLKDEV_SHORT_READ);
		err = dev->ops->read(dev, buf, len, off);
		if (len <= BLKDEV_SHORT_READ && dev->after_short_wait)
			dev->after_short_wait(dev->before_wait_arg);
	}
	return counted(dev, err);
}

int blkdev_read_nowait(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	int err;

	if (!range_ok(dev, off, len))
		return -EINVAL;
	if (!len)
		return 0;
	if (!dev->ops->read_nowait)
		return -EAGAIN;
	err = dev->ops->read_nowait(dev, buf, len, off);
	if (err == -EAGAIN)
		return err;
	count(&dev->stats.reads, 1);
	count(&dev->stats.read_bytes, len);
	return counted(dev, err);
}

int blkdev_write(struct blkdev *dev, const void *buf, size_t len, uint64_t off)
{
	if (!range_ok(dev, off, len))
		return -EINVAL;
	if (dev->info.readonly)
		return -EROFS;
	if (!len)
		return 0;
	count(&dev->stats.writes, 1);
	count(&dev->stats.write_bytes, len);
	if (len >= BLKDEV_LONG_WRITE)
		blkdev_about_to_wait(dev);
	return counted(dev, dev->ops->write(dev, buf, len, off));
}

static int write_zero_pieces(struct blkdev *dev, uint64_t off, uint64_t len)
{
	size_t piece = len < ZERO_PIECE ? len : ZERO_PIECE;
	void *zeros = calloc(1, piece);
	int err = 0;

	if (!zeros)
		return -ENOMEM;
	while (len && !err) {
		size_t n = len < piece ? len : piece;

		err = blkdev_write(dev, zeros, n, off);
		off += n;
		len -= n;
	}
	free(zeros);
	return err;
}

int blkdev_write_zeros(struct blkdev *dev, uint64_t off, uint64_t len)
{
	int err;

	if (!range_ok(dev, off, len))
		return -EINVAL;
	if (dev->info.readonly)
		return -EROFS;
	if (!len)
		return 0;
	if (!dev->ops->write_zeros)
		return write_zero_pieces(dev, off, len);
	if (len >= BLKDEV_LONG_WRITE)
		blkdev_about_to_wait(dev);
	err = dev->ops->write_zeros(dev, off, len);
	if (err == -EOPNOTSUPP)
		return write_zero_pieces(dev, off, len);
	count(&dev->stats.writes, 1);
	count(&dev->stats.write_bytes, len);
	return counted(dev, err);
}

static int flush(struct blkdev *dev, bool shared)
{
	count(&dev->stats.flushes, 1);
	blkdev_about_to_wait(dev);
	return counted(dev, dev->flushes ? flushes_run(dev->flushes, dev, shared)
					 : dev->ops->flush(dev));
}

int blkdev_flush(struct blkdev *dev)
{
	return flush(dev, true);
}

int blkdev_flush_own(struct blkdev *dev)
{
	return flush(dev, false);
}

int blkdev_discard(struct blkdev *dev, uint64_t off, uint64_t len)
{
	int err;

	if (!range_ok(dev, off, len))
		return -EINVAL;
	if (dev->info.readonly)
		return -EROFS;
	if (!dev->info.can_discard || !dev->ops->discard)
		return -EOPNOTSUPP;
	if (!len)
		return 0;
	count(&dev->stats.discards, 1);
	err = dev->ops->discard(dev, off, len);
	/* Nobody's fault and nothing lost: not an error of the device. */
	return err == -EOPNOTSUPP ? err : counted(dev, err);
}

void blkdev_prefetch(struct blkdev *dev, uint64_t off, uint64_t len)
{
	if (dev->ops->prefetch && len && range_ok(dev, off, len))
		dev->ops->prefetch(dev, off, len);
}

void blkdev_uncache(struct blkdev *dev, uint64_t off, uint64_t len)
{
	if (dev->ops->uncache && len && range_ok(dev, off, len))
		dev->ops->uncache(dev, off, len);
}

int blkdev_close(struct blkdev *dev)
{
	return dev ? dev->ops->close(dev) : 0;
}
