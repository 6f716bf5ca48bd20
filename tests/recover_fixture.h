/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Recovering an image with ours and with e2fsck, and comparing. Include after cmocka.h. */
#ifndef TESTS_RECOVER_FIXTURE_H
#define TESTS_RECOVER_FIXTURE_H

#include <fcntl.h>
#include <sys/stat.h>

#include "image.h"
#include "iomgr.h"
#include "recover.h"

enum { MIB = 1 << 20 };

static char why[256];

/* Recovers the device in place, as fs_open does. */
__attribute__((unused))
static int recover_dev(struct blkdev *dev, struct recover_result *result)
{
	char name[IOMGR_NAME_SIZE];
	ext2_filsys e2;
	errcode_t code;
	int err;

	iomgr_name(dev, name);
	code = ext2fs_open2(name, "", EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES |
			    EXT2_FLAG_SKIP_MMP, 0, 0, iomgr_blkdev(), &e2);
	if (code)
		return -EIO;
	err = recover_journal(e2, dev, dev, result, why, sizeof(why));
	ext2fs_free(e2);
	return err;
}

__attribute__((unused))
static int recover_file(const char *path, struct recover_result *result)
{
	struct blkdev *dev;
	int err;

	assert_int_equal(file_dev_open(path, -1, false, &dev), 0);
	err = recover_dev(dev, result);
	assert_int_equal(blkdev_close(dev), 0);
	return err;
}

__attribute__((unused))
static uint8_t *read_all(const char *path, size_t *ret_len)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	uint8_t *data;

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	data = malloc(st.st_size);
	assert_non_null(data);
	assert_int_equal(pread(fd, data, st.st_size, 0), st.st_size);
	close(fd);
	*ret_len = st.st_size;
	return data;
}

/* What e2fsck stamps into a superblock and we do not. */
static void mask_super(uint8_t *image)
{
	struct ext2_super_block *sb = (void *)(image + 1024);

	sb->s_wtime = 0;
	sb->s_wtime_hi = 0;
	sb->s_checksum = 0;
	sb->s_lastcheck = 0;
	sb->s_lastcheck_hi = 0;
	sb->s_mnt_count = 0;
	sb->s_kbytes_written = 0;
}

/* For whoever looks into a failure: in the build folder. */
static void keep_image(const char *path)
{
	const char *dir = getenv("BUILDDIR"), *name = strrchr(path, '/');

	if (image_run("cp --sparse=always %s %s/tests/kept-%s", path, dir ? dir : ".", name + 1) == 0)
		fprintf(stderr, "kept: tests/kept-%s\n", name + 1);
}

__attribute__((unused))
static void assert_same(const char *path_a, const char *path_b)
{
	size_t len_a, len_b, differ = 0, shown = 0;
	uint8_t *a = read_all(path_a, &len_a), *b = read_all(path_b, &len_b);

	assert_int_equal(len_a, len_b);
	mask_super(a);
	mask_super(b);
	for (size_t off = 0; off < len_a; off += 512) {
		if (memcmp(a + off, b + off, MIN((size_t)512, len_a - off)) == 0)
			continue;
		differ++;
		for (size_t i = off; i < MIN(off + 512, len_a) && shown < 32; i++)
			if (a[i] != b[i] && shown++ < 32)
				fprintf(stderr, "byte %zu: ours 0x%02x, theirs 0x%02x\n", i, a[i], b[i]);
	}
	free(a);
	free(b);
	if (differ) {
		keep_image(path_a);
		keep_image(path_b);
	}
	assert_int_equal(differ, 0);
}

/* Recovers a copy with e2fsck and the image with ours. */
__attribute__((unused))
static void assert_as_e2fsck(struct image *img, struct recover_result *result)
{
	char copy[300];
	int err;

	snprintf(copy, sizeof(copy), "%s.e2fsck", img->path);
	assert_int_equal(image_run("cp --sparse=always %s %s", img->path, copy), 0);
	assert_int_equal(image_run("e2fsck -E journal_only -y %s", copy) & ~1, 0);
	err = recover_file(img->path, result);
	if (err)
		fprintf(stderr, "recover: %d %s\n", err, why);
	assert_int_equal(err, 0);
	assert_same(img->path, copy);
	unlink(copy);
}

#endif
