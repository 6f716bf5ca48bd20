/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The block cache: reading, kinds, eviction, reading ahead, several threads. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cache.h"
#include "csum.h"
#include "dev_delay.h"
#include "dev_fault.h"
#include "dev_mem.h"

enum { BS = 4096, NBLOCKS = 4096, SMALL = 64 * BS, SEED = 0x1234 };

struct rig {
	struct fs fs;
	struct blkdev *mem, *dev;
	struct cache *c;
};

/* Block n is full of the number n. */
static void fill_device(struct blkdev *mem)
{
	uint64_t *p = (uint64_t *)dev_mem_data(mem);

	for (uint64_t i = 0; i < (uint64_t)NBLOCKS * BS / 8; i++)
		p[i] = i * 8 / BS;
}

static struct rig *rig_open(size_t cache_bytes)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	assert_int_equal(dev_mem_open((uint64_t)NBLOCKS * BS, &r->mem), 0);
	assert_int_equal(dev_fault_open(r->mem, true, &r->dev), 0);
	fill_device(r->mem);
	r->fs.dev = r->dev;
	r->fs.block_size = BS;
	r->fs.block_bits = 12;
	r->fs.blocks_count = NBLOCKS;
	r->fs.csum_seed = SEED;
	assert_int_equal(cache_open(&r->fs, cache_bytes, &r->c), 0);
	r->fs.cache = r->c;
	return r;
}

static void rig_close(struct rig *r)
{
	cache_close(r->c);
	assert_int_equal(blkdev_close(r->dev), 0);
	free(r);
}

static uint64_t first_word(const struct buf *b)
{
	return get_le64(b->data);
}

static struct buf *read_ok(struct rig *r, uint64_t pblk, enum buf_kind kind, uint32_t seed)
{
	struct buf *b = NULL;

	assert_int_equal(cache_read(r->c, pblk, kind, seed, &b), 0);
	assert_int_equal(b->pblk, pblk);
	return b;
}

/* A directory leaf with one empty entry, sealed, at home. */
static void put_dir(struct rig *r, uint64_t pblk, uint32_t seed)
{
	uint8_t *d = dev_mem_data(r->mem) + pblk * BS;

	memset(d, 0, BS);
	put_le16(d + 4, BS - 12);
	put_le16(d + BS - 8, 12);
	d[BS - 5] = 0xDE;
	csum_seal(&r->fs, BUF_DIR, seed, pblk, d);
}

static void a_block_is_read_once(void **state)
{
	struct rig *r = rig_open(0);
	struct cache_stats st;
	struct buf *b;

	for (int i = 0; i < 3; i++) {
		b = read_ok(r, 77, BUF_RAW, 0);
		assert_int_equal(first_word(b), 77);
		cache_put(b);
	}
	assert_int_equal(r->dev->stats.reads, 1);
	cache_get_stats(r->c, &st);
	assert_int_equal(st.misses, 1);
	assert_int_equal(st.hits, 2);
	assert_int_equal(st.bytes, BS);
	assert_int_equal(st.limit, 32 << 20);
	rig_close(r);
}

static void data_is_page_aligned(void **state)
{
	struct rig *r = rig_open(0);

	for (int i = 0; i < 100; i++) {
		AUTOBUF b = read_ok(r, i, BUF_RAW, 0);

		assert_int_equal((uintptr_t)b->data % 4096, 0);
	}
	rig_close(r);
}

static void outside_is_corrupt(void **state)
{
	struct rig *r = rig_open(0);
	struct buf *b = NULL;

	assert_int_equal(cache_read(r->c, NBLOCKS, BUF_RAW, 0, &b), -EUCLEAN);
	assert_int_equal(cache_read(r->c, UINT64_MAX, BUF_RAW, 0, &b), -EUCLEAN);
	assert_int_equal(cache_new(r->c, NBLOCKS, BUF_RAW, 0, &b), -EUCLEAN);
	cache_prefetch(r->c, NBLOCKS, 4);
	cache_prefetch(r->c, UINT64_MAX - 1, 4);
	cache_prefetch(r->c, NBLOCKS - 2, 100);
	assert_null(b);
	assert_null(cache_peek(r->c, NBLOCKS));
	rig_close(r);
}

static void a_device_too_short_is_an_io_error(void **state)
{
	struct rig *r = rig_open(0);
	struct buf *b;

	r->fs.blocks_count = NBLOCKS + 1;
	assert_int_equal(cache_read(r->c, NBLOCKS, BUF_RAW, 0, &b), -EIO);
	rig_close(r);
}

static void a_failed_read_is_tried_again(void **state)
{
	struct rig *r = rig_open(0);
	struct buf *b;

	dev_fault_arm(r->dev, DEV_FAULT_READ, 1, -EIO, false);
	assert_int_equal(cache_read(r->c, 5, BUF_RAW, 0, &b), -EIO);
	assert_null(cache_peek(r->c, 5));
	b = read_ok(r, 5, BUF_RAW, 0);
	assert_int_equal(first_word(b), 5);
	cache_put(b);
	rig_close(r);
}

static void a_bad_checksum_is_found_at_each_read(void **state)
{
	struct rig *r = rig_open(0);
	struct buf *b;

	r->fs.has_csum = true;
	put_dir(r, 9, SEED);
	dev_mem_data(r->mem)[9 * BS + 100] ^= 1;
	assert_int_equal(cache_read(r->c, 9, BUF_DIR, SEED, &b), -EUCLEAN);
	assert_int_equal(cache_read(r->c, 9, BUF_DIR, SEED, &b), -EUCLEAN);
	dev_mem_data(r->mem)[9 * BS + 100] ^= 1;
	cache_put(read_ok(r, 9, BUF_DIR, SEED));
	rig_close(r);
}

static void another_kind_is_verified_anew(void **state)
{
	struct rig *r = rig_open(0);
	struct buf *b, *b2;

	r->fs.has_csum = true;
	put_dir(r, 9, SEED);
	cache_put(read_ok(r, 9, BUF_RAW, 0));
	b = read_ok(r, 9, BUF_DIR, SEED);
	assert_int_equal(b->kind, BUF_DIR);
	/* Somebody else's seed, or another kind, does not spoil it for its owner. */
	assert_int_equal(cache_read(r->c, 9, BUF_DIR, SEED + 1, &b2), -EUCLEAN);
	assert_int_equal(cache_read(r->c, 9, BUF_EXTENT, SEED, &b2), -EUCLEAN);
	assert_int_equal(b->kind, BUF_DIR);
	assert_int_equal(b->seed, SEED);
	cache_put(read_ok(r, 9, BUF_DIR, SEED));
	cache_put(b);
	assert_int_equal(cache_read(r->c, 9, BUF_DIR, SEED + 1, &b2), -EUCLEAN);
	cache_put(read_ok(r, 9, BUF_DIR, SEED));
	rig_close(r);
}

static void a_dirty_block_of_another_kind_is_corrupt(void **state)
{
	struct rig *r = rig_open(0);
	struct buf *b = read_ok(r, 9, BUF_DIR, SEED), *b2;

	cache_pin(b);
	assert_int_equal(cache_read(r->c, 9, BUF_EXTENT, SEED, &b2), -EUCLEAN);
	assert_int_equal(cache_read(r->c, 9, BUF_DIR, SEED + 1, &b2), -EUCLEAN);
	assert_int_equal(cache_new(r->c, 9, BUF_DIR, SEED, &b2), -EUCLEAN);
	buf_set_kind(b, BUF_DX, SEED);
	cache_put(read_ok(r, 9, BUF_DX, SEED));
	cache_unpin(b);
	cache_put(b);
	rig_close(r);
}

/* The checksum in memory is stale once changed: only the device tells. */
static void a_changed_clean_block_is_read_again_for_another_kind(void **state)
{
	struct rig *r = rig_open(0);
	struct buf *b;

	b = read_ok(r, 9, BUF_RAW, 0);
	cache_pin(b);
	memset(b->data, 0, BS);
	cache_unpin(b);
	cache_put(b);
	r->fs.has_csum = true;
	put_dir(r, 9, SEED);
	b = read_ok(r, 9, BUF_DIR, SEED);
	assert_memory_equal(b->data, dev_mem_data(r->mem) + 9 * BS, BS);
	cache_put(b);
	rig_close(r);
}

static void an_xattr_block_has_no_owner(void **state)
{
	struct rig *r = rig_open(0);
	struct buf *b = read_ok(r, 9, BUF_XATTR, 1);

	cache_pin(b);
	cache_put(read_ok(r, 9, BUF_XATTR, 2));
	cache_unpin(b);
	cache_put(b);
	rig_close(r);
}

static void a_new_block_is_zero_and_not_read(void **state)
{
	struct rig *r = rig_open(0);
	struct buf *old, *b;
	static const uint8_t zeros[BS];

	old = read_ok(r, 11, BUF_RAW, 0);
	assert_int_equal(cache_new(r->c, 11, BUF_EXTENT, SEED, &b), 0);
	assert_int_equal(cache_new(r->c, 12, BUF_EXTENT, SEED, &b), 0);
	assert_int_equal(r->dev->stats.reads, 1);
	assert_memory_equal(b->data, zeros, BS);
	cache_put(b);
	/* A view of the former content stays what it was. */
	assert_int_equal(first_word(old), 11);
	b = read_ok(r, 11, BUF_EXTENT, SEED);
	assert_int_equal(first_word(b), 0);
	cache_put(old);
	cache_put(b);
	cache_put(b);
	rig_close(r);
}

static void the_budget_is_kept(void **state)
{
	struct rig *r = rig_open(SMALL);
	struct cache_stats st;

	for (uint64_t i = 0; i < NBLOCKS; i++)
		cache_put(read_ok(r, i, BUF_RAW, 0));
	cache_get_stats(r->c, &st);
	assert_int_equal(st.limit, SMALL);
	assert_true(st.bytes <= SMALL);
	assert_int_equal(st.evictions, NBLOCKS - st.bytes / BS);
	rig_close(r);
}

static void what_is_used_again_stays(void **state)
{
	struct rig *r = rig_open(SMALL);
	uint64_t reads;

	cache_put(read_ok(r, 0, BUF_RAW, 0));
	for (uint64_t i = 1; i < 1000; i++) {
		cache_put(read_ok(r, i, BUF_RAW, 0));
		cache_put(read_ok(r, 0, BUF_RAW, 0));
	}
	reads = r->dev->stats.reads;
	assert_int_equal(reads, 1000);
	rig_close(r);
}

static void what_is_held_or_dirty_stays_and_the_excess_goes_later(void **state)
{
	struct rig *r = rig_open(SMALL);
	struct buf *held[500];
	struct cache_stats st;

	for (unsigned i = 0; i < 500; i++) {
		held[i] = read_ok(r, i, BUF_RAW, 0);
		if (i % 2) {
			cache_pin(held[i]);
			cache_put(held[i]);
		}
	}
	cache_get_stats(r->c, &st);
	assert_int_equal(st.dirty_bytes, 250 * BS);
	assert_true(st.bytes >= 500 * BS);
	for (uint64_t i = 500; i < 1000; i++)
		cache_put(read_ok(r, i, BUF_RAW, 0));
	for (unsigned i = 0; i < 500; i++) {
		assert_int_equal(first_word(held[i]), i);
		assert_int_equal(held[i]->pblk, i);
		if (i % 2)
			cache_unpin(held[i]);
		else
			cache_put(held[i]);
	}
	for (uint64_t i = 1000; i < 3000; i++)
		cache_put(read_ok(r, i, BUF_RAW, 0));
	cache_get_stats(r->c, &st);
	assert_int_equal(st.dirty_bytes, 0);
	assert_true(st.bytes <= SMALL);
	rig_close(r);
}

static void ahead_is_one_read(void **state)
{
	struct rig *r = rig_open(0);

	cache_prefetch(r->c, 100, 20);
	assert_int_equal(r->dev->stats.reads, 1);
	assert_int_equal(r->dev->stats.read_bytes, 20 * BS);
	for (uint64_t i = 100; i < 120; i++) {
		struct buf *b = read_ok(r, i, BUF_RAW, 0);

		assert_int_equal(first_word(b), i);
		assert_int_equal(get_le64(b->data + BS - 8), i);
		cache_put(b);
	}
	assert_int_equal(r->dev->stats.reads, 1);
	/* What is cached splits the rest in two. */
	cache_put(read_ok(r, 210, BUF_RAW, 0));
	cache_prefetch(r->c, 200, 20);
	assert_int_equal(r->dev->stats.reads, 4);
	cache_prefetch(r->c, 300, 1000);
	assert_int_equal(r->dev->stats.reads, 5);
	assert_int_equal(r->dev->stats.read_bytes, (20 + 20 + 32) * BS);
	rig_close(r);
}

static void what_came_ahead_is_verified_when_read(void **state)
{
	struct rig *r = rig_open(0);
	struct buf *b;

	r->fs.has_csum = true;
	put_dir(r, 100, SEED);
	put_dir(r, 101, SEED);
	dev_mem_data(r->mem)[101 * BS + 7] ^= 0x80;
	cache_prefetch(r->c, 100, 2);
	assert_null(cache_peek(r->c, 100));
	cache_put(read_ok(r, 100, BUF_DIR, SEED));
	assert_int_equal(cache_read(r->c, 101, BUF_DIR, SEED, &b), -EUCLEAN);
	assert_int_equal(r->dev->stats.reads, 1);
	b = cache_peek(r->c, 100);
	assert_non_null(b);
	cache_put(b);
	rig_close(r);
}

static void a_failure_ahead_is_no_failure(void **state)
{
	struct rig *r = rig_open(0);

	dev_fault_arm(r->dev, DEV_FAULT_READ, 1, -EIO, false);
	cache_prefetch(r->c, 100, 4);
	cache_put(read_ok(r, 100, BUF_RAW, 0));
	assert_int_equal(r->dev->stats.reads, 2);
	rig_close(r);
}

static void dropped_and_forgotten_blocks_are_read_again(void **state)
{
	struct rig *r = rig_open(0);
	struct buf *pinned, *b;

	for (uint64_t i = 0; i < 10; i++)
		cache_put(read_ok(r, i, BUF_RAW, 0));
	pinned = read_ok(r, 3, BUF_RAW, 0);
	cache_pin(pinned);
	cache_drop(r->c, 0, 5);
	assert_null(cache_peek(r->c, 4));
	b = cache_peek(r->c, 5);
	assert_non_null(b);
	cache_put(b);
	b = cache_peek(r->c, 3);
	assert_ptr_equal(b, pinned);
	cache_put(b);
	cache_drop(r->c, 2, UINT64_MAX - 2);
	assert_null(cache_peek(r->c, 5));
	b = cache_find(r->c, 3);
	assert_ptr_equal(b, pinned);
	cache_forget(b);
	cache_forget(b);
	cache_put(b);
	assert_null(cache_find(r->c, 3));
	b = read_ok(r, 3, BUF_RAW, 0);
	assert_ptr_not_equal(b, pinned);
	cache_put(b);
	cache_unpin(pinned);
	cache_put(pinned);
	rig_close(r);
}

struct shared {
	struct rig *r;
	unsigned seed;
};

/* What a thread returns when it fails. */
static void *failed(const char *why)
{
	return (void *)(uintptr_t)why;
}

static void *read_one(void *arg)
{
	struct shared *s = arg;
	struct buf *b;

	if (cache_read(s->r->c, 42, BUF_RAW, 0, &b))
		return failed("failed");
	if (first_word(b) != 42)
		return failed("wrong");
	cache_put(b);
	return NULL;
}

static void run_threads(struct rig *r, void *(*fn)(void *), unsigned n)
{
	struct shared s[8];
	pthread_t t[8];
	void *err;

	for (unsigned i = 0; i < n; i++) {
		s[i] = (struct shared){ .r = r, .seed = i + 1 };
		assert_int_equal(pthread_create(&t[i], NULL, fn, &s[i]), 0);
	}
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(pthread_join(t[i], &err), 0);
		if (err)
			fail_msg("%s", (char *)err);
	}
}

static void readers_of_one_block_share_one_read(void **state)
{
	struct rig *r = rig_open(0);
	const struct dev_delay_times times = { .read_us = 20000 };
	struct blkdev *slow;

	assert_int_equal(dev_delay_open(r->dev, false, &times, &slow), 0);
	r->fs.dev = slow;
	run_threads(r, read_one, 8);
	assert_int_equal(slow->stats.reads, 1);
	assert_int_equal(blkdev_close(slow), 0);
	rig_close(r);
}

/* Blocks below 2048 keep their number for content; the others are changed at will by
 * the one thread that owns them (number modulo 4). */
static void *hammer(void *arg)
{
	struct shared *s = arg;
	struct cache *c = s->r->c;
	unsigned seed = s->seed;

	for (unsigned i = 0; i < 20000; i++) {
		uint64_t fixed = rand_r(&seed) % 2048;
		uint64_t own = 2048 + (rand_r(&seed) % 512) * 4 + s->seed % 4;
		struct buf *b;

		if (rand_r(&seed) % 16 == 0)
			cache_prefetch(c, fixed, 8);
		if (cache_read(c, fixed, BUF_RAW, 0, &b) || first_word(b) != fixed)
			return failed("a fixed block is wrong");
		cache_put(b);
		if (rand_r(&seed) % 8 == 0)
			cache_drop(c, fixed, 3);
		if (cache_new(c, own, BUF_RAW, 0, &b))
			return failed("cache_new failed");
		cache_pin(b);
		put_le64(b->data, own + i);
		if (first_word(b) != own + i)
			return failed("somebody else's bytes");
		if (rand_r(&seed) % 2)
			cache_forget(b);
		cache_unpin(b);
		cache_put(b);
	}
	return NULL;
}

static void threads_do_not_get_in_each_others_way(void **state)
{
	struct rig *r = rig_open(SMALL);
	struct cache_stats st;

	run_threads(r, hammer, 4);
	cache_get_stats(r->c, &st);
	assert_int_equal(st.dirty_bytes, 0);
	rig_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_block_is_read_once),
		cmocka_unit_test(data_is_page_aligned),
		cmocka_unit_test(outside_is_corrupt),
		cmocka_unit_test(a_device_too_short_is_an_io_error),
		cmocka_unit_test(a_failed_read_is_tried_again),
		cmocka_unit_test(a_bad_checksum_is_found_at_each_read),
		cmocka_unit_test(another_kind_is_verified_anew),
		cmocka_unit_test(a_dirty_block_of_another_kind_is_corrupt),
		cmocka_unit_test(a_changed_clean_block_is_read_again_for_another_kind),
		cmocka_unit_test(an_xattr_block_has_no_owner),
		cmocka_unit_test(a_new_block_is_zero_and_not_read),
		cmocka_unit_test(the_budget_is_kept),
		cmocka_unit_test(what_is_used_again_stays),
		cmocka_unit_test(what_is_held_or_dirty_stays_and_the_excess_goes_later),
		cmocka_unit_test(ahead_is_one_read),
		cmocka_unit_test(what_came_ahead_is_verified_when_read),
		cmocka_unit_test(a_failure_ahead_is_no_failure),
		cmocka_unit_test(dropped_and_forgotten_blocks_are_read_again),
		cmocka_unit_test(readers_of_one_block_share_one_read),
		cmocka_unit_test(threads_do_not_get_in_each_others_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
