/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests in flight: from a queued request to bytes, and from bytes to an answered one.
 *
 * An id is a slot number and a generation; an answer with any other id, of the wrong type,
 * or to a request that was not sent whole, is the end of the connection. So is every packet
 * that sftp_codec.c does not like. A short answer to a read is asked for the rest.
 */
#include "sftp_int.h"

enum {
	IOVS = 64,
	SLOWEST = 4,		/* bytes a millisecond: a line that is still in use */
};

struct req *req_new(enum req_kind kind)
{
	struct req *req = calloc(1, sizeof(*req));

	if (!req)
		return NULL;
	list_init(&req->link);
	list_init(&req->flight);
	req->kind = kind;
	req->head = req->own_head;
	return req;
}

static void req_free(struct req *req)
{
	if (req->head != req->own_head)
		free(req->head);
	free(req);
}

bool req_slot_free(const struct sftp_chan *ch)
{
	return ch->used < SLOTS;
}

static bool is_read(const struct req *req)
{
	return req->kind == REQ_READ || req->kind == REQ_FILL || req->kind == REQ_PEEK;
}

static uint32_t free_slot(const struct sftp_chan *ch)
{
	uint32_t nr = ch->gen & (SLOTS - 1);

	while (ch->slot[nr])
		nr = (nr + 1) & (SLOTS - 1);
	return nr;
}

static void count_write(struct sftp_chan *ch, uint32_t more, uint32_t less)
{
	ch->write_out += (size_t)more - less;
	ch->dev->write_out += (size_t)more - less;
}

/* When an answer is overdue: what is asked for and written before it comes first. */
static int64_t due(const struct sftp_dev *dev)
{
	size_t out = 0;

	for (unsigned i = 0; i < dev->want_channels; i++)
		out += dev->chans[i].read_out + dev->chans[i].write_out;
	return dev->up_ms + dev->due_ms + (int64_t)(out / SLOWEST);
}

bool req_overdue(const struct sftp_dev *dev)
{
	for (unsigned i = 0; i < dev->want_channels; i++) {
		const struct sftp_chan *ch = &dev->chans[i];

		/* What is behind an fsync there waits for it. */
		if (dev->syncing && i == dev->sync_chan)
			continue;
		for (unsigned nr = 0; nr < SLOTS && ch->used; nr++) {
			const struct req *req = ch->slot[nr];

			if (req && req->kind != REQ_FSYNC && req->due_ms <= dev->up_ms)
				return true;
		}
	}
	return false;
}

/* The fsync of a channel has been answered: what was behind it begins to be carried out. */
static void put_off(struct sftp_dev *dev, const struct sftp_chan *ch)
{
	for (unsigned nr = 0; nr < SLOTS && ch->used; nr++) {
		struct req *req = ch->slot[nr];

		if (req)
			req->due_ms = MAX(req->due_ms, due(dev));
	}
}

void req_submit(struct sftp_dev *dev, unsigned chan, struct req *req)
{
	struct sftp_chan *ch = &dev->chans[chan];
	uint32_t nr = free_slot(ch), be;

	ch->gen++;
	ch->slot[nr] = req;
	if (!ch->used++)
		ch->heard_ms = boot_ms();
	if (!dev->in_flight++)
		dev->heard_ms = boot_ms();
	req->chan = (uint8_t)chan;
	req->id = ch->gen << SLOT_BITS | nr;
	req->sent_us = boot_us();
	be = htobe32(req->id);
	memcpy(req->head + 5, &be, sizeof(be));
	req->head_sent = req->payload_sent = 0;
	ch->unsent += req->head_len + req->payload_len;
	if (is_read(req))
		ch->read_out += req->len;
	else if (req->kind == REQ_WRITE)
		count_write(ch, req->len, 0);
	/* The rest of a short answer is due when all of it was. */
	if (!req->due_ms)
		req->due_ms = due(dev);
	list_push(&ch->sending, &req->link);
	if (req->kind <= REQ_WRITE && list_empty(&req->flight))
		list_push(&dev->flights, &req->flight);
}

int req_init(struct sftp_dev *dev, unsigned chan)
{
	struct req *req = req_new(REQ_INIT);
	struct sftp_enc e;

	/* Not in a slot: INIT has no id. Sent, it is forgotten. */
	if (!req)
		return -ENOMEM;
	e = (struct sftp_enc){ .buf = req->own_head, .cap = sizeof(req->own_head) };
	sftp_enc_init(&e);
	req->head_len = (uint32_t)e.len;
	req->chan = (uint8_t)chan;
	dev->chans[chan].unsent += req->head_len;
	list_push(&dev->chans[chan].sending, &req->link);
	return 0;
}

/* Takes the request out of its slot; whoever calls owns it then. */
static void unslot(struct sftp_dev *dev, struct req *req)
{
	struct sftp_chan *ch = &dev->chans[req->chan];

	ch->slot[req->id & (SLOTS - 1)] = NULL;
	ch->used--;
	dev->in_flight--;
	if (is_read(req))
		ch->read_out -= req->len;
	else if (req->kind == REQ_WRITE)
		count_write(ch, 0, req->len);
	list_unlink(&req->flight);
}

struct sftp_enc req_head(void)
{
	struct sftp_enc e = { .cap = 2 * SFTP_PATH_MAX + 128 };

	e.buf = malloc(e.cap);
	if (!e.buf)
		e.cap = 0;
	return e;
}

int req_ctl(struct sftp_dev *dev, unsigned chan, struct sftp_enc *head, const void *payload,
	    uint32_t payload_len, struct ctl *ctl)
{
	struct req *req = NULL;
	int err = head->err;

	if (!err && !req_slot_free(&dev->chans[chan]))
		err = -EAGAIN;
	if (!err)
		req = req_new(ctl ? REQ_CTL : REQ_BEAT);
	if (!req) {
		free(head->buf);
		return err ? err : -ENOMEM;
	}
	if (ctl)
		*ctl = (struct ctl){ .done = false };
	req->head = head->buf;
	req->head_len = (uint32_t)head->len;
	req->payload = payload;
	req->payload_len = payload_len;
	req->ctl = ctl;
	req_submit(dev, chan, req);
	return 0;
}

static void encode_read(struct sftp_dev *dev, unsigned chan, struct req *req)
{
	const struct sftp_handle *h = req->handle ? req->handle : &dev->chans[chan].handle;
	struct sftp_enc e = { .buf = req->own_head, .cap = sizeof(req->own_head) };

	sftp_enc_read(&e, 0, h, req->off + req->got, req->len - req->got);
	req->head_len = (uint32_t)e.len;
}

int req_peek(struct sftp_dev *dev, unsigned chan, const struct sftp_handle *h, uint64_t off,
	     void *dest, uint32_t len, struct ctl *ctl)
{
	struct req *req = req_slot_free(&dev->chans[chan]) ? req_new(REQ_PEEK) : NULL;

	if (!req)
		return -ENOMEM;
	*ctl = (struct ctl){ .done = false };
	req->off = off;
	req->len = len;
	req->dest = dest;
	req->ctl = ctl;
	req->handle = h;
	encode_read(dev, chan, req);
	req_submit(dev, chan, req);
	return 0;
}

static bool sent_whole(const struct req *req)
{
	return req->head_sent == req->head_len && req->payload_sent == req->payload_len;
}

static struct req *find(struct sftp_chan *ch, uint32_t id)
{
	struct req *req = ch->slot[id & (SLOTS - 1)];

	return req && req->id == id && sent_whole(req) ? req : NULL;
}

static void note_time(struct sftp_dev *dev, const struct req *req, uint32_t bytes)
	REQUIRES(dev->lock)
{
	int64_t now = boot_us();

	rtt_note_locked(dev, now - req->sent_us, now);
	if (is_read(req))
		meter_add(&dev->reading, bytes, now);
	else if (req->kind == REQ_WRITE)
		meter_add(&dev->writing, bytes, now);
}

/* Readers that wait for an entry get their part, or ask for it themselves. */
static void serve_waiters(struct sftp_dev *dev, struct rcache_ent *ent, int err)
	REQUIRES(dev->lock)
{
	while (!list_empty(&ent->waiters)) {
		struct piece *piece = container_of(ent->waiters.next, struct piece, link);

		list_unlink(&piece->link);
		if (err) {
			piece_queue_locked(dev, piece);
			continue;
		}
		memcpy(piece->dest, ent->bytes + (piece->off - ent->r.off), piece->len);
		piece_done_locked(piece, 0);
	}
}

/* A read has got all it can get. */
static void end_read(struct sftp_dev *dev, struct req *req, int err)
{
	unslot(dev, req);
	mutex_lock(&dev->lock);
	note_time(dev, req, req->got);
	if (req->kind == REQ_READ) {
		piece_done_locked(req->piece, err);
	} else if (req->kind == REQ_FILL) {
		serve_waiters(dev, req->ent, err);
		if (err)
			rcache_failed(&dev->cache, req->ent);
		else
			rcache_filled(&dev->cache, req->ent);
	}
	mutex_unlock(&dev->lock);
	if (req->kind == REQ_PEEK) {
		req->ctl->got = req->got;
		req->ctl->err = err;
		req->ctl->done = true;
	}
	req_free(req);
}

static int on_data_begin(void *arg, uint32_t id, uint32_t len, uint8_t **ret_dest)
{
	struct sftp_chan *ch = arg;
	struct req *req = ch->state == CHAN_INIT ? NULL : find(ch, id);

	if (!req || !is_read(req) || !len || len > req->len - req->got)
		return -EPROTO;
	req->last_got = len;
	*ret_dest = req->dest + req->got;
	return 0;
}

static int on_data_end(void *arg, uint32_t id)
{
	struct sftp_chan *ch = arg;
	struct req *req = find(ch, id);
	struct sftp_dev *dev = ch->dev;

	if (!req)
		return -EPROTO;
	req->got += req->last_got;
	if (req->got == req->len) {
		end_read(dev, req, 0);
		return 0;
	}
	/* A short answer is not the end of the file. */
	unslot(dev, req);
	encode_read(dev, ch->nr, req);
	req_submit(dev, ch->nr, req);
	return 0;
}

static void end_write(struct sftp_dev *dev, struct req *req, uint32_t status)
{
	uint64_t rtt_us;

	unslot(dev, req);
	if (status != SSH_FX_OK)
		sched_write_failed(dev, req, status);
	mutex_lock(&dev->lock);
	rtt_us = rtt_locked(dev);
	note_time(dev, req, req->len);
	if (!dev->log.acked_len)
		dev->acked_us = boot_us();
	if (status == SSH_FX_OK && dev->syncing && req->cover_no == dev->sync_no)
		wlog_ack_before(&dev->log, req->buf, req->off, req->len, dev->sync_acks);
	else if (status == SSH_FX_OK)
		wlog_ack(&dev->log, req->buf, req->off, req->len);
	wlog_buf_put(&dev->log, req->buf);
	mutex_unlock(&dev->lock);
	window_answered(dev, req, rtt_us);
	req_free(req);
}

static void end_ctl(struct sftp_dev *dev, struct req *req, const struct sftp_reply *reply)
{
	struct ctl *ctl = req->ctl;
	uint32_t len = MIN(reply->extended.len, (uint32_t)sizeof(ctl->extended));

	unslot(dev, req);
	mutex_lock(&dev->lock);
	note_time(dev, req, 0);
	mutex_unlock(&dev->lock);
	ctl->reply = *reply;
	if (reply->type == SSH_FXP_STATUS) {
		ctl->status = reply->status;
		ctl->err = sftp_errno(reply->status);
	} else if (reply->type == SSH_FXP_EXTENDED_REPLY) {
		memcpy(ctl->extended, reply->extended.p, len);
		ctl->reply.extended = (struct sftp_str){ ctl->extended, len };
	}
	ctl->reply.message = (struct sftp_str){ .len = 0 };
	ctl->done = true;
	req_free(req);
}

/* The lock's have a payload. */
static void end_beat(struct sftp_dev *dev, struct req *req, const struct sftp_reply *reply)
{
	dev->beating = false;
	if (req->payload && reply->type == SSH_FXP_STATUS && reply->status == SSH_FX_OK)
		lockfile_beaten(dev, req->sent_us / 1000);
	else if (req->payload)
		lockfile_not_beaten(dev);
	mutex_lock(&dev->lock);
	note_time(dev, req, 0);
	mutex_unlock(&dev->lock);
	unslot(dev, req);
	req_free(req);
}

static int end_status(struct sftp_dev *dev, struct req *req, const struct sftp_reply *reply)
{
	bool is_eof = reply->status == SSH_FX_EOF;

	if (reply->type != SSH_FXP_STATUS)
		return -EPROTO;
	switch (req->kind) {
	case REQ_READ:
	case REQ_FILL:
		/* OK without data is no answer; the end of the file is inside the image. */
		end_read(dev, req, -EIO);
		return 0;
	case REQ_PEEK:
		end_read(dev, req, is_eof ? 0 : -EIO);
		return 0;
	case REQ_WRITE:
		end_write(dev, req, reply->status);
		return 0;
	default:
		unslot(dev, req);
		put_off(dev, &dev->chans[req->chan]);
		sched_synced(dev, req, sftp_errno(reply->status));
		req_free(req);
		return 0;
	}
}

static int on_packet(void *arg, const uint8_t *body, size_t len)
{
	struct sftp_chan *ch = arg;
	struct sftp_dev *dev = ch->dev;
	struct sftp_version version;
	struct sftp_reply reply = { 0 };
	struct req *req;
	int err;

	if (ch->state == CHAN_INIT) {
		err = sftp_dec_version(body, len, &version);
		return err ? err : link_version(ch, &version);
	}
	err = sftp_dec_reply(body, len, &reply);
	if (err)
		return err;
	req = find(ch, reply.id);
	if (!req)
		return -EPROTO;
	if (req->kind == REQ_CTL) {
		end_ctl(dev, req, &reply);
		return 0;
	}
	if (req->kind == REQ_BEAT) {
		end_beat(dev, req, &reply);
		return 0;
	}
	return end_status(dev, req, &reply);
}

static const struct sftp_rx_ops rx_ops = {
	.data_begin = on_data_begin,
	.data_end = on_data_end,
	.packet = on_packet,
};

void req_sink_data(void *arg, unsigned chan, const void *buf, size_t len)
{
	struct sftp_dev *dev = arg;
	struct sftp_chan *ch = &dev->chans[chan];
	int err;

	if (dev->sink_err)
		return;
	dev->heard_ms = ch->heard_ms = boot_ms();
	err = ch->state == CHAN_NONE ? -EPROTO : sftp_rx_feed(&ch->rx, buf, len, &rx_ops, ch);
	if (err)
		dev->sink_err = err;
}

static int gather(const struct sftp_chan *ch, struct iovec *iov)
{
	int n = 0;

	for (struct list *l = ch->sending.next; l != &ch->sending && n + 2 <= IOVS; l = l->next) {
		struct req *req = container_of(l, struct req, link);

		if (req->head_sent < req->head_len)
			iov[n++] = (struct iovec){ req->head + req->head_sent,
						   req->head_len - req->head_sent };
		if (req->payload_sent < req->payload_len)
			iov[n++] = (struct iovec){ (void *)(req->payload + req->payload_sent),
						   req->payload_len - req->payload_sent };
	}
	return n;
}

static void advance(struct sftp_chan *ch, size_t n)
{
	ch->unsent -= n;
	while (!list_empty(&ch->sending)) {
		struct req *req = container_of(ch->sending.next, struct req, link);
		uint32_t step = (uint32_t)MIN(n, (size_t)(req->head_len - req->head_sent));

		req->head_sent += step;
		n -= step;
		step = (uint32_t)MIN(n, (size_t)(req->payload_len - req->payload_sent));
		req->payload_sent += step;
		n -= step;
		if (!sent_whole(req))
			return;
		list_unlink(&req->link);
		if (req->kind == REQ_INIT)
			req_free(req);
	}
}

static int flush_chan(struct sftp_dev *dev, struct sftp_chan *ch)
{
	struct iovec iov[IOVS];

	while (!list_empty(&ch->sending)) {
		int niov = gather(ch, iov);
		size_t want = 0;
		ssize_t n = dev->stream->ops->send(dev->stream, ch->nr, iov, niov);

		/* Why a channel is gone is told by pump(). */
		if (n <= 0)
			return 0;
		for (int i = 0; i < niov; i++)
			want += iov[i].iov_len;
		if ((size_t)n > want)
			return -EPROTO;
		advance(ch, (size_t)n);
		if ((size_t)n == want)
			continue;
		/* What was full takes bytes: somebody is there. Taking all says nothing. */
		dev->heard_ms = ch->heard_ms = boot_ms();
		return 0;
	}
	return 0;
}

int req_flush(struct sftp_dev *dev)
{
	int err = 0;

	for (unsigned i = 0; i < dev->want_channels && !err; i++)
		err = flush_chan(dev, &dev->chans[i]);
	return err;
}

static void abandon(struct sftp_dev *dev, struct req *req) REQUIRES(dev->lock)
{
	switch (req->kind) {
	case REQ_READ:
		piece_queue_locked(dev, req->piece);
		break;
	case REQ_FILL:
		serve_waiters(dev, req->ent, -EIO);
		rcache_failed(&dev->cache, req->ent);
		break;
	case REQ_WRITE:
		guard_lost_locked(dev, req);
		wlog_buf_put(&dev->log, req->buf);
		break;
	case REQ_CTL:
	case REQ_PEEK:
		req->ctl->err = -ECONNRESET;
		req->ctl->done = true;
		break;
	default:
		break;
	}
	req_free(req);
}

static void abandon_locked(struct sftp_dev *dev, struct sftp_chan *ch) REQUIRES(dev->lock)
{
	while (!list_empty(&ch->sending)) {
		struct req *req = container_of(ch->sending.next, struct req, link);

		list_unlink(&req->link);
		if (req->kind == REQ_INIT)
			req_free(req);
	}
	ch->unsent = 0;
	for (unsigned nr = 0; nr < SLOTS && ch->used; nr++) {
		struct req *req = ch->slot[nr];

		if (!req)
			continue;
		unslot(dev, req);
		abandon(dev, req);
	}
	ch->state = CHAN_NONE;
	ch->handle.len = 0;
}

void req_abandon(struct sftp_dev *dev, unsigned chan)
{
	mutex_lock(&dev->lock);
	abandon_locked(dev, &dev->chans[chan]);
	mutex_unlock(&dev->lock);
}

void req_abandon_all(struct sftp_dev *dev)
{
	mutex_lock(&dev->lock);
	for (unsigned i = 0; i < STREAM_MAX_CHANNELS; i++)
		abandon_locked(dev, &dev->chans[i]);
	dev->syncing = dev->beating = dev->sync_pinned = false;
	window_reset(dev);
	mutex_unlock(&dev->lock);
}
