/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operations that fail between two steps leave nothing behind, and nothing in core. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "cache.h"
#include "dev_fault.h"
#include "file.h"
#include "inode.h"
#include "ops.h"
#include "txn.h"
#include "unit_image.h"
#include "unit_tree.h"
#include "xattr.h"

enum { MIB = 1 << 20, READS_MAX = 12 };

static const struct cred root_cred = { .root = true };
static const struct fs_options tight = {
	.errors = FS_ERRORS_CONTINUE, NO_COMMITS, .cache_bytes = 1,
};

/* Everything is at home and, but for what is looked at last, out of the cache. */
static void cool_down(struct fs *fs)
{
	struct txn_stats st;

	assert_int_equal(fs_sync(fs), 0);
	for (unsigned i = 0; i < 600; i++) {
		txn_get_stats(fs, &st);
		if (!st.checkpoint_blocks)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
	for (unsigned round = 0; round < 4; round++) {
		struct inode *inode;

		unit_readdir(fs, "/hash");
		unit_readdir(fs, "/lin");
		unit_read(fs, "/deep");
		for (uint32_t ino = 11; ino < 1000; ino++)
			if (inode_get(fs, ino, &inode) == 0)
				inode_put(inode);
	}
	unit_readdir(fs, "/");
}

/* The nth read fails while a file without a name gets one, beside a younger orphan. */
static bool link_with_a_failing_read(const char *mkfs, unsigned n)
{
	struct blkdev *image = unit_mkfs_populated(10 * MIB, mkfs), *dev;
	struct inode *tmp, *younger, *named = NULL;
	char path[32];
	bool fired;
	struct fs *fs;
	int err;

	dev_fault_open(image, false, &dev);
	fs = unit_fs_must_open(dev, &tight);
	assert_int_equal(ops_tmpfile(fs, 2, S_IFREG | 0600, &root_cred, &tmp), 0);
	assert_int_equal(file_write(tmp, "some bytes", 10, 0, true), 10);
	for (unsigned i = 0; i < 40; i++) {
		snprintf(path, sizeof(path), "/z%u", i);
		assert_int_equal(unit_make(fs, path, S_IFREG | 0600, NULL), 0);
	}
	assert_int_equal(unit_get(fs, path, &younger), 0);
	assert_int_equal(unit_unlink(fs, path), 0);
	cool_down(fs);
	dev_fault_arm(dev, DEV_FAULT_READ, n, -EIO, false);
	err = ops_link(fs, tmp->ino, 2, "named", &named);
	fired = dev_fault_fired(dev);
	dev_fault_disarm(dev);
	if (err) {
		assert_int_equal(ops_lookup(fs, 2, "named", &named), -ENOENT);
		assert_int_equal(tmp->nlink, 0);
		assert_true(tmp->orphan);
	} else {
		assert_int_equal(named->nlink, 1);
		assert_false(named->orphan);
		inode_put(named);
	}
	inode_put(tmp);
	inode_put(younger);
	assert_int_equal(fs_close(fs), 0);
	assert_true(unit_fsck(image, "-fn", 0) == 0 || fired);
	blkdev_close(dev);
	blkdev_close(image);
	return fired;
}

static void a_link_that_fails_has_no_name(void **state)
{
	static const char *const kinds[] = {
		"-t ext4 -b 1024 -m 0 -N 1024 -g 4096 -J size=2 -O ^orphan_file,metadata_csum",
		"-t ext4 -b 1024 -m 0 -N 1024 -g 4096 -J size=2 -O orphan_file,metadata_csum",
	};

	for (size_t i = 0; i < 2; i++) {
		unsigned n = 1;

		while (n < READS_MAX && link_with_a_failing_read(kinds[i], n))
			n++;
		assert_true(n > 1 && n < READS_MAX);
	}
}

/* A list of user::rwx, user:5:r--, group::r-x, mask::r-x, other::r-x as setxattr(2) takes it. */
static const struct {
	uint32_t version;
	struct { uint16_t tag, perm; uint32_t id; } entry[5];
} acl = { 2, { { 1, 7, UINT32_MAX }, { 2, 4, 5 }, { 4, 5, UINT32_MAX }, { 16, 5, UINT32_MAX },
	       { 32, 5, UINT32_MAX } } };

/* The nth read fails while a set-user-ID program with a list goes to root. */
static bool chown_with_a_failing_read(unsigned n)
{
	struct blkdev *image = unit_mkfs(10 * MIB, "-t ext4 -b 1024 -m 0 -J size=2"), *dev;
	struct stat st = { .st_uid = 1000, .st_mode = S_IFREG | 04755 };
	struct inode *inode;
	uint32_t ino;
	struct fs *fs;
	bool fired;
	int err;

	dev_fault_open(image, false, &dev);
	fs = unit_fs_must_open(dev, &tight);
	assert_int_equal(unit_make(fs, "/suid", S_IFREG | 04755, NULL), 0);
	assert_int_equal(unit_get(fs, "/suid", &inode), 0);
	ino = inode->ino;
	assert_int_equal(ops_setattr(fs, ino, &st, SET_UID, &root_cred, NULL), 0);
	assert_int_equal(unit_setxattr(fs, "/suid", "user.pad", 60), 0);
	assert_int_equal(xattr_set(inode, "system.posix_acl_access", &acl, sizeof(acl), 0), 0);
	assert_true(inode->file_acl);
	inode_put(inode);
	assert_int_equal(fs_close(fs), 0);

	fs = unit_fs_must_open(dev, &tight);
	assert_int_equal(inode_get(fs, ino, &inode), 0);
	st = (struct stat){ .st_uid = 0, .st_mode = S_IFREG | 0755 };
	dev_fault_arm(dev, DEV_FAULT_READ, n, -EIO, false);
	err = ops_setattr(fs, ino, &st, SET_UID | SET_MODE, &root_cred, NULL);
	fired = dev_fault_fired(dev);
	dev_fault_disarm(dev);
	assert_int_equal(ops_getattr(fs, ino, &st), 0);
	assert_int_equal(st.st_uid, err ? 1000 : 0);
	assert_int_equal(st.st_mode, S_IFREG | (err ? 04755 : 0755));
	inode_put(inode);
	assert_int_equal(fs_close(fs), 0);
	blkdev_close(dev);
	blkdev_close(image);
	return fired;
}

static void a_chown_that_fails_changes_no_owner(void **state)
{
	unsigned n = 1;

	while (n < READS_MAX && chown_with_a_failing_read(n))
		n++;
	assert_true(n > 1 && n < READS_MAX);
}

static void attribute_blocks_leave_the_cache(void **state)
{
	struct blkdev *dev = unit_mkfs(64 * MIB, "-t ext4 -b 4096 -N 8192");
	struct fs *fs = unit_fs_must_open(dev, &(struct fs_options){ .cache_bytes = 4 * MIB });
	struct cache_stats st;
	char path[32];

	for (unsigned i = 0; i < 2000; i++) {
		snprintf(path, sizeof(path), "/f%u", i);
		assert_int_equal(unit_make(fs, path, S_IFREG | 0600, NULL), 0);
		assert_int_equal(unit_setxattr(fs, path, "user.a", 1000), 0);
		assert_int_equal(unit_removexattr(fs, path, "user.a"), 0);
		assert_int_equal(unit_setxattr(fs, path, "user.a", 1000), 0);
	}
	assert_int_equal(fs_sync(fs), 0);
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(path, sizeof(path), "/f%u", i);
		assert_true(unit_getxattr(fs, path, "user.a") >= 0);
	}
	cache_get_stats(fs->cache, &st);
	assert_true(st.bytes <= st.limit + MIB);
	assert_int_equal(fs_close(fs), 0);
	assert_true(unit_is_clean(dev));
	blkdev_close(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_that_fails_has_no_name),
		cmocka_unit_test(a_chown_that_fails_changes_no_owner),
		cmocka_unit_test(attribute_blocks_leave_the_cache),
	};

	initialize_ext2_error_table();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
