/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The callers' side of the SFTP device: a read takes from the log and the cache what is
 * there, queues the rest and waits; a write is copied into the log, when there is room; a
 * flush waits until everything written before it is durable on the server.
 *
 * Waiting ends: with an answer, or when the device has FAILED or is FENCED, which the I/O
 * thread decides after timeout_ms at the latest.
 */
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sftp_int.h"

enum {
	IO_MIN = 4096,
	EXT_COST = 256,		/* memory of an extent beside its bytes, generously */
};

void sftp_wake_locked(struct sftp_dev *dev)
{
	uint64_t one = 1;

	if (!dev->sleeping)
		return;
	dev->sleeping = false;
	/* Fails only when it is full, and then it wakes anyway. */
	if (write(dev->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void piece_done_locked(struct piece *piece, int err)
{
	struct sftp_op *op = piece->op;

	if (err && !op->err)
		op->err = err;
	if (--op->pending == 0)
		cond_signal(&op->done);
	free(piece);
}

void piece_queue_locked(struct sftp_dev *dev, struct piece *piece)
{
	list_push(piece->len <= SMALL_LEN ? &dev->small : &dev->bulk, &piece->link);
}

static void fail_pieces(struct list *queue)
{
	while (!list_empty(queue)) {
		struct piece *piece = container_of(queue->next, struct piece, link);

		list_unlink(&piece->link);
		piece_done_locked(piece, -EIO);
	}
}

static void fail_entries(struct sftp_dev *dev, struct list *queue) REQUIRES(dev->lock)
{
	while (!list_empty(queue)) {
		struct rcache_ent *ent = container_of(queue->next, struct rcache_ent, lru);

		fail_pieces(&ent->waiters);
		rcache_failed(&dev->cache, ent);
	}
}

void sftp_end_flushes_locked(struct sftp_dev *dev, int err)
{
	while (!list_empty(&dev->flushes)) {
		struct flush_op *f = container_of(dev->flushes.next, struct flush_op, link);

		list_unlink(&f->link);
		f->err = err;
		f->done = true;
		cond_signal(&f->wake);
	}
}

void sftp_fail_waiters_locked(struct sftp_dev *dev)
{
	fail_pieces(&dev->small);
	fail_pieces(&dev->bulk);
	fail_entries(dev, &dev->hints);
	fail_entries(dev, &dev->fills);
	sftp_end_flushes_locked(dev, -EIO);
}

void sftp_stuck_locked(struct sftp_dev *dev)
{
	if (dev->stuck_ms)
		return;
	dev->stuck_ms = boot_ms();
	dev->stuck_losses = dev->losses;
}

static int add_piece(struct sftp_dev *dev, struct sftp_op *op, struct list *queue, uint64_t off,
		     uint32_t len, uint8_t *dest) REQUIRES(dev->lock)
{
	struct piece *piece = malloc(sizeof(*piece));

	if (!piece)
		return -ENOMEM;
	*piece = (struct piece){ .op = op, .off = off, .len = len, .dest = dest };
	op->pending++;
	if (queue)
		list_push(queue, &piece->link);
	else
		piece_queue_locked(dev, piece);
	return 0;
}

/*
 * Serves the first bytes of [off, end): copies them, or leaves a piece that will. Returns
 * how many; -EAGAIN they are not here and op is NULL; -ENOMEM.
 */
static ssize_t serve_some(struct sftp_dev *dev, struct sftp_op *op, uint8_t *dest, uint64_t off,
			  uint64_t end) REQUIRES(dev->lock)
{
	uint64_t stop = MIN(end, rmap_region_end(off));
	struct wlog_ext *ext = wlog_find(&dev->log, off, stop);
	struct rcache_ent *ent = rcache_find(&dev->cache, off, stop);
	int err;

	if (ext && ext->r.off <= off) {
		stop = MIN(stop, range_end(&ext->r));
		memcpy(dest, wlog_bytes(ext) + (off - ext->r.off), stop - off);
		return (ssize_t)(stop - off);
	}
	stop = ext ? MIN(stop, ext->r.off) : stop;
	if (ent && ent->r.off <= off && ent->valid) {
		stop = MIN(stop, range_end(&ent->r));
		rcache_copy(&dev->cache, ent, dest, off, (uint32_t)(stop - off));
		return (ssize_t)(stop - off);
	}
	if (!op)
		return -EAGAIN;
	if (ent && ent->r.off <= off)
		stop = MIN(stop, range_end(&ent->r));
	else if (ent)
		stop = MIN(stop, ent->r.off);
	err = add_piece(dev, op, ent && ent->r.off <= off ? &ent->waiters : NULL, off,
			(uint32_t)(stop - off), dest);
	return err ? err : (ssize_t)(stop - off);
}

static int serve_read(struct sftp_dev *dev, struct sftp_op *op, uint8_t *dest, size_t len,
		      uint64_t off) REQUIRES(dev->lock)
{
	uint64_t end = off + len;

	while (off < end) {
		ssize_t n = serve_some(dev, op, dest, off, end);

		if (n < 0)
			return (int)n;
		dest += n;
		off += (uint64_t)n;
	}
	return 0;
}

static int sftp_read(struct blkdev *bdev, void *buf, size_t len, uint64_t off)
{
	struct sftp_dev *dev = to_sftp(bdev);
	struct sftp_op op = { .pending = 0 };
	int err;

	cond_init(&op.done);
	mutex_lock(&dev->lock);
	err = sftp_dead(dev) ? -EIO : serve_read(dev, &op, buf, len, off);
	if (!err)
		ahead_read_locked(dev, off, len);
	if (op.pending) {
		op.since_ms = boot_ms();
		op.losses = dev->losses;
	}
	sftp_wake_locked(dev);
	/* Also after an error: the pieces that were queued point into buf. */
	while (op.pending)
		cond_wait(&op.done, &dev->lock);
	mutex_unlock(&dev->lock);
	cond_fini(&op.done);
	return err ? err : op.err;
}

static int sftp_read_nowait(struct blkdev *bdev, void *buf, size_t len, uint64_t off)
{
	struct sftp_dev *dev = to_sftp(bdev);
	int err;

	mutex_lock(&dev->lock);
	err = sftp_dead(dev) ? -EIO : serve_read(dev, NULL, buf, len, off);
	if (!err) {
		ahead_read_locked(dev, off, len);
		if (!list_empty(&dev->fills))
			sftp_wake_locked(dev);
	}
	mutex_unlock(&dev->lock);
	return err;
}

/* Nothing can be written any more. */
static bool read_only_now(const struct sftp_dev *dev)
{
	return sftp_dead(dev) || dev->broken;
}

static int write_some(struct sftp_dev *dev, const uint8_t *bytes, uint32_t len, uint64_t off)
	REQUIRES(dev->lock)
{
	int err;

	while (!read_only_now(dev) && dev->log.mem_len + len + EXT_COST > dev->buffer_len) {
		/* Slivers of large buffers: the guard is worth less than a stop until its end. */
		if (!wlog_unsynced(&dev->log) && dev->log.kept_len) {
			wlog_drop_kept(&dev->log);
			continue;
		}
		dev->sync_now = true;
		sftp_stuck_locked(dev);
		sftp_wake_locked(dev);
		cond_wait(&dev->changed, &dev->lock);
	}
	if (read_only_now(dev))
		return -EIO;
	err = wlog_write(&dev->log, bytes, len, off);
	if (err)
		return err;
	rcache_write(&dev->cache, bytes, len, off);
	ident_written_locked(dev, bytes, len, off);
	sftp_wake_locked(dev);
	return 0;
}

static int sftp_write(struct blkdev *bdev, const void *buf, size_t len, uint64_t off)
{
	struct sftp_dev *dev = to_sftp(bdev);
	const uint8_t *bytes = buf;
	int err = 0;

	while (len && !err) {
		uint32_t n = (uint32_t)MIN((uint64_t)len, rmap_region_end(off) - off);

		mutex_lock(&dev->lock);
		err = write_some(dev, bytes, n, off);
		mutex_unlock(&dev->lock);
		bytes += n;
		len -= n;
		off += n;
	}
	return err;
}

static int sftp_flush(struct blkdev *bdev)
{
	struct sftp_dev *dev = to_sftp(bdev);
	struct flush_op f = { .done = false };

	if (bdev->info.readonly)
		return 0;
	cond_init(&f.wake);
	mutex_lock(&dev->lock);
	f.seq = dev->log.seq;
	if (read_only_now(dev)) {
		f.err = -EIO;
	} else if (f.seq > dev->log.synced_seq) {
		list_push(&dev->flushes, &f.link);
		sftp_stuck_locked(dev);
		sftp_wake_locked(dev);
		while (!f.done)
			cond_wait(&f.wake, &dev->lock);
	}
	mutex_unlock(&dev->lock);
	cond_fini(&f.wake);
	return f.err;
}

static void sftp_prefetch(struct blkdev *bdev, uint64_t off, uint64_t len)
{
	struct sftp_dev *dev = to_sftp(bdev);

	mutex_lock(&dev->lock);
	if (!sftp_dead(dev)) {
		ahead_fill_locked(dev, &dev->hints, off, MIN(len, (uint64_t)dev->cache.max_len / 2));
		sftp_wake_locked(dev);
	}
	mutex_unlock(&dev->lock);
}

static void sftp_uncache(struct blkdev *bdev, uint64_t off, uint64_t len)
{
	struct sftp_dev *dev = to_sftp(bdev);

	mutex_lock(&dev->lock);
	rcache_drop(&dev->cache, off, len);
	ident_share_locked(dev, off, len);
	mutex_unlock(&dev->lock);
}

static void dev_free(struct sftp_dev *dev)
{
	guard_free(dev);
	wlog_fini(&dev->log);
	rcache_fini(&dev->cache);
	if (dev->wake_fd >= 0)
		close(dev->wake_fd);
	if (dev->stream)
		dev->stream->ops->free(dev->stream);
	cond_fini(&dev->changed);
	mutex_fini(&dev->lock);
	free(dev->path);
	free(dev->lock_path);
	free(dev->name);
	free(dev);
}

static int sftp_close(struct blkdev *bdev)
{
	struct sftp_dev *dev = to_sftp(bdev);
	uint64_t one = 1;
	int err = guard_finish(dev);

	mutex_lock(&dev->lock);
	dev->closing = true;
	mutex_unlock(&dev->lock);
	if (write(dev->wake_fd, &one, sizeof(one)) < 0)
		one = 0;	/* full: it wakes anyway */
	pthread_join(dev->thread, NULL);
	mutex_lock(&dev->lock);
	sftp_fail_waiters_locked(dev);
	mutex_unlock(&dev->lock);
	dev_free(dev);
	return err;
}

static const struct blkdev_ops sftp_ops = {
	.read = sftp_read,
	.read_nowait = sftp_read_nowait,
	.write = sftp_write,
	.flush = sftp_flush,
	.prefetch = sftp_prefetch,
	.uncache = sftp_uncache,
	.close = sftp_close,
};

void sftp_dev_status(struct blkdev *bdev, struct sftp_status *ret)
{
	struct sftp_dev *dev = to_sftp(bdev);
	int64_t now = boot_us();

	*ret = (struct sftp_status){ .buffer_len = dev->buffer_len };
	mutex_lock(&dev->lock);
	ret->state = dev->state;
	ret->rtt_us = rtt_locked(dev);
	ret->read_rate = meter_rate(&dev->reading, now);
	ret->write_rate = meter_rate(&dev->writing, now);
	ret->unsynced_len = wlog_unsynced(&dev->log);
	ret->reconnects = dev->reconnects;
	ret->outage_ms = dev->lost_ms ? (uint64_t)(now / 1000 - dev->lost_ms) : 0;
	ret->channels = dev->channels;
	ret->nofsync = dev->nofsync;
	ret->locked = dev->locked;
	ret->knows_free = dev->knows_free;
	ret->free_len = dev->free_len;
	mutex_unlock(&dev->lock);
}

static bool copy_names(struct sftp_dev *dev, const struct sftp_options *opt)
{
	dev->path = strdup(opt->path);
	dev->name = strdup(opt->name ? opt->name : opt->path);
	if (asprintf(&dev->lock_path, "%s.fuse4fs-lock", opt->path) < 0)
		dev->lock_path = NULL;
	return dev->path && dev->name && dev->lock_path;
}

static bool options_ok(const struct sftp_options *opt)
{
	return opt->path && *opt->path && strlen(opt->path) + 16 < SFTP_PATH_MAX &&
	       opt->channels <= STREAM_MAX_CHANNELS &&
	       (!opt->buffer_len || opt->buffer_len >= SFTP_BUFFER_MIN_LEN);
}

static void set_options(struct sftp_dev *dev, const struct sftp_options *opt)
{
	dev->allow_nofsync = opt->unsafe_nofsync;
	dev->want_channels = opt->channels ? opt->channels : SFTP_CHANNELS;
	dev->timeout_ms = (int64_t)opt->timeout_s * 1000;
	dev->deadline_ms = (int64_t)(opt->deadline_s ? opt->deadline_s : SFTP_DEADLINE_S) * 1000;
	dev->hung_ms = dev->timeout_ms ? MAX(dev->timeout_ms, STALL * dev->deadline_ms) : 0;
	dev->due_ms = MAX((dev->timeout_ms ? dev->timeout_ms : SFTP_TIMEOUT_S * 1000) / 2,
			  STALL * dev->deadline_ms);
	dev->buffer_len = opt->buffer_len ? opt->buffer_len : SFTP_BUFFER_LEN;
	dev->lock_mode = opt->lock;
	dev->notify = opt->notify;
	dev->notify_arg = opt->notify_arg;
	dev->dev.ops = &sftp_ops;
	dev->dev.info.io_min = IO_MIN;
	dev->dev.info.readonly = opt->readonly;
	dev->dev.info.name = dev->name;
	dev->read_max = dev->write_max = SFTP_PLAIN_LEN;
	window_reset(dev);
	wlog_init(&dev->log);
	rcache_init(&dev->cache, opt->cache_len ? opt->cache_len : dev->buffer_len / 2);
}

static void init_lists(struct sftp_dev *dev)
{
	list_init(&dev->small);
	list_init(&dev->bulk);
	list_init(&dev->hints);
	list_init(&dev->fills);
	list_init(&dev->flushes);
	list_init(&dev->flights);
	for (unsigned i = 0; i < STREAM_MAX_CHANNELS; i++) {
		dev->chans[i].dev = dev;
		dev->chans[i].nr = (uint8_t)i;
		list_init(&dev->chans[i].sending);
	}
}

/* The thread makes the first connection; what it says is what we say. */
static int run(struct sftp_dev *dev, char *why, size_t why_len)
{
	int err = -pthread_create(&dev->thread, NULL, link_main, dev);

	if (err)
		return err;
	mutex_lock(&dev->lock);
	while (dev->state == SFTP_CONNECTING)
		cond_wait(&dev->changed, &dev->lock);
	err = dev->open_err;
	snprintf(why, why_len, "%s", dev->why);
	mutex_unlock(&dev->lock);
	if (err)
		pthread_join(dev->thread, NULL);
	return err;
}

int sftp_dev_open(struct stream *stream, const struct sftp_options *opt, struct blkdev **ret,
		  char *why, size_t why_len)
{
	struct sftp_dev *dev = calloc(1, sizeof(*dev));
	int err;

	if (!dev) {
		stream->ops->free(stream);
		return -ENOMEM;
	}
	mutex_init(&dev->lock);
	cond_init(&dev->changed);
	init_lists(dev);
	dev->stream = stream;
	dev->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	set_options(dev, opt);
	err = dev->wake_fd < 0 ? -errno : !options_ok(opt) ? -EINVAL : 0;
	if (!err && !copy_names(dev, opt))
		err = -ENOMEM;
	snprintf(why, why_len, "cannot be used: %s", strerror(-err));
	dev->dev.info.name = dev->name;
	if (!err)
		err = run(dev, why, why_len);
	if (err) {
		dev_free(dev);
		return err;
	}
	*ret = &dev->dev;
	return 0;
}
