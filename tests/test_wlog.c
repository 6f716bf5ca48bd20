/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The log of writes and the cache against plain arrays, and a server that forgets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "transport/rcache.h"
#include "transport/wlog.h"

enum { SIZE = 4 * RMAP_REGION_LEN, MAX_FLIGHT = 16 };

static bool keep_none(void *arg, const struct wlog_ext *ext)
{
	return false;
}

static unsigned seed_of(void)
{
	const char *given = getenv("SEED");

	return given ? (unsigned)strtoul(given, NULL, 0) : 7;
}

static void writes_that_touch_are_one(void **state)
{
	static struct wlog log;
	uint8_t buf[8192] = { 1 };
	struct wlog_ext *ext;

	wlog_init(&log);
	for (int i = 0; i < 8; i++)
		assert_int_equal(wlog_write(&log, buf, 4096, 65536 + 4096 * (uint64_t)i), 0);
	ext = wlog_find(&log, 0, SIZE);
	assert_int_equal(ext->r.off, 65536);
	assert_int_equal(ext->r.len, 8 * 4096);
	assert_int_equal(ext->first_seq, 1);
	assert_ptr_equal(log.dirty.next->next, &log.dirty);
	/* Before it, and across it. */
	assert_int_equal(wlog_write(&log, buf, 4096, 61440), 0);
	assert_int_equal(wlog_write(&log, buf, 8192, 61440 + 100), 0);
	ext = wlog_find(&log, 0, SIZE);
	assert_int_equal(ext->r.off, 61440);
	assert_int_equal(ext->r.len, 9 * 4096);
	/* Not over the border of a region. */
	assert_int_equal(wlog_write(&log, buf, 4096, RMAP_REGION_LEN - 4096), 0);
	assert_int_equal(wlog_write(&log, buf, 4096, RMAP_REGION_LEN), 0);
	ext = wlog_find(&log, RMAP_REGION_LEN, SIZE);
	assert_int_equal(ext->r.len, 4096);
	wlog_fini(&log);
	assert_int_equal(log.mem_len, 0);
}

static void bytes_in_flight_do_not_change(void **state)
{
	static struct wlog log;
	uint8_t a[4096], b[1024];
	struct wlog_ext *ext;
	struct wlog_buf *buf;

	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	wlog_init(&log);
	assert_int_equal(wlog_write(&log, a, sizeof(a), 0), 0);
	ext = wlog_find(&log, 0, 1);
	assert_int_equal(wlog_take(&log, ext, 1 << 20), 0);
	buf = ext->buf;
	buf->refs++;
	assert_int_equal(wlog_write(&log, b, sizeof(b), 1024), 0);
	assert_memory_equal(buf->bytes, a, sizeof(a));
	ext = wlog_find(&log, 1024, 1025);
	assert_int_equal(ext->state, WLOG_DIRTY);
	assert_memory_equal(wlog_bytes(ext), b, sizeof(b));
	/* Its parts are acknowledged on both sides of what was written over. */
	wlog_ack(&log, buf, 0, 4096);
	assert_int_equal(log.acked_len, 3072);
	wlog_buf_put(&log, buf);
	wlog_synced(&log, log.acks, 1, keep_none, NULL);
	assert_int_equal(wlog_unsynced(&log), 1024);
	/* What is sent again is what is newest. */
	assert_int_equal(wlog_take(&log, wlog_find(&log, 0, SIZE), 1 << 20), 0);
	wlog_resend(&log);
	assert_int_equal(log.dirty_len, 1024);
	wlog_fini(&log);
	assert_int_equal(log.mem_len, 0);
}

static bool keep_all(void *arg, const struct wlog_ext *ext)
{
	(void)arg;
	return ext->r.len > 0;
}

static struct wlog_ext *first_dirty(struct wlog *log)
{
	return list_empty(&log->dirty) ? NULL :
	       container_of(log->dirty.next, struct wlog_ext, link);
}

/* Sends and answers everything, and syncs it. */
static void settle(struct wlog *log, wlog_keep_fn *keep)
{
	struct wlog_ext *ext;

	while ((ext = first_dirty(log))) {
		assert_int_equal(wlog_take(log, ext, RMAP_REGION_LEN), 0);
		wlog_ack(log, ext->buf, ext->r.off, ext->r.len);
	}
	wlog_synced(log, log->acks, log->seq, keep, NULL);
}

static void what_is_rewritten_is_not_durable_until_the_next_sync(void **state)
{
	struct wlog log;
	struct wlog_ext *ext;

	(void)state;
	wlog_init(&log);
	assert_int_equal(wlog_write(&log, "old", 3, 100), 0);
	settle(&log, keep_all);
	assert_int_equal(log.synced_seq, log.seq);
	assert_int_equal(wlog_write(&log, "new", 3, 200), 0);
	wlog_rewrite(&log, wlog_find(&log, 100, 103));
	/* Whoever flushes now waits for both, and the one written first is the older one. */
	assert_int_equal(log.seq, log.synced_seq + 2);
	ext = first_dirty(&log);
	assert_int_equal(ext->r.off, 200);
	assert_int_equal(ext->first_seq, log.synced_seq + 1);
	settle(&log, keep_none);
	assert_int_equal(log.seq, log.synced_seq);
	wlog_fini(&log);
	assert_int_equal(log.mem_len, 0);
}

struct flight {
	struct wlog_buf *buf;
	uint64_t off;
	uint32_t len;
	uint8_t *copy;
};

/* A server: what it would show now, and what it would still have after a power cut. */
struct server {
	uint8_t now[SIZE], disk[SIZE];
};

struct world {
	struct wlog log;
	struct server server;
	uint8_t model[SIZE], flushed[SIZE];	/* ours: newest, and newest at the last fsync */
	struct flight flights[MAX_FLIGHT];
	unsigned count;
	bool syncing;
	uint64_t sync_acks;
};

static void check_reads(struct world *w)
{
	static uint8_t seen[SIZE];
	uint64_t pos = 0;
	struct wlog_ext *ext;

	memcpy(seen, w->server.now, SIZE);
	while ((ext = wlog_find(&w->log, pos, SIZE))) {
		memcpy(seen + ext->r.off, wlog_bytes(ext), ext->r.len);
		pos = range_end(&ext->r);
	}
	assert_memory_equal(seen, w->model, SIZE);
}

static void do_write(struct world *w)
{
	uint64_t off = (uint64_t)rand() % SIZE & ~(rand() % 4 ? 511ull : 0);
	uint64_t most = rmap_region_end(off) - off;
	uint32_t len = (uint32_t)(1 + (uint64_t)rand() % (rand() % 3 ? 4096 : RMAP_REGION_LEN));
	static uint8_t bytes[RMAP_REGION_LEN];

	len = len > most ? (uint32_t)most : len;
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)rand();
	assert_int_equal(wlog_write(&w->log, bytes, len, off), 0);
	memcpy(w->model + off, bytes, len);
}

static bool overlaps(const struct world *w, const struct wlog_ext *ext, uint32_t max)
{
	uint64_t end = ext->r.off + (ext->r.len < max ? ext->r.len : max);

	for (unsigned i = 0; i < w->count; i++) {
		if (w->flights[i].off < end && ext->r.off < w->flights[i].off + w->flights[i].len)
			return true;
	}
	return false;
}

static void do_send(struct world *w)
{
	uint32_t max = rand() % 2 ? 1 << 20 : 3000;

	for (struct list *l = w->log.dirty.next; l != &w->log.dirty; l = l->next) {
		struct wlog_ext *ext = container_of(l, struct wlog_ext, link);
		struct flight *f = &w->flights[w->count];

		if (w->count == MAX_FLIGHT || overlaps(w, ext, max))
			continue;
		assert_int_equal(wlog_take(&w->log, ext, max), 0);
		*f = (struct flight){ ext->buf, ext->r.off, ext->r.len, malloc(ext->r.len) };
		memcpy(f->copy, wlog_bytes(ext), f->len);
		ext->buf->refs++;
		w->count++;
		return;
	}
}

static void end_flight(struct world *w, unsigned i, bool acked)
{
	struct flight f = w->flights[i];

	w->flights[i] = w->flights[--w->count];
	if (acked) {
		memcpy(w->server.now + f.off, f.copy, f.len);
		wlog_ack(&w->log, f.buf, f.off, f.len);
	} else if (rand() % 2) {
		memcpy(w->server.now + f.off, f.copy, f.len);
	}
	wlog_buf_put(&w->log, f.buf);
	free(f.copy);
}

/* Everything is answered, then an fsync. */
static void do_flush(struct world *w)
{
	w->syncing = false;
	while (w->count || !list_empty(&w->log.dirty)) {
		do_send(w);
		if (w->count)
			end_flight(w, (unsigned)rand() % w->count, true);
	}
	memcpy(w->server.disk, w->server.now, SIZE);
	wlog_synced(&w->log, w->log.acks, w->log.seq, keep_none, NULL);
	assert_int_equal(wlog_unsynced(&w->log), 0);
	assert_memory_equal(w->server.disk, w->model, SIZE);
	memcpy(w->flushed, w->model, SIZE);
}

/* An fsync is carried out while other things happen; its answer comes later. */
static void do_sync(struct world *w)
{
	if (w->syncing) {
		wlog_synced(&w->log, w->sync_acks, w->log.synced_seq, keep_none, NULL);
		w->syncing = false;
		return;
	}
	memcpy(w->server.disk, w->server.now, SIZE);
	w->sync_acks = w->log.acks;
	w->syncing = true;
}

/* The connection goes; maybe the server has lost, block by block, what it had not synced. */
static void do_loss(struct world *w)
{
	bool power = rand() % 2;

	w->syncing = false;
	while (w->count)
		end_flight(w, 0, false);
	for (uint32_t i = 0; power && i < SIZE; i += 512) {
		if (rand() % 2)
			memcpy(w->server.now + i, w->server.disk + i, 512);
	}
	wlog_resend(&w->log);
}

static void nothing_is_lost_that_was_not_durable(void **state)
{
	static struct world w;
	unsigned seed = seed_of();

	srand(seed);
	memset(&w, 0, sizeof(w));
	wlog_init(&w.log);
	for (int i = 0; i < 20000; i++) {
		int what = rand() % 100;

		if (what < 40)
			do_write(&w);
		else if (what < 70)
			do_send(&w);
		else if (what < 96 && w.count)
			end_flight(&w, (unsigned)rand() % w.count, true);
		else if (what < 97)
			do_loss(&w);
		else if (what < 99)
			do_sync(&w);
		else if (what == 99 && rand() % 5 == 0)
			do_flush(&w);
		if (i % 50 == 0)
			check_reads(&w);
	}
	do_flush(&w);
	check_reads(&w);
	wlog_fini(&w.log);
	assert_int_equal(w.log.mem_len, 0);
}

static void the_cache_follows_writes(void **state)
{
	static struct rcache c;
	struct rcache_ent *a, *b;
	uint8_t buf[4096];

	rcache_init(&c, 64 * 1024);
	a = rcache_add(&c, 0, 4096);
	b = rcache_add(&c, 8192, 4096);
	memset(a->bytes, 'a', 4096);
	memset(b->bytes, 'b', 4096);
	rcache_filled(&c, a);
	rcache_write(&c, "xy", 2, 4095);
	rcache_copy(&c, a, buf, 4000, 96);
	assert_int_equal(buf[95], 'x');
	/* One that is being filled is forgotten: the answer may be older than the write. */
	rcache_write(&c, "z", 1, 9000);
	assert_null(rcache_find(&c, 8192, 12288));
	rcache_filled(&c, b);
	assert_null(rcache_find(&c, 8192, 12288));
	rcache_fini(&c);
	assert_int_equal(c.mem_len, 0);
}

static void the_cache_is_bounded(void **state)
{
	static struct rcache c;
	struct rcache_ent *ents[16];
	unsigned n = 0;

	rcache_init(&c, 64 * 1024);
	while (n < 16 && (ents[n] = rcache_add(&c, n * 8192ull, 8192)))
		n++;
	assert_in_range(n, 6, 8);
	assert_true(c.mem_len <= c.max_len);
	rcache_filled(&c, ents[0]);
	assert_non_null(rcache_add(&c, 1 << 20, 8192));
	assert_null(rcache_find(&c, 0, 8192));
	rcache_failed(&c, ents[1]);
	for (unsigned i = 2; i < n; i++)
		rcache_filled(&c, ents[i]);
	rcache_filled(&c, rcache_find(&c, 1 << 20, (1 << 20) + 1));
	rcache_fini(&c);
	assert_int_equal(c.mem_len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_that_touch_are_one),
		cmocka_unit_test(bytes_in_flight_do_not_change),
		cmocka_unit_test(what_is_rewritten_is_not_durable_until_the_next_sync),
		cmocka_unit_test(nothing_is_lost_that_was_not_durable),
		cmocka_unit_test(the_cache_follows_writes),
		cmocka_unit_test(the_cache_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
