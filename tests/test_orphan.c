/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Orphans: on the list and in the file, left behind and taken up, damaged. A crash is a
 * copy of the image after a commit; e2fsck says which orphans it sees in it.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dev_fault.h"
#include "file.h"
#include "group.h"
#include "image.h"
#include "inode_int.h"
#include "ops.h"
#include "orphan_int.h"
#include "super.h"

enum { MIB = 1 << 20 };

static const struct cred root_cred = { .root = true };

static const char *const kinds[] = {
	"-t ext4 -b 1024", "-t ext4 -b 1024 -O orphan_file", "-t ext4 -b 4096 -O orphan_file",
	"-t ext4 -b 1024 -O ^has_journal", "-t ext3",
	"-t ext4 -b 1024 -O orphan_file,inline_data",
};

/* An unlinked file of some blocks that only the caller holds. */
static struct inode *make_orphan(struct fs *fs, int number)
{
	char name[32], data[5000];
	struct inode *inode;

	memset(data, number, sizeof(data));
	snprintf(name, sizeof(name), "orphan%d", number);
	assert_int_equal(ops_make(fs, EXT2_ROOT_INO, name, S_IFREG | 0644, 0, NULL, &root_cred,
				  &inode), 0);
	assert_int_equal(file_write(inode, data, sizeof(data), 0, true), sizeof(data));
	assert_int_equal(ops_unlink(fs, EXT2_ROOT_INO, name), 0);
	return inode;
}

/* Of an image that is kept still. */
static void crash(const struct image *img, struct image *ret_copy)
{
	assert_int_equal(fs_sync(img->fs), 0);
	*ret_copy = (struct image){ 0 };
	snprintf(ret_copy->path, sizeof(ret_copy->path), "%.200s.crash", img->path);
	ret_copy->opt.log = image_log;
	ret_copy->opt.log_arg = ret_copy;
	assert_int_equal(image_run("cp --sparse=always %s %s", img->path, ret_copy->path), 0);
}

/* How many orphans e2fsck deletes in a crashed image, which it may destroy. */
static void assert_orphans(const struct image *img, int want)
{
	struct image copy;

	crash(img, &copy);
	assert_int_equal(image_run("e2fsck -fy %s > %s.log; n=$(grep -c 'Clearing orphaned inode' "
				   "%s.log); rm %s.log; test $n -eq %d || { echo $n; exit 1; }",
				   copy.path, copy.path, copy.path, copy.path, want), 0);
	image_fsck(&copy);
	unlink(copy.path);
}

static bool has_present(const struct image *img)
{
	const size_t off = 1024 + offsetof(struct ext2_super_block, s_feature_ro_compat);
	FILE *f = fopen(img->path, "r");
	uint8_t le[4];

	assert_non_null(f);
	assert_int_equal(fseek(f, (long)off, SEEK_SET), 0);
	assert_int_equal(fread(le, 1, sizeof(le), f), sizeof(le));
	fclose(f);
	return get_le32(le) & EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT;
}

/* Nobody dirtied more blocks than it had asked for. */
static void assert_credits(struct fs *fs)
{
	struct txn_stats stats;

	txn_get_stats(fs, &stats);
	assert_int_equal(stats.overdrawn, 0);
}

static void test_removed_in_any_order(void **state)
{
	static const int orders[][4] = { { 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 1, 2, 0, 3 }, { 2, 0, 3, 1 } };

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		for (size_t o = 0; o < ARRAY_LEN(orders); o++) {
			struct inode *inodes[4];
			struct image img;

			/* Without a journal a copy of a mounted image says nothing more. */
			image_make(&img, 32 * MIB, kinds[k]);
			image_keep_still(&img);
			image_open(&img);
			for (int i = 0; i < 4; i++)
				inodes[i] = make_orphan(img.fs, i);
			for (int i = 0; i < 4; i++) {
				if (o == 2)
					assert_orphans(&img, 4 - i);
				inode_put(inodes[orders[o][i]]);
			}
			assert_int_equal(super_last_orphan(img.fs), 0);
			assert_credits(img.fs);
			assert_int_equal(image_close(&img), 0);
			assert_int_equal(img.errors, 0);
			image_fsck(&img);
			image_free(&img);
		}
	}
}

static void test_next_mount_deletes_them(void **state)
{
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		struct inode *inodes[10];
		struct image img, copy;

		image_make(&img, 32 * MIB, kinds[k]);
		image_keep_still(&img);
		image_open(&img);
		for (int i = 0; i < 10; i++)
			inodes[i] = make_orphan(img.fs, i);
		crash(&img, &copy);
		copy.opt.readonly = true;
		image_open(&copy);
		assert_int_equal(ialloc_in_use(copy.fs, inodes[5]->ino), 1);
		image_close(&copy);
		copy.opt.readonly = false;
		image_open(&copy);
		for (int i = 0; i < 10; i++)
			assert_int_equal(ialloc_in_use(copy.fs, inodes[i]->ino), 0);
		assert_credits(copy.fs);
		assert_int_equal(image_close(&copy), 0);
		assert_int_equal(copy.errors, 0);
		image_fsck(&copy);
		image_free(&copy);
		for (int i = 0; i < 10; i++)
			inode_put(inodes[i]);
		assert_int_equal(image_close(&img), 0);
		image_fsck(&img);
		image_free(&img);
	}
}

/* 2 blocks of 254 slots: the rest goes to the list. */
static void test_orphan_file_overflows(void **state)
{
	enum { MANY = 600 };
	struct inode *inodes[MANY];
	struct image img, copy;

	image_make(&img, 64 * MIB, "-t ext4 -b 1024 -N 2048 -O orphan_file -E orphan_file_size=2k");
	image_keep_still(&img);
	image_open(&img);
	if (img.fs->orphans->nblocks > 2) {
		image_close(&img);
		image_free(&img);
		skip();
	}
	for (int i = 0; i < MANY; i++)
		inodes[i] = make_orphan(img.fs, i);
	assert_int_not_equal(super_last_orphan(img.fs), 0);
	crash(&img, &copy);
	image_open(&copy);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(ialloc_in_use(copy.fs, inodes[i]->ino), 0);
	assert_int_equal(image_close(&copy), 0);
	assert_false(has_present(&copy));
	image_fsck(&copy);
	image_free(&copy);
	for (int i = 0; i < MANY; i++)
		inode_put(inodes[(i * 7) % MANY]);
	assert_int_equal(super_last_orphan(img.fs), 0);
	assert_int_equal(image_close(&img), 0);
	image_fsck(&img);
	image_free(&img);
}

/* The inode of a file of 20 KiB, its size cut to 1000 on disk only, on the list. */
static void test_truncate_is_finished(void **state)
{
	static const char *const mkfs[] = { "-t ext4 -b 1024", "-t ext3 -b 1024" };

	for (size_t k = 0; k < ARRAY_LEN(mkfs); k++) {
		struct inode *inode;
		struct image img;
		uint64_t blocks;

		image_make(&img, 32 * MIB, mkfs[k]);
		assert_int_equal(image_run("head -c 20480 /dev/urandom > %s.data; printf 'write "
					   "%s.data f\\nsif f size 1000\\nssv last_orphan 12\\n' | "
					   "debugfs -w -f - %s; rm %s.data", img.path, img.path,
					   img.path, img.path), 0);
		image_open(&img);
		assert_int_equal(inode_get(img.fs, 12, &inode), 0);
		blocks = inode->blocks;
		assert_int_equal(inode->size, 1000);
		assert_false(inode->orphan);
		inode_put(inode);
		assert_int_equal(blocks, 2);
		assert_int_equal(super_last_orphan(img.fs), 0);
		assert_int_equal(image_close(&img), 0);
		assert_int_equal(img.errors, 0);
		image_fsck(&img);
		image_free(&img);
	}
}

static void *cut_thread(void *inode)
{
	return (void *)(intptr_t)file_truncate(inode, 777);
}

/* True when a truncation of inode is between two of its handles now. */
static bool is_half_cut(struct inode *inode)
{
	bool half, orphan;

	rwlock_read(&inode->lock);
	half = inode->half_cut;
	orphan = inode->orphan;
	rwlock_read_unlock(&inode->lock);
	assert_true(orphan || !half);	/* I5 */
	return half;
}

/* A file without a name, or with one, in more pieces than a transaction removes. */
static struct inode *make_in_pieces(struct fs *fs, const char *name)
{
	struct inode *inode;
	uint8_t block[1024];

	memset(block, 1, sizeof(block));
	if (name)
		assert_int_equal(ops_make(fs, EXT2_ROOT_INO, name, S_IFREG | 0644, 0, NULL,
					  &root_cred, &inode), 0);
	else
		assert_int_equal(ops_tmpfile(fs, EXT2_ROOT_INO, S_IFREG | 0600, &root_cred, &inode), 0);
	for (uint64_t i = 0; i < 4000; i++)
		assert_int_equal(file_write(inode, block, sizeof(block), i * 1700000, true),
				 sizeof(block));
	assert_int_equal(fs_sync(fs), 0);
	return inode;
}

/* Gives a file a name, or takes it, halfway through its truncation. False: that was over. */
static bool change_links_halfway(struct fs *fs, bool unlink)
{
	struct inode *inode = make_in_pieces(fs, unlink ? "cut" : NULL), *again;
	pthread_t cutter;
	void *result;
	bool halfway;

	assert_int_equal(pthread_create(&cutter, NULL, cut_thread, inode), 0);
	for (int i = 0; i < 100000 && !is_half_cut(inode); i++)
		sched_yield();
	if (unlink) {
		assert_int_equal(ops_unlink(fs, EXT2_ROOT_INO, "cut"), 0);
	} else {
		assert_int_equal(ops_link(fs, inode->ino, EXT2_ROOT_INO, "cut", &again), 0);
		inode_put(again);
	}
	halfway = is_half_cut(inode);
	assert_int_equal(pthread_join(cutter, &result), 0);
	assert_null(result);
	assert_int_equal(inode->orphan, unlink);
	assert_false(inode->half_cut);
	inode_put(inode);
	if (!unlink)
		assert_int_equal(ops_unlink(fs, EXT2_ROOT_INO, "cut"), 0);
	return halfway;
}

static void test_links_change_while_it_is_cut(void **state)
{
	struct image img;

	for (int unlink = 0; unlink < 2; unlink++) {
		int tries = 0;

		image_make(&img, 64 * MIB, "-t ext4 -b 1024 -g 256 -J size=1 -N 1024");
		image_open(&img);
		while (!change_links_halfway(img.fs, unlink))
			assert_in_range(++tries, 1, 50);
		assert_int_equal(super_last_orphan(img.fs), 0);
		assert_int_equal(atomic_load(&img.fs->doomed), 0);
		assert_int_equal(image_close(&img), 0);
		assert_int_equal(img.errors, 0);
		image_fsck(&img);
		image_free(&img);
	}
}

/* None of these may hang or crash; each is said once, and the image is served. */
static void test_damaged_lists(void **state)
{
	static const char *const damage[] = {
		"ssv last_orphan 4000",				/* free */
		"ssv last_orphan 8",				/* reserved */
		"ssv last_orphan 99999999",
		"ssv last_orphan 14",				/* a directory with links */
		/* A circle of two that are really unlinked. */
		"unlink f\nunlink g\nsif <12> links_count 0\nsif <13> links_count 0\n"
		"sif <12> dtime 13\nsif <13> dtime 12\nssv last_orphan 12",
		"unlink f\nsif <12> links_count 0\nsif <12> dtime 12\nssv last_orphan 12",
		"unlink f\nsif <12> links_count 0\nsif <12> dtime 1700000000\nssv last_orphan 12",
		"unlink f\nsif <12> links_count 0\nsif <12> mode 0\nssv last_orphan 12",
		/* Its content cannot be freed. */
		"unlink f\nsif <12> links_count 0\nsif <12> dtime 13\nsif <12> block[0] 0\n"
		"sif <13> dtime 12\nssv last_orphan 12",
	};

	for (size_t i = 0; i < ARRAY_LEN(damage); i++) {
		struct inode *orphan;
		struct image img;

		image_make(&img, 32 * MIB, "-t ext4 -b 1024");
		assert_int_equal(image_run("head -c 9999 /dev/zero > %s.data; { printf 'write %s.data "
					   "f\\nwrite %s.data g\\nmkdir d\\n%s\\n'; } | "
					   "debugfs -w -f - %s; rm %s.data", img.path, img.path,
					   img.path, damage[i], img.path, img.path), 0);
		img.opt.errors = FS_ERRORS_CONTINUE;
		image_open(&img);
		assert_true(img.errors > 0);
		/* Deleting goes on in front of the damage. */
		orphan = make_orphan(img.fs, 1);
		inode_put(orphan);
		image_close(&img);
		image_run("e2fsck -fy %s >/dev/null || test $? -eq 1", img.path);
		image_fsck(&img);
		image_free(&img);
	}
}

/* Numbers in the orphan file that are no orphans. */
static void test_damaged_orphan_file(void **state)
{
	struct image img, copy;
	struct inode *orphan;
	struct handle h;
	struct buf *buf;

	image_make(&img, 32 * MIB, "-t ext4 -b 1024 -O orphan_file");
	img.opt.errors = FS_ERRORS_CONTINUE;
	image_keep_still(&img);
	image_open(&img);
	orphan = make_orphan(img.fs, 1);
	assert_int_equal(txn_begin(img.fs, 4, &h), 0);
	assert_int_equal(orphan_file_read(img.fs->orphans, 0, &buf), 0);
	assert_int_equal(txn_dirty(&h, buf), 0);
	put_le32(buf->data + 40, 3000);
	put_le32(buf->data + 44, EXT2_ROOT_INO);
	put_le32(buf->data + 48, UINT32_MAX);
	put_le32(buf->data + 52, orphan->ino);
	cache_put(buf);
	assert_int_equal(txn_stop(&h), 0);
	crash(&img, &copy);
	copy.opt.errors = FS_ERRORS_CONTINUE;
	image_open(&copy);
	assert_int_equal(ialloc_in_use(copy.fs, orphan->ino), 0);
	assert_int_equal(copy.errors, 4);
	/* What could not be worked off must be found by e2fsck. */
	image_close(&copy);
	assert_true(has_present(&copy));
	image_free(&copy);
	inode_put(orphan);
	image_close(&img);
	image_free(&img);
}

static void test_bad_orphan_file_inode(void **state)
{
	struct image img;

	image_make(&img, 32 * MIB, "-t ext4 -b 1024 -O orphan_file");
	assert_int_equal(image_run("ino=$(dumpe2fs -h %s 2>/dev/null | sed -n 's/^Orphan file inode: "
				   "*//p'); debugfs -w -R \"sif <$ino> size 1000\" %s", img.path,
				   img.path), 0);
	img.opt.errors = FS_ERRORS_CONTINUE;
	assert_int_equal(image_try_open(&img), -EUCLEAN);
	if (!strstr(img.why, "orphan file"))
		fail_msg("%s", img.why);
	/* Nothing needs it to read. */
	img.opt.readonly = true;
	image_open(&img);
	image_close(&img);
	image_free(&img);
}

/* A block of the file that is not one: deletion goes on with the others. */
static void test_bad_orphan_block(void **state)
{
	struct inode *orphan;
	struct image img;
	uint64_t off;
	FILE *f;

	image_make(&img, 32 * MIB, "-t ext4 -b 1024 -O orphan_file");
	img.opt.errors = FS_ERRORS_CONTINUE;
	image_open(&img);
	off = fs_off(img.fs, img.fs->orphans->blocks[0].pblk + 1) - 8;
	assert_int_equal(image_close(&img), 0);
	f = fopen(img.path, "r+");
	assert_non_null(f);
	assert_int_equal(fseek(f, (long)off, SEEK_SET), 0);
	assert_int_equal(fwrite("junk", 1, 4, f), 4);
	fclose(f);
	image_open(&img);
	orphan = make_orphan(img.fs, 1);
	inode_put(orphan);
	assert_int_equal(img.errors, 1);
	image_close(&img);
	image_free(&img);
}

/* Each device call of the mount that takes them up fails once; the next mount finishes. */
static void test_interrupted_processing(void **state)
{
	for (size_t k = 0; k < 2; k++) {
		struct inode *inodes[3];
		struct image img, copy;
		uint32_t inos[3];
		bool fired = true;

		image_make(&img, 32 * MIB, kinds[k]);
		image_keep_still(&img);
		image_open(&img);
		for (int i = 0; i < 3; i++)
			inos[i] = (inodes[i] = make_orphan(img.fs, i))->ino;
		crash(&img, &copy);
		assert_int_equal(image_run("mv %s %s.dirty", copy.path, copy.path), 0);
		for (int i = 0; i < 3; i++)
			inode_put(inodes[i]);
		image_close(&img);
		for (unsigned n = 1; fired; n++) {
			struct blkdev *file, *dev;
			struct fs *fs = NULL;

			assert_int_equal(image_run("cp --sparse=always %s.dirty %s", copy.path,
						   copy.path), 0);
			assert_int_equal(file_dev_open(copy.path, -1, false, &file), 0);
			assert_int_equal(dev_fault_open(file, true, &dev), 0);
			dev_fault_arm(dev, DEV_FAULT_WRITE | DEV_FAULT_FLUSH, n, -EIO, n % 2);
			if (fs_open(dev, &copy.opt, &fs, copy.why, sizeof(copy.why)) == 0)
				fs_close(fs);
			fired = dev_fault_fired(dev);
			blkdev_close(dev);
			image_open(&copy);
			for (int i = 0; i < 3; i++)
				assert_int_equal(ialloc_in_use(copy.fs, inos[i]), 0);
			assert_int_equal(image_close(&copy), 0);
			image_fsck(&copy);
		}
		assert_int_equal(image_run("rm %s.dirty", copy.path), 0);
		image_free(&copy);
		image_free(&img);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_removed_in_any_order),
		cmocka_unit_test(test_next_mount_deletes_them),
		cmocka_unit_test(test_orphan_file_overflows),
		cmocka_unit_test(test_truncate_is_finished),
		cmocka_unit_test(test_links_change_while_it_is_cut),
		cmocka_unit_test(test_damaged_lists),
		cmocka_unit_test(test_damaged_orphan_file),
		cmocka_unit_test(test_bad_orphan_file_inode),
		cmocka_unit_test(test_bad_orphan_block),
		cmocka_unit_test(test_interrupted_processing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
