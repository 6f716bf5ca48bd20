/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In-core inodes: table, codec, what is refused, limits. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include "csum.h"
#include "group.h"
#include "inode_fixture.h"

static void test_numbers_that_are_no_inodes(void **state)
{
	uint32_t bad[] = { 0, 1, 3, 7, 8, 10, 12, 4000, UINT32_MAX, 0 };
	struct inode *inode;
	struct image img;

	image_make(&img, 32 * MIB, "-t ext4 -N 4096");
	image_open(&img);
	bad[9] = img.fs->inodes_count + 1;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(inode_get(img.fs, bad[i], &inode), -ESTALE);
	assert_int_equal(inode_get(img.fs, EXT2_ROOT_INO, &inode), 0);
	assert_true(S_ISDIR(inode->mode));
	inode_put(inode);
	assert_int_equal(inode_get_internal(img.fs, 8, &inode), 0);
	assert_true(S_ISREG(inode->mode));
	inode_put(inode);
	/* In core now, but still not for everybody. */
	assert_int_equal(inode_get(img.fs, 8, &inode), -ESTALE);
	assert_int_equal(img.errors, 0);
	assert_int_equal(image_close(&img), 0);
	image_fsck(&img);
	image_free(&img);
}

/* What the kernel's document says: two epoch bits extend the signed 32-bit second. */
static const struct {
	int64_t sec;
	uint32_t lo, epoch;
} times[] = {
	{ INT32_MIN, 0x80000000, 0 }, { -1, 0xffffffff, 0 }, { 0, 0, 0 },
	{ INT32_MAX, 0x7fffffff, 0 }, { 0x80000000LL, 0x80000000, 1 },
	{ 0xffffffffLL, 0xffffffff, 1 }, { 0x17fffffffLL, 0x7fffffff, 1 },
	{ 0x180000000LL, 0x80000000, 2 }, { 0x27fffffffLL, 0x7fffffff, 2 },
	{ 0x280000000LL, 0x80000000, 3 }, { 0x37fffffffLL, 0x7fffffff, 3 },
};

static void test_times(void **state)
{
	struct inode *inode;
	struct image img;
	uint32_t extra;

	image_make(&img, 32 * MIB, "-t ext4 -I 256");
	image_open(&img);
	assert_int_equal(ops_make(img.fs, EXT2_ROOT_INO, "f", S_IFREG, 0, NULL, &root_cred, &inode), 0);
	rwlock_write(&inode->lock);
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		struct timespec ts = { times[i].sec, 123456789 + i };

		inode->mtime = inode->crtime = ts;
		assert_int_equal(inode_encode(inode), 0);
		extra = get_le32(inode->raw + offsetof(struct ext2_inode_large, i_mtime_extra));
		assert_int_equal(get_le32(inode->raw + offsetof(struct ext2_inode, i_mtime)),
				 times[i].lo);
		assert_int_equal(extra & 3, times[i].epoch);
		assert_int_equal(extra >> 2, ts.tv_nsec);
		inode->mtime = inode->crtime = (struct timespec){ 0 };
		inode_decode(inode);
		assert_memory_equal(&inode->mtime, &ts, sizeof(ts));
		assert_memory_equal(&inode->crtime, &ts, sizeof(ts));
	}
	/* Beyond the range: the nearest that can be stored, in core too. */
	inode->mtime.tv_sec = INT64_C(1) << 40;
	inode->atime.tv_sec = -(INT64_C(1) << 40);
	assert_int_equal(store(inode), 0);
	assert_int_equal(inode->mtime.tv_sec, 0x37fffffffLL);
	assert_int_equal(inode->atime.tv_sec, INT32_MIN);
	rwlock_write_unlock(&inode->lock);
	inode_put(inode);
	assert_int_equal(image_close(&img), 0);
	image_fsck(&img);
	image_free(&img);
}

static void test_small_inodes(void **state)
{
	struct inode *inode;
	struct image img;
	struct stat st;

	image_make(&img, 32 * MIB, "-t ext3 -I 128");
	image_open(&img);
	assert_int_equal(ops_make(img.fs, EXT2_ROOT_INO, "f", S_IFREG, 0, NULL, &root_cred, &inode), 0);
	rwlock_write(&inode->lock);
	inode->mtime = (struct timespec){ 0x180000000LL, 5 };
	inode->uid = 0x12345678;
	inode->gid = 0x9abcdef0;
	assert_int_equal(store(inode), 0);
	inode_decode(inode);
	assert_int_equal(inode->mtime.tv_sec, INT32_MAX);
	assert_int_equal(inode->mtime.tv_nsec, 0);
	inode_fill_stat(inode, &st);
	rwlock_write_unlock(&inode->lock);
	inode_put(inode);
	assert_int_equal(st.st_uid, 0x12345678);
	assert_int_equal(st.st_gid, 0x9abcdef0);
	assert_int_equal(image_close(&img), 0);
	image_fsck(&img);
	image_free(&img);
}

static void test_fields_survive(void **state)
{
	struct inode *inode;
	struct image img;
	uint8_t raw[256];

	image_make(&img, 32 * MIB, "-t ext4 -b 4096 -O project,large_dir");
	image_open(&img);
	assert_int_equal(ops_make(img.fs, EXT2_ROOT_INO, "f", S_IFREG, 0, NULL, &root_cred, &inode), 0);
	rwlock_write(&inode->lock);
	memcpy(raw, inode->raw, 256);
	inode->size = 0x123456789abULL;
	inode->version = 0x1122334455667788ULL;
	inode->projid = 0xfedcba98;
	inode->file_acl = 0xabc12345678ULL;
	for (int huge = 0; huge < 2; huge++) {
		inode->blocks = huge ? (0x3ULL << 48) + 0x10 : 0xfeedbeef1234ULL;
		assert_int_equal(inode_encode(inode), 0);
		assert_int_equal(!!(inode->flags & EXT4_HUGE_FILE_FL), huge);
		inode->size = inode->version = inode->projid = inode->file_acl = 0;
		inode_decode(inode);
		assert_true(inode->size == 0x123456789abULL);
		assert_true(inode->version == 0x1122334455667788ULL);
		assert_int_equal(inode->projid, 0xfedcba98);
		assert_true(inode->file_acl == 0xabc12345678ULL);
		assert_true(inode->blocks == (huge ? (0x3ULL << 48) + 0x10 : 0xfeedbeef1234ULL));
	}
	inode->blocks = UINT64_MAX;
	assert_int_equal(inode_encode(inode), -EUCLEAN);
	memcpy(inode->raw, raw, 256);
	inode_decode(inode);
	rwlock_write_unlock(&inode->lock);
	inode_put(inode);
	assert_int_equal(image_close(&img), 0);
	image_fsck(&img);
	image_free(&img);
}

static void test_device_numbers_and_links(void **state)
{
	static const struct { unsigned maj, min; } devs[] = {
		{ 1, 3 }, { 0, 0 }, { 255, 255 }, { 259, 5 }, { 8, 300 }, { 4095, 0xfffff },
	};
	struct inode *inode;
	struct image img;
	struct stat st;
	char name[16];

	image_make(&img, 32 * MIB, "-t ext4");
	image_open(&img);
	for (size_t i = 0; i < ARRAY_LEN(devs); i++) {
		dev_t dev = makedev(devs[i].maj, devs[i].min);

		snprintf(name, sizeof(name), "d%zu", i);
		assert_int_equal(ops_make(img.fs, EXT2_ROOT_INO, name, S_IFBLK, dev, NULL,
					  &root_cred, &inode), 0);
		inode_fill_stat(inode, &st);
		assert_int_equal(st.st_rdev, dev);
		inode_put(inode);
	}
	assert_int_equal(ops_make(img.fs, EXT2_ROOT_INO, "short", S_IFLNK, 0, "target",
				  &root_cred, &inode), 0);
	assert_true(inode_is_fast_symlink(inode));
	inode_put(inode);
	assert_int_equal(ops_make(img.fs, EXT2_ROOT_INO, "long", S_IFLNK, 0,
				  "0123456789012345678901234567890123456789012345678901234567890",
				  &root_cred, &inode), 0);
	assert_false(inode_is_fast_symlink(inode));
	inode_put(inode);
	assert_int_equal(image_close(&img), 0);
	image_fsck(&img);
	image_free(&img);
}

static void test_atime_rules(void **state)
{
	struct timespec now = { 1000000, 0 };
	struct inode *inode;
	struct image img;

	image_make(&img, 32 * MIB, "-t ext4");
	image_open(&img);
	assert_int_equal(inode_get(img.fs, make_file(img.fs, "f"), &inode), 0);
	rwlock_write(&inode->lock);
	inode->ctime = inode->mtime = (struct timespec){ 500000, 7 };
	inode->atime = (struct timespec){ 500000, 8 };
	assert_true(inode_atime_due(inode, &now));	/* a day old */
	inode->atime = (struct timespec){ 999000, 0 };
	assert_false(inode_atime_due(inode, &now));
	inode->mtime = inode->atime;			/* read before the change, or at it */
	assert_true(inode_atime_due(inode, &now));
	inode->mtime.tv_sec = 0;
	inode->ctime = (struct timespec){ 999000, 1 };
	assert_true(inode_atime_due(inode, &now));
	inode->ctime.tv_sec = 0;
	img.fs->opt.atime = FS_STRICTATIME;
	assert_true(inode_atime_due(inode, &now));
	inode->atime = now;
	assert_false(inode_atime_due(inode, &now));
	inode->atime.tv_sec = 0;
	img.fs->opt.atime = FS_NOATIME;
	assert_false(inode_atime_due(inode, &now));
	img.fs->opt.atime = FS_RELATIME;
	inode->flags |= EXT2_NOATIME_FL;
	assert_false(inode_atime_due(inode, &now));
	inode->flags &= ~EXT2_NOATIME_FL;
	rwlock_write_unlock(&inode->lock);
	assert_int_equal(inode_touch_atime(inode), 1);
	assert_int_equal(inode_touch_atime(inode), 0);
	assert_true(inode->atime.tv_sec > 1000000);
	inode_put(inode);
	assert_int_equal(image_close(&img), 0);
	image_fsck(&img);
	image_free(&img);
}

static void max_size(const char *mkfs, uint64_t want)
{
	struct inode *inode;
	struct image img;

	image_make(&img, 32 * MIB, mkfs);
	image_open(&img);
	assert_int_equal(inode_get(img.fs, make_file(img.fs, "f"), &inode), 0);
	assert_true(inode_max_size(inode) == want);
	inode_put(inode);
	assert_int_equal(image_close(&img), 0);
	image_free(&img);
}

/* s_maxbytes and s_bitmap_maxbytes of the kernel for the same image. */
static void test_limits(void **state)
{
	max_size("-t ext4 -b 4096", 17592186040320);
	max_size("-t ext4 -b 1024", 4398046510080);
	max_size("-t ext3 -b 4096", 2196873666560);
	max_size("-t ext3 -b 1024", 17247252480);
	max_size("-t ext4 -O ^extent,^64bit -b 4096", 4402345721856);
}

/* Flips one byte of an inode in a closed image. */
static void flip(const struct image *img, uint64_t off)
{
	FILE *f = fopen(img->path, "r+");
	int c;

	assert_non_null(f);
	assert_int_equal(fseek(f, (long)off, SEEK_SET), 0);
	c = fgetc(f);
	assert_int_equal(fseek(f, (long)off, SEEK_SET), 0);
	assert_true(fputc(c ^ 0x40, f) != EOF);
	assert_int_equal(fclose(f), 0);
}

static void test_wrong_checksum(void **state)
{
	struct inode *inode;
	struct image img;
	uint64_t pblk, off;
	uint32_t ino, in_block;

	image_make(&img, 32 * MIB, "-t ext4");
	image_open(&img);
	ino = make_file(img.fs, "f");
	assert_int_equal(group_inode_loc(img.fs, ino, &pblk, &in_block), 0);
	off = fs_off(img.fs, pblk) + in_block;
	assert_int_equal(image_close(&img), 0);
	flip(&img, off + offsetof(struct ext2_inode, i_uid));
	/* And one that is free: nobody's business. */
	flip(&img, off + 512 + offsetof(struct ext2_inode, i_mode));
	img.opt.readonly = true;
	image_open(&img);
	assert_int_equal(inode_get(img.fs, ino, &inode), -EUCLEAN);
	assert_int_equal(img.errors, 1);
	assert_int_equal(inode_get(img.fs, ino + 2, &inode), -ESTALE);
	assert_int_equal(img.errors, 1);
	image_close(&img);
	image_free(&img);
}

static void refused(const char *mkfs, const char *prepare, const char *field)
{
	struct inode *inode;
	struct image img;

	image_make(&img, 32 * MIB, mkfs);
	assert_int_equal(image_run("printf 'write /dev/null f\\nsymlink l target\\nmknod p p\\n"
				   "sif %s\\n%s\\n' | debugfs -w -f - %s", field, prepare,
				   img.path), 0);
	img.opt.readonly = true;
	image_open(&img);
	for (uint32_t ino = 12; ino < 15; ino++) {
		char name[3][2] = { "f", "l", "p" };
		bool bad = field[0] == name[ino - 12][0];
		int err = inode_get(img.fs, ino, &inode);

		assert_int_equal(err, bad ? -EUCLEAN : 0);
		if (!err)
			inode_put(inode);
	}
	assert_int_equal(img.errors, 1);
	image_close(&img);
	image_free(&img);
}

static void test_impossible_inodes(void **state)
{
	static const char *const fields[] = {
		"f mode 0", "f mode 0170644", "f flags 0x10000000", "f flags 0x80800",
		"f flags 0x40080000", "f flags 0x280000", "f file_acl 1", "f file_acl 0xffffff",
		"f extra_isize 240", "f extra_isize 30", "f size 0x7fffffffffffffff",
		"l size 0", "l size 70", "l size 3000000", "l size 7", "l flags 0x10", "p flags 0x80000",
	};

	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		refused("-t ext4", "", fields[i]);
	refused("-t ext3", "", "f flags 0x80000");
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_that_are_no_inodes),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_small_inodes),
		cmocka_unit_test(test_fields_survive),
		cmocka_unit_test(test_device_numbers_and_links),
		cmocka_unit_test(test_atime_rules),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_wrong_checksum),
		cmocka_unit_test(test_impossible_inodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
