/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The log of writes that are not durable; see wlog.h. */
#include <errno.h>

#include "wlog.h"

enum { GROW_LEN = 4096 };

static struct list *list_of(struct wlog *log, enum wlog_state state)
{
	switch (state) {
	case WLOG_DIRTY:
		return &log->dirty;
	case WLOG_SENT:
		return &log->sent;
	case WLOG_ACKED:
		return &log->acked;
	default:
		return &log->kept;
	}
}

/* Adds to what is counted for an extent's state. */
static void count(struct wlog *log, enum wlog_state state, uint32_t more, uint32_t less)
{
	size_t *const sums[] = {
		[WLOG_DIRTY] = &log->dirty_len, [WLOG_SENT] = &log->sent_len,
		[WLOG_ACKED] = &log->acked_len, [WLOG_KEPT] = &log->kept_len,
	};

	*sums[state] += (size_t)more - less;
}

void wlog_init(struct wlog *log)
{
	*log = (struct wlog){ .seq = 0 };
	list_init(&log->dirty);
	list_init(&log->sent);
	list_init(&log->acked);
	list_init(&log->kept);
}

static struct wlog_buf *buf_new(struct wlog *log, uint32_t cap)
{
	struct wlog_buf *buf = malloc(sizeof(*buf) + cap);

	if (!buf)
		return NULL;
	buf->refs = 1;
	buf->cap = cap;
	log->mem_len += sizeof(*buf) + cap;
	return buf;
}

void wlog_buf_put(struct wlog *log, struct wlog_buf *buf)
{
	if (--buf->refs)
		return;
	log->mem_len -= sizeof(*buf) + buf->cap;
	free(buf);
}

static struct wlog_ext *ext_new(struct wlog *log)
{
	struct wlog_ext *ext = calloc(1, sizeof(*ext));

	if (!ext)
		return NULL;
	list_init(&ext->link);
	log->mem_len += sizeof(*ext);
	return ext;
}

static void ext_free(struct wlog *log, struct wlog_ext *ext)
{
	if (!ext)
		return;
	log->mem_len -= sizeof(*ext);
	free(ext);
}

static void ext_drop(struct wlog *log, struct wlog_ext *ext)
{
	count(log, ext->state, 0, ext->r.len);
	rmap_remove(&log->map, &ext->r);
	list_unlink(&ext->link);
	wlog_buf_put(log, ext->buf);
	ext_free(log, ext);
}

void wlog_fini(struct wlog *log)
{
	struct range *r;

	while ((r = rmap_any(&log->map)))
		ext_drop(log, (struct wlog_ext *)r);
}

static void set_state(struct wlog *log, struct wlog_ext *ext, enum wlog_state state)
{
	count(log, ext->state, 0, ext->r.len);
	list_unlink(&ext->link);
	ext->state = state;
	list_push(list_of(log, state), &ext->link);
	count(log, state, ext->r.len, 0);
}

/* Makes `rest`, which is fresh, the part of ext from at on; both keep place and state. */
static void split(struct wlog *log, struct wlog_ext *ext, uint64_t at, struct wlog_ext *rest)
{
	uint32_t head = (uint32_t)(at - ext->r.off);

	rest->r.off = at;
	rest->r.len = ext->r.len - head;
	rest->buf = ext->buf;
	rest->buf->refs++;
	rest->buf_off = ext->buf_off + head;
	rest->state = ext->state;
	rest->first_seq = ext->first_seq;
	rest->ack_no = ext->ack_no;
	rest->look_no = ext->look_no;
	ext->r.len = head;
	list_add_before(ext->link.next, &rest->link);
	rmap_insert(&log->map, &rest->r);
}

static void trim_front(struct wlog *log, struct wlog_ext *ext, uint64_t to)
{
	uint32_t n = (uint32_t)(to - ext->r.off);

	/* The map is sorted by offset, and nothing lies between the old and the new one. */
	ext->r.off += n;
	ext->r.len -= n;
	ext->buf_off += n;
	count(log, ext->state, 0, n);
}

/* Takes [off, end) away from extents that may not change; *spare is used for a split. */
static void cut_fixed(struct wlog *log, uint64_t off, uint64_t end, struct wlog_ext **spare)
{
	uint64_t pos = off;
	struct wlog_ext *ext;

	while ((ext = wlog_find(log, pos, end))) {
		pos = range_end(&ext->r);
		if (ext->state == WLOG_DIRTY)
			continue;
		if (ext->r.off < off && pos > end && *spare) {
			split(log, ext, end, *spare);
			*spare = NULL;
		}
		if (ext->r.off < off) {
			uint32_t n = (uint32_t)(range_end(&ext->r) - off);

			ext->r.len -= n;
			count(log, ext->state, 0, n);
		} else if (range_end(&ext->r) > end) {
			trim_front(log, ext, end);
		} else {
			ext_drop(log, ext);
		}
	}
}

/* DIRTY extents that a write to [lo, hi) becomes one with. */
struct merge {
	uint64_t lo, hi;		/* of the result */
	struct wlog_ext *oldest;		/* stays; NULL: there is none */
	unsigned count;
};

static struct merge find_merge(const struct wlog *log, uint64_t off, uint64_t end)
{
	uint64_t region = off & ~(uint64_t)(RMAP_REGION_LEN - 1);
	struct merge m = { .lo = off, .hi = end };
	uint64_t pos = off > region ? off - 1 : off;
	uint64_t stop = end < rmap_region_end(off) ? end + 1 : end;
	struct wlog_ext *ext;

	while ((ext = wlog_find(log, pos, stop))) {
		pos = range_end(&ext->r);
		if (ext->state != WLOG_DIRTY)
			continue;
		m.count++;
		m.lo = MIN(m.lo, ext->r.off);
		m.hi = MAX(m.hi, pos);
		if (!m.oldest || ext->first_seq < m.oldest->first_seq)
			m.oldest = ext;
	}
	return m;
}

static bool fits_in_place(const struct merge *m, uint64_t off)
{
	const struct wlog_ext *ext = m->oldest;

	return m->count == 1 && ext->buf->refs == 1 && ext->r.off <= off &&
	       ext->buf_off + (m->hi - ext->r.off) <= ext->buf->cap;
}

/* Copies the DIRTY extents of the merge into buf, whose first byte stands for m->lo. */
static void gather(struct wlog *log, const struct merge *m, struct wlog_buf *buf)
{
	uint64_t pos = m->lo;
	struct wlog_ext *ext;

	while ((ext = wlog_find(log, pos, m->hi))) {
		pos = range_end(&ext->r);
		if (ext->state != WLOG_DIRTY)
			continue;
		memcpy(buf->bytes + (ext->r.off - m->lo), wlog_bytes(ext), ext->r.len);
		if (ext != m->oldest)
			ext_drop(log, ext);
	}
}

static uint32_t capacity(const struct merge *m)
{
	uint32_t len = (uint32_t)(m->hi - m->lo);
	/* What has grown once will grow again. */
	uint32_t cap = m->count ? MAX(2 * len, (uint32_t)GROW_LEN) : len;

	return MIN(cap, (uint32_t)(rmap_region_end(m->lo) - m->lo));
}

/* Gives the merged extent its place in the map; its list place is that of the oldest. */
static void settle(struct wlog *log, struct wlog_ext *ext, const struct merge *m,
		   struct wlog_buf *buf)
{
	if (m->oldest) {
		rmap_remove(&log->map, &ext->r);
		count(log, WLOG_DIRTY, 0, ext->r.len);
		wlog_buf_put(log, ext->buf);
	} else {
		ext->state = WLOG_DIRTY;
		ext->first_seq = log->seq;
		list_push(&log->dirty, &ext->link);
	}
	ext->buf = buf;
	ext->buf_off = 0;
	ext->r.off = m->lo;
	ext->r.len = (uint32_t)(m->hi - m->lo);
	count(log, WLOG_DIRTY, ext->r.len, 0);
	rmap_insert(&log->map, &ext->r);
}

int wlog_write(struct wlog *log, const void *bytes, uint32_t len, uint64_t off)
{
	uint64_t end = off + len;
	struct merge m = find_merge(log, off, end);
	bool in_place = fits_in_place(&m, off);
	struct wlog_ext *spare = ext_new(log), *ext = m.oldest;
	struct wlog_buf *buf = in_place ? NULL : buf_new(log, capacity(&m));

	if (!ext)
		ext = ext_new(log);
	if (!spare || !ext || (!in_place && !buf)) {
		if (!m.oldest)
			ext_free(log, ext);
		ext_free(log, spare);
		if (buf)
			wlog_buf_put(log, buf);
		return -ENOMEM;
	}
	log->seq++;
	cut_fixed(log, off, end, &spare);
	ext_free(log, spare);
	if (in_place) {
		uint32_t new_len = (uint32_t)(m.hi - ext->r.off);

		count(log, WLOG_DIRTY, new_len, ext->r.len);
		ext->r.len = new_len;
		memcpy(ext->buf->bytes + ext->buf_off + (off - ext->r.off), bytes, len);
		return 0;
	}
	gather(log, &m, buf);
	memcpy(buf->bytes + (off - m.lo), bytes, len);
	settle(log, ext, &m, buf);
	return 0;
}

int wlog_take(struct wlog *log, struct wlog_ext *ext, uint32_t max_len)
{
	if (ext->r.len > max_len) {
		struct wlog_ext *rest = ext_new(log);

		if (!rest)
			return -ENOMEM;
		split(log, ext, ext->r.off + max_len, rest);
	}
	set_state(log, ext, WLOG_SENT);
	return 0;
}

/* Makes it ACKED, in its place by ack_no: mostly the last one. */
static void set_acked(struct wlog *log, struct wlog_ext *ext, uint64_t ack_no)
{
	struct list *before = &log->acked;

	while (before->prev != &log->acked &&
	       container_of(before->prev, struct wlog_ext, link)->ack_no > ack_no)
		before = before->prev;
	ext->ack_no = ack_no;
	set_state(log, ext, WLOG_ACKED);
	if (before == &log->acked)
		return;
	list_unlink(&ext->link);
	list_add_before(before, &ext->link);
}

void wlog_ack_before(struct wlog *log, const struct wlog_buf *buf, uint64_t off, uint32_t len,
		     uint64_t acks)
{
	uint64_t end = off + len;
	struct wlog_ext *ext;

	while ((ext = wlog_find(log, off, end))) {
		off = range_end(&ext->r);
		if (ext->state == WLOG_SENT && ext->buf == buf)
			set_acked(log, ext, acks);
	}
}

void wlog_ack(struct wlog *log, const struct wlog_buf *buf, uint64_t off, uint32_t len)
{
	log->acks++;
	wlog_ack_before(log, buf, off, len, log->acks);
}

static struct wlog_ext *first_of(struct list *l)
{
	return list_empty(l) ? NULL : container_of(l->next, struct wlog_ext, link);
}

void wlog_synced(struct wlog *log, uint64_t acks, uint64_t seq, wlog_keep_fn *keep, void *arg)
{
	struct wlog_ext *ext;

	while ((ext = first_of(&log->acked)) && ext->ack_no <= acks) {
		if (!keep(arg, ext)) {
			ext_drop(log, ext);
			continue;
		}
		ext->look_no = 0;
		set_state(log, ext, WLOG_KEPT);
	}
	log->synced_seq = MAX(log->synced_seq, seq);
}

/* In front of everything that is DIRTY, and as old as anything can be. */
static void dirty_again(struct wlog *log, struct wlog_ext *ext)
{
	set_state(log, ext, WLOG_DIRTY);
	ext->first_seq = log->synced_seq + 1;
	list_unlink(&ext->link);
	list_add_before(log->dirty.next, &ext->link);
}

void wlog_resend(struct wlog *log)
{
	struct wlog_ext *ext;

	while ((ext = first_of(&log->sent)))
		dirty_again(log, ext);
	while ((ext = first_of(&log->acked)))
		dirty_again(log, ext);
}

void wlog_rewrite(struct wlog *log, struct wlog_ext *ext)
{
	/* It was durable and is not any more: a flush that begins now has to wait for it. */
	set_state(log, ext, WLOG_DIRTY);
	ext->first_seq = ++log->seq;
}

void wlog_drop_kept(struct wlog *log)
{
	struct wlog_ext *ext;

	while ((ext = first_of(&log->kept)))
		ext_drop(log, ext);
}
