/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A window on another device. The wrapper has checked ranges against the window,
 * the window lies inside the lower device: adding the start cannot overflow.
 */
#include <errno.h>
#include <stdlib.h>

#include "slice.h"

struct slice {
	struct blkdev dev;
	struct blkdev *lower;	/* [init only] owned */
	uint64_t start_off;	/* [init only] */
};

static struct slice *to_slice(struct blkdev *dev)
{
	return (struct slice *)dev;
}

static int slice_read(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	struct slice *s = to_slice(dev);

	return blkdev_read(s->lower, buf, len, s->start_off + off);
}

static int slice_read_nowait(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	struct slice *s = to_slice(dev);

	return blkdev_read_nowait(s->lower, buf, len, s->start_off + off);
}

static int slice_write(struct blkdev *dev, const void *buf, size_t len, uint64_t off)
{
	struct slice *s = to_slice(dev);

	return blkdev_write(s->lower, buf, len, s->start_off + off);
}

static int slice_flush(struct blkdev *dev)
{
	return blkdev_flush(to_slice(dev)->lower);
}

static int slice_discard(struct blkdev *dev, uint64_t off, uint64_t len)
{
	struct slice *s = to_slice(dev);

	return blkdev_discard(s->lower, s->start_off + off, len);
}

static int slice_write_zeros(struct blkdev *dev, uint64_t off, uint64_t len)
{
	struct slice *s = to_slice(dev);

	return blkdev_write_zeros(s->lower, s->start_off + off, len);
}

static void slice_prefetch(struct blkdev *dev, uint64_t off, uint64_t len)
{
	struct slice *s = to_slice(dev);

	blkdev_prefetch(s->lower, s->start_off + off, len);
}

static void slice_uncache(struct blkdev *dev, uint64_t off, uint64_t len)
{
	struct slice *s = to_slice(dev);

	blkdev_uncache(s->lower, s->start_off + off, len);
}

static int slice_close(struct blkdev *dev)
{
	struct slice *s = to_slice(dev);
	int err = blkdev_close(s->lower);

	free(s);
	return err;
}

static const struct blkdev_ops slice_ops = {
	.read = slice_read,
	.read_nowait = slice_read_nowait,
	.write = slice_write,
	.flush = slice_flush,
	.discard = slice_discard,
	.write_zeros = slice_write_zeros,
	.prefetch = slice_prefetch,
	.uncache = slice_uncache,
	.close = slice_close,
};

int slice_dev_open(struct blkdev *lower, uint64_t off, uint64_t len, struct blkdev **ret)
{
	uint64_t size = blkdev_size(lower);
	struct slice *s;

	if (off >= size || len > size - off)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->dev.ops = &slice_ops;
	s->dev.info = lower->info;
	s->dev.info.size = len ? len : size - off;
	s->lower = lower;
	s->start_off = off;
	*ret = &s->dev;
	return 0;
}
