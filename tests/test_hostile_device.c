/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices that go bad in use: cut short, shrinking, failing now and then, lying. Nothing
 * crashes or hangs; what failed to be read costs no consistency, and with a journal neither
 * does what failed to be written.
 *
 * UNIT_SEEDS=n runs n seeds (default 60), UNIT_FIRST=n begins at n.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "unit_fork.h"
#include "unit_image.h"
#include "unit_mean.h"
#include "unit_walk.h"

#if defined(__SANITIZE_ADDRESS__)
enum { MAX_MBYTES = 1500, CASE_SECONDS = 60 };	/* the sanitizer keeps what was freed */
#else
enum { MAX_MBYTES = 200, CASE_SECONDS = 20 };
#endif
enum { IMAGE_SIZE = 10 << 20, SEEDS = 60, JOBS = 8, ROUNDS = 3, MAX_THREADS = 4 };

static struct blkdev *image;

struct device_case {
	struct unit_mean how;
	uint64_t size;		/* of the device */
	uint64_t seed;
	size_t cache_bytes;
	bool journal, readonly;
	unsigned threads;	/* that walk at the same time; 0: one */
};

struct walker {
	struct fs *fs;
	uint64_t seed;
};

static void *walker(void *arg)
{
	const struct walker *w = arg;

	unit_walk(w->fs, w->seed);
	return NULL;
}

static void walk(const struct device_case *c, struct fs *fs, uint64_t seed)
{
	struct walker w[MAX_THREADS];
	pthread_t threads[MAX_THREADS];

	for (unsigned i = 0; i < c->threads; i++) {
		w[i] = (struct walker){ fs, seed * MAX_THREADS + i };
		UNIT_CHECK(!pthread_create(&threads[i], NULL, walker, &w[i]), "threads");
	}
	if (!c->threads)
		unit_walk(fs, seed);
	for (unsigned i = 0; i < c->threads; i++)
		pthread_join(threads[i], NULL);
}

static bool has_orphans(void)
{
	const struct ext2_super_block *sb = unit_super(image);

	return sb->s_last_orphan ||
	       sb->s_feature_ro_compat & htole32(EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT);
}

/* Shorter than the file system says. */
static int cut_case(void *arg)
{
	struct device_case *c = arg;
	struct blkdev *dev = unit_copy(image, c->size);
	struct fs *fs;
	int err = unit_fs_open(dev, &(struct fs_options){ .readonly = c->readonly }, &fs);

	UNIT_CHECK(err <= 0 && err >= -4095, "fs_open returned %d", err);
	if (!err) {
		unit_walk(fs, c->seed);
		err = fs_close(fs);
		UNIT_CHECK(err <= 0 && err >= -4095, "fs_close returned %d", err);
	}
	blkdev_close(dev);
	return UNIT_PASS;
}

static void test_cut(void **state)
{
	struct device_case c = { .seed = 1 };

	image = unit_mkfs_populated(IMAGE_SIZE, "-t ext4 -b 1024 -g 4096 -N 1024 -J size=2");
	for (c.size = 512; c.size < IMAGE_SIZE; c.size += c.size < 8192 ? 512 : c.size / 3 + 77) {
		c.readonly = c.size & 1;
		assert_int_equal(unit_fork(cut_case, &c, CASE_SECONDS, MAX_MBYTES), UNIT_PASS);
	}
	blkdev_close(image);
}

/* Walks with the device good, bad, and good again. */
static int device_case(void *arg)
{
	struct device_case *c = arg;
	struct fs_options opt = { .errors = FS_ERRORS_CONTINUE, .cache_bytes = c->cache_bytes,
				  .commit_sec = 1 };
	struct unit_mean_count bad;
	struct blkdev *dev;
	struct fs *fs;
	int err;

	UNIT_CHECK(!unit_mean_open(image, &dev), "memory");
	if (c->seed % 4 == 0)
		unit_mean_set(dev, &c->how);
	err = unit_fs_open(dev, &opt, &fs);
	if (err) {
		UNIT_CHECK(c->seed % 4 == 0, "open: %s", strerror(-err));
		blkdev_close(dev);
		return UNIT_PASS;
	}
	for (unsigned i = 0; i < ROUNDS; i++) {
		unit_mean_set(dev, i % 2 ? &c->how : &(struct unit_mean){ .seed = c->seed });
		walk(c, fs, c->seed * ROUNDS + i);
	}
	err = fs_close(fs);
	bad = unit_mean_get(dev);
	UNIT_CHECK(!err || bad.writes || bad.lies, "close: %s", strerror(-err));
	blkdev_close(dev);
	if (bad.lies || (bad.writes && !c->journal))
		return UNIT_PASS;
	if (bad.writes || has_orphans()) {
		fs = unit_fs_must_open(image, NULL);
		UNIT_CHECK(!fs_close(fs), "close after recovery");
	}
	UNIT_CHECK(unit_is_clean(image), "not clean after %u failed reads, %u writes", bad.reads,
		   bad.writes);
	return UNIT_PASS;
}

static int device_job(void *arg, unsigned i)
{
	struct device_case c = *(struct device_case *)arg;
	unsigned first = unit_env("UNIT_FIRST", 1), seeds = unit_env("UNIT_SEEDS", SEEDS), bad = 0;
	int ret;

	for (unsigned s = i; s < seeds && bad < 3; s += JOBS) {
		c.seed = c.how.seed = first + s;
		ret = unit_fork(device_case, &c, CASE_SECONDS, MAX_MBYTES);
		if (ret == UNIT_PASS)
			continue;
		fprintf(stderr, "UNIT_FIRST=%llu UNIT_SEEDS=1 failed (%d)\n",
			(unsigned long long)c.seed, ret);
		bad++;
	}
	return bad != 0;
}

static void run(struct device_case c, const char *args)
{
	image = unit_mkfs_populated(IMAGE_SIZE, args);
	assert_int_equal(unit_fork_all(device_job, &c, JOBS), 0);
	blkdev_close(image);
}

static const char with_journal[] = "-t ext4 -b 1024 -m 0 -g 4096 -N 1024 -J size=2 -O orphan_file";
static const char without_journal[] = "-t ext4 -b 1024 -m 0 -g 4096 -N 1024 -O ^has_journal,inline_data";
static const char ext2[] = "-t ext2 -b 1024 -m 0 -g 4096 -N 1024";

/* As little cache as there can be: blocks are read again and again. */
static void test_failing_reads(void **state)
{
	run((struct device_case){ .how.read_fails = 15, .cache_bytes = 1, .journal = true },
	    with_journal);
	run((struct device_case){ .how.read_fails = 15, .cache_bytes = 1 }, without_journal);
	run((struct device_case){ .how.read_fails = 15, .cache_bytes = 1 }, ext2);
}

static void test_failing_in_threads(void **state)
{
	run((struct device_case){ .how.read_fails = 15, .cache_bytes = 1, .journal = true,
				  .threads = 3 }, with_journal);
	run((struct device_case){ .how.write_fails = 60, .cache_bytes = 1, .journal = true,
				  .threads = 3 }, with_journal);
	run((struct device_case){ .cache_bytes = 1, .threads = 4 }, without_journal);
}

static void test_failing_writes(void **state)
{
	run((struct device_case){ .how = { .write_fails = 40, .flush_fails = 15 },
				  .journal = true }, with_journal);
	run((struct device_case){ .how = { .write_fails = 40, .flush_fails = 15 } }, ext2);
}

static void test_shrinking(void **state)
{
	run((struct device_case){ .how.limit = IMAGE_SIZE / 3 }, with_journal);
	run((struct device_case){ .how.limit = 100 << 10, .cache_bytes = 1 }, without_journal);
}

static void test_lying(void **state)
{
	run((struct device_case){ .how.lies = 4, .cache_bytes = 1 },
	    "-t ext4 -b 1024 -m 0 -g 4096 -N 1024 -J size=2 -O ^metadata_csum");
	run((struct device_case){ .how.lies = 2, .cache_bytes = 1 }, ext2);
	run((struct device_case){ .how.lies = 4, .cache_bytes = 1 }, with_journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_failing_reads),
		cmocka_unit_test(test_failing_in_threads),
		cmocka_unit_test(test_failing_writes),
		cmocka_unit_test(test_shrinking),
		cmocka_unit_test(test_lying),
	};

	cmocka_set_test_filter(getenv("UNIT_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
