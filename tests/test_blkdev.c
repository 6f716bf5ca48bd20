/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The contract checks of transport/blkdev.c, and the test devices built on it. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "dev_delay.h"
#include "dev_fault.h"
#include "dev_mem.h"
#include "dev_record.h"
#include "transport/flushes.h"

enum { SIZE = 1024 * 1024 };

/* A device that tells what reached it. */
struct probe {
	struct blkdev dev;
	unsigned reads, nowaits, writes, zeros, flushes, discards, prefetches, waits, short_waits;
	bool cached;		/* read_nowait succeeds */
	int zeros_err;
};

static int probe_read(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	((struct probe *)dev)->reads++;
	memset(buf, 'r', len);
	return 0;
}

static int probe_nowait(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	struct probe *p = (struct probe *)dev;

	p->nowaits++;
	memset(buf, 'n', len);
	return p->cached ? 0 : -EAGAIN;
}

static int probe_write(struct blkdev *dev, const void *buf, size_t len, uint64_t off)
{
	((struct probe *)dev)->writes++;
	return 0;
}

static int probe_zeros(struct blkdev *dev, uint64_t off, uint64_t len)
{
	((struct probe *)dev)->zeros++;
	return ((struct probe *)dev)->zeros_err;
}

static int probe_flush(struct blkdev *dev)
{
	((struct probe *)dev)->flushes++;
	return 0;
}

static int probe_discard(struct blkdev *dev, uint64_t off, uint64_t len)
{
	((struct probe *)dev)->discards++;
	return 0;
}

static void probe_prefetch(struct blkdev *dev, uint64_t off, uint64_t len)
{
	((struct probe *)dev)->prefetches++;
}

static int probe_close(struct blkdev *dev)
{
	return -EIO;
}

static struct {
	pthread_barrier_t both;
	pthread_mutex_t lock;
	unsigned calls;
	bool first_hears;
} race = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Two at a time. One of them hears of the loss, and takes its time to say so. */
static int racing_flush(struct blkdev *dev)
{
	const struct timespec ms = { .tv_nsec = 20000000 };
	bool hears;

	pthread_mutex_lock(&race.lock);
	hears = (race.calls++ == 0) == race.first_hears;
	pthread_mutex_unlock(&race.lock);
	pthread_barrier_wait(&race.both);
	if (!hears)
		return 0;
	nanosleep(&ms, NULL);
	return -EIO;
}

static const struct blkdev_ops racing_ops = { .flush = racing_flush };

static const struct blkdev_ops probe_ops = {
	.read = probe_read,
	.read_nowait = probe_nowait,
	.write = probe_write,
	.write_zeros = probe_zeros,
	.flush = probe_flush,
	.discard = probe_discard,
	.prefetch = probe_prefetch,
	.close = probe_close,
};

static void probe_waits(void *arg, bool is_short)
{
	struct probe *p = arg;

	p->waits++;
	p->short_waits += is_short;
}

static struct probe probe_new(void)
{
	return (struct probe){
		.dev.ops = &probe_ops,
		.dev.info = { .size = SIZE, .io_min = 512, .can_discard = true },
	};
}

static void ranges_outside_never_reach_the_device(void **state)
{
	struct probe p = probe_new();
	char buf[2];

	assert_int_equal(blkdev_read(&p.dev, buf, 2, SIZE - 1), -EINVAL);
	assert_int_equal(blkdev_read(&p.dev, buf, 2, UINT64_MAX), -EINVAL);
	assert_int_equal(blkdev_read(&p.dev, buf, SIZE_MAX, 1), -EINVAL);
	assert_int_equal(blkdev_read_nowait(&p.dev, buf, 1, SIZE), -EINVAL);
	assert_int_equal(blkdev_write(&p.dev, buf, 2, SIZE - 1), -EINVAL);
	assert_int_equal(blkdev_write_zeros(&p.dev, 1, UINT64_MAX), -EINVAL);
	assert_int_equal(blkdev_discard(&p.dev, 1, SIZE), -EINVAL);
	blkdev_prefetch(&p.dev, SIZE, 1);
	assert_int_equal(p.reads + p.nowaits + p.writes + p.zeros + p.discards + p.prefetches, 0);
	assert_int_equal(blkdev_read(&p.dev, buf, 1, SIZE - 1), 0);
}

static void empty_transfers_succeed_and_do_nothing(void **state)
{
	struct probe p = probe_new();

	assert_int_equal(blkdev_read(&p.dev, NULL, 0, SIZE), 0);
	assert_int_equal(blkdev_read_nowait(&p.dev, NULL, 0, 0), 0);
	assert_int_equal(blkdev_write(&p.dev, NULL, 0, 0), 0);
	assert_int_equal(blkdev_write_zeros(&p.dev, 0, 0), 0);
	assert_int_equal(blkdev_discard(&p.dev, 0, 0), 0);
	blkdev_prefetch(&p.dev, 0, 0);
	assert_int_equal(p.reads + p.nowaits + p.writes + p.zeros + p.discards + p.prefetches, 0);
}

static void a_readonly_device_refuses_changes(void **state)
{
	struct probe p = probe_new();

	p.dev.info.readonly = true;
	assert_int_equal(blkdev_write(&p.dev, "x", 1, 0), -EROFS);
	assert_int_equal(blkdev_write_zeros(&p.dev, 0, 1), -EROFS);
	assert_int_equal(blkdev_discard(&p.dev, 0, 1), -EROFS);
	assert_int_equal(p.writes + p.zeros + p.discards, 0);
}

static void discard_needs_a_device_that_can(void **state)
{
	struct probe p = probe_new();

	assert_int_equal(blkdev_discard(&p.dev, 0, 1), 0);
	p.dev.info.can_discard = false;
	assert_int_equal(blkdev_discard(&p.dev, 0, 1), -EOPNOTSUPP);
	assert_int_equal(p.discards, 1);
}

static void the_hook_runs_only_before_waits(void **state)
{
	struct probe p = probe_new();
	char *buf = calloc(1, BLKDEV_LONG_WRITE);

	p.dev.before_wait = probe_waits;
	p.dev.before_wait_arg = &p;
	p.cached = true;
	assert_int_equal(blkdev_read(&p.dev, buf, 1, 0), 0);
	assert_int_equal(p.waits, 0);
	assert_int_equal(buf[0], 'n');
	p.cached = false;
	assert_int_equal(blkdev_read(&p.dev, buf, 1, 0), 0);
	assert_int_equal(p.waits, 1);
	assert_int_equal(p.short_waits, 1);
	assert_int_equal(buf[0], 'r');
	assert_int_equal(blkdev_write(&p.dev, buf, BLKDEV_LONG_WRITE - 1, 0), 0);
	assert_int_equal(p.waits, 1);
	assert_int_equal(blkdev_write(&p.dev, buf, BLKDEV_LONG_WRITE, 0), 0);
	assert_int_equal(p.waits, 2);
	assert_int_equal(blkdev_flush(&p.dev), 0);
	assert_int_equal(p.waits, 3);
	assert_int_equal(blkdev_read(&p.dev, buf, BLKDEV_SHORT_READ + 1, 0), 0);
	assert_int_equal(p.waits, 4);
	assert_int_equal(p.short_waits, 1);
	free(buf);
}

static void without_a_hook_a_read_is_one_call(void **state)
{
	struct probe p = probe_new();
	char c;

	assert_int_equal(blkdev_read(&p.dev, &c, 1, 0), 0);
	assert_int_equal(p.nowaits, 0);
	assert_int_equal(p.reads, 1);
}

static void zeros_fall_back_to_writes(void **state)
{
	struct probe p = probe_new();

	assert_int_equal(blkdev_write_zeros(&p.dev, 0, SIZE), 0);
	assert_int_equal(p.zeros, 1);
	assert_int_equal(p.writes, 0);
	p.zeros_err = -EOPNOTSUPP;
	assert_int_equal(blkdev_write_zeros(&p.dev, 0, SIZE), 0);
	assert_int_equal(p.writes, 1);
	p.zeros_err = -ENOSPC;
	assert_int_equal(blkdev_write_zeros(&p.dev, 0, SIZE), -ENOSPC);
	assert_int_equal(p.writes, 1);
	p.dev.info.size = 5ULL * SIZE;
	p.zeros_err = -EOPNOTSUPP;
	assert_int_equal(blkdev_write_zeros(&p.dev, 1, 5ULL * SIZE - 1), 0);
	assert_int_equal(p.writes, 6);
}

static void calls_are_counted(void **state)
{
	struct probe p = probe_new();
	char buf[10];

	blkdev_read(&p.dev, buf, 10, 0);
	blkdev_write(&p.dev, buf, 7, 0);
	blkdev_flush(&p.dev);
	blkdev_discard(&p.dev, 0, 100);
	p.zeros_err = -EIO;
	blkdev_write_zeros(&p.dev, 0, 5);
	assert_int_equal(p.dev.stats.reads, 1);
	assert_int_equal(p.dev.stats.read_bytes, 10);
	assert_int_equal(p.dev.stats.writes, 2);
	assert_int_equal(p.dev.stats.write_bytes, 12);
	assert_int_equal(p.dev.stats.flushes, 1);
	assert_int_equal(p.dev.stats.discards, 1);
	assert_int_equal(p.dev.stats.errors, 1);
}

static void *flush_thread(void *dev)
{
	return (void *)(intptr_t)blkdev_flush(dev);
}

static void a_loss_is_told_to_all_who_flush(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		struct probe p = probe_new();
		pthread_t other;
		void *result;

		p.dev.ops = &racing_ops;
		p.dev.flushes = flushes_new();
		assert_non_null(p.dev.flushes);
		race.calls = 0;
		race.first_hears = i;
		pthread_barrier_init(&race.both, NULL, 2);
		assert_int_equal(pthread_create(&other, NULL, flush_thread, &p.dev), 0);
		assert_int_equal(blkdev_flush(&p.dev), -EIO);
		assert_int_equal(pthread_join(other, &result), 0);
		assert_int_equal((intptr_t)result, -EIO);
		pthread_barrier_destroy(&race.both);
		p.dev.ops = &probe_ops;
		assert_int_equal(blkdev_flush(&p.dev), -EIO);	/* for good */
		assert_int_equal(blkdev_flush_own(&p.dev), 0);
		flushes_free(p.dev.flushes);
	}
}

static void close_takes_null_and_passes_errors(void **state)
{
	struct probe p = probe_new();

	assert_int_equal(blkdev_close(NULL), 0);
	assert_int_equal(blkdev_close(&p.dev), -EIO);
}

static void faults_hit_the_nth_call(void **state)
{
	struct blkdev *mem, *dev;
	char c = 0;

	assert_int_equal(dev_mem_open(SIZE, &mem), 0);
	assert_int_equal(dev_fault_open(mem, true, &dev), 0);
	dev_fault_arm(dev, DEV_FAULT_WRITE | DEV_FAULT_FLUSH, 2, -ENOSPC, false);
	assert_int_equal(blkdev_write(dev, "a", 1, 0), 0);
	assert_int_equal(blkdev_read(dev, &c, 1, 0), 0);
	assert_false(dev_fault_fired(dev));
	assert_int_equal(blkdev_flush(dev), -ENOSPC);
	assert_true(dev_fault_fired(dev));
	assert_int_equal(blkdev_write(dev, "b", 1, 0), 0);
	assert_int_equal(dev_fault_count(dev), 3);

	dev_fault_arm(dev, DEV_FAULT_ALL, 1, -EIO, true);
	assert_int_equal(blkdev_read(dev, &c, 1, 0), -EIO);
	assert_int_equal(blkdev_write(dev, "c", 1, 0), -EIO);
	assert_int_equal(blkdev_discard(dev, 0, 1), -EIO);
	dev_fault_disarm(dev);
	assert_int_equal(blkdev_read(dev, &c, 1, 0), 0);
	assert_int_equal(c, 'b');
	assert_int_equal(blkdev_close(dev), 0);
}

static void a_recorded_log_replays_to_any_point(void **state)
{
	struct blkdev *mem, *dev, *dst;
	struct dev_record_entry entry;

	assert_int_equal(dev_mem_open(SIZE, &mem), 0);
	assert_int_equal(dev_mem_open(SIZE, &dst), 0);
	assert_int_equal(dev_record_open(mem, true, &dev), 0);
	assert_int_equal(blkdev_write(dev, "first", 5, 10), 0);
	assert_int_equal(blkdev_flush(dev), 0);
	assert_int_equal(blkdev_write(dev, "second", 6, 20), 0);
	assert_int_equal(blkdev_discard(dev, 10, 2), 0);
	assert_int_equal(dev_record_count(dev), 4);
	assert_int_equal(dev_record_durable(dev, 4), 2);
	assert_int_equal(dev_record_durable(dev, 1), 0);

	assert_int_equal(dev_record_replay(dev, 2, dst), 0);
	assert_memory_equal(dev_mem_data(dst) + 10, "first", 5);
	assert_int_equal(dev_mem_data(dst)[20], 0);
	entry = dev_record_get(dev, 2);
	assert_int_equal(dev_record_apply(&entry, dst, 3), 0);
	assert_memory_equal(dev_mem_data(dst) + 20, "sec\0", 4);
	assert_int_equal(dev_record_replay(dev, 4, dst), 0);
	assert_memory_equal(dev_mem_data(dst), dev_mem_data(mem), SIZE);
	dev_record_clear(dev);
	assert_int_equal(dev_record_count(dev), 0);
	blkdev_close(dst);
	assert_int_equal(blkdev_close(dev), 0);
}

static void a_failed_write_is_not_recorded(void **state)
{
	struct blkdev *mem, *fault, *dev;

	assert_int_equal(dev_mem_open(SIZE, &mem), 0);
	assert_int_equal(dev_fault_open(mem, true, &fault), 0);
	assert_int_equal(dev_record_open(fault, true, &dev), 0);
	dev_fault_arm(fault, DEV_FAULT_ALL, 1, -EIO, true);
	assert_int_equal(blkdev_write(dev, "x", 1, 0), -EIO);
	assert_int_equal(blkdev_discard(dev, 0, 1), -EIO);
	assert_int_equal(dev_record_count(dev), 0);
	assert_int_equal(blkdev_close(dev), 0);
}

static void a_slow_device_is_slow(void **state)
{
	struct dev_delay_times times = { .flush_us = 20000 };
	struct timespec a, b;
	struct blkdev *mem, *dev;

	assert_int_equal(dev_mem_open(SIZE, &mem), 0);
	assert_int_equal(dev_delay_open(mem, true, &times, &dev), 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(blkdev_flush(dev), 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_true((b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000 >= 20000);
	assert_int_equal(blkdev_write(dev, "x", 1, 0), 0);
	assert_int_equal(blkdev_close(dev), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_outside_never_reach_the_device),
		cmocka_unit_test(empty_transfers_succeed_and_do_nothing),
		cmocka_unit_test(a_readonly_device_refuses_changes),
		cmocka_unit_test(discard_needs_a_device_that_can),
		cmocka_unit_test(the_hook_runs_only_before_waits),
		cmocka_unit_test(without_a_hook_a_read_is_one_call),
		cmocka_unit_test(zeros_fall_back_to_writes),
		cmocka_unit_test(calls_are_counted),
		cmocka_unit_test(a_loss_is_told_to_all_who_flush),
		cmocka_unit_test(close_takes_null_and_passes_errors),
		cmocka_unit_test(faults_hit_the_nth_call),
		cmocka_unit_test(a_recorded_log_replays_to_any_point),
		cmocka_unit_test(a_failed_write_is_not_recorded),
		cmocka_unit_test(a_slow_device_is_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
