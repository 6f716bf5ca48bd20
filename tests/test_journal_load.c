/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small journal on a slow device under many threads: writers wait for room, none fails,
 * none waits long for one operation, and what transactions and checkpoints hold in memory
 * stays bounded. Then the same device fails in the middle, and nobody hangs.
 *
 * LOAD_MS=n: how long each load lasts.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "cache.h"
#include "dev_delay.h"
#include "dev_fault.h"
#include "txn.h"
#include "unit_image.h"
#include "unit_tree.h"

enum { MIB = 1 << 20, THREADS = 8, DEFAULT_MS = 2500, MAX_MS = 60000 };

/* Longest that one operation may take: a writer that waits for room is not starved by others. */
enum { MAX_OP_MS = 30000 };

struct load {
	struct fs *fs;
	atomic_bool stop;
	bool may_fail;		/* the device will */
	_Atomic uint64_t ops, longest_ms;
	_Atomic int bad;	/* an error that should not be */
};

struct worker {
	struct load *load;
	unsigned id;
	pthread_t thread;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* One after the other, over and over; fsync is only for some, it waits for the device. */
static int step(struct fs *fs, unsigned id, unsigned n)
{
	char dir[32], path[64], other[64];

	snprintf(dir, sizeof(dir), "/t%u", id);
	snprintf(path, sizeof(path), "%s/a-name-of-some-length-%u", dir, n / 6 % 200);
	snprintf(other, sizeof(other), "%s/renamed-%u", dir, n / 6 % 50);
	switch (n % 6) {
	case 0:
		return unit_make(fs, path, S_IFREG | 0644, NULL);
	case 1:
		return unit_write(fs, path, 0, 5000, (uint8_t)n);
	case 2:
		return unit_setxattr(fs, path, "user.load", 300);
	case 3:
		return n % 5 ? 0 : unit_fsync(fs, path);
	case 4:
		return unit_rename(fs, path, other, 0);
	default:
		return n % 4 ? unit_unlink(fs, other) : 0;
	}
}

static bool is_expected(const struct load *l, int err)
{
	return !err || err == -ENOENT || err == -EEXIST ||
	       (l->may_fail && (err == -EROFS || err == -EIO));
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct load *l = w->load;

	for (unsigned n = 0; !l->stop; n++) {
		uint64_t start = now_ms(), took, longest;
		int err = step(l->fs, w->id, n);

		if (!is_expected(l, err))
			l->bad = err;
		took = now_ms() - start;
		longest = l->longest_ms;
		while (took > longest && !atomic_compare_exchange_weak(&l->longest_ms, &longest, took))
			;
		l->ops++;
	}
	return NULL;
}

struct bounds {
	uint64_t running, pending;	/* blocks */
};

/* However slow the machine is, until there was a checkpoint and, of a device that fails, an
 * abort. Half of the load comes before that. */
static void watch(struct load *l, const struct bounds *b, uint64_t ms, struct blkdev *fault)
{
	uint64_t end = now_ms() + ms, half = end - ms / 2, now;
	const struct timespec pause = { .tv_nsec = 3000000 };
	struct txn_stats st = { 0 };
	bool armed = false;

	while ((now = now_ms()) < end ||
	       (now < end + MAX_MS && (!st.checkpoints || (fault && !st.aborted)))) {
		txn_get_stats(l->fs, &st);
		assert_true(st.running_blocks <= b->running);
		assert_true(st.checkpoint_blocks <= b->pending);
		assert_true(st.log_free <= st.log_blocks);
		if (fault && !armed && now > half && st.checkpoints) {
			dev_fault_arm(fault, DEV_FAULT_WRITE | DEV_FAULT_FLUSH, 1, -EIO, true);
			armed = true;
		}
		nanosleep(&pause, NULL);
	}
}

static void run_load(struct load *l, const struct bounds *b, struct blkdev *fault)
{
	uint64_t ms = getenv("LOAD_MS") ? (uint64_t)atoi(getenv("LOAD_MS")) : DEFAULT_MS;
	struct worker w[THREADS];
	char dir[32];

	for (unsigned i = 0; i < THREADS; i++) {
		snprintf(dir, sizeof(dir), "/t%u", i);
		assert_int_equal(unit_make(l->fs, dir, S_IFDIR | 0755, NULL), 0);
		w[i] = (struct worker){ .load = l, .id = i };
		assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	watch(l, b, ms, fault);
	l->stop = true;
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(w[i].thread, NULL), 0);
	assert_int_equal(l->bad, 0);
	if (l->longest_ms > MAX_OP_MS)
		fail_msg("an operation took %u ms", (unsigned)l->longest_ms);
}

static const struct dev_delay_times slow = { .write_us = 500, .flush_us = 2000 };

static void one_load(const char *mkfs, const struct fs_options *opt, const struct bounds *b,
		     bool fail)
{
	struct blkdev *mem = unit_mkfs(48 * MIB, mkfs), *fault, *dev;
	struct load l = { .may_fail = fail };
	struct txn_stats st;

	assert_int_equal(dev_fault_open(mem, false, &fault), 0);
	assert_int_equal(dev_delay_open(fault, true, &slow, &dev), 0);
	l.fs = unit_fs_must_open(dev, opt);
	run_load(&l, b, fail ? fault : NULL);
	txn_get_stats(l.fs, &st);
	assert_int_equal(st.overdrawn, 0);
	assert_int_equal(st.aborted, fail);
	assert_true(st.checkpoints > 0);
	assert_true(fail ? fs_close(l.fs) < 0 : fs_close(l.fs) == 0);
	blkdev_close(dev);
	if (fail)
		assert_true(unit_fsck(mem, "-fy", 1) <= 1);
	assert_true(unit_is_clean(mem));
	blkdev_close(mem);
}

/* The log is what is short. */
static void a_small_log_slows_writers_down(void **state)
{
	static const struct bounds b = { .running = 1023 / 4, .pending = 1023 };

	one_load("-t ext4 -b 1024 -J size=1 -N 4096", &(struct fs_options){ .commit_sec = 1 }, &b,
		 false);
}

/* Memory is: the log could hold 64 MiB, the cache 2 MiB. */
static void a_small_memory_slows_writers_down(void **state)
{
	static const struct bounds b = { .running = 1536, .pending = 4096 + 1536 };

	one_load("-t ext4 -b 1024 -J size=16 -N 4096",
		 &(struct fs_options){ .commit_sec = 1, .cache_bytes = 2 * MIB }, &b, false);
}

static void nobody_hangs_when_the_device_fails(void **state)
{
	static const struct bounds b = { .running = 1023 / 4, .pending = 1023 };

	one_load("-t ext4 -b 1024 -J size=1 -N 4096",
		 &(struct fs_options){ .commit_sec = 1, .errors = FS_ERRORS_RO }, &b, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_small_log_slows_writers_down),
		cmocka_unit_test(a_small_memory_slows_writers_down),
		cmocka_unit_test(nobody_hangs_when_the_device_fails),
	};

	initialize_ext2_error_table();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
