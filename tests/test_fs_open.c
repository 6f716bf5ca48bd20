/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening and closing file systems of many kinds, damaged ones included. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/statvfs.h>

#include <cmocka.h>

#include "csum.h"
#include "dev_fault.h"
#include "dev_mem.h"
#include "group.h"
#include "image.h"
#include "super.h"
#include "txn.h"

enum { MIB = 1 << 20, SUPER_OFF = 1024 };

static const char *const variants[] = {
	"-t ext4", "-t ext4 -b 1024", "-t ext4 -b 2048 -I 1024", "-t ext3", "-t ext2 -b 1024",
	"-t ext2 -r 0", "-t ext4 -O ^metadata_csum,uninit_bg", "-t ext4 -O ^metadata_csum,^64bit",
	"-t ext4 -O ^64bit", "-t ext4 -O ^resize_inode,meta_bg",
	"-t ext4 -b 1024 -O ^resize_inode,meta_bg,^flex_bg", "-t ext4 -O sparse_super2,^resize_inode",
	"-t ext4 -O ^flex_bg", "-t ext4 -b 1024 -g 1024", "-t ext4 -O orphan_file,large_dir",
	"-t ext4 -O inline_data,ea_inode", "-t ext4 -O metadata_csum_seed,project",
	"-t ext4 -O fast_commit", "-t ext4 -O ^has_journal", "-t ext4 -G 64 -b 1024",
};

static void read_super(const char *path, struct ext2_super_block *sb)
{
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, sb, sizeof(*sb), SUPER_OFF), sizeof(*sb));
	close(fd);
}

static void write_raw(const char *path, const struct ext2_super_block *sb)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, sb, sizeof(*sb), SUPER_OFF), sizeof(*sb));
	close(fd);
}

/* With a right checksum. */
static void write_super(const char *path, struct ext2_super_block *sb)
{
	if (le32toh(sb->s_feature_ro_compat) & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM)
		put_le32(&sb->s_checksum,
			 csum_crc32c(~0U, sb, offsetof(struct ext2_super_block, s_checksum)));
	write_raw(path, sb);
}

static void opens_and_closes_clean(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(variants); i++) {
		struct ext2_super_block before, during, after;
		bool journal;
		struct image img;

		image_make(&img, 64 * MIB, variants[i]);
		read_super(img.path, &before);
		image_open(&img);
		read_super(img.path, &during);
		assert_int_equal(image_close(&img), 0);
		read_super(img.path, &after);
		assert_int_equal(img.errors, 0);
		assert_true(before.s_state & EXT2_VALID_FS);
		journal = before.s_feature_compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL;
		assert_int_equal(!!(during.s_feature_incompat & EXT3_FEATURE_INCOMPAT_RECOVER),
				 journal);
		assert_int_equal(!!(during.s_state & EXT2_VALID_FS), journal);
		assert_false(after.s_feature_incompat & EXT3_FEATURE_INCOMPAT_RECOVER);
		assert_int_equal(after.s_mnt_count, before.s_mnt_count + 1);
		assert_true(after.s_state & EXT2_VALID_FS);
		assert_int_equal(after.s_free_blocks_count, before.s_free_blocks_count);
		assert_int_equal(after.s_free_inodes_count, before.s_free_inodes_count);
		image_fsck(&img);
		image_free(&img);
	}
}

static void readonly_changes_no_byte(void **state)
{
	struct image img;
	char copy[300];

	image_make(&img, 32 * MIB, "-t ext4 -O quota");
	snprintf(copy, sizeof(copy), "%s.copy", img.path);
	assert_int_equal(image_run("cp --sparse=always %s %s", img.path, copy), 0);
	assert_int_equal(image_try_open(&img), -EROFS);
	img.opt.readonly = true;
	image_open(&img);
	assert_int_equal(fs_may_write(img.fs), -EROFS);
	assert_int_equal(fs_may_read(img.fs), 0);
	assert_int_equal(fs_sync(img.fs), 0);
	assert_int_equal(fs_set_label(img.fs, "x"), -EROFS);
	assert_int_equal(ialloc_in_use(img.fs, EXT2_ROOT_INO), 1);
	assert_int_equal(image_close(&img), 0);
	assert_int_equal(image_run("cmp %s %s", img.path, copy), 0);
	unlink(copy);
	image_free(&img);
}

/* A journal with one transaction, made by debugfs: replayed into memory when mounted
 * read-only, into the image when writable. */
static void dirty_journal_is_replayed(void **state)
{
	enum { BLOCK = 9000 };
	struct ext2_super_block sb;
	uint8_t block[4096], seen[4096];
	struct image img;
	char copy[300];
	int fd;

	memset(block, 'j', sizeof(block));
	image_make(&img, 64 * MIB, "-t ext4 -b 4096");
	snprintf(copy, sizeof(copy), "%s.copy", img.path);
	fd = open(copy, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	close(fd);
	assert_int_equal(image_run("printf 'jo\njw -b %d %s\njc\n' | debugfs -w -f - %s",
				   BLOCK, copy, img.path), 0);
	assert_int_equal(image_run("cp --sparse=always %s %s", img.path, copy), 0);

	img.opt.readonly = true;
	image_open(&img);
	assert_non_null(img.fs->overlay);
	assert_int_equal(blkdev_read(img.fs->dev, seen, sizeof(seen), BLOCK * 4096), 0);
	assert_memory_equal(seen, block, sizeof(block));
	assert_int_equal(image_close(&img), 0);
	img.opt.norecovery = true;
	image_open(&img);
	assert_null(img.fs->overlay);
	assert_int_equal(image_close(&img), 0);
	assert_int_equal(image_run("cmp %s %s", img.path, copy), 0);

	img.opt.readonly = img.opt.norecovery = false;
	image_open(&img);
	assert_int_equal(blkdev_read(img.fs->dev, seen, sizeof(seen), BLOCK * 4096), 0);
	assert_memory_equal(seen, block, sizeof(block));
	assert_int_equal(image_close(&img), 0);
	read_super(img.path, &sb);
	assert_false(sb.s_feature_incompat & EXT3_FEATURE_INCOMPAT_RECOVER);
	image_fsck(&img);
	unlink(copy);
	image_free(&img);
}

static void statfs_counts_honestly(void **state)
{
	struct ext2_super_block sb;
	struct statvfs st, minix;
	struct image img;

	image_make(&img, 64 * MIB, "-t ext4 -m 10");
	read_super(img.path, &sb);
	image_open(&img);
	assert_int_equal(fs_statfs(img.fs, &st), 0);
	image_close(&img);
	img.opt.minixdf = true;
	image_open(&img);
	assert_int_equal(fs_statfs(img.fs, &minix), 0);
	assert_int_equal(st.f_bsize, st.f_frsize);
	assert_int_equal(st.f_bfree, sb.s_free_blocks_count);
	assert_int_equal(st.f_bavail, sb.s_free_blocks_count - sb.s_r_blocks_count);
	assert_int_equal(minix.f_blocks, sb.s_blocks_count);
	assert_int_equal(st.f_blocks, sb.s_blocks_count - sb.s_overhead_clusters);
	assert_int_equal(st.f_files, sb.s_inodes_count);
	assert_int_equal(st.f_ffree, sb.s_free_inodes_count);
	assert_int_equal(st.f_namemax, 255);
	image_free(&img);
}

static void label_round_trip(void **state)
{
	char label[17];
	struct image img;

	image_make(&img, 16 * MIB, "-t ext4 -L before");
	image_open(&img);
	assert_int_equal(fs_get_label(img.fs, label), 0);
	assert_string_equal(label, "before");
	assert_int_equal(fs_set_label(img.fs, "12345678901234567"), -EINVAL);
	assert_int_equal(fs_set_label(img.fs, "1234567890123456"), 0);
	assert_int_equal(fs_get_label(img.fs, label), 0);
	assert_string_equal(label, "1234567890123456");
	image_close(&img);
	assert_int_equal(image_run("test \"$(e2label %s)\" = 1234567890123456", img.path), 0);
	image_fsck(&img);
	image_free(&img);
}

static void huge_sparse_image_opens_fast(void **state)
{
	struct timespec a, b;
	struct image img;

	image_make(&img, 1ULL << 40, "-t ext4");
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	image_open(&img);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	assert_in_range((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000, 0, 1000);
	image_free(&img);
}

struct bad_super {
	const char *what;	/* appears in the sentence */
	size_t off, size;
	uint64_t value;
	int err;
};
#define FIELD(f) offsetof(struct ext2_super_block, f), sizeof(((struct ext2_super_block *)0)->f)

static const struct bad_super bad_supers[] = {
	{ "no ext2", FIELD(s_magic), 0x1234, -EINVAL },
	{ "revision", FIELD(s_rev_level), 7, -EOPNOTSUPP },
	{ "checksum type", FIELD(s_checksum_type), 9, -EOPNOTSUPP },
	{ "block size", FIELD(s_log_block_size), 40, -EUCLEAN },
	{ "cluster size", FIELD(s_log_cluster_size), 40, -EUCLEAN },
	{ "first data block", FIELD(s_first_data_block), 5, -EUCLEAN },
	{ "blocks", FIELD(s_blocks_count), 0, -EUCLEAN },
	{ "blocks", FIELD(s_blocks_count_hi), 1 << 30, -EUCLEAN },
	{ "cut short", FIELD(s_blocks_count), 16385, -EUCLEAN },
	{ "descriptor size", FIELD(s_desc_size), 48, -EUCLEAN },
	{ "inode size", FIELD(s_inode_size), 100, -EUCLEAN },
	{ "inode size", FIELD(s_inode_size), 8192, -EUCLEAN },
	{ "inodes per group", FIELD(s_inodes_per_group), 0, -EUCLEAN },
	{ "inodes in", FIELD(s_inodes_count), 77, -EUCLEAN },
	{ "first inode", FIELD(s_first_ino), 3, -EUCLEAN },
	{ "blocks per group", FIELD(s_blocks_per_group), 0, -EUCLEAN },
	{ "blocks per group", FIELD(s_blocks_per_group), 32776, -EUCLEAN },
	{ "reserved descriptor", FIELD(s_reserved_gdt_blocks), 5000, -EUCLEAN },
	{ "another device", FIELD(s_journal_inum), 0, -EROFS },
};

static void bad_superblocks_are_refused_by_name(void **state)
{
	struct ext2_super_block good, sb;
	struct image img;

	image_make(&img, 64 * MIB, "-t ext4 -b 4096");
	read_super(img.path, &good);
	for (size_t i = 0; i < ARRAY_LEN(bad_supers); i++) {
		const struct bad_super *bad = &bad_supers[i];
		uint64_t value = htole64(bad->value);
		int ret;

		sb = good;
		memcpy((uint8_t *)&sb + bad->off, &value, bad->size);
		write_super(img.path, &sb);
		ret = image_try_open(&img);
		if (ret != bad->err || !strstr(img.why, bad->what))
			fail_msg("%s: %d %s", bad->what, ret, img.why);
	}
	sb = good;
	sb.s_mnt_count ^= 1;
	write_raw(img.path, &sb);
	assert_int_equal(image_try_open(&img), -EUCLEAN);
	assert_non_null(strstr(img.why, "checksum"));
	write_super(img.path, &good);
	image_open(&img);
	image_free(&img);
}

static void wrong_descriptor_refused_rw_served_ro(void **state)
{
	struct image img;
	int fd;

	image_make(&img, 64 * MIB, "-t ext4 -b 1024");
	fd = open(img.path, O_RDWR);
	assert_int_equal(pwrite(fd, "\xff", 1, 2 * 1024 + 3 * 64 + 12), 1);	/* group 3 */
	close(fd);
	assert_int_equal(image_try_open(&img), -EUCLEAN);
	assert_non_null(strstr(img.why, "group 3"));
	img.opt.readonly = true;
	image_open(&img);
	assert_int_equal(img.errors, 1);
	assert_int_equal(ialloc_in_use(img.fs, EXT2_ROOT_INO), 1);
	assert_true(ialloc_in_use(img.fs, 3 * img.fs->inodes_per_group + 1) < 0);
	image_free(&img);
}

/* Uses what a damaged image still offers. */
static void touch(struct fs *fs)
{
	struct statvfs st;
	uint64_t pblk;
	uint32_t len, ino;
	struct handle h;

	fs_statfs(fs, &st);
	for (uint32_t g = 0; g < fs->ngroups && g < 64; g++)
		ialloc_in_use(fs, g * fs->inodes_per_group + 12);
	for (int i = 0; i < 8; i++) {
		if (balloc_reserve(fs, (uint64_t)i * 2048, 300, false, &pblk, &len))
			continue;
		assert_true(len >= 1 && len <= 300 && fs_block_valid(fs, pblk, len));
		balloc_unreserve(fs, pblk, len);
	}
	if (txn_begin(fs, IALLOC_CREDITS + BALLOC_CREDITS, &h))
		return;
	if (!ialloc_new(&h, NULL, true, &ino))
		ialloc_free(&h, ino, true);
	balloc_free(&h, 5000, 3000, true);
	txn_stop(&h);
}

/* Random bytes in superblock, descriptors and bitmaps: any result will do, as long as
 * there is one and a refusal has its sentence. */
static void random_damage(const char *variant, unsigned seed)
{
	enum { SIZE = 16 * MIB, ROUNDS = 500 };
	struct image img;
	int fd;

	image_make(&img, SIZE, variant);
	fd = open(img.path, O_RDONLY);
	for (int round = 0; round < ROUNDS; round++) {
		struct blkdev *dev;
		struct fs *fs;

		assert_int_equal(dev_mem_open(SIZE, &dev), 0);
		assert_int_equal(pread(fd, dev_mem_data(dev), SIZE, 0), SIZE);
		for (int n = rand_r(&seed) % 4; n >= 0; n--) {
			static const size_t reach[] = { 0x180, 2048, 16 * 1024 };
			size_t at = SUPER_OFF + (size_t)rand_r(&seed) % reach[round % 3];

			dev_mem_data(dev)[at] = (uint8_t)rand_r(&seed);
		}
		img.opt.readonly = round % 4 == 0;
		if (!fs_open(dev, &img.opt, &fs, img.why, sizeof(img.why))) {
			touch(fs);
			fs_close(fs);
		} else {
			assert_true(img.why[0]);
		}
		blkdev_close(dev);
	}
	close(fd);
	image_free(&img);
}

static void random_damage_is_survived(void **state)
{
	const char *text = getenv("TEST_SEED");
	unsigned seed = text ? (unsigned)atoi(text) : 1;

	random_damage("-t ext4 -b 1024 -g 1024 -O ^metadata_csum,uninit_bg", seed);
	random_damage("-t ext3 -b 1024 -g 1024", seed + 1);
	random_damage("-t ext4 -b 1024 -O ^metadata_csum,^resize_inode", seed + 2);
}

/* Every device call of open and close fails once: an error comes out, never a crash. Only the
 * readahead around the root's inode is done again, for what is needed of it. */
static void failing_device_is_reported(void **state)
{
	struct image img;
	bool fired = true;
	int tolerated = 0;

	image_make(&img, 16 * MIB, "-t ext4 -O ^has_journal");
	for (unsigned n = 1; fired; n++) {
		struct blkdev *file, *dev;
		struct fs *fs;
		int ret;

		assert_int_equal(file_dev_open(img.path, -1, false, &file), 0);
		assert_int_equal(dev_fault_open(file, true, &dev), 0);
		dev_fault_arm(dev, DEV_FAULT_ALL, n, -EIO, false);
		ret = fs_open(dev, &img.opt, &fs, img.why, sizeof(img.why));
		if (!ret)
			ret = fs_close(fs);
		fired = dev_fault_fired(dev);
		assert_true(fired || !ret);
		tolerated += fired && !ret;
		blkdev_close(dev);
		assert_in_range(n, 1, 200);
	}
	assert_in_range(tolerated, 0, 1);
	assert_int_equal(image_run("e2fsck -fp %s || test $? -le 1", img.path), 0);
	image_free(&img);
}

static void errors_are_recorded_and_stop_writing(void **state)
{
	struct ext2_super_block sb;
	struct handle h;
	struct image img;

	image_make(&img, 16 * MIB, "-t ext4");
	img.opt.errors = FS_ERRORS_RO;
	image_open(&img);
	assert_int_equal(fs_error(img.fs, -ENOMEM, 5, 6, "just memory"), -ENOMEM);
	assert_int_equal(fs_may_write(img.fs), 0);
	assert_int_equal(fs_error(img.fs, -EUCLEAN, 12, 34, "bad thing"), -EUCLEAN);
	assert_int_equal(fs_may_write(img.fs), -EROFS);
	assert_int_equal(txn_begin(img.fs, 1, &h), -EROFS);
	assert_true(image_close(&img) < 0);
	read_super(img.path, &sb);
	assert_int_equal(sb.s_error_count, 1);
	assert_int_equal(sb.s_last_error_ino, 12);
	assert_int_equal(sb.s_first_error_block, 34);
	assert_int_equal(sb.s_last_error_errcode, 5);
	assert_true(sb.s_state & EXT2_ERROR_FS);
	assert_true(sb.s_feature_incompat & EXT3_FEATURE_INCOMPAT_RECOVER);
	image_free(&img);
}

static void errors_continue_reach_the_superblock(void **state)
{
	struct ext2_super_block sb;
	struct image img;

	image_make(&img, 16 * MIB, "-t ext4 -e continue");
	image_open(&img);
	for (int i = 0; i < 3; i++)
		assert_int_equal(fs_error(img.fs, -EUCLEAN, 12, 34, "bad thing"), -EUCLEAN);
	assert_int_equal(img.errors, 1);	/* the same line once */
	assert_int_equal(fs_may_write(img.fs), 0);
	assert_int_equal(image_close(&img), 0);
	read_super(img.path, &sb);
	assert_int_equal(sb.s_error_count, 3);
	assert_true(sb.s_state & EXT2_ERROR_FS);
	image_free(&img);
}

/* What a crash now leaves, after a recovery. */
static void crash_super(const struct image *img, struct ext2_super_block *ret)
{
	struct image copy = *img;

	snprintf(copy.path, sizeof(copy.path), "%.200s.crash", img->path);
	copy.opt.log_arg = &copy;
	assert_int_equal(image_run("cp %s %s", img->path, copy.path), 0);
	image_open(&copy);
	assert_int_equal(image_close(&copy), 0);
	read_super(copy.path, ret);
	unlink(copy.path);
}

static bool await_commit(struct fs *fs, uint64_t before)
{
	struct txn_stats st = { .commits = before };

	for (int i = 0; i < 600 && st.commits == before; i++) {
		usleep(100000);
		txn_get_stats(fs, &st);
	}
	return st.commits != before;
}

/* The record is in the next commit, which comes although nothing else has changed. */
static void errors_continue_survive_a_crash(void **state)
{
	static const char *const args[] = { "-t ext4 -e continue", "-t ext2 -e continue" };
	struct ext2_super_block sb;
	struct txn_stats st;
	struct image img;

	for (size_t i = 0; i < ARRAY_LEN(args); i++) {
		image_make(&img, 16 * MIB, args[i]);
		/* Not while it is copied. */
		img.opt.checkpoint_ms = FS_NEVER_IDLE;
		image_open(&img);
		assert_int_equal(fs_sync(img.fs), 0);
		fs_error(img.fs, -EUCLEAN, 12, 34, "bad thing");
		assert_int_equal(fs_sync(img.fs), 0);
		crash_super(&img, &sb);
		assert_int_equal(sb.s_error_count, 1);
		assert_int_equal(sb.s_last_error_ino, 12);
		assert_true(sb.s_state & EXT2_ERROR_FS);
		txn_get_stats(img.fs, &st);
		fs_error(img.fs, -EUCLEAN, 13, 34, "bad thing");
		assert_true(await_commit(img.fs, st.commits));
		crash_super(&img, &sb);
		assert_int_equal(sb.s_error_count, 2);
		assert_int_equal(sb.s_last_error_ino, 13);
		assert_int_equal(image_close(&img), 0);
		image_free(&img);
	}
}

static void recover_flag_is_written_at_once(void **state)
{
	struct ext2_super_block sb;
	struct image img;

	image_make(&img, 16 * MIB, "-t ext4");
	image_open(&img);
	assert_int_equal(super_write_recover(img.fs, true), 0);
	read_super(img.path, &sb);
	assert_true(sb.s_feature_incompat & EXT3_FEATURE_INCOMPAT_RECOVER);
	assert_int_equal(fs_set_label(img.fs, "other"), 0);
	read_super(img.path, &sb);
	assert_true(sb.s_feature_incompat & EXT3_FEATURE_INCOMPAT_RECOVER);
	assert_int_equal(super_write_recover(img.fs, false), 0);
	assert_int_equal(image_close(&img), 0);
	image_fsck(&img);
	image_free(&img);
}

static void shutdown_ends_everything(void **state)
{
	struct statvfs st;
	struct image img;

	image_make(&img, 16 * MIB, "-t ext4");
	image_open(&img);
	assert_int_equal(fs_shutdown(img.fs, true), 0);
	assert_int_equal(fs_may_write(img.fs), -EIO);
	assert_int_equal(fs_may_read(img.fs), -EIO);
	assert_int_equal(fs_statfs(img.fs, &st), -EIO);
	assert_int_equal(fs_sync(img.fs), -EIO);
	image_close(&img);
	image_free(&img);
}

static void system_blocks_are_not_valid_for_files(void **state)
{
	struct image img;

	image_make(&img, 64 * MIB, "-t ext4 -b 1024");
	image_open(&img);
	assert_false(fs_block_valid(img.fs, 0, 1));
	assert_false(fs_block_valid(img.fs, 1, 1));
	assert_false(fs_block_valid(img.fs, 2, 1));
	assert_false(fs_block_valid(img.fs, 8193, 1));		/* backup superblock */
	assert_false(fs_block_valid(img.fs, 65535, 2));
	assert_false(fs_block_valid(img.fs, 65535, UINT64_MAX));
	assert_false(fs_block_valid(img.fs, UINT64_MAX, 1));
	assert_false(fs_block_valid(img.fs, 65535, 0));
	assert_true(fs_block_valid(img.fs, 65535, 1));
	assert_true(fs_block_valid(img.fs, 8192, 1));
	assert_false(fs_block_valid(img.fs, 8192, 2));
	image_free(&img);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens_and_closes_clean),
		cmocka_unit_test(readonly_changes_no_byte),
		cmocka_unit_test(dirty_journal_is_replayed),
		cmocka_unit_test(statfs_counts_honestly),
		cmocka_unit_test(label_round_trip),
		cmocka_unit_test(huge_sparse_image_opens_fast),
		cmocka_unit_test(bad_superblocks_are_refused_by_name),
		cmocka_unit_test(wrong_descriptor_refused_rw_served_ro),
		cmocka_unit_test(random_damage_is_survived),
		cmocka_unit_test(failing_device_is_reported),
		cmocka_unit_test(errors_are_recorded_and_stop_writing),
		cmocka_unit_test(errors_continue_reach_the_superblock),
		cmocka_unit_test(errors_continue_survive_a_crash),
		cmocka_unit_test(recover_flag_is_written_at_once),
		cmocka_unit_test(shutdown_ends_everything),
		cmocka_unit_test(system_blocks_are_not_valid_for_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
