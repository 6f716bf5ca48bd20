/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory copy-on-write in chunks of 4 KiB, found through a hash table.
 *
 * Invariants:
 *   - the lower device is never written, so a chunk that is absent from the table
 *     may be read from below without the lock;
 *   - a chunk enters the table complete and leaves it only at close;
 *   - the lock is never held while the lower device works.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "overlay.h"

enum {
	CHUNK_LEN = 4096,
	SLOTS_MIN = 64,
};

struct chunk {
	struct chunk *next;	/* [lock] same slot */
	uint64_t index;		/* [init only] device offset / CHUNK_LEN */
	uint8_t data[CHUNK_LEN];/* [lock] bytes beyond the device's end are unused */
};

struct overlay {
	struct blkdev dev;
	struct blkdev *lower;	/* [init only] */
	bool own_lower;		/* [init only] */
	uint64_t max_chunks;	/* [init only] */
	pthread_rwlock_t lock;
	struct chunk **slots;	/* [lock] */
	size_t nslots;		/* [lock] power of 2 */
	_Atomic uint64_t nchunks;	/* [lock] to change; a reader may miss a concurrent write */
};

/* Reads either way; blkdev_read or blkdev_read_nowait. */
typedef int (*read_fn)(struct blkdev *dev, void *buf, size_t len, uint64_t off);

static struct overlay *to_overlay(struct blkdev *dev)
{
	return (struct overlay *)dev;
}

static size_t slot_of(uint64_t index, size_t nslots)
{
	return (index * 0x9e3779b97f4a7c15ULL >> 32) & (nslots - 1);
}

static struct chunk *find_locked(struct overlay *o, uint64_t index)
{
	struct chunk *c = o->slots[slot_of(index, o->nslots)];

	while (c && c->index != index)
		c = c->next;
	return c;
}

/* A table that cannot grow stays right, only slower: no error. */
static void grow_locked(struct overlay *o)
{
	size_t n = o->nslots * 2;
	struct chunk **slots = calloc(n, sizeof(*slots));

	if (!slots)
		return;
	for (size_t i = 0; i < o->nslots; i++) {
		for (struct chunk *c = o->slots[i], *next; c; c = next) {
			struct chunk **slot = &slots[slot_of(c->index, n)];

			next = c->next;
			c->next = *slot;
			*slot = c;
		}
	}
	free(o->slots);
	o->slots = slots;
	o->nslots = n;
}

static void insert_locked(struct overlay *o, struct chunk *c)
{
	struct chunk **slot;

	if (o->nchunks >= o->nslots)
		grow_locked(o);
	slot = &o->slots[slot_of(c->index, o->nslots)];
	c->next = *slot;
	*slot = c;
	o->nchunks++;
}

/* Bytes from off to the end of its chunk, at most len. */
static size_t chunk_span(uint64_t off, size_t len)
{
	size_t room = CHUNK_LEN - off % CHUNK_LEN;

	return len < room ? len : room;
}

/*
 * Copies what the chunk at off holds of the range; returns the bytes copied. If there
 * is none, returns 0 and in *ret_absent the length until the next chunk that is there.
 */
static size_t copy_or_skip(struct overlay *o, void *buf, size_t len, uint64_t off,
			   size_t *ret_absent)
{
	size_t done = 0, absent = 0;
	struct chunk *c;

	pthread_rwlock_rdlock(&o->lock);
	c = find_locked(o, off / CHUNK_LEN);
	if (c) {
		done = chunk_span(off, len);
		memcpy(buf, c->data + off % CHUNK_LEN, done);
	} else {
		do {
			absent += chunk_span(off + absent, len - absent);
		} while (absent < len && !find_locked(o, (off + absent) / CHUNK_LEN));
	}
	pthread_rwlock_unlock(&o->lock);
	*ret_absent = absent;
	return done;
}

static int read_through(struct overlay *o, void *buf, size_t len, uint64_t off, read_fn read)
{
	if (atomic_load(&o->nchunks) == 0)
		return read(o->lower, buf, len, off);
	while (len) {
		size_t absent, done = copy_or_skip(o, buf, len, off, &absent);

		if (!done) {
			int err = read(o->lower, buf, absent, off);

			if (err)
				return err;
			done = absent;
		}
		buf = (char *)buf + done;
		len -= done;
		off += done;
	}
	return 0;
}

static int overlay_read(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	return read_through(to_overlay(dev), buf, len, off, blkdev_read);
}

static int overlay_read_nowait(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	return read_through(to_overlay(dev), buf, len, off, blkdev_read_nowait);
}

/* A chunk holding what the lower device has; whole: the caller overwrites all of it. */
static int new_chunk(struct overlay *o, uint64_t index, bool whole, struct chunk **ret)
{
	uint64_t off = index * CHUNK_LEN;
	struct chunk *c = malloc(sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->index = index;
	if (!whole) {
		err = blkdev_read(o->lower, c->data,
				  chunk_span(off, o->dev.info.size - off), off);
		if (err) {
			free(c);
			return err;
		}
	}
	*ret = c;
	return 0;
}

static bool write_present(struct overlay *o, const void *buf, size_t len, uint64_t off)
{
	struct chunk *c;

	pthread_rwlock_wrlock(&o->lock);
	c = find_locked(o, off / CHUNK_LEN);
	if (c)
		memcpy(c->data + off % CHUNK_LEN, buf, len);
	pthread_rwlock_unlock(&o->lock);
	return c;
}

/* Enters spare with the bytes, or uses the chunk another thread entered meanwhile. */
static int write_new(struct overlay *o, struct chunk *spare, const void *buf, size_t len,
		     uint64_t off)
{
	struct chunk *c;
	int err = 0;

	pthread_rwlock_wrlock(&o->lock);
	c = find_locked(o, spare->index);
	if (!c && o->nchunks >= o->max_chunks) {
		err = -ENOSPC;
	} else if (!c) {
		insert_locked(o, spare);
		c = spare;
	}
	if (c)
		memcpy(c->data + off % CHUNK_LEN, buf, len);
	pthread_rwlock_unlock(&o->lock);
	if (c != spare)
		free(spare);
	return err;
}

static int write_chunk(struct overlay *o, const void *buf, size_t len, uint64_t off)
{
	bool whole = len == CHUNK_LEN || (off % CHUNK_LEN == 0 && off + len == o->dev.info.size);
	struct chunk *spare;
	int err;

	if (write_present(o, buf, len, off))
		return 0;
	err = new_chunk(o, off / CHUNK_LEN, whole, &spare);
	if (err)
		return err;
	return write_new(o, spare, buf, len, off);
}

static int overlay_write(struct blkdev *dev, const void *buf, size_t len, uint64_t off)
{
	while (len) {
		size_t n = chunk_span(off, len);
		int err = write_chunk(to_overlay(dev), buf, n, off);

		if (err)
			return err;
		buf = (const char *)buf + n;
		len -= n;
		off += n;
	}
	return 0;
}

static int overlay_flush(struct blkdev *dev)
{
	return 0;
}

/* The contract allows "as before", and that needs no memory. */
static int overlay_discard(struct blkdev *dev, uint64_t off, uint64_t len)
{
	return 0;
}

static void overlay_prefetch(struct blkdev *dev, uint64_t off, uint64_t len)
{
	blkdev_prefetch(to_overlay(dev)->lower, off, len);
}

static int overlay_close(struct blkdev *dev)
{
	struct overlay *o = to_overlay(dev);
	int err = o->own_lower ? blkdev_close(o->lower) : 0;

	for (size_t i = 0; i < o->nslots; i++) {
		for (struct chunk *c = o->slots[i], *next; c; c = next) {
			next = c->next;
			free(c);
		}
	}
	free(o->slots);
	pthread_rwlock_destroy(&o->lock);
	free(o);
	return err;
}

static const struct blkdev_ops overlay_ops = {
	.read = overlay_read,
	.read_nowait = overlay_read_nowait,
	.write = overlay_write,
	.flush = overlay_flush,
	.discard = overlay_discard,
	.prefetch = overlay_prefetch,
	.close = overlay_close,
};

int overlay_dev_open(struct blkdev *lower, bool own_lower, uint64_t limit,
		     struct blkdev **ret)
{
	struct overlay *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->nslots = SLOTS_MIN;
	o->slots = calloc(o->nslots, sizeof(*o->slots));
	if (!o->slots) {
		free(o);
		return -ENOMEM;
	}
	pthread_rwlock_init(&o->lock, NULL);
	o->dev.ops = &overlay_ops;
	o->dev.info = lower->info;
	o->dev.info.readonly = false;
	o->dev.info.can_discard = true;
	o->lower = lower;
	o->own_lower = own_lower;
	o->max_chunks = limit ? limit / CHUNK_LEN : UINT64_MAX;
	*ret = &o->dev;
	return 0;
}

uint64_t overlay_dev_bytes(struct blkdev *dev)
{
	return atomic_load(&to_overlay(dev)->nchunks) * CHUNK_LEN;
}
