/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copy-on-write of transport/overlay.c, against a plain array as the model. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dev_fault.h"
#include "dev_mem.h"
#include "transport/overlay.h"

/* Not a multiple of the chunk length: the last chunk is short. */
enum { SIZE = 300 * 4096 + 700 };

struct fixture {
	struct blkdev *mem, *fault, *dev;
	uint8_t *before;	/* what mem held at first */
};

static void open_over_pattern(struct fixture *f, uint64_t limit)
{
	assert_int_equal(dev_mem_open(SIZE, &f->mem), 0);
	for (size_t i = 0; i < SIZE; i++)
		dev_mem_data(f->mem)[i] = i * 7 + i / 4096;
	f->mem->info.readonly = true;
	f->before = malloc(SIZE);
	memcpy(f->before, dev_mem_data(f->mem), SIZE);
	assert_int_equal(dev_fault_open(f->mem, true, &f->fault), 0);
	assert_int_equal(overlay_dev_open(f->fault, true, limit, &f->dev), 0);
}

static void close_unchanged(struct fixture *f)
{
	assert_memory_equal(dev_mem_data(f->mem), f->before, SIZE);
	assert_int_equal(f->mem->stats.writes, 0);
	assert_int_equal(blkdev_close(f->dev), 0);
	free(f->before);
}

static void random_writes_read_back_and_stay_above(void **state)
{
	uint8_t *model = malloc(SIZE), *buf = malloc(SIZE);
	unsigned seed = 1;
	struct fixture f;

	open_over_pattern(&f, 0);
	memcpy(model, f.before, SIZE);
	for (int i = 0; i < 2000; i++) {
		uint64_t off = rand_r(&seed) % SIZE;
		size_t len = rand_r(&seed) % (i % 10 ? 300 : 20000);

		len = len > SIZE - off ? SIZE - off : len;
		if (rand_r(&seed) % 2) {
			memset(model + off, i, len);
			assert_int_equal(blkdev_write(f.dev, model + off, len, off), 0);
		}
		assert_int_equal(blkdev_read(f.dev, buf, len, off), 0);
		assert_memory_equal(buf, model + off, len);
	}
	assert_int_equal(blkdev_read(f.dev, buf, SIZE, 0), 0);
	assert_memory_equal(buf, model, SIZE);
	assert_int_equal(blkdev_flush(f.dev), 0);
	assert_int_equal(f.mem->stats.flushes, 0);
	close_unchanged(&f);
	free(model);
	free(buf);
}

static void the_limit_is_enospc_for_new_chunks_only(void **state)
{
	struct fixture f;

	open_over_pattern(&f, 2 * 4096);
	assert_int_equal(overlay_dev_bytes(f.dev), 0);
	assert_int_equal(blkdev_write(f.dev, "a", 1, 0), 0);
	assert_int_equal(blkdev_write(f.dev, "a", 1, SIZE - 1), 0);
	assert_int_equal(blkdev_write(f.dev, "a", 1, 4096), -ENOSPC);
	assert_int_equal(blkdev_write(f.dev, "b", 1, 4095), 0);
	assert_int_equal(overlay_dev_bytes(f.dev), 2 * 4096);
	close_unchanged(&f);
}

static void what_is_in_memory_needs_no_wait(void **state)
{
	struct fixture f;
	char c[2];

	open_over_pattern(&f, 0);
	assert_int_equal(blkdev_write(f.dev, "a", 1, 4095), 0);
	assert_int_equal(blkdev_read_nowait(f.dev, c, 1, 4095), 0);
	assert_int_equal(c[0], 'a');
	assert_int_equal(blkdev_read_nowait(f.dev, c, 2, 4095), -EAGAIN);
	close_unchanged(&f);
}

static void discard_changes_nothing(void **state)
{
	struct fixture f;
	char c;

	open_over_pattern(&f, 0);
	assert_int_equal(blkdev_write(f.dev, "a", 1, 5000), 0);
	assert_int_equal(blkdev_discard(f.dev, 0, SIZE), 0);
	assert_int_equal(blkdev_read(f.dev, &c, 1, 5000), 0);
	assert_int_equal(c, 'a');
	assert_int_equal(overlay_dev_bytes(f.dev), 4096);
	close_unchanged(&f);
}

static void an_error_below_shows_and_leaves_no_chunk(void **state)
{
	struct fixture f;
	uint8_t buf[4096];

	open_over_pattern(&f, 0);
	dev_fault_arm(f.fault, DEV_FAULT_READ, 1, -EIO, true);
	assert_int_equal(blkdev_write(f.dev, "a", 1, 0), -EIO);
	assert_int_equal(overlay_dev_bytes(f.dev), 0);
	assert_int_equal(blkdev_read(f.dev, buf, 1, 0), -EIO);
	/* Whole chunks need nothing from below. */
	assert_int_equal(blkdev_write(f.dev, f.before, 4096, 4096), 0);
	assert_int_equal(blkdev_read(f.dev, buf, 4096, 4096), 0);
	assert_int_equal(blkdev_write(f.dev, f.before, SIZE % 4096, SIZE - SIZE % 4096), 0);
	assert_int_equal(dev_fault_count(f.fault), 2);
	dev_fault_disarm(f.fault);
	close_unchanged(&f);
}

static void a_borrowed_lower_device_stays_open(void **state)
{
	struct blkdev *mem, *dev;

	assert_int_equal(dev_mem_open(SIZE, &mem), 0);
	assert_int_equal(overlay_dev_open(mem, false, 0, &dev), 0);
	assert_int_equal(blkdev_close(dev), 0);
	assert_int_equal(blkdev_write(mem, "x", 1, 0), 0);
	assert_int_equal(blkdev_close(mem), 0);
}

struct striper {
	struct blkdev *dev;
	unsigned lane;
};

enum { LANES = 4, LANE_LEN = 64 };

/* Each thread owns every fourth piece of 64 bytes: all of them share all chunks. */
static void *stripe(void *arg)
{
	struct striper *s = arg;
	uint8_t buf[LANE_LEN];

	memset(buf, 'A' + s->lane, sizeof(buf));
	for (uint64_t off = s->lane * LANE_LEN; off + LANE_LEN <= SIZE; off += LANES * LANE_LEN) {
		if (blkdev_write(s->dev, buf, sizeof(buf), off))
			return s;
	}
	return NULL;
}

static void threads_may_share_chunks(void **state)
{
	struct striper s[LANES];
	pthread_t threads[LANES];
	struct fixture f;
	uint8_t *buf = malloc(SIZE);

	open_over_pattern(&f, 0);
	for (unsigned i = 0; i < LANES; i++) {
		s[i] = (struct striper){ f.dev, i };
		assert_int_equal(pthread_create(&threads[i], NULL, stripe, &s[i]), 0);
	}
	for (unsigned i = 0; i < LANES; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(blkdev_read(f.dev, buf, SIZE, 0), 0);
	for (size_t i = 0; i < SIZE / LANE_LEN * LANE_LEN; i++)
		assert_int_equal(buf[i], 'A' + i / LANE_LEN % LANES);
	close_unchanged(&f);
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_writes_read_back_and_stay_above),
		cmocka_unit_test(the_limit_is_enospc_for_new_chunks_only),
		cmocka_unit_test(what_is_in_memory_needs_no_wait),
		cmocka_unit_test(discard_changes_nothing),
		cmocka_unit_test(an_error_below_shows_and_leaves_no_chunk),
		cmocka_unit_test(a_borrowed_lower_device_stays_open),
		cmocka_unit_test(threads_may_share_chunks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
