/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every operation where there is no room, or room for a few blocks only: each completes or
 * gives -ENOSPC, the image stays clean, and room that is made can be used.
 *
 * UNIT_OP=name runs one operation, UNIT_N=n with n free blocks.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cmocka.h>

#include "file.h"
#include "unit_fork.h"
#include "unit_image.h"
#include "unit_ops.h"

enum { IMAGE_SIZE = 10 << 20, CASE_SECONDS = 30, MAX_FREE = 9 };

static const char *const args[] = {
	"-t ext4 -b 1024 -m 0 -N 1024 -g 4096 -J size=2 -O metadata_csum,64bit,orphan_file,^inline_data",
	"-t ext4 -b 1024 -m 0 -N 1024 -g 4096 -O ^has_journal,inline_data,^metadata_csum,^64bit",
	"-t ext2 -b 1024 -m 0 -N 1024 -g 4096 -I 128",
};

struct space_case {
	struct blkdev *image;
	const struct unit_op *op;
	unsigned nfree;		/* blocks */
};

static uint64_t free_blocks(struct fs *fs)
{
	struct statvfs st;

	/* While blocks are released their number is off. */
	UNIT_CHECK(!txn_commit_now(fs), "commit");
	UNIT_CHECK(!fs_statfs(fs, &st), "statfs");
	return st.f_bfree;
}

/* Writes until nothing is left. */
static void fill_blocks(struct fs *fs, const char *path)
{
	size_t len = 256 << 10;
	uint64_t off = 0;
	int err;

	while (len >= 1024) {
		err = unit_write(fs, path, off, len, 0);
		if (err && err != -ENOSPC)
			unit_die("fill: %s", strerror(-err));
		off += err ? 0 : len;
		len = err ? len / 2 : len;
	}
}

/* A file that takes all blocks but those of another one, to be cut for what is wanted. */
static struct blkdev *full_image(const char *mkfs_args)
{
	struct blkdev *image = unit_mkfs_populated(IMAGE_SIZE, mkfs_args);
	struct fs *fs = unit_fs_must_open(image, NULL);

	if (unit_make(fs, "/room", S_IFREG | 0644, NULL) || unit_write(fs, "/room", 0, 256 << 10, 0) ||
	    unit_make(fs, "/fill", S_IFREG | 0644, NULL))
		unit_die("make");
	fill_blocks(fs, "/fill");
	if (fs_close(fs) || !unit_is_clean(image))
		unit_die("a full image is not clean");
	return image;
}

static void check_result(int err)
{
	UNIT_CHECK(!err || err == -ENOSPC, "%s", strerror(-err));
}

static int space_case(void *arg)
{
	struct space_case *c = arg;
	struct fs *fs = unit_fs_must_open(c->image, &(struct fs_options){ NO_COMMITS });
	int err;

	err = unit_truncate(fs, "/room", (256u - c->nfree) << 10);
	UNIT_CHECK(!err, "truncate: %s", strerror(-err));
	UNIT_CHECK(!fs_sync(fs), "sync");
	check_result(c->op->run(fs));
	err = fs_sync(fs);
	UNIT_CHECK(!err, "sync: %s", strerror(-err));
	check_result(c->op->run(fs) == -ENOSPC ? -ENOSPC : 0);
	err = unit_verify(fs, "/synced", 0, 64 << 10, 0);
	UNIT_CHECK(!err, "verify: %s", strerror(-err));
	/* Room is made and used at once. */
	err = unit_unlink(fs, "/fill");
	UNIT_CHECK(!err, "unlink: %s", strerror(-err));
	err = unit_make(fs, "/again", S_IFREG | 0644, NULL);
	UNIT_CHECK(!err, "make: %s", strerror(-err));
	err = unit_write(fs, "/again", 0, 100 << 10, 1);
	UNIT_CHECK(!err, "write: %s", strerror(-err));
	err = unit_verify(fs, "/again", 0, 100 << 10, 1);
	UNIT_CHECK(!err, "verify: %s", strerror(-err));
	err = fs_close(fs);
	UNIT_CHECK(!err, "close: %s", strerror(-err));
	UNIT_CHECK(unit_is_clean(c->image), "not clean");
	return UNIT_PASS;
}

static int space_job(void *arg, unsigned i)
{
	struct space_case c = { .image = arg, .op = &unit_ops[i] };
	const char *only = getenv("UNIT_OP");
	int bad = 0;

	if (only && strcmp(only, c.op->name))
		return 0;
	for (c.nfree = unit_env("UNIT_N", 0); c.nfree <= unit_env("UNIT_N", MAX_FREE);
	     c.nfree += 1 + c.nfree / 3) {
		if (unit_fork(space_case, &c, CASE_SECONDS, 0) == UNIT_PASS)
			continue;
		fprintf(stderr, "UNIT_OP=%s UNIT_N=%u failed\n", c.op->name, c.nfree);
		bad = 1;
	}
	return bad;
}

static void test_no_blocks(void **state)
{
	unsigned bad = 0;

	for (size_t i = 0; i < ARRAY_LEN(args); i++) {
		struct blkdev *image = full_image(args[i]);

		bad += unit_fork_all(space_job, image, unit_ops_len);
		blkdev_close(image);
		if (bad)
			fprintf(stderr, "with mke2fs %s\n", args[i]);
	}
	assert_int_equal(bad, 0);
}

/* The inode table is full. */
static struct blkdev *image_without_inodes(const char *mkfs_args)
{
	struct blkdev *image = unit_mkfs_populated(IMAGE_SIZE, mkfs_args);
	struct fs *fs = unit_fs_must_open(image, NULL);
	char path[32];
	int err = 0;

	if (unit_make(fs, "/many", S_IFDIR | 0755, NULL))
		unit_die("mkdir");
	for (unsigned i = 0; !err; i++) {
		snprintf(path, sizeof(path), "/many/%u", i);
		err = unit_make(fs, path, S_IFREG | 0644, NULL);
	}
	if (err != -ENOSPC)
		unit_die("full inode table: %s", strerror(-err));
	if (fs_close(fs) || !unit_is_clean(image))
		unit_die("a full image is not clean");
	return image;
}

static int inodes_case(void *arg)
{
	struct space_case *c = arg;
	struct fs *fs = unit_fs_must_open(c->image, NULL);
	int err;

	check_result(c->op->run(fs));
	err = fs_sync(fs);
	UNIT_CHECK(!err, "sync: %s", strerror(-err));
	err = unit_unlink(fs, "/many/7");
	UNIT_CHECK(!err, "unlink: %s", strerror(-err));
	err = unit_make(fs, "/many/again", S_IFREG | 0644, NULL);
	UNIT_CHECK(!err, "make: %s", strerror(-err));
	err = fs_close(fs);
	UNIT_CHECK(!err, "close: %s", strerror(-err));
	UNIT_CHECK(unit_is_clean(c->image), "not clean");
	return UNIT_PASS;
}

static int inodes_job(void *arg, unsigned i)
{
	struct space_case c = { .image = arg, .op = &unit_ops[i] };
	const char *only = getenv("UNIT_OP");

	if ((only && strcmp(only, c.op->name)) ||
	    unit_fork(inodes_case, &c, CASE_SECONDS, 0) == UNIT_PASS)
		return 0;
	fprintf(stderr, "UNIT_OP=%s failed\n", c.op->name);
	return 1;
}

static void test_no_inodes(void **state)
{
	unsigned bad = 0;

	for (size_t i = 0; i < ARRAY_LEN(args); i++) {
		struct blkdev *image = image_without_inodes(args[i]);

		bad += unit_fork_all(inodes_job, image, unit_ops_len);
		blkdev_close(image);
	}
	assert_int_equal(bad, 0);
}

/* Blocks that are filled and freed over and over, with and without commits between. */
static void test_filled_again_and_again(void **state)
{
	struct blkdev *image = unit_mkfs_populated(IMAGE_SIZE, args[0]);
	struct fs *fs = unit_fs_must_open(image, &(struct fs_options){ NO_COMMITS });
	uint64_t before;

	assert_int_equal(fs_sync(fs), 0);
	before = free_blocks(fs);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(unit_make(fs, "/fill", S_IFREG | 0644, NULL), 0);
		fill_blocks(fs, "/fill");
		assert_int_equal(free_blocks(fs), 0);
		assert_int_equal(unit_unlink(fs, "/fill"), 0);
		if (i & 1)
			assert_int_equal(fs_sync(fs), 0);
	}
	assert_int_equal(fs_sync(fs), 0);
	assert_int_equal(free_blocks(fs), before);
	assert_int_equal(fs_close(fs), 0);
	assert_true(unit_is_clean(image));
	blkdev_close(image);
}

/* What files being written hold ahead of them is there for others when nothing else is. */
static void test_reserved_ahead(void **state)
{
	enum { OPEN = 20 };
	struct blkdev *image = unit_mkfs_populated(IMAGE_SIZE, args[0]);
	struct fs *fs = unit_fs_must_open(image, NULL);
	struct inode *open_files[OPEN];
	char path[32];

	for (unsigned i = 0; i < OPEN; i++) {
		snprintf(path, sizeof(path), "/growing%u", i);
		assert_int_equal(unit_make(fs, path, S_IFREG | 0644, NULL), 0);
		assert_int_equal(unit_get(fs, path, &open_files[i]), 0);
		assert_int_equal(unit_write(fs, path, 0, 20 << 10, 1), 0);
	}
	assert_int_equal(unit_make(fs, "/fill", S_IFREG | 0644, NULL), 0);
	fill_blocks(fs, "/fill");
	for (unsigned i = 0; i < OPEN; i++) {
		file_release(open_files[i]);
		inode_put(open_files[i]);
	}
	assert_int_equal(free_blocks(fs), 0);
	assert_int_equal(fs_close(fs), 0);
	assert_true(unit_is_clean(image));
	blkdev_close(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_blocks),
		cmocka_unit_test(test_no_inodes),
		cmocka_unit_test(test_filled_again_and_again),
		cmocka_unit_test(test_reserved_ahead),
	};

	cmocka_set_test_filter(getenv("UNIT_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
