/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sleeps before each call. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "dev_delay.h"

struct dev_delay {
	struct blkdev dev;
	struct blkdev *lower;		/* [init only] */
	bool own_lower;			/* [init only] */
	struct dev_delay_times times;	/* [init only] */
};

static struct dev_delay *to_delay(struct blkdev *dev)
{
	return (struct dev_delay *)dev;
}

static void wait_us(unsigned us)
{
	struct timespec ts = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L };

	while (us && nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

static int delay_read(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	wait_us(to_delay(dev)->times.read_us);
	return blkdev_read(to_delay(dev)->lower, buf, len, off);
}

static int delay_write(struct blkdev *dev, const void *buf, size_t len, uint64_t off)
{
	wait_us(to_delay(dev)->times.write_us);
	return blkdev_write(to_delay(dev)->lower, buf, len, off);
}

static int delay_flush(struct blkdev *dev)
{
	wait_us(to_delay(dev)->times.flush_us);
	return blkdev_flush(to_delay(dev)->lower);
}

static int delay_discard(struct blkdev *dev, uint64_t off, uint64_t len)
{
	wait_us(to_delay(dev)->times.discard_us);
	return blkdev_discard(to_delay(dev)->lower, off, len);
}

static int delay_close(struct blkdev *dev)
{
	struct dev_delay *d = to_delay(dev);
	int err = d->own_lower ? blkdev_close(d->lower) : 0;

	free(d);
	return err;
}

static const struct blkdev_ops delay_ops = {
	.read = delay_read,
	.write = delay_write,
	.flush = delay_flush,
	.discard = delay_discard,
	.close = delay_close,
};

int dev_delay_open(struct blkdev *lower, bool own_lower, const struct dev_delay_times *times,
		   struct blkdev **ret)
{
	struct dev_delay *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->dev.ops = &delay_ops;
	d->dev.info = lower->info;
	d->lower = lower;
	d->own_lower = own_lower;
	d->times = *times;
	*ret = &d->dev;
	return 0;
}
