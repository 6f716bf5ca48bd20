// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sector encryption as a block device.
 *
 * Whole sectors: a read decrypts in the caller's buffer; a write encrypts out of it
 * into a worker's buffer, piece by piece, and never changes it. Nothing is shared but the
 * pool of workers, which has no lock.
 *
 * Parts of a sector: the sector is the unit of the lower device's promise, and callers that
 * use different parts of it do not know of each other. So whoever touches part of a
 * sector holds that sector's stripe over the lower device, shared to read, exclusive to
 * write. A transfer has at most two such sectors, its first and its last; their stripes are
 * taken in ascending order. A writer who waits for a stripe goes before readers who come later,
 * or they could keep it waiting for ever. Whole sectors need no stripe: who overlaps them
 * overlaps the caller, who orders that (blkdev.h).
 */
#include "crypt_dev.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cipher_pool.h"

enum { STRIPES = 64 };

struct crypt_dev {
	struct blkdev dev;
	struct blkdev *lower;		/* [init only] owned */
	struct crypt_map map;		/* [init only] */
	struct cipher_pool *pool;	/* [init only] */
	pthread_rwlock_t stripes[STRIPES];
};

typedef int (*read_fn)(struct blkdev *dev, void *buf, size_t len, uint64_t off);

static struct crypt_dev *to_crypt(struct blkdev *dev)
{
	return (struct crypt_dev *)dev;
}

static uint64_t round_down(const struct crypt_dev *c, uint64_t off)
{
	return off & ~(uint64_t)(c->map.sector_len - 1);
}

static uint64_t round_up(const struct crypt_dev *c, uint64_t off)
{
	return round_down(c, off + c->map.sector_len - 1);
}

static uint64_t sector_at(const struct crypt_dev *c, uint64_t off)
{
	return c->map.first_sector + off / CIPHER_SECTOR_UNIT;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ---- whole sectors ---- */

/* len is a multiple of the sector, of any size. */
static int read_whole(struct crypt_dev *c, struct worker *w, read_fn read, void *buf, size_t len,
		      uint64_t off)
{
	int err = read(c->lower, buf, len, c->map.off + off);

	return err ? err : cipher_decrypt(w->cipher, buf, buf, len, sector_at(c, off),
					  c->map.sector_len);
}

static int write_whole(struct crypt_dev *c, struct worker *w, const uint8_t *buf, size_t len,
		       uint64_t off)
{
	int err = 0;

	while (len && !err) {
		size_t n = len < WORKER_BUF_LEN ? len : WORKER_BUF_LEN;

		err = cipher_encrypt(w->cipher, w->buf, buf, n, sector_at(c, off),
				     c->map.sector_len);
		if (!err)
			err = blkdev_write(c->lower, w->buf, n, c->map.off + off);
		buf += n;
		off += n;
		len -= n;
	}
	return err;
}

/* ---- stripes ---- */

/* The stripes of a transfer's partial sectors, ascending; -1: none. */
struct held {
	int first, second;
};

static int stripe_of(const struct crypt_dev *c, uint64_t off)
{
	return (int)(off / c->map.sector_len % STRIPES);
}

static struct held stripes_of(const struct crypt_dev *c, uint64_t off, uint64_t end)
{
	int a = off % c->map.sector_len ? stripe_of(c, off) : -1;
	int b = end % c->map.sector_len ? stripe_of(c, end) : -1;

	if (a == b)
		b = -1;
	return a < b ? (struct held){ a, b } : (struct held){ b, a };
}

/* Who holds it may be waiting for the device, so waiting for him is, too. */
static void lock_stripe(struct crypt_dev *c, int stripe, bool exclusive)
{
	pthread_rwlock_t *lock = &c->stripes[stripe];

	if (exclusive ? !pthread_rwlock_trywrlock(lock) : !pthread_rwlock_tryrdlock(lock))
		return;
	blkdev_about_to_wait(&c->dev);
	if (exclusive)
		pthread_rwlock_wrlock(lock);
	else
		pthread_rwlock_rdlock(lock);
}

static void lock_stripes(struct crypt_dev *c, struct held held, bool exclusive)
{
	if (held.first >= 0)
		lock_stripe(c, held.first, exclusive);
	if (held.second >= 0)
		lock_stripe(c, held.second, exclusive);
}

static void unlock_stripes(struct crypt_dev *c, struct held held)
{
	if (held.second >= 0)
		pthread_rwlock_unlock(&c->stripes[held.second]);
	if (held.first >= 0)
		pthread_rwlock_unlock(&c->stripes[held.first]);
}

static bool try_lock_stripes(struct crypt_dev *c, struct held held)
{
	if (held.first >= 0 && pthread_rwlock_tryrdlock(&c->stripes[held.first]))
		return false;
	if (held.second < 0 || !pthread_rwlock_tryrdlock(&c->stripes[held.second]))
		return true;
	if (held.first >= 0)
		pthread_rwlock_unlock(&c->stripes[held.first]);
	return false;
}

/* ---- parts of sectors ---- */

/*
 * A transfer is cut into pieces: one sector of which a part is wanted, or whole sectors.
 * The length of the piece at off; *ret_part: it is part of a sector.
 */
static size_t piece_at(const struct crypt_dev *c, uint64_t off, uint64_t end, bool *ret_part)
{
	uint64_t next = round_down(c, off) + c->map.sector_len;

	*ret_part = off % c->map.sector_len || end < next;
	return (size_t)((*ret_part ? min_u64(next, end) : round_down(c, end)) - off);
}

/* All sectors touched fit the worker's buffer: one transfer below instead of up to three. */
static bool fits(const struct crypt_dev *c, uint64_t off, uint64_t end)
{
	return round_up(c, end) - round_down(c, off) <= WORKER_BUF_LEN;
}

static int read_covering(struct crypt_dev *c, struct worker *w, read_fn read, void *buf, size_t len,
			 uint64_t off)
{
	uint64_t start = round_down(c, off), end = round_up(c, off + len);
	int err = read_whole(c, w, read, w->buf, (size_t)(end - start), start);

	if (!err)
		memcpy(buf, w->buf + (off - start), len);
	return err;
}

/* Under the stripes of the partial sectors. */
static int read_parts(struct crypt_dev *c, struct worker *w, read_fn read, uint8_t *buf, size_t len,
		      uint64_t off)
{
	uint64_t end = off + len;
	int err = 0;

	if (fits(c, off, end))
		return read_covering(c, w, read, buf, len, off);
	while (off < end && !err) {
		bool part;
		size_t n = piece_at(c, off, end, &part);

		err = part ? read_covering(c, w, read, buf, n, off)
			   : read_whole(c, w, read, buf, n, off);
		buf += n;
		off += n;
	}
	return err;
}

/* One decrypted sector, the one that holds off. A short write is taken not to wait, but the
 * read that it needs may. */
static int fill_sector(struct crypt_dev *c, struct worker *w, uint8_t *sector, uint64_t off)
{
	const size_t len = c->map.sector_len;
	int err = read_whole(c, w, blkdev_read_nowait, sector, len, round_down(c, off));

	if (err != -EAGAIN)
		return err;
	blkdev_about_to_wait(&c->dev);
	return read_whole(c, w, blkdev_read, sector, len, round_down(c, off));
}

/* The sectors touched fit the buffer; their ends that the caller leaves alone are read. */
static int write_covering(struct crypt_dev *c, struct worker *w, const void *buf, size_t len,
			  uint64_t off)
{
	uint64_t start = round_down(c, off), end = round_up(c, off + len);
	uint64_t last = end - c->map.sector_len;
	size_t all = (size_t)(end - start);
	int err = 0;

	if (off != start || (last == start && off + len != end))
		err = fill_sector(c, w, w->buf, start);
	if (!err && off + len != end && last != start)
		err = fill_sector(c, w, w->buf + (last - start), last);
	if (err)
		return err;
	memcpy(w->buf + (off - start), buf, len);
	err = cipher_encrypt(w->cipher, w->buf, w->buf, all, sector_at(c, start),
			     c->map.sector_len);
	return err ? err : blkdev_write(c->lower, w->buf, all, c->map.off + start);
}

static int write_parts(struct crypt_dev *c, struct worker *w, const uint8_t *buf, size_t len,
		       uint64_t off)
{
	uint64_t end = off + len;
	int err = 0;

	if (fits(c, off, end))
		return write_covering(c, w, buf, len, off);
	while (off < end && !err) {
		bool part;
		size_t n = piece_at(c, off, end, &part);

		err = part ? write_covering(c, w, buf, n, off) : write_whole(c, w, buf, n, off);
		buf += n;
		off += n;
	}
	return err;
}

/* ---- the device ---- */

static bool aligned(const struct crypt_dev *c, size_t len, uint64_t off)
{
	return !((off | len) & (c->map.sector_len - 1));
}

/* The stripes of a partial transfer are held. */
static int read_with(struct crypt_dev *c, read_fn read, void *buf, size_t len, uint64_t off)
{
	struct worker *w = cipher_pool_get(c->pool);
	int err;

	if (!w)
		return -ENOMEM;
	err = aligned(c, len, off) ? read_whole(c, w, read, buf, len, off)
				   : read_parts(c, w, read, buf, len, off);
	cipher_pool_put(c->pool, w);
	return err;
}

static int crypt_read(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	struct crypt_dev *c = to_crypt(dev);
	struct held held = stripes_of(c, off, off + len);
	int err;

	lock_stripes(c, held, false);
	err = read_with(c, blkdev_read, buf, len, off);
	unlock_stripes(c, held);
	return err;
}

static int crypt_read_nowait(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	struct crypt_dev *c = to_crypt(dev);
	struct held held = stripes_of(c, off, off + len);
	int err;

	if (!try_lock_stripes(c, held))
		return -EAGAIN;
	err = read_with(c, blkdev_read_nowait, buf, len, off);
	unlock_stripes(c, held);
	return err;
}

static int crypt_write(struct blkdev *dev, const void *buf, size_t len, uint64_t off)
{
	struct crypt_dev *c = to_crypt(dev);
	struct held held = stripes_of(c, off, off + len);
	struct worker *w = cipher_pool_get(c->pool);
	int err;

	if (!w)
		return -ENOMEM;
	lock_stripes(c, held, true);
	err = aligned(c, len, off) ? write_whole(c, w, buf, len, off)
				   : write_parts(c, w, buf, len, off);
	unlock_stripes(c, held);
	cipher_pool_put(c->pool, w);
	return err;
}

static int crypt_flush(struct blkdev *dev)
{
	return blkdev_flush(to_crypt(dev)->lower);
}

/* Whole sectors only. What was discarded below decrypts to noise. */
static int crypt_discard(struct blkdev *dev, uint64_t off, uint64_t len)
{
	struct crypt_dev *c = to_crypt(dev);
	uint64_t start = round_up(c, off), end = round_down(c, off + len);

	if (start >= end)
		return 0;
	return blkdev_discard(c->lower, c->map.off + start, end - start);
}

static void crypt_prefetch(struct blkdev *dev, uint64_t off, uint64_t len)
{
	struct crypt_dev *c = to_crypt(dev);
	uint64_t start = round_down(c, off), end = round_up(c, off + len);

	blkdev_prefetch(c->lower, c->map.off + start, end - start);
}

static void crypt_uncache(struct blkdev *dev, uint64_t off, uint64_t len)
{
	struct crypt_dev *c = to_crypt(dev);
	uint64_t start = round_down(c, off), end = round_up(c, off + len);

	blkdev_uncache(c->lower, c->map.off + start, end - start);
}

static void init_stripes(struct crypt_dev *c)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	for (int i = 0; i < STRIPES; i++)
		pthread_rwlock_init(&c->stripes[i], &attr);
	pthread_rwlockattr_destroy(&attr);
}

static void dev_free(struct crypt_dev *c)
{
	for (int i = 0; i < STRIPES; i++)
		pthread_rwlock_destroy(&c->stripes[i]);
	cipher_pool_free(c->pool);
	free(c);
}

static int crypt_close(struct blkdev *dev)
{
	struct crypt_dev *c = to_crypt(dev);
	int err = blkdev_close(c->lower);

	dev_free(c);
	return err;
}

/* write_zeros stays away: zeros have to be encrypted, which the wrapper's writes do. */
static const struct blkdev_ops crypt_ops = {
	.read = crypt_read,
	.read_nowait = crypt_read_nowait,
	.write = crypt_write,
	.flush = crypt_flush,
	.discard = crypt_discard,
	.prefetch = crypt_prefetch,
	.uncache = crypt_uncache,
	.close = crypt_close,
};

static bool map_ok(const struct crypt_map *map, uint64_t lower_size)
{
	size_t s = map->sector_len;

	return s >= CIPHER_SECTOR_UNIT && s <= CIPHER_SECTOR_MAX && !(s & (s - 1)) && map->len &&
	       map->len % s == 0 && map->off <= lower_size && map->len <= lower_size - map->off;
}

int crypt_dev_new(const struct cipher_spec *spec, const void *key, const struct crypt_map *map,
		  struct blkdev *lower, struct blkdev **ret)
{
	struct crypt_dev *c;
	int err;

	if (!map_ok(map, blkdev_size(lower)))
		return -EINVAL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	init_stripes(c);
	err = cipher_pool_new(spec, key, &c->pool);
	if (err) {
		dev_free(c);
		return err;
	}
	c->map = *map;
	c->lower = lower;
	c->dev.ops = &crypt_ops;
	c->dev.info = lower->info;
	c->dev.info.size = map->len;
	if (c->dev.info.io_min < map->sector_len)
		c->dev.info.io_min = (uint32_t)map->sector_len;
	c->dev.info.can_discard = lower->info.can_discard && map->allow_discards;
	c->dev.info.discard_zeros = false;
	*ret = &c->dev;
	return 0;
}
