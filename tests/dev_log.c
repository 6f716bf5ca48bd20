/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The layer that logs a device's calls. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "crash_log.h"
#include "dev_log.h"

struct dev_log {
	struct blkdev dev;
	struct blkdev *lower;		/* [init only] */
	int fd;				/* [init only] */
	atomic_ullong serial;		/* [atomic] */
};

static struct dev_log *to_log(struct blkdev *dev)
{
	return (struct dev_log *)dev;
}

static int log_call(struct dev_log *d, struct crash_record *r, const void *data)
{
	r->serial = atomic_fetch_add(&d->serial, 1) + 1;
	return crash_log_write(d->fd, r, data);
}

/* err: what the call returned, and returns now. */
static int log_done(struct dev_log *d, const struct crash_record *call, int err)
{
	const struct crash_record r = {
		.kind = err ? CRASH_CALL_FAILED : CRASH_CALL_DONE, .serial = call->serial,
	};
	int log_err = crash_log_write(d->fd, &r, NULL);

	return err ? err : log_err;
}

static int log_read(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	return blkdev_read(to_log(dev)->lower, buf, len, off);
}

static int log_read_nowait(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	return blkdev_read_nowait(to_log(dev)->lower, buf, len, off);
}

static int log_write(struct blkdev *dev, const void *buf, size_t len, uint64_t off)
{
	struct crash_record r = { .kind = CRASH_WRITE_CALL, .off = off, .len = len };
	struct dev_log *d = to_log(dev);
	int err = log_call(d, &r, buf);

	return err ? err : log_done(d, &r, blkdev_write(d->lower, buf, len, off));
}

static int log_write_zeros(struct blkdev *dev, uint64_t off, uint64_t len)
{
	struct crash_record r = { .kind = CRASH_ZEROS_CALL, .off = off, .len = len };
	struct dev_log *d = to_log(dev);
	int err = log_call(d, &r, NULL);

	return err ? err : log_done(d, &r, blkdev_write_zeros(d->lower, off, len));
}

static int log_discard(struct blkdev *dev, uint64_t off, uint64_t len)
{
	struct crash_record r = { .kind = CRASH_DISCARD_CALL, .off = off, .len = len };
	struct dev_log *d = to_log(dev);
	int err = log_call(d, &r, NULL);

	return err ? err : log_done(d, &r, blkdev_discard(d->lower, off, len));
}

static int log_flush(struct blkdev *dev)
{
	struct crash_record r = { .kind = CRASH_FLUSH_CALL };
	struct dev_log *d = to_log(dev);
	int err = log_call(d, &r, NULL);

	return err ? err : log_done(d, &r, blkdev_flush(d->lower));
}

static void log_prefetch(struct blkdev *dev, uint64_t off, uint64_t len)
{
	blkdev_prefetch(to_log(dev)->lower, off, len);
}

static void log_uncache(struct blkdev *dev, uint64_t off, uint64_t len)
{
	blkdev_uncache(to_log(dev)->lower, off, len);
}

static int log_close(struct blkdev *dev)
{
	struct dev_log *d = to_log(dev);
	int err = blkdev_close(d->lower);

	if (close(d->fd) && !err)
		err = -errno;
	free(d);
	return err;
}

static const struct blkdev_ops log_ops = {
	.read = log_read,
	.read_nowait = log_read_nowait,
	.write = log_write,
	.flush = log_flush,
	.discard = log_discard,
	.write_zeros = log_write_zeros,
	.prefetch = log_prefetch,
	.uncache = log_uncache,
	.close = log_close,
};

int dev_log_open(struct blkdev *lower, const char *path, struct blkdev **ret)
{
	struct dev_log *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->fd = crash_log_create(path);
	if (d->fd < 0) {
		int err = d->fd;

		free(d);
		return err;
	}
	d->dev.ops = &log_ops;
	d->dev.info = lower->info;
	d->lower = lower;
	*ret = &d->dev;
	return 0;
}
