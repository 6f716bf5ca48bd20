/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading before it is asked for. A reader that goes on where it stopped gets a window in
 * front of it: twice what the link delivers in a round trip, so that it is never waited for,
 * growing from WINDOW_MIN while neither is known.
 */
#include "sftp_int.h"

enum {
	WINDOW_MIN = 256 * 1024,
	WINDOW_MAX = 16 * 1024 * 1024,
	NEAR_LEN = 512 * 1024,		/* several threads read one file: order is loose */
	METER_US = 40 * 1000,
	METER_IDLE_US = 3 * 1000 * 1000,
	RTT_WINDOW_US = 10 * 1000 * 1000,
};

void meter_add(struct sftp_meter *m, uint64_t bytes, int64_t now_us)
{
	int64_t passed = now_us - m->start_us;
	uint64_t rate;

	if (passed > METER_IDLE_US) {
		*m = (struct sftp_meter){ .bytes = bytes, .start_us = now_us };
		return;
	}
	m->bytes += bytes;
	if (passed < METER_US)
		return;
	rate = m->bytes * 1000000 / (uint64_t)passed;
	m->rising = rate > m->rate + m->rate / 4;
	m->rate = rate > m->rate ? rate : (m->rate * 3 + rate) / 4;
	m->bytes = 0;
	m->start_us = now_us;
}

uint64_t meter_rate(const struct sftp_meter *m, int64_t now_us)
{
	return now_us - m->start_us > METER_IDLE_US ? 0 : m->rate;
}

void rtt_note_locked(struct sftp_dev *dev, int64_t us, int64_t now_us)
{
	if (now_us - dev->rtt_start_us > RTT_WINDOW_US) {
		dev->rtt_us[1] = now_us - dev->rtt_start_us > 2 * RTT_WINDOW_US ? 0 :
				 dev->rtt_us[0];
		dev->rtt_us[0] = 0;
		dev->rtt_start_us = now_us;
	}
	if (!dev->rtt_us[0] || us < dev->rtt_us[0])
		dev->rtt_us[0] = MAX(us, 1);
}

uint64_t rtt_locked(const struct sftp_dev *dev)
{
	int64_t a = dev->rtt_us[0], b = dev->rtt_us[1];

	return (uint64_t)(!a ? b : !b ? a : MIN(a, b));
}

/* Bytes that are neither in the log nor in the cache, up to end: from *off, how many. */
static uint32_t next_gap(const struct sftp_dev *dev, uint64_t *off, uint64_t end)
{
	while (*off < end) {
		uint64_t stop = MIN(end, rmap_region_end(*off));
		const struct wlog_ext *ext = wlog_find(&dev->log, *off, stop);
		const struct rcache_ent *ent = rcache_find(&dev->cache, *off, stop);

		if (ext && ext->r.off <= *off) {
			*off = range_end(&ext->r);
			continue;
		}
		if (ent && ent->r.off <= *off) {
			*off = range_end(&ent->r);
			continue;
		}
		stop = ext ? MIN(stop, ext->r.off) : stop;
		stop = ent ? MIN(stop, ent->r.off) : stop;
		return (uint32_t)MIN(stop - *off, dev->read_max);
	}
	return 0;
}

/* The one queued last may just end here. */
static bool extend_last(struct sftp_dev *dev, struct list *queue, uint64_t off, uint32_t len)
	REQUIRES(dev->lock)
{
	struct rcache_ent *last;

	if (list_empty(queue))
		return false;
	last = container_of(queue->prev, struct rcache_ent, lru);
	return last->mapped && range_end(&last->r) == off &&
	       rmap_region_end(last->r.off) >= off + len &&
	       last->r.len + len <= dev->read_max && rcache_extend(&dev->cache, last, len);
}

void ahead_fill_locked(struct sftp_dev *dev, struct list *queue, uint64_t off, uint64_t len)
{
	uint64_t end = off + len;
	uint32_t n;

	while ((n = next_gap(dev, &off, end))) {
		if (!extend_last(dev, queue, off, n)) {
			struct rcache_ent *ent = rcache_add(&dev->cache, off, n);

			if (!ent)
				return;
			list_push(queue, &ent->lru);
		}
		off += n;
	}
}

static uint64_t window_max(const struct sftp_dev *dev)
{
	int64_t now = boot_us();
	uint64_t flight = meter_rate(&dev->reading, now) * rtt_locked(dev) / 1000000;
	uint64_t most = MIN((uint64_t)WINDOW_MAX, dev->cache.max_len / 3);

	/* As long as more was delivered every time, there is more to be had. Nothing measured yet
	 * is no reason to stay slow. */
	flight *= dev->reading.rising ? 2 : 1;
	return MIN(MAX(2 * flight, (uint64_t)(flight ? 2 : 4) * WINDOW_MIN), most);
}

static struct ahead_track *find_track(struct sftp_dev *dev, uint64_t off)
{
	struct ahead_track *oldest = &dev->tracks[0];

	for (unsigned i = 0; i < AHEAD_TRACKS; i++) {
		struct ahead_track *t = &dev->tracks[i];

		if (t->used && off + NEAR_LEN >= t->next_off && off <= t->next_off + NEAR_LEN)
			return t;
		if (t->used < oldest->used)
			oldest = t;
	}
	*oldest = (struct ahead_track){ .used = 0 };
	return oldest;
}

void ahead_read_locked(struct sftp_dev *dev, uint64_t off, uint64_t len)
{
	struct ahead_track *t = find_track(dev, off);
	uint64_t end = off + len, to;
	bool known = t->used != 0;

	t->used = ++dev->clock;
	if (!known) {
		t->next_off = t->ahead_off = end;
		return;
	}
	/* The same bytes again, or others close by, are no progress. */
	if (end <= t->next_off)
		return;
	t->next_off = end;
	t->ahead_off = MAX(t->ahead_off, end);
	/* Most of the window has to be on its way all the time; but not a request a page. */
	if (t->window_len && t->ahead_off > end + t->window_len - t->window_len / 8)
		return;
	t->window_len = MIN(MAX(2 * t->window_len, (uint64_t)WINDOW_MIN), window_max(dev));
	to = MIN(end + t->window_len, dev->dev.info.size);
	if (to > t->ahead_off) {
		ahead_fill_locked(dev, &dev->fills, t->ahead_off, to - t->ahead_off);
		t->ahead_off = to;
	}
}
