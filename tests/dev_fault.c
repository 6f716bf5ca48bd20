/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fails the Nth call of chosen kinds. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "dev_fault.h"

struct dev_fault {
	struct blkdev dev;
	struct blkdev *lower;	/* [init only] */
	bool own_lower;		/* [init only] */
	pthread_mutex_t lock;
	unsigned ops;		/* [lock] enum dev_fault_op; 0: disarmed */
	uint64_t nth, calls;	/* [lock] */
	int err;		/* [lock] */
	bool forever, fired;	/* [lock] */
	bool (*allow)(void *arg, uint64_t off, uint64_t len);	/* [lock] NULL: all */
	void *allow_arg;
	uint64_t strays;	/* [lock] */
};

static struct dev_fault *to_fault(struct blkdev *dev)
{
	return (struct dev_fault *)dev;
}

static int judge(struct blkdev *dev, enum dev_fault_op op)
{
	struct dev_fault *f = to_fault(dev);
	int err = 0;

	pthread_mutex_lock(&f->lock);
	if (f->ops & op) {
		f->calls++;
		if (f->nth && (f->calls == f->nth || (f->forever && f->calls > f->nth))) {
			f->fired = true;
			err = f->err;
		}
	}
	pthread_mutex_unlock(&f->lock);
	return err;
}

/* One that changes bytes goes through. */
static void watch(struct blkdev *dev, uint64_t off, uint64_t len)
{
	struct dev_fault *f = to_fault(dev);

	pthread_mutex_lock(&f->lock);
	if (f->fired && f->allow && !f->allow(f->allow_arg, off, len))
		f->strays++;
	pthread_mutex_unlock(&f->lock);
}

static int fault_read(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	int err = judge(dev, DEV_FAULT_READ);

	return err ? err : blkdev_read(to_fault(dev)->lower, buf, len, off);
}

static int fault_write(struct blkdev *dev, const void *buf, size_t len, uint64_t off)
{
	int err = judge(dev, DEV_FAULT_WRITE);

	if (err)
		return err;
	watch(dev, off, len);
	return blkdev_write(to_fault(dev)->lower, buf, len, off);
}

static int fault_flush(struct blkdev *dev)
{
	int err = judge(dev, DEV_FAULT_FLUSH);

	return err ? err : blkdev_flush(to_fault(dev)->lower);
}

static int fault_discard(struct blkdev *dev, uint64_t off, uint64_t len)
{
	int err = judge(dev, DEV_FAULT_DISCARD);

	if (err)
		return err;
	watch(dev, off, len);
	return blkdev_discard(to_fault(dev)->lower, off, len);
}

static int fault_close(struct blkdev *dev)
{
	struct dev_fault *f = to_fault(dev);
	int err = f->own_lower ? blkdev_close(f->lower) : 0;

	pthread_mutex_destroy(&f->lock);
	free(f);
	return err;
}

/* No read_nowait: every read is counted once. */
static const struct blkdev_ops fault_ops = {
	.read = fault_read,
	.write = fault_write,
	.flush = fault_flush,
	.discard = fault_discard,
	.close = fault_close,
};

int dev_fault_open(struct blkdev *lower, bool own_lower, struct blkdev **ret)
{
	struct dev_fault *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	pthread_mutex_init(&f->lock, NULL);
	f->dev.ops = &fault_ops;
	f->dev.info = lower->info;
	f->lower = lower;
	f->own_lower = own_lower;
	*ret = &f->dev;
	return 0;
}

void dev_fault_arm(struct blkdev *dev, unsigned ops, uint64_t nth, int err, bool forever)
{
	struct dev_fault *f = to_fault(dev);

	pthread_mutex_lock(&f->lock);
	f->ops = ops;
	f->nth = nth;
	f->calls = 0;
	f->err = err;
	f->forever = forever;
	f->fired = false;
	f->strays = 0;
	pthread_mutex_unlock(&f->lock);
}

void dev_fault_disarm(struct blkdev *dev)
{
	struct dev_fault *f = to_fault(dev);

	pthread_mutex_lock(&f->lock);
	f->ops = 0;
	pthread_mutex_unlock(&f->lock);
}

uint64_t dev_fault_count(struct blkdev *dev)
{
	struct dev_fault *f = to_fault(dev);
	uint64_t n;

	pthread_mutex_lock(&f->lock);
	n = f->calls;
	pthread_mutex_unlock(&f->lock);
	return n;
}

bool dev_fault_fired(struct blkdev *dev)
{
	struct dev_fault *f = to_fault(dev);
	bool fired;

	pthread_mutex_lock(&f->lock);
	fired = f->fired;
	pthread_mutex_unlock(&f->lock);
	return fired;
}

void dev_fault_watch(struct blkdev *dev, bool (*allow)(void *arg, uint64_t off, uint64_t len),
		     void *arg)
{
	struct dev_fault *f = to_fault(dev);

	pthread_mutex_lock(&f->lock);
	f->allow = allow;
	f->allow_arg = arg;
	pthread_mutex_unlock(&f->lock);
}

uint64_t dev_fault_strays(struct blkdev *dev)
{
	struct dev_fault *f = to_fault(dev);
	uint64_t n;

	pthread_mutex_lock(&f->lock);
	n = f->strays;
	pthread_mutex_unlock(&f->lock);
	return n;
}
