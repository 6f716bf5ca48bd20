/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The write log for crash tests. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "dev_record.h"

struct dev_record {
	struct blkdev dev;
	struct blkdev *lower;	/* [init only] */
	bool own_lower;		/* [init only] */
	pthread_mutex_t lock;
	struct dev_record_entry *entries;	/* [lock] */
	size_t n, room;		/* [lock] used and allocated */
};

static struct dev_record *to_record(struct blkdev *dev)
{
	return (struct dev_record *)dev;
}

/* Takes data over, also on failure. */
static int append(struct dev_record *r, struct dev_record_entry entry)
{
	int err = 0;

	pthread_mutex_lock(&r->lock);
	if (r->n == r->room) {
		size_t room = r->room ? r->room * 2 : 256;
		void *p = reallocarray(r->entries, room, sizeof(*r->entries));

		if (p) {
			r->entries = p;
			r->room = room;
		} else {
			err = -ENOMEM;
		}
	}
	if (!err)
		r->entries[r->n++] = entry;
	pthread_mutex_unlock(&r->lock);
	if (err)
		free((void *)entry.data);
	return err;
}

static int record_read(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	return blkdev_read(to_record(dev)->lower, buf, len, off);
}

static int record_read_nowait(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	return blkdev_read_nowait(to_record(dev)->lower, buf, len, off);
}

static int record_write(struct blkdev *dev, const void *buf, size_t len, uint64_t off)
{
	struct dev_record *r = to_record(dev);
	uint8_t *copy = malloc(len);
	int err;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, buf, len);
	err = blkdev_write(r->lower, buf, len, off);
	if (err) {
		free(copy);
		return err;
	}
	return append(r, (struct dev_record_entry){ DEV_RECORD_WRITE, off, len, copy });
}

static int record_flush(struct blkdev *dev)
{
	struct dev_record *r = to_record(dev);
	int err;

	err = append(r, (struct dev_record_entry){ .op = DEV_RECORD_FLUSH });
	if (err)
		return err;
	return blkdev_flush(r->lower);
}

static int record_discard(struct blkdev *dev, uint64_t off, uint64_t len)
{
	struct dev_record *r = to_record(dev);
	int err;

	err = blkdev_discard(r->lower, off, len);
	if (err)
		return err;
	return append(r, (struct dev_record_entry){ DEV_RECORD_DISCARD, off, len, NULL });
}

static int record_close(struct blkdev *dev)
{
	struct dev_record *r = to_record(dev);
	int err = r->own_lower ? blkdev_close(r->lower) : 0;

	dev_record_clear(dev);
	free(r->entries);
	pthread_mutex_destroy(&r->lock);
	free(r);
	return err;
}

static const struct blkdev_ops record_ops = {
	.read = record_read,
	.read_nowait = record_read_nowait,
	.write = record_write,
	.flush = record_flush,
	.discard = record_discard,
	.close = record_close,
};

int dev_record_open(struct blkdev *lower, bool own_lower, struct blkdev **ret)
{
	struct dev_record *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	pthread_mutex_init(&r->lock, NULL);
	r->dev.ops = &record_ops;
	r->dev.info = lower->info;
	r->lower = lower;
	r->own_lower = own_lower;
	*ret = &r->dev;
	return 0;
}

size_t dev_record_count(struct blkdev *dev)
{
	struct dev_record *r = to_record(dev);
	size_t n;

	pthread_mutex_lock(&r->lock);
	n = r->n;
	pthread_mutex_unlock(&r->lock);
	return n;
}

struct dev_record_entry dev_record_get(struct blkdev *dev, size_t index)
{
	struct dev_record *r = to_record(dev);
	struct dev_record_entry entry;

	pthread_mutex_lock(&r->lock);
	entry = r->entries[index];
	pthread_mutex_unlock(&r->lock);
	return entry;
}

size_t dev_record_durable(struct blkdev *dev, size_t n)
{
	while (n && dev_record_get(dev, n - 1).op != DEV_RECORD_FLUSH)
		n--;
	return n;
}

void dev_record_clear(struct blkdev *dev)
{
	struct dev_record *r = to_record(dev);

	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->n; i++)
		free((void *)r->entries[i].data);
	r->n = 0;
	pthread_mutex_unlock(&r->lock);
}

int dev_record_apply(const struct dev_record_entry *entry, struct blkdev *dst,
		     uint64_t max_len)
{
	uint64_t len = entry->len < max_len ? entry->len : max_len;

	switch (entry->op) {
	case DEV_RECORD_WRITE:
		return blkdev_write(dst, entry->data, len, entry->off);
	case DEV_RECORD_DISCARD:
		return blkdev_write_zeros(dst, entry->off, len);
	case DEV_RECORD_FLUSH:
		return 0;
	}
	return -EINVAL;
}

int dev_record_replay(struct blkdev *dev, size_t n, struct blkdev *dst)
{
	for (size_t i = 0; i < n; i++) {
		struct dev_record_entry entry = dev_record_get(dev, i);
		int err = dev_record_apply(&entry, dst, UINT64_MAX);

		if (err)
			return err;
	}
	return 0;
}
