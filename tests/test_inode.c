/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In-core inodes: table, codec, what is refused, creation, deletion, limits. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include "csum.h"
#include "group.h"
#include "image.h"
#include "inode_int.h"
#include "ops.h"
#include "orphan.h"

enum { MIB = 1 << 20 };

static const struct cred root_cred = { .root = true };

static uint32_t make_file(struct fs *fs, const char *name)
{
	struct inode *inode;
	uint32_t ino;

	assert_int_equal(ops_make(fs, EXT2_ROOT_INO, name, S_IFREG | 0644, 0, NULL, &root_cred,
				  &inode), 0);
	ino = inode->ino;
	inode_put(inode);
	return ino;
}

static int store(struct inode *inode)
{
	struct handle h;
	int err;

	assert_int_equal(txn_begin(inode->fs, INODE_STORE_CREDITS, &h), 0);
	err = inode_store(&h, inode, true);
	assert_int_equal(txn_stop(&h), 0);
	return err;
}

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

/* The kernel knows the numbers up to this one. */
static _Atomic uint32_t known_below;

static bool known(void *arg, uint32_t ino)
{
	return ino < atomic_load(&known_below);
}

static void unlink_held(struct image *img, const char *name, uint32_t *ret_ino,
			struct inode **ret)
{
	*ret_ino = make_file(img->fs, name);
	assert_int_equal(inode_get(img->fs, *ret_ino, ret), 0);
	assert_int_equal(ops_unlink(img->fs, EXT2_ROOT_INO, name), 0);
}

static void test_deletion_waits_for_the_last(void **state)
{
	struct inode *inode, *again;
	struct image img;
	uint32_t ino;

	image_make(&img, 32 * MIB, "-t ext4");
	img.opt.inode_known = known;
	image_open(&img);

	/* A reference holds it. */
	atomic_store(&known_below, 0);
	unlink_held(&img, "a", &ino, &inode);
	assert_int_equal(inode_get(img.fs, ino, &again), 0);
	assert_ptr_equal(again, inode);
	inode_put(again);
	assert_int_equal(ialloc_in_use(img.fs, ino), 1);
	inode_put(inode);
	assert_int_equal(ialloc_in_use(img.fs, ino), 0);
	assert_int_equal(inode_get(img.fs, ino, &inode), -ESTALE);

	/* The kernel holds it; a handle may still open it. */
	atomic_store(&known_below, UINT32_MAX);
	unlink_held(&img, "b", &ino, &inode);
	inode_put(inode);
	assert_int_equal(inode_get(img.fs, ino, &inode), 0);
	inode_put(inode);
	inode_forgotten(img.fs, ino);		/* not yet */
	assert_int_equal(ialloc_in_use(img.fs, ino), 1);
	atomic_store(&known_below, 0);
	inode_forgotten(img.fs, ino);
	inode_forgotten(img.fs, ino);
	assert_int_equal(ialloc_in_use(img.fs, ino), 0);
	assert_int_equal(inode_get(img.fs, ino, &inode), -ESTALE);

	/* Still known at the end. */
	atomic_store(&known_below, UINT32_MAX);
	unlink_held(&img, "c", &ino, &inode);
	inode_put(inode);
	assert_int_equal(img.errors, 0);
	assert_int_equal(image_close(&img), 0);
	image_fsck(&img);
	image_free(&img);
}

static void test_new_and_abandoned(void **state)
{
	struct inode *root, *inode, *other;
	struct image img;
	struct handle h;
	uint32_t ino, gen;

	image_make(&img, 32 * MIB, "-t ext4");
	image_open(&img);
	assert_int_equal(inode_get(img.fs, EXT2_ROOT_INO, &root), 0);
	for (int stored = 0; stored < 2; stored++) {
		assert_int_equal(txn_begin(img.fs, INODE_NEW_CREDITS + INODE_STORE_CREDITS, &h), 0);
		assert_int_equal(inode_new(&h, root, S_IFREG | 0600, 1, 2, &inode), 0);
		ino = inode->ino;
		assert_int_equal(inode_get(img.fs, ino, &other), -ESTALE);
		assert_int_equal(inode->nlink, 0);
		inode->nlink = 1;
		if (stored)
			assert_int_equal(inode_store(&h, inode, true), 0);
		inode_abandon_new(&h, inode);
		assert_int_equal(txn_stop(&h), 0);
		assert_int_equal(inode_get(img.fs, ino, &other), -ESTALE);
		assert_int_equal(ialloc_in_use(img.fs, ino), 0);
	}
	inode_put(root);
	/* Generations differ from life to life. */
	ino = make_file(img.fs, "x");
	assert_int_equal(inode_get(img.fs, ino, &inode), 0);
	gen = inode->gen;
	inode_put(inode);
	assert_int_equal(ops_unlink(img.fs, EXT2_ROOT_INO, "x"), 0);
	assert_int_equal(fs_sync(img.fs), 0);
	ino = make_file(img.fs, "y");
	assert_int_equal(inode_get(img.fs, ino, &inode), 0);
	assert_true(inode->gen != gen);
	inode_put(inode);
	assert_int_equal(image_close(&img), 0);
	image_fsck(&img);
	image_free(&img);
}

static void test_new_content_by_features(void **state)
{
	static const struct { const char *mkfs; uint32_t file, dir; } cases[] = {
		{ "-t ext4 -O inline_data", EXT4_INLINE_DATA_FL, EXT4_INLINE_DATA_FL },
		{ "-t ext4 -I 1024", EXT4_EXTENTS_FL, EXT4_EXTENTS_FL },
		{ "-t ext2", 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const uint32_t mask = EXT4_INLINE_DATA_FL | EXT4_EXTENTS_FL;
		struct inode *inode;
		struct image img;

		image_make(&img, 32 * MIB, cases[i].mkfs);
		image_open(&img);
		assert_int_equal(inode_get(img.fs, make_file(img.fs, "f"), &inode), 0);
		assert_int_equal(inode->flags & mask, cases[i].file);
		inode_put(inode);
		assert_int_equal(ops_make(img.fs, EXT2_ROOT_INO, "d", S_IFDIR | 0755, 0, NULL,
					  &root_cred, &inode), 0);
		assert_int_equal(inode->flags & mask, cases[i].dir);
		inode_put(inode);
		assert_int_equal(ops_make(img.fs, EXT2_ROOT_INO, "p", S_IFIFO | 0755, 0, NULL,
					  &root_cred, &inode), 0);
		assert_int_equal(inode->flags & mask, 0);
		inode_put(inode);
		assert_int_equal(image_close(&img), 0);
		image_fsck(&img);
		image_free(&img);
	}
}

/* A number that is free in the bitmap but has a live inode must not be handed out twice. */
static void test_bitmap_that_lies(void **state)
{
	struct inode *inode, *fresh;
	struct image img;
	uint32_t ino;
	int err;

	image_make(&img, 32 * MIB, "-t ext4");
	img.opt.errors = FS_ERRORS_CONTINUE;
	image_open(&img);
	ino = make_file(img.fs, "f");
	assert_int_equal(image_close(&img), 0);
	assert_int_equal(image_run("debugfs -w -R 'freei <%u>' %s", ino, img.path), 0);
	image_open(&img);
	assert_int_equal(inode_get(img.fs, ino, &inode), 0);
	err = ops_make(img.fs, EXT2_ROOT_INO, "g", S_IFREG, 0, NULL, &root_cred, &fresh);
	assert_int_equal(err, -EUCLEAN);
	assert_int_equal(ops_make(img.fs, EXT2_ROOT_INO, "g", S_IFREG, 0, NULL, &root_cred, &fresh),
			 0);
	assert_true(fresh->ino != ino);
	inode_put(fresh);
	inode_put(inode);
	image_close(&img);
	image_free(&img);
}

static void test_lock_many(void **state)
{
	struct inode *a, *b;
	struct image img;

	image_make(&img, 32 * MIB, "-t ext4");
	image_open(&img);
	assert_int_equal(inode_get(img.fs, make_file(img.fs, "a"), &a), 0);
	assert_int_equal(inode_get(img.fs, make_file(img.fs, "b"), &b), 0);
	for (int i = 0; i < 2; i++) {
		struct inode *four[] = { i ? a : b, NULL, i ? b : a, b };

		inode_lock_many(four, 4);
		assert_int_not_equal(pthread_rwlock_trywrlock(&a->lock.l), 0);
		assert_int_not_equal(pthread_rwlock_trywrlock(&b->lock.l), 0);
		inode_unlock_many(four, 4);
		assert_int_equal(pthread_rwlock_trywrlock(&a->lock.l), 0);
		assert_int_equal(pthread_rwlock_trywrlock(&b->lock.l), 0);
		rwlock_write_unlock(&a->lock);
		rwlock_write_unlock(&b->lock);
	}
	inode_put(a);
	inode_put(b);
	image_close(&img);
	image_free(&img);
}

/* Threads that get, change, store and unlink the same inodes. */
enum { CROWD = 6, FILES = 64, ROUNDS = 1500 };

struct crowd {
	struct fs *fs;
	uint32_t inos[FILES];
	unsigned seed;
	int err;
};

static int visit(struct fs *fs, uint32_t ino, unsigned what)
{
	struct inode *inode;
	struct stat st;
	int err = inode_get(fs, ino, &inode);

	if (err)
		return err;
	if (what % 4 == 0) {
		rwlock_write(&inode->lock);
		inode->mtime.tv_sec++;
		err = store(inode);
		rwlock_write_unlock(&inode->lock);
	} else {
		rwlock_read(&inode->lock);
		inode_fill_stat(inode, &st);
		rwlock_read_unlock(&inode->lock);
		if (st.st_ino != ino)
			err = -EINVAL;
	}
	inode_put(inode);
	return err;
}

static void *crowd_main(void *arg)
{
	struct crowd *c = arg;
	char name[32];

	for (int i = 0; i < ROUNDS && !c->err; i++) {
		unsigned what = rand_r(&c->seed);

		c->err = visit(c->fs, c->inos[what % FILES], what / FILES);
		if (i % 10 == 0 && !c->err) {
			struct inode *inode;

			snprintf(name, sizeof(name), "own-%p", (void *)c);
			c->err = ops_make(c->fs, EXT2_ROOT_INO, name, S_IFREG, 0, NULL,
					  &root_cred, &inode);
			if (!c->err) {
				c->err = ops_unlink(c->fs, EXT2_ROOT_INO, name);
				inode_put(inode);
			}
		}
	}
	return NULL;
}

static void test_crowd(void **state)
{
	struct inode_cache_stats stats;
	struct crowd crowd[CROWD] = { 0 };
	pthread_t threads[CROWD];
	struct image img;
	char name[16];

	image_make(&img, 32 * MIB, "-t ext4");
	image_open(&img);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		crowd[0].inos[i] = make_file(img.fs, name);
	}
	img.fs->inodes->lru_max = 1;	/* everything is read again and again */
	for (int i = 0; i < CROWD; i++) {
		crowd[i].fs = img.fs;
		crowd[i].seed = i;
		memcpy(crowd[i].inos, crowd[0].inos, sizeof(crowd[0].inos));
		assert_int_equal(pthread_create(&threads[i], NULL, crowd_main, &crowd[i]), 0);
	}
	for (int i = 0; i < CROWD; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(crowd[i].err, 0);
	inode_cache_get_stats(img.fs->inodes, &stats);
	assert_true(stats.misses > FILES && stats.cached <= 2 * INODE_SHARDS + FILES);
	assert_int_equal(img.errors, 0);
	assert_int_equal(image_close(&img), 0);
	image_fsck(&img);
	image_free(&img);
}

/* More files than the table keeps: it grows, shrinks, and fsync still works. */
static void test_many(void **state)
{
	enum { MANY = 6000 };
	struct inode_cache_stats stats;
	static struct inode *held[MANY];
	struct image img;
	char name[16];

	image_make(&img, 64 * MIB, "-t ext4 -N 8192 -O ^has_journal");
	image_open(&img);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		assert_int_equal(inode_get(img.fs, make_file(img.fs, name), &held[i]), 0);
	}
	inode_cache_get_stats(img.fs->inodes, &stats);
	assert_true(stats.cached >= MANY);
	for (int i = 0; i < MANY; i++)
		inode_put(held[i]);
	inode_cache_get_stats(img.fs->inodes, &stats);
	assert_true(stats.cached <= stats.limit + 16);
	assert_int_equal(visit(img.fs, 12, 1), 0);
	assert_int_equal(inode_get(img.fs, 12, &held[0]), 0);
	/* It has left and come back: what it was changed by must be durable all the same. */
	assert_true(held[0]->has_sync_tid);
	assert_int_equal(inode_sync(held[0], true), 0);
	inode_put(held[0]);
	assert_int_equal(image_close(&img), 0);
	image_fsck(&img);
	image_free(&img);
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
		cmocka_unit_test(test_deletion_waits_for_the_last),
		cmocka_unit_test(test_new_and_abandoned),
		cmocka_unit_test(test_new_content_by_features),
		cmocka_unit_test(test_bitmap_that_lies),
		cmocka_unit_test(test_lock_many),
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
