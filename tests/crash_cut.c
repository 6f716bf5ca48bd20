/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images between two flushes. */
#include <stdlib.h>
#include <string.h>

#include "crash_cut.h"
#include "crash_model.h"
#include "unit_image.h"
#include "unit_walk.h"

enum { SUPER_OFF = 1024, SUPER_LEN = 1024 };

static bool is_change(const struct crash_entry *e)
{
	return e->kind < CRASH_FLUSH_CALL && e->len;
}

static bool is_flush_end(const struct crash_log *log, size_t i)
{
	return log->entries[i].kind == CRASH_CALL_DONE &&
	       log->entries[log->entries[i].off].kind == CRASH_FLUSH_CALL;
}

/* -- places -------------------------------------------------------------------------- */

static void add_point(struct cut_point **points, size_t *n, size_t at, enum cut_kind kind)
{
	if (!(*n & (*n - 1)))
		*points = reallocarray(*points, *n ? 2 * *n : 1, sizeof(**points));
	if (!*points)
		unit_die("no memory");
	(*points)[(*n)++] = (struct cut_point){ at, kind };
}

struct cut_point *cut_points(const struct crash_log *log, size_t *ret_n)
{
	struct cut_point *points = NULL;
	size_t n = 0, pending = 0;

	for (size_t i = 0; i < log->n; i++) {
		bool flush = is_flush_end(log, i);

		/* Before a flush returns: the most there can be that is not durable. */
		if (flush && pending)
			for (enum cut_kind kind = CUT_ALL; kind < CUT_KINDS; kind++)
				add_point(&points, &n, i, kind);
		if (flush) {
			add_point(&points, &n, i + 1, CUT_NOTHING);
			pending = 0;
		}
		if (!is_change(&log->entries[i]))
			continue;
		pending++;
		add_point(&points, &n, i + 1, CUT_ALL);
		if (pending > 1)
			add_point(&points, &n, i + 1, pending % 2 ? CUT_TORN : CUT_SOME);
	}
	*ret_n = n;
	return points;
}

/* -- images -------------------------------------------------------------------------- */

void cutter_init(struct cutter *c, const struct crash_log *log, const uint8_t *base, uint64_t size)
{
	*c = (struct cutter){ .log = log, .durable = malloc(size), .size = size };
	if (!c->durable)
		unit_die("no memory");
	memcpy(c->durable, base, size);
}

void cutter_fini(struct cutter *c)
{
	free(c->durable);
	free(c->pending);
}

/* One sector, or all of a call. */
static void apply(const struct crash_entry *e, uint8_t *image, uint64_t from, uint64_t len)
{
	if (e->kind == CRASH_WRITE_CALL)
		memcpy(image + e->off + from, e->data + from, len);
	else
		memset(image + e->off + from, 0, len);
}

/* What had returned before the last flush was called goes into the durable image. */
static void settle(struct cutter *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->npending; i++) {
		const struct crash_entry *e = &c->log->entries[c->pending[i]];

		if (e->done < c->flushed)
			apply(e, c->durable, 0, e->len);
		else
			c->pending[kept++] = c->pending[i];
	}
	c->npending = kept;
}

void cutter_seek(struct cutter *c, size_t at)
{
	for (; c->at < at; c->at++) {
		const struct crash_entry *e = &c->log->entries[c->at];

		if (is_change(e)) {
			if (e->off > c->size || e->len > c->size - e->off)
				unit_die("a write outside the image");
			if (c->npending == c->room) {
				c->room = c->room ? 2 * c->room : 64;
				c->pending = reallocarray(c->pending, c->room, sizeof(*c->pending));
				if (!c->pending)
					unit_die("no memory");
			}
			c->pending[c->npending++] = c->at;
		} else if (is_flush_end(c->log, c->at) && e->off > c->flushed) {
			c->flushed = e->off;
			settle(c);
		}
	}
}

/* Any sectors. True when the first is there and another is not. */
static bool apply_torn(const struct crash_entry *e, uint8_t *image, bool really, uint64_t *rnd)
{
	bool super = unit_random(rnd) & 1, first = false, lacks = false;

	for (uint64_t from = 0, len; from < e->len; from += len) {
		uint64_t off = e->off + from;
		bool there = unit_random(rnd) & 1;

		len = MIN((uint64_t)CRASH_SECTOR - off % CRASH_SECTOR, e->len - from);
		if (off >= SUPER_OFF && off < SUPER_OFF + SUPER_LEN)
			there = super;
		if (!from)
			first = there;
		lacks |= !there;
		if (there && really)
			apply(e, image, from, len);
	}
	return first && lacks;
}

size_t cutter_image(const struct cutter *c, uint8_t *out, enum cut_kind kind, uint64_t rnd,
		    bool (*is_head)(void *arg, const struct crash_entry *e), void *arg,
		    size_t without)
{
	unsigned keep_of_4 = 1 + unit_random(&rnd) % 3;
	size_t lost = c->npending ? unit_random(&rnd) % c->npending : 0, head = SIZE_MAX;

	memcpy(out, c->durable, c->size);
	for (size_t i = 0; i < c->npending && kind != CUT_NOTHING; i++) {
		const struct crash_entry *e = &c->log->entries[c->pending[i]];
		bool really = c->pending[i] != without, there;

		if (kind == CUT_ALL || kind == CUT_LOST)
			there = kind == CUT_ALL || i != lost;
		else
			there = unit_random(&rnd) % 4 < keep_of_4;
		if (there && really)
			apply(e, out, 0, e->len);
		else if (!there && kind == CUT_TORN && apply_torn(e, out, really, &rnd) && is_head &&
			 is_head(arg, e))
			head = c->pending[i];
	}
	return head;
}
