/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is sent next, and where.
 *
 * Channel 0 is the express lane: short reads, fsync and control go there, bulk only as far as
 * EXPRESS_CAP, so that they never wait behind megabytes. Bulk takes turns between reads,
 * writes and readahead on the channel with the least to do. A request that overlaps one in
 * flight, one of both being a write, waits for its answer.
 *
 * An fsync is sent when somebody waits for one whose writes have all been answered, when half
 * of the buffer is in use, or now and then while a slow link carries; there is one at a time.
 * What failed is written once more, with everything since the last good fsync; then the device
 * is BROKEN.
 *
 * OpenSSH's server carries out what comes through one channel in its order, as all should
 * for one file (draft-ietf-secsh-filexfer-02, section 6). So while there is little to write it all goes
 * through one channel, and the fsync follows at once: one round trip instead of two. It
 * counts for those writes that have been answered well when it is, and a server that
 * answers it before one of them is not trusted with this any more.
 */
#include "sftp_int.h"

enum {
	MERGE_LEN = 64 * 1024,	/* a shorter DIRTY extent may wait to grow */
	MERGE_FLIGHTS = 8,	/* while so many requests keep the link busy */
	SKIPS = 64,		/* DIRTY extents that may be passed over in one search */
	PART_LEN = 256 * 1024,	/* worth an fsync of its own on a slow link, after PART_US */
	PART_US = 2 * 1000 * 1000,
};

static bool ready(const struct sftp_chan *ch)
{
	return ch->state == CHAN_READY && req_slot_free(ch);
}

static bool is_open(const struct sftp_chan *ch)
{
	return ch->state == CHAN_READY && ch->unsent < UNSENT_CAP && ch->used < SLOTS - 8;
}

static size_t load(const struct sftp_chan *ch)
{
	return ch->read_out + ch->write_out;
}

/* The express lane, or another if that is not ready; -1 none. */
static int express(const struct sftp_dev *dev)
{
	int best = -1;

	if (ready(&dev->chans[0]))
		return 0;
	for (unsigned i = 1; i < dev->want_channels; i++) {
		if (ready(&dev->chans[i]) &&
		    (best < 0 || load(&dev->chans[i]) < load(&dev->chans[best])))
			best = (int)i;
	}
	return best;
}

/* The first channel that may carry readahead: the express lane only if there is no other. */
static unsigned ahead_lane(const struct sftp_dev *dev)
{
	return dev->channels > 1 ? 1 : 0;
}

/* Which channel from first on may carry bulk of len bytes now; -1 none. */
static int lane(const struct sftp_dev *dev, unsigned first, uint32_t len, bool is_write)
{
	int best = -1;

	for (unsigned i = first; i < dev->want_channels; i++) {
		const struct sftp_chan *ch = &dev->chans[i];
		size_t out = is_write ? ch->write_out : ch->read_out;
		size_t cap = is_write ? WRITE_CAP : READ_CAP;

		if (i == 0 && dev->channels > 1)
			cap = EXPRESS_CAP;
		/* Nothing gets past an fsync. */
		if (i == dev->sync_chan && dev->syncing && dev->channels > 2)
			continue;
		if (!is_open(ch) || (out && out + len > cap))
			continue;
		if (best < 0 || load(ch) < load(&dev->chans[best]))
			best = (int)i;
	}
	return best;
}

static bool is_ordered(const struct sftp_dev *dev)
{
	return dev->version.is_openssh && !dev->disordered;
}

/*
 * The channel for fsyncs, and for what little is written before one. The same one as long as
 * something is under way there; then the one with the least to read, for its server answers
 * one after the other. Not the express lane, if there is another. -1 none.
 *
 * A kernel reports a failed write-back once for every open file, and the others still have that
 * before them when everything has been written again: after a failure all fsyncs of the
 * connection go through the file that has reported it.
 */
static int sync_lane(const struct sftp_dev *dev)
{
	const struct sftp_chan *last = &dev->chans[dev->sync_chan];
	int best = -1;

	if (dev->sync_pinned)
		return ready(&dev->chans[dev->sync_pin]) ? (int)dev->sync_pin : -1;
	if (ready(last) && (last->write_out || dev->syncing))
		return (int)dev->sync_chan;
	for (unsigned i = ahead_lane(dev); i < dev->want_channels; i++) {
		if (ready(&dev->chans[i]) &&
		    (best < 0 || load(&dev->chans[i]) < load(&dev->chans[best])))
			best = (int)i;
	}
	return best < 0 ? express(dev) : best;
}

/* Where the next write goes. */
static int write_lane(struct sftp_dev *dev)
{
	int chan = -1;

	if (is_ordered(dev) && dev->log.dirty_len + dev->log.sent_len <= SYNC_CAP)
		chan = sync_lane(dev);
	if (chan < 0 || !is_open(&dev->chans[chan]))
		return lane(dev, 0, MERGE_LEN, true);
	dev->sync_chan = (unsigned)chan;
	return chan;
}

static bool conflicts(const struct sftp_dev *dev, uint64_t off, uint64_t end, bool is_write)
{
	for (struct list *l = dev->flights.next; l != &dev->flights; l = l->next) {
		const struct req *req = container_of(l, struct req, flight);

		if ((is_write || req->kind == REQ_WRITE) && req->off < end &&
		    off < req->off + req->len)
			return true;
	}
	return false;
}

static void encode(struct sftp_dev *dev, unsigned chan, struct req *req)
{
	struct sftp_enc e = { .buf = req->own_head, .cap = sizeof(req->own_head) };
	const struct sftp_handle *h = &dev->chans[chan].handle;

	if (req->kind == REQ_WRITE)
		sftp_enc_write(&e, 0, h, req->off, req->len);
	else if (req->kind == REQ_FSYNC)
		sftp_enc_fsync(&e, 0, h);
	else
		sftp_enc_read(&e, 0, h, req->off, req->len);
	req->head_len = (uint32_t)e.len;
}

/* Cuts what the server cannot answer at once off the piece, back into the queue. */
static bool shorten(struct sftp_dev *dev, struct piece *piece) REQUIRES(dev->lock)
{
	struct piece *rest;

	if (piece->len <= dev->read_max)
		return true;
	rest = malloc(sizeof(*rest));
	if (!rest)
		return false;
	*rest = *piece;
	rest->off += dev->read_max;
	rest->dest += dev->read_max;
	rest->len -= dev->read_max;
	piece->len = dev->read_max;
	piece->op->pending++;
	list_add_before(piece->link.next, &rest->link);
	return true;
}

/* True if the first piece of the queue went on its way, or failed. */
static bool send_piece(struct sftp_dev *dev, struct list *queue, int chan) REQUIRES(dev->lock)
{
	struct piece *piece = container_of(queue->next, struct piece, link);
	struct req *req;

	if (conflicts(dev, piece->off, piece->off + piece->len, false))
		return false;
	req = req_new(REQ_READ);
	if (!req || !shorten(dev, piece)) {
		free(req);
		list_unlink(&piece->link);
		piece_done_locked(piece, -ENOMEM);
		return true;
	}
	list_unlink(&piece->link);
	req->piece = piece;
	req->off = piece->off;
	req->len = piece->len;
	req->dest = piece->dest;
	encode(dev, (unsigned)chan, req);
	req_submit(dev, (unsigned)chan, req);
	return true;
}

static bool send_small(struct sftp_dev *dev) REQUIRES(dev->lock)
{
	int chan = list_empty(&dev->small) ? -1 : express(dev);

	return chan >= 0 && send_piece(dev, &dev->small, chan);
}

static bool send_bulk(struct sftp_dev *dev) REQUIRES(dev->lock)
{
	int chan = list_empty(&dev->bulk) ? -1 : lane(dev, 0, SMALL_LEN, false);

	return chan >= 0 && send_piece(dev, &dev->bulk, chan);
}

static bool send_fill(struct sftp_dev *dev, struct list *queue) REQUIRES(dev->lock)
{
	struct rcache_ent *ent;
	struct req *req;
	int chan;

	if (list_empty(queue))
		return false;
	ent = container_of(queue->next, struct rcache_ent, lru);
	/* Hints are metadata, mostly: somebody will wait for them soon. */
	chan = lane(dev, queue == &dev->hints ? 0 : ahead_lane(dev), ent->r.len, false);
	if (chan < 0)
		return false;
	if (ent->mapped && conflicts(dev, ent->r.off, range_end(&ent->r), false))
		return false;
	req = ent->mapped ? req_new(REQ_FILL) : NULL;
	list_unlink(&ent->lru);
	if (!req) {
		/* Written over, or no memory: whoever waits for it asks for itself. */
		while (!list_empty(&ent->waiters)) {
			struct piece *piece = container_of(ent->waiters.next, struct piece, link);

			list_unlink(&piece->link);
			piece_queue_locked(dev, piece);
		}
		rcache_failed(&dev->cache, ent);
		return true;
	}
	ent->sent = true;
	req->ent = ent;
	req->off = ent->r.off;
	req->len = ent->r.len;
	req->dest = ent->bytes;
	encode(dev, (unsigned)chan, req);
	/* The server answers what it can; the rest is asked for then. */
	req_submit(dev, (unsigned)chan, req);
	return true;
}

static uint64_t oldest_flush(const struct sftp_dev *dev)
{
	return list_empty(&dev->flushes) ? 0 :
	       container_of(dev->flushes.next, struct flush_op, link)->seq;
}

/* Short extents may grow while the link is busy anyway, unless somebody waits for them. */
static bool may_wait(const struct sftp_dev *dev, const struct wlog_ext *ext)
{
	return ext->r.len < MERGE_LEN && dev->in_flight >= MERGE_FLIGHTS &&
	       dev->log.dirty_len < MERGE_LEN * 4 && list_empty(&dev->flushes) && !dev->sync_now;
}

static struct wlog_ext *next_dirty(const struct sftp_dev *dev)
{
	const struct list *l = dev->log.dirty.next;

	for (unsigned i = 0; i < SKIPS && l != &dev->log.dirty; i++, l = l->next) {
		struct wlog_ext *ext = container_of(l, struct wlog_ext, link);
		uint64_t end = ext->r.off + MIN(ext->r.len, window_piece(dev));

		if (may_wait(dev, ext))
			continue;
		if (!conflicts(dev, ext->r.off, end, true))
			return ext;
	}
	return NULL;
}

static bool send_write(struct sftp_dev *dev) REQUIRES(dev->lock)
{
	struct wlog_ext *ext;
	struct req *req;
	int chan;

	if (list_empty(&dev->log.dirty) || dev->broken || window_full(dev) ||
	    lockfile_expired(dev))
		return false;
	chan = write_lane(dev);
	ext = chan < 0 ? NULL : next_dirty(dev);
	req = ext ? req_new(REQ_WRITE) : NULL;
	if (!req)
		return false;
	if (wlog_take(&dev->log, ext, window_piece(dev))) {
		free(req);
		return false;
	}
	req->buf = ext->buf;
	req->buf->refs++;
	req->payload = wlog_bytes(ext);
	req->payload_len = req->len = ext->r.len;
	req->off = ext->r.off;
	req->first_seq = ext->first_seq;
	encode(dev, (unsigned)chan, req);
	req_submit(dev, (unsigned)chan, req);
	return true;
}

/* All writes up to this one have been answered, or will have been when what is sent on
 * channel `chan` next is carried out; -1: answered. */
static uint64_t settled_seq(const struct sftp_dev *dev, int chan)
{
	uint64_t open = dev->log.seq + 1;

	if (!list_empty(&dev->log.dirty))
		open = container_of(dev->log.dirty.next, struct wlog_ext, link)->first_seq;
	for (struct list *l = dev->flights.next; l != &dev->flights; l = l->next) {
		const struct req *req = container_of(l, struct req, flight);

		if (req->kind == REQ_WRITE && req->chan != chan)
			open = MIN(open, req->first_seq);
	}
	return open - 1;
}

static uint64_t answered_seq(const struct sftp_dev *dev)
{
	return settled_seq(dev, -1);
}

/*
 * A link that has been carrying for seconds and has more to carry: what is there shall not be
 * sent again when it breaks.
 */
static bool has_part(const struct sftp_dev *dev)
{
	return dev->log.acked_len >= PART_LEN && dev->log.dirty_len + dev->log.sent_len &&
	       boot_us() - dev->acked_us >= PART_US;
}

static bool wants_sync(const struct sftp_dev *dev, uint64_t seq) REQUIRES(dev->lock)
{
	uint64_t flush = oldest_flush(dev);

	if (seq <= dev->log.synced_seq && !dev->log.acked_len)
		return false;
	if (flush && flush <= seq)
		return true;
	if (has_part(dev))
		return true;
	/* On its own: enough to be worth it. Or the last is answered and writers wait. */
	if (!dev->sync_now && dev->log.mem_len < dev->buffer_len / 2)
		return false;
	return dev->log.acked_len >= dev->buffer_len / 4 || seq == dev->log.seq;
}

/* Notes which writes the fsync comes behind. */
static void cover(struct sftp_dev *dev, unsigned chan)
{
	dev->sync_no++;
	dev->sync_acks = dev->log.acks;
	for (struct list *l = dev->flights.next; l != &dev->flights; l = l->next) {
		struct req *req = container_of(l, struct req, flight);

		if (req->kind == REQ_WRITE && req->chan == chan)
			req->cover_no = dev->sync_no;
	}
}

static void send_sync(struct sftp_dev *dev) REQUIRES(dev->lock)
{
	uint64_t seq;
	struct req *req;
	int chan;

	if (dev->syncing || dev->broken || dev->nofsync ||
	    (list_empty(&dev->flushes) && !dev->sync_now &&
	     dev->log.mem_len < dev->buffer_len / 2 && !has_part(dev)))
		return;
	chan = sync_lane(dev);
	if (chan < 0)
		return;
	seq = settled_seq(dev, is_ordered(dev) ? chan : -1);
	if (!wants_sync(dev, seq))
		return;
	req = req_new(REQ_FSYNC);
	if (!req)
		return;
	req->sync_seq = seq;
	cover(dev, (unsigned)chan);
	dev->sync_chan = (unsigned)chan;
	dev->syncing = true;
	dev->acked_us = boot_us();
	encode(dev, (unsigned)chan, req);
	req_submit(dev, (unsigned)chan, req);
}

/* For the log's owner, who holds the device's lock: the analysis does not see through arg. */
static bool keep(void *arg, const struct wlog_ext *ext) NO_TSA
{
	struct sftp_dev *dev = arg;

	ident_durable_locked(dev, ext);
	return dev->log.kept_len < dev->buffer_len / 4 &&
	       guard_covers_locked(dev, ext->r.off, ext->r.len);
}

static void end_flushes(struct sftp_dev *dev) REQUIRES(dev->lock)
{
	while (!list_empty(&dev->flushes) && oldest_flush(dev) <= dev->log.synced_seq) {
		struct flush_op *f = container_of(dev->flushes.next, struct flush_op, link);

		list_unlink(&f->link);
		f->done = true;
		cond_signal(&f->wake);
	}
}

static void synced_locked(struct sftp_dev *dev, uint64_t acks, uint64_t seq) REQUIRES(dev->lock)
{
	wlog_synced(&dev->log, acks, seq, keep, dev);
	if (dev->log.synced_seq >= dev->retry_seq)
		dev->sync_failures = 0;
	dev->sync_now = false;
	end_flushes(dev);
	dev->stuck_ms = 0;
	if (!list_empty(&dev->flushes))
		sftp_stuck_locked(dev);
	cond_broadcast(&dev->changed);
}

/* The first time everything is sent again; the second time nothing is written any more. */
static void failed_once_more(struct sftp_dev *dev, const struct req *req, const char *what,
			     const char *how)
{
	/* Sent before everything was to be sent again: that is what happens anyway. */
	if (dev->broken || (dev->sync_failures && req->sent_us < dev->retry_us))
		return;
	if (dev->sync_failures++) {
		mutex_lock(&dev->lock);
		dev->broken = true;
		mutex_unlock(&dev->lock);
		link_set_state(dev, SFTP_BROKEN,
			       "the server could not %s, twice: %s; nothing more is written",
			       what, how);
		return;
	}
	link_warn(dev, "the server could not %s: %s; everything since the last good fsync is "
		  "sent again", what, how);
	dev->retry_us = boot_us();
	mutex_lock(&dev->lock);
	dev->retry_seq = dev->log.seq;
	wlog_resend(&dev->log);
	mutex_unlock(&dev->lock);
}

/* The server has answered an fsync before a write that came before it. */
static bool overtaken(const struct sftp_dev *dev)
{
	for (struct list *l = dev->flights.next; l != &dev->flights; l = l->next) {
		const struct req *req = container_of(l, struct req, flight);

		if (req->kind == REQ_WRITE && req->cover_no == dev->sync_no)
			return true;
	}
	return false;
}

void sched_synced(struct sftp_dev *dev, const struct req *req, int err)
{
	dev->syncing = false;
	dev->sync_ms = 0;
	dev->disordered |= overtaken(dev);
	if (err == -EOPNOTSUPP && dev->allow_nofsync) {
		dev->nofsync = true;
		err = 0;
	}
	if (err) {
		dev->sync_pinned = true;
		dev->sync_pin = req->chan;
		failed_once_more(dev, req, "sync the image to its disk", strerror(-err));
		return;
	}
	dev->patience = 0;
	mutex_lock(&dev->lock);
	/* A write that failed in between is being sent again; it is not covered. */
	synced_locked(dev, dev->sync_acks, MIN(req->sync_seq, answered_seq(dev)));
	mutex_unlock(&dev->lock);
}

void sched_write_failed(struct sftp_dev *dev, const struct req *req, uint32_t status)
{
	failed_once_more(dev, req, "write to the image",
			 status == SSH_FX_FAILURE ? "is its disk or quota full?" :
						    strerror(-sftp_errno(status)));
}

void sched_run_locked(struct sftp_dev *dev)
{
	bool more = true;

	while (send_small(dev))
		;
	while (more) {
		more = send_bulk(dev);
		more |= send_write(dev);
		more |= send_fill(dev, &dev->hints);
		if (list_empty(&dev->hints))
			more |= send_fill(dev, &dev->fills);
	}
	send_sync(dev);
	if (dev->nofsync) {
		uint64_t seq = answered_seq(dev);

		if (dev->log.acked_len || seq > dev->log.synced_seq)
			synced_locked(dev, dev->log.acks, seq);
	}
}
