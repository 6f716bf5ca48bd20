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
 *
 * A look is one batch of reads after the other, with everything else going on meanwhile: on a
 * slow line it takes longer than the lock's lease, or than anybody would wait for an fsync. What
 * it has seen stays seen over a loss. It rests for as long as it took.
 */
#include "sftp_int.h"

enum {
	GUARD_MIN_MS = 60 * 1000,
	GUARD_EVERY_MS = 5 * 1000,
	FINISH_MS = 10 * 1000,	/* the look before the end may take so long; silence ends it, too */
	BATCH = 16,
	PIECE_LEN = 32 * 1024,
	BATCHES_A_SECOND = 4,	/* on a slow line: somebody may wait behind one */
};
_Static_assert(BATCH * PIECE_LEN >= RMAP_REGION_LEN, "an extent fits a batch");

struct look_piece {
	struct ctl ctl;
	uint64_t off;
	uint32_t len;
	uint8_t bytes[PIECE_LEN];
};

struct look {
	int64_t start_ms;
	bool last;		/* began when somebody waited for the last one */
	unsigned count;		/* pieces asked for and not compared */
	struct look_piece pieces[BATCH];
};

void guard_begin_locked(struct sftp_dev *dev, int64_t outage_ms)
{
	int64_t now = boot_ms();

	if (!dev->guard_count)
		return;
	dev->guard_until_ms = MAX(dev->guard_until_ms, now + MAX(GUARD_MIN_MS, 2 * outage_ms));
	dev->guard_check_ms = now;
	if (dev->look)
		dev->look->start_ms = now;
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

static void add_pieces(struct look *look, const struct wlog_ext *ext)
{
	for (uint32_t at = 0; at < ext->r.len; at += PIECE_LEN) {
		struct look_piece *p = &look->pieces[look->count++];

		p->off = ext->r.off + at;
		p->len = MIN(ext->r.len - at, (uint32_t)PIECE_LEN);
	}
}

/*
 * The next KEPT extents that this look has not seen; they go to the end of their list, so
 * that it begins with those that are left. Whole extents.
 */
static void collect(struct sftp_dev *dev, struct look *look) REQUIRES(dev->lock)
{
	uint64_t room = meter_rate(&dev->reading, boot_us()) / BATCHES_A_SECOND;

	room = MAX(room, (uint64_t)RMAP_REGION_LEN);
	while (!list_empty(&dev->log.kept)) {
		struct wlog_ext *ext = container_of(dev->log.kept.next, struct wlog_ext, link);
		unsigned pieces = (ext->r.len + PIECE_LEN - 1) / PIECE_LEN;

		if (ext->look_no == dev->look_no || look->count + pieces > BATCH || ext->r.len > room)
			break;
		room -= ext->r.len;
		add_pieces(look, ext);
		ext->look_no = dev->look_no;
		list_unlink(&ext->link);
		list_push(&dev->log.kept, &ext->link);
	}
}

/* Not the express lane, if there is another. */
static unsigned look_lane(const struct sftp_dev *dev)
{
	unsigned best = 0;

	for (unsigned i = 1; i < dev->want_channels; i++) {
		const struct sftp_chan *ch = &dev->chans[i];

		if (ch->state == CHAN_READY && ch->used + BATCH <= SLOTS &&
		    (!best || ch->read_out < dev->chans[best].read_out))
			best = i;
	}
	return best;
}

static void ask(struct sftp_dev *dev, struct look *look)
{
	unsigned chan = look_lane(dev);

	for (unsigned i = 0; i < look->count; i++) {
		struct look_piece *p = &look->pieces[i];

		/* No slot, no memory: as if it had been lost. */
		if (req_peek(dev, chan, NULL, p->off, p->bytes, p->len, &p->ctl))
			p->ctl = (struct ctl){ .done = true, .err = -ECONNRESET };
	}
}

/* What is still KEPT of the piece, as it was when it was asked for, has to be what was read. */
static bool repair(struct sftp_dev *dev, const struct look_piece *p) REQUIRES(dev->lock)
{
	uint64_t pos = p->off, end = p->off + p->len;
	struct wlog_ext *ext;
	bool bad = false;

	while ((ext = wlog_find(&dev->log, pos, end))) {
		uint64_t from = MAX(pos, ext->r.off), to = MIN(end, range_end(&ext->r));

		pos = range_end(&ext->r);
		if (ext->state != WLOG_KEPT || ext->look_no != dev->look_no ||
		    memcmp(wlog_bytes(ext) + (from - ext->r.off), p->bytes + (from - p->off),
			   to - from) == 0)
			continue;
		ident_written_locked(dev, wlog_bytes(ext), ext->r.len, ext->r.off);
		wlog_rewrite(&dev->log, ext);
		dev->sync_now = true;
		bad = true;
	}
	return bad;
}

/* The connection went before the answer came: it is left to be looked at, and next. */
static void put_back(struct sftp_dev *dev, const struct look_piece *p) REQUIRES(dev->lock)
{
	uint64_t pos = p->off, end = p->off + p->len;
	struct wlog_ext *ext;

	while ((ext = wlog_find(&dev->log, pos, end))) {
		pos = range_end(&ext->r);
		if (ext->state != WLOG_KEPT || ext->look_no != dev->look_no)
			continue;
		ext->look_no = 0;
		list_unlink(&ext->link);
		list_add_before(dev->log.kept.next, &ext->link);
	}
}

/* True: something was not as it should be. */
static bool compare(struct sftp_dev *dev, struct look *look) REQUIRES(dev->lock)
{
	bool bad = false;

	for (unsigned i = 0; i < look->count; i++) {
		const struct look_piece *p = &look->pieces[i];

		if (p->ctl.err == -ECONNRESET)
			put_back(dev, p);
		else if (!p->ctl.err && p->ctl.got == p->len)
			bad |= repair(dev, p);
	}
	look->count = 0;
	return bad;
}

static bool is_answered(const struct look *look)
{
	for (unsigned i = 0; i < look->count; i++) {
		if (!look->pieces[i].ctl.done)
			return false;
	}
	return true;
}

static void end_look(struct sftp_dev *dev) REQUIRES(dev->lock)
{
	int64_t now = boot_ms();

	dev->guard_check_ms = now + MAX((int64_t)GUARD_EVERY_MS, now - dev->look->start_ms);
	if (dev->look->last)
		dev->guard_last = false;
	free(dev->look);
	dev->look = NULL;
	cond_broadcast(&dev->changed);
}

static void begin_look(struct sftp_dev *dev) REQUIRES(dev->lock)
{
	int64_t now = boot_ms();
	bool due = dev->guard_until_ms && dev->log.kept_len && !dev->broken;

	if (!due && dev->guard_last) {
		dev->guard_last = false;
		cond_broadcast(&dev->changed);
	}
	if (!due || (!dev->guard_last && now < dev->guard_check_ms))
		return;
	dev->look = calloc(1, sizeof(*dev->look));
	dev->guard_check_ms = now + GUARD_EVERY_MS;	/* without memory: another time */
	dev->look_no++;
	if (!dev->look)
		return;
	dev->look->start_ms = now;
	dev->look->last = dev->guard_last;
}

/* Before the end everything is looked at once more, also what has just been seen. */
static void begin_last_look(struct sftp_dev *dev) REQUIRES(dev->lock)
{
	dev->look_no++;
	dev->look->last = true;
	dev->look->start_ms = boot_ms();
}

static void stop_guarding(struct sftp_dev *dev) REQUIRES(dev->lock)
{
	wlog_drop_kept(&dev->log);
	dev->guard_until_ms = 0;
	dev->guard_count = 0;
	dev->guard_all = false;
	cond_broadcast(&dev->changed);
}

/* How long there is nothing to do. */
static int64_t idle_ms(const struct sftp_dev *dev) REQUIRES(dev->lock)
{
	int64_t next = dev->guard_until_ms;

	/* The answers to a look wake us. */
	if (dev->look || !next)
		return INT64_MAX;
	if (dev->log.kept_len && !dev->broken)
		next = MIN(next, dev->guard_check_ms);
	return MAX(next - boot_ms(), (int64_t)1);
}

int64_t guard_run(struct sftp_dev *dev)
{
	int64_t wait;
	bool bad;

	if (dev->look && !is_answered(dev->look))
		return INT64_MAX;
	mutex_lock(&dev->lock);
	bad = dev->look && compare(dev, dev->look);
	if (!dev->look)
		begin_look(dev);
	else if (dev->guard_last && !dev->look->last)
		begin_last_look(dev);
	if (dev->look)
		collect(dev, dev->look);
	if (dev->look && !dev->look->count)
		end_look(dev);
	if (!dev->look && dev->guard_until_ms && boot_ms() >= dev->guard_until_ms)
		stop_guarding(dev);
	wait = idle_ms(dev);
	mutex_unlock(&dev->lock);
	if (dev->look)
		ask(dev, dev->look);
	if (bad)
		link_warn(dev, "a dead connection wrote late; the newer bytes are written again");
	return wait;
}

int guard_finish(struct sftp_dev *dev)
{
	struct timespec until;
	bool is_durable;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += FINISH_MS / 1000;
	mutex_lock(&dev->lock);
	if (!dev->guard_count || !dev->log.kept_len || sftp_dead(dev) || dev->broken) {
		mutex_unlock(&dev->lock);
		return 0;
	}
	dev->guard_last = true;
	sftp_wake_locked(dev);
	while (dev->guard_last && dev->state == SFTP_UP &&
	       cond_wait_until(&dev->changed, &dev->lock, &until))
		;
	dev->guard_missed = dev->guard_last;
	is_durable = !wlog_unsynced(&dev->log);
	mutex_unlock(&dev->lock);
	/* What the look put right is not optional, however long that takes. */
	return is_durable ? 0 : blkdev_flush(&dev->dev);
}

void guard_end(struct sftp_dev *dev)
{
	bool missed;

	mutex_lock(&dev->lock);
	missed = dev->guard_missed;
	mutex_unlock(&dev->lock);
	if (missed)
		link_warn(dev, "closed without a last look for what a dead connection may have "
			  "written late over newer bytes");
}

void guard_free(struct sftp_dev *dev)
{
	free(dev->look);
}
