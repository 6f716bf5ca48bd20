/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Late writers. When a connection is lost, its SFTP server may live on for a while, stopped
 * or waiting for a disk, and still carry out a write it had received: over newer bytes that
 * were written and synced through the next connection. SFTP has nothing to prevent it.
 *
 * What can be done: the ranges of writes that the dead connection had not answered are
 * remembered, and so are their newest bytes (KEPT in the log). For GUARD_MIN_MS after the
 * reconnection, or twice the outage, they are read again every GUARD_EVERY_MS, first when
 * the replay is durable, and once more before the device is closed; bytes that are not ours
 * are written and synced again. What remains: a server process that revives later than that,
 * and the time until the next look.
 */
#include "sftp_int.h"

enum {
	GUARD_MIN_MS = 60 * 1000,
	GUARD_EVERY_MS = 5 * 1000,
	BATCH = 16,
	BATCH_LEN = 32 * 1024,
};
_Static_assert(BATCH * BATCH_LEN >= RMAP_REGION_LEN, "an extent fits a batch");

struct look {
	struct ctl ctl;
	uint64_t off;
	uint32_t len;
	uint8_t bytes[BATCH_LEN];
};

void guard_begin_locked(struct sftp_dev *dev, int64_t outage_ms)
{
	int64_t now = boot_ms();

	if (!dev->guard_count)
		return;
	dev->guard_until_ms = MAX(dev->guard_until_ms, now + MAX(GUARD_MIN_MS, 2 * outage_ms));
	dev->guard_check_ms = now;
}

void guard_lost_locked(struct sftp_dev *dev, const struct req *req)
{
	uint64_t end = req->off + req->len;

	if (!req->head_sent)
		return;
	for (unsigned i = 0; i < dev->guard_count; i++) {
		struct guard *g = &dev->guards[i];
		uint64_t lo = MIN(g->off, req->off), hi = MAX(g->off + g->len, end);

		if (req->off > g->off + g->len || end < g->off || hi - lo > UINT32_MAX)
			continue;
		g->off = lo;
		g->len = (uint32_t)(hi - lo);
		return;
	}
	if (dev->guard_count == GUARDS)
		dev->guard_all = true;
	else
		dev->guards[dev->guard_count++] = (struct guard){ req->off, req->len };
}

bool guard_covers_locked(const struct sftp_dev *dev, uint64_t off, uint64_t len)
{
	if (dev->guard_all)
		return true;
	for (unsigned i = 0; i < dev->guard_count; i++) {
		const struct guard *g = &dev->guards[i];

		if (g->off < off + len && off < g->off + g->len)
			return true;
	}
	return false;
}

/*
 * The next KEPT extents that this look has not seen; they go to the end of their list, so
 * that it begins with those that are left. Pieces of a whole extent each time.
 */
static unsigned collect(struct sftp_dev *dev, struct look *looks) REQUIRES(dev->lock)
{
	unsigned n = 0;

	while (!list_empty(&dev->log.kept)) {
		struct wlog_ext *ext = container_of(dev->log.kept.next, struct wlog_ext, link);
		unsigned pieces = (ext->r.len + BATCH_LEN - 1) / BATCH_LEN;

		if (ext->look_no == dev->look_no || n + pieces > BATCH)
			break;
		for (unsigned i = 0; i < pieces; i++, n++) {
			looks[n].off = ext->r.off + (uint64_t)i * BATCH_LEN;
			looks[n].len = MIN(ext->r.len - i * BATCH_LEN, (uint32_t)BATCH_LEN);
		}
		ext->look_no = dev->look_no;
		list_unlink(&ext->link);
		list_push(&dev->log.kept, &ext->link);
	}
	return n;
}

/* What is still KEPT of the range has to be what was read. */
static bool repair(struct sftp_dev *dev, const struct look *look) REQUIRES(dev->lock)
{
	uint64_t pos = look->off, end = look->off + look->len;
	struct wlog_ext *ext;
	bool bad = false;

	while ((ext = wlog_find(&dev->log, pos, end))) {
		uint64_t from = MAX(pos, ext->r.off), to = MIN(end, range_end(&ext->r));

		pos = range_end(&ext->r);
		if (ext->state != WLOG_KEPT ||
		    memcmp(wlog_bytes(ext) + (from - ext->r.off), look->bytes + (from - look->off),
			   to - from) == 0)
			continue;
		ident_written_locked(dev, wlog_bytes(ext), ext->r.len, ext->r.off);
		wlog_rewrite(&dev->log, ext);
		dev->sync_now = true;
		bad = true;
	}
	return bad;
}

static int look_at(struct sftp_dev *dev, struct look *looks, unsigned n)
{
	bool bad = false;
	int err = 0;

	for (unsigned i = 0; i < n && !err; i++)
		err = req_peek(dev, 0, NULL, looks[i].off, looks[i].bytes, looks[i].len,
			       &looks[i].ctl);
	if (err)
		link_end(dev);
	for (unsigned i = 0; i < n && !err; i++)
		err = link_wait(dev, &looks[i].ctl);
	mutex_lock(&dev->lock);
	for (unsigned i = 0; i < n && !err; i++) {
		if (!looks[i].ctl.err && looks[i].ctl.got == looks[i].len)
			bad |= repair(dev, &looks[i]);
	}
	mutex_unlock(&dev->lock);
	if (bad)
		link_warn(dev, "a dead connection wrote late; the newer bytes are written again");
	return err;
}

static int look_at_all(struct sftp_dev *dev)
{
	struct look *looks = calloc(BATCH, sizeof(*looks));
	unsigned n;
	int err = 0;

	if (!looks)
		return 0;	/* the next look may have memory */
	dev->look_no++;
	do {
		mutex_lock(&dev->lock);
		n = collect(dev, looks);
		mutex_unlock(&dev->lock);
		if (n)
			err = look_at(dev, looks, n);
	} while (n && !err);
	/* Unless all have been answered, the connection has ended and nobody points here. */
	free(looks);
	return err;
}

int guard_finish(struct sftp_dev *dev)
{
	bool looked;

	mutex_lock(&dev->lock);
	if (!dev->guard_count || !dev->log.kept_len || sftp_dead(dev) || dev->broken) {
		mutex_unlock(&dev->lock);
		return 0;
	}
	dev->guard_last = true;
	sftp_stuck_locked(dev);
	sftp_wake_locked(dev);
	while (dev->guard_last && !sftp_dead(dev) && !dev->broken)
		cond_wait(&dev->changed, &dev->lock);
	looked = !dev->guard_last;
	mutex_unlock(&dev->lock);
	return looked ? blkdev_flush(&dev->dev) : -EIO;
}

int guard_run(struct sftp_dev *dev)
{
	int64_t now = boot_ms();
	bool end, due, last;
	int err = 0;

	mutex_lock(&dev->lock);
	last = dev->guard_last;
	due = dev->guard_until_ms && (last || now >= dev->guard_check_ms) && dev->log.kept_len;
	end = dev->guard_until_ms && now >= dev->guard_until_ms;
	if (due)
		dev->guard_check_ms = now + GUARD_EVERY_MS;
	mutex_unlock(&dev->lock);
	if (due)
		err = look_at_all(dev);
	mutex_lock(&dev->lock);
	if (last && !err) {
		dev->guard_last = false;
		cond_broadcast(&dev->changed);
	}
	if (end && !err) {
		wlog_drop_kept(&dev->log);
		dev->guard_until_ms = 0;
		dev->guard_count = 0;
		dev->guard_all = false;
		cond_broadcast(&dev->changed);
	}
	mutex_unlock(&dev->lock);
	return err;
}
