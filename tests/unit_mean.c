/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A block device that goes bad in use. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "dev_mem.h"
#include "unit_mean.h"
#include "unit_walk.h"

struct mean {
	struct blkdev dev;
	struct blkdev *lower;		/* [init only] */
	pthread_mutex_t lock;
	struct unit_mean how;		/* [lock] */
	uint64_t rnd;			/* [lock] */
	struct unit_mean_count count;	/* [lock] */
};

static struct mean *to_mean(struct blkdev *dev)
{
	return (struct mean *)dev;
}

#if defined(__SANITIZE_THREAD__)
/* Users may read a file's bytes while they write them; to the sanitizer that is a race. */
static int transfer_bytes(uint8_t *to, const uint8_t *from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		__atomic_store_n(&to[i], __atomic_load_n(&from[i], __ATOMIC_RELAXED),
				 __ATOMIC_RELAXED);
	return 0;
}
static int lower_read(struct mean *m, void *buf, size_t len, uint64_t off)
{
	return transfer_bytes(buf, dev_mem_data(m->lower) + off, len);
}
static int lower_write(struct mean *m, const void *buf, size_t len, uint64_t off)
{
	return transfer_bytes(dev_mem_data(m->lower) + off, buf, len);
}
#else
static int lower_read(struct mean *m, void *buf, size_t len, uint64_t off)
{
	return blkdev_read(m->lower, buf, len, off);
}
static int lower_write(struct mean *m, const void *buf, size_t len, uint64_t off)
{
	return blkdev_write(m->lower, buf, len, off);
}
#endif

static bool one_in(struct mean *m, unsigned n)
{
	return n && unit_random(&m->rnd) % n == 0;
}

static int judge(struct mean *m, const unsigned *odds, uint64_t end, unsigned *count)
{
	bool fails;

	pthread_mutex_lock(&m->lock);
	fails = (m->how.limit && end > m->how.limit) || one_in(m, *odds);
	*count += fails;
	pthread_mutex_unlock(&m->lock);
	return fails ? -EIO : 0;
}

static void lie(struct mean *m, uint8_t *buf, size_t len)
{
	pthread_mutex_lock(&m->lock);
	if (one_in(m, m->how.lies)) {
		buf[unit_random(&m->rnd) % len] = (uint8_t)unit_random(&m->rnd);
		m->count.lies++;
	}
	pthread_mutex_unlock(&m->lock);
}

static int mean_read(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	struct mean *m = to_mean(dev);
	int err = judge(m, &m->how.read_fails, off + len, &m->count.reads);

	if (!err)
		err = lower_read(m, buf, len, off);
	if (!err)
		lie(m, buf, len);
	return err;
}

static int mean_write(struct blkdev *dev, const void *buf, size_t len, uint64_t off)
{
	struct mean *m = to_mean(dev);
	int err = judge(m, &m->how.write_fails, off + len, &m->count.writes);

	return err ? err : lower_write(m, buf, len, off);
}

static int mean_flush(struct blkdev *dev)
{
	struct mean *m = to_mean(dev);
	int err = judge(m, &m->how.flush_fails, 0, &m->count.writes);

	return err ? err : blkdev_flush(m->lower);
}

static int mean_close(struct blkdev *dev)
{
	pthread_mutex_destroy(&to_mean(dev)->lock);
	free(to_mean(dev));
	return 0;
}

static const struct blkdev_ops mean_ops = {
	.read = mean_read,
	.write = mean_write,
	.flush = mean_flush,
	.close = mean_close,
};

int unit_mean_open(struct blkdev *lower, struct blkdev **ret)
{
	struct mean *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	pthread_mutex_init(&m->lock, NULL);
	m->dev.ops = &mean_ops;
	m->dev.info = lower->info;
	m->dev.info.can_discard = false;
	m->lower = lower;
	m->rnd = 1;
	*ret = &m->dev;
	return 0;
}

void unit_mean_set(struct blkdev *dev, const struct unit_mean *how)
{
	struct mean *m = to_mean(dev);

	pthread_mutex_lock(&m->lock);
	m->how = *how;
	m->rnd = how->seed * 0x9E3779B97F4A7C15u | 1;
	pthread_mutex_unlock(&m->lock);
}

struct unit_mean_count unit_mean_get(struct blkdev *dev)
{
	struct mean *m = to_mean(dev);
	struct unit_mean_count count;

	pthread_mutex_lock(&m->lock);
	count = m->count;
	pthread_mutex_unlock(&m->lock);
	return count;
}
