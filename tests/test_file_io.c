// SPDX-License-Identifier: GPL-2.0-or-later
/* File contents: what the device is asked to do, and what happens when it fails. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

#include "dev_fault.h"
#include "file.h"
#include "map.h"
#include "scratch_fs.h"

/* Changes of all kinds on a fragmented file; goes on after errors. */
static void faulty_steps(struct inode *inode, uint8_t *buf)
{
	uint64_t bs = inode->fs->block_size;

	for (unsigned i = 0; i < 12; i++)
		file_write(inode, buf, 900, i * 3 * bs, true);
	file_write(inode, buf, 20000, 100, true);
	file_fallocate(inode, 0, 40 * bs, 20 * bs, true);
	file_write(inode, buf, 3 * bs, 45 * bs + 17, true);
	file_fallocate(inode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3000, 9000, true);
	inode_sync(inode, false);
	file_truncate(inode, 5 * bs + 100);
	map_cache_drop(inode);
	file_read(inode, buf, 20000, 0);
	fs_sync(inode->fs);
}

/* One run on a fresh copy of the image with the nth call failing; true: it was met. */
static bool run_with_fault(struct scratch *s, const uint8_t *image, size_t size, unsigned nth,
			   bool forever)
{
	static uint8_t buf[65536];
	bool fired, quiet = true;
	struct fs_options opt = {
		.log = scratch_log, .log_arg = &quiet, .errors = FS_ERRORS_CONTINUE,
	};
	struct blkdev *faulty;
	struct inode *inode;
	char why[256];

	memset(buf, 7, sizeof(buf));
	assert_int_equal(file_dev_open(s->path, -1, false, &s->dev), 0);
	assert_int_equal(blkdev_write(s->dev, image, size, 0), 0);
	assert_int_equal(dev_fault_open(s->dev, true, &faulty), 0);
	assert_int_equal(fs_open(faulty, &opt, &s->fs, why, sizeof(why)), 0);
	assert_int_equal(ops_lookup(s->fs, EXT2_ROOT_INO, "f", &inode), 0);
	dev_fault_arm(faulty, DEV_FAULT_ALL, nth, -EIO, forever);
	faulty_steps(inode, buf);
	fired = dev_fault_fired(faulty);
	dev_fault_disarm(faulty);
	inode_put(inode);
	fs_close(s->fs);
	assert_int_equal(blkdev_close(faulty), 0);
	/* Recovery, then the judge. */
	assert_int_equal(file_dev_open(s->path, -1, false, &s->dev), 0);
	assert_int_equal(fs_open(s->dev, &opt, &s->fs, why, sizeof(why)), 0);
	assert_int_equal(fs_close(s->fs), 0);
	assert_int_equal(blkdev_close(s->dev), 0);
	scratch_run(0, "e2fsck -fn %s", s->path);
	return fired;
}

/* The image must be sound after any device call has failed, for once or for good. */
static void any_call_may_fail(const char *mkfs, bool forever)
{
	const size_t size = 8 << 20;
	uint8_t *image = malloc(size);
	struct scratch s;
	unsigned nth = 1;

	assert_non_null(image);
	scratch_new(&s, size, mkfs);
	inode_put(scratch_file(&s, "f"));
	assert_int_equal(fs_close(s.fs), 0);
	assert_int_equal(blkdev_read(s.dev, image, size, 0), 0);
	assert_int_equal(blkdev_close(s.dev), 0);
	while (run_with_fault(&s, image, size, nth, forever))
		nth++;
	free(image);
	scratch_free(&s);
}

static void faults_leave_a_sound_image(void **state)
{
	any_call_may_fail("-b 1024 -N 32", false);
	any_call_may_fail("-b 1024 -N 32", true);
	any_call_may_fail("-b 1024 -N 32 -O ^extent,^64bit", true);
	any_call_may_fail("-b 1024 -N 32 -I 512 -O inline_data", true);
}

/* A device that only remembers what it was told to prefetch. */
struct hinted {
	struct blkdev dev;
	struct blkdev *lower;
	uint64_t bytes, calls;
};

static int hinted_read(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	return blkdev_read(((struct hinted *)dev)->lower, buf, len, off);
}

static int hinted_write(struct blkdev *dev, const void *buf, size_t len, uint64_t off)
{
	return blkdev_write(((struct hinted *)dev)->lower, buf, len, off);
}

static int hinted_flush(struct blkdev *dev)
{
	return blkdev_flush(((struct hinted *)dev)->lower);
}

static void hinted_prefetch(struct blkdev *dev, uint64_t off, uint64_t len)
{
	((struct hinted *)dev)->bytes += len;
	((struct hinted *)dev)->calls++;
}

static int hinted_close(struct blkdev *dev)
{
	return blkdev_close(((struct hinted *)dev)->lower);
}

static void sequential_reads_are_prefetched_once(void **state)
{
	static const struct blkdev_ops ops = {
		.read = hinted_read, .write = hinted_write, .flush = hinted_flush,
		.prefetch = hinted_prefetch, .close = hinted_close,
	};
	struct fs_options opt = { .log = scratch_log };
	struct hinted hinted = { .dev = { .ops = &ops } };
	static uint8_t buf[128 << 10];
	enum { TOTAL = 16 << 20 };
	struct scratch s;
	struct inode *inode;
	char why[256];

	scratch_new(&s, 64 << 20, "-b 4096");
	assert_int_equal(fs_close(s.fs), 0);
	hinted.lower = s.dev;
	hinted.dev.info = s.dev->info;
	assert_int_equal(fs_open(&hinted.dev, &opt, &s.fs, why, sizeof(why)), 0);
	s.dev = &hinted.dev;
	inode = scratch_file(&s, "f");
	for (uint64_t off = 0; off < TOTAL; off += sizeof(buf))
		assert_int_equal(file_write(inode, buf, sizeof(buf), off, true), sizeof(buf));
	hinted.bytes = hinted.calls = 0;
	for (uint64_t off = 0; off < TOTAL; off += sizeof(buf))
		assert_int_equal(file_read(inode, buf, sizeof(buf), off), sizeof(buf));
	assert_true(hinted.bytes > TOTAL * 3 / 4 && hinted.bytes <= TOTAL);
	assert_true(hinted.calls <= 32);
	hinted.bytes = 0;
	for (uint64_t i = 0; i < 100; i++)
		file_read(inode, buf, 4096, i * 7919 % (TOTAL / 4096) * 4096);
	assert_int_equal(hinted.bytes, 0);
	inode_put(inode);
	scratch_check(&s);
	scratch_free(&s);
}

static void set_times(struct scratch *s, struct inode *inode)
{
	const struct stat told = { .st_mtim = { 1000, 1 }, .st_ctim = { 1001, 2 } };
	const struct cred root = { .root = true };

	assert_int_equal(ops_setattr(s->fs, inode->ino, &told, SET_MTIME | SET_CTIME, &root, NULL), 0);
}

static void check_times(const struct inode *inode, bool kept)
{
	assert_int_equal(inode->mtime.tv_sec == 1000, kept);
	assert_int_equal(inode->ctime.tv_sec == 1001, kept);
}

/* Every way to change the data, plain and inline. */
static void change(struct inode *inode, unsigned how)
{
	switch (how) {
	case 0:
		assert_int_equal(file_write_back(inode, "one", 3, 0, true), 3);
		assert_int_equal(file_write_back(inode, "far", 3, 100000, true), 3);
		break;
	case 1:
		assert_int_equal(file_write(inode, "one", 3, 0, true), 3);
		break;
	case 2:
		assert_int_equal(file_fallocate(inode, FALLOC_FL_KEEP_SIZE, 0, 1 << 20, true), 0);
		break;
	default:
		assert_int_equal(file_fallocate(inode, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0,
						8192, true), 0);
	}
}

/*
 * The kernel's client dates the files whose pages it caches, and tells the times before the
 * data, after them, or not at all if they are those that the file was made with.
 */
static void times_are_the_clients_where_it_keeps_them(void **state)
{
	static const char *const features[] = { "^inline_data", "inline_data" };

	for (unsigned i = 0; i < 2 * 2 * 4; i++) {
		bool client = i & 2;
		struct inode *inode;
		struct scratch s;
		char args[64];

		snprintf(args, sizeof(args), "-b 4096 -I 256 -O %s", features[i & 1]);
		scratch_new(&s, 16 << 20, args);
		s.fs->client_times = client;
		inode = scratch_file(&s, "f");
		assert_int_equal(file_write_back(inode, "four", 4, 0, true), 4);
		set_times(&s, inode);
		change(inode, i / 4);
		check_times(inode, client);
		/* What bypasses its cache it does not date; pages it has dated, even then. */
		s.fs->sync_files_bypass = true;
		inode->flags |= EXT2_SYNC_FL;
		set_times(&s, inode);
		assert_int_equal(file_write_back(inode, "five", 4, 150000, true), 4);
		check_times(inode, client);
		set_times(&s, inode);
		assert_int_equal(file_write(inode, "six", 3, 200000, true), 3);
		check_times(inode, false);
		inode_put(inode);
		scratch_check(&s);
		scratch_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults_leave_a_sound_image),
		cmocka_unit_test(sequential_reads_are_prefetched_once),
		cmocka_unit_test(times_are_the_clients_where_it_keeps_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
