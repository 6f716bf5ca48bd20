/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A block device: the one interface that joins the layers.
 *
 * A device is a range of bytes [0, size). Every layer (local file, partition
 * slice, overlay, LUKS, SFTP, the test layers) implements struct blkdev_ops and
 * is called only through the blkdev_* functions below, which check the contract
 * in one place so that implementations need not.
 *
 * Contract of every transfer: whole or -errno, any alignment, any length that
 * lies inside the device, safe from several threads. Two transfers that overlap
 * in time and range are ordered by the caller, not here. A write is visible to
 * every later read; it is durable after the next blkdev_flush that returns 0.
 */
#ifndef TRANSPORT_BLKDEV_H
#define TRANSPORT_BLKDEV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blkdev;
struct flushes;

enum {
	BLKDEV_LONG_WRITE = 256 * 1024,	/* bytes; shorter writes are taken not to sleep */
	BLKDEV_SHORT_READ = 64 * 1024,	/* bytes; takes about as long as the shortest */
};

/* What a device is; all of it constant from open to close. */
struct blkdev_info {
	uint64_t size;		/* bytes */
	uint32_t io_min;	/* preferred alignment and unit, bytes, power of 2 */
	bool readonly;		/* writes, discards give -EROFS */
	bool can_discard;
	bool discard_zeros;	/* what has been discarded reads as zeros */
	const char *name;	/* for messages; lives as long as the device */
};

/*
 * Operations of one kind of device. Ranges arrive checked: len > 0, off + len <=
 * size, not read-only for write and discard.
 */
struct blkdev_ops {
	int (*read)(struct blkdev *dev, void *buf, size_t len, uint64_t off);
	/* Only what needs no wait; -EAGAIN when it would. NULL: always would. */
	int (*read_nowait)(struct blkdev *dev, void *buf, size_t len, uint64_t off);
	int (*write)(struct blkdev *dev, const void *buf, size_t len, uint64_t off);
	int (*flush)(struct blkdev *dev);
	/* Afterwards the range reads as zeros or as before, behind a cipher as noise: zeros
	 * only with discard_zeros. NULL: not supported. */
	int (*discard)(struct blkdev *dev, uint64_t off, uint64_t len);
	/* Afterwards the range reads as zeros, which writing zeros may cost more.
	 * -EOPNOTSUPP: the wrapper writes them. NULL: not supported. */
	int (*write_zeros)(struct blkdev *dev, uint64_t off, uint64_t len);
	/* A hint; may do nothing. May be NULL. Never blocks for the data. */
	void (*prefetch)(struct blkdev *dev, uint64_t off, uint64_t len);
	/* The range may be written by others: nothing of it that has not changed here is kept, so
	 * that the next read asks the medium. May be NULL. */
	void (*uncache)(struct blkdev *dev, uint64_t off, uint64_t len);
	/* Frees the device whatever it returns; flushes nothing. Closes the
	 * device below it too. */
	int (*close)(struct blkdev *dev);
};

/* Counters for --status. */
struct blkdev_stats {
	atomic_ullong reads, read_bytes, writes, write_bytes, flushes, discards, errors;
};

/*
 * Embedded as the first member of an implementation's own struct. The
 * implementation's open function fills ops and info and returns &own->dev.
 */
struct blkdev {
	const struct blkdev_ops *ops;	/* [init only] */
	struct blkdev_info info;	/* [init only] */
	struct blkdev_stats stats;	/* [atomic] */
	/* Called by the wrapper right before an operation that may sleep on the
	 * device: read after a failed read_nowait, flush, a write of
	 * BLKDEV_LONG_WRITE bytes or more. is_short: a read of at most
	 * BLKDEV_SHORT_READ bytes. Set by the owner of the top device
	 * before the first transfer. [init only] */
	void (*before_wait)(void *arg, bool is_short);
	void (*after_short_wait)(void *arg);	/* such a read is done; may be NULL */
	void *before_wait_arg;
	/* Whoever flushes hears of a loss that another flush has met (flushes.h). Set by the
	 * owner of the top device, before others use it. NULL: each hears of its own. */
	struct flushes *flushes;
};

/* For a caller that is about to sleep for something else: calls before_wait, if set. */
void blkdev_about_to_wait(struct blkdev *dev);

/* Each returns 0 or -errno: -EINVAL range outside the device or overflow,
 * -EROFS write to a read-only device, -EOPNOTSUPP discard where there is none,
 * else what the device says (-EIO, -ENOSPC, ...). len 0 is a successful no-op. */
int blkdev_read(struct blkdev *dev, void *buf, size_t len, uint64_t off);
int blkdev_read_nowait(struct blkdev *dev, void *buf, size_t len, uint64_t off);
int blkdev_write(struct blkdev *dev, const void *buf, size_t len, uint64_t off);
/* Zeros of any length, written in bounded pieces (or by discard where the
 * device promises zeros). */
int blkdev_write_zeros(struct blkdev *dev, uint64_t off, uint64_t len);
int blkdev_flush(struct blkdev *dev);
/* The same, but the result is this flush's alone: for what goes on after a loss. It is noted
 * in dev->flushes all the same. */
int blkdev_flush_own(struct blkdev *dev);
int blkdev_discard(struct blkdev *dev, uint64_t off, uint64_t len);
void blkdev_prefetch(struct blkdev *dev, uint64_t off, uint64_t len);
/* Before a read of what others may have written. */
void blkdev_uncache(struct blkdev *dev, uint64_t off, uint64_t len);
/* NULL is a no-op returning 0. dev is gone whatever is returned. */
int blkdev_close(struct blkdev *dev);

static inline uint64_t blkdev_size(const struct blkdev *dev)
{
	return dev->info.size;
}

#endif
