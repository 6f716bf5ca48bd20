/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of attributes, ACLs and inline content share: a scratch image made by
 * mke2fs, opened, changed, closed, and judged by e2fsck and debugfs.
 */
#ifndef TESTS_XATTR_FIXTURE_H
#define TESTS_XATTR_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "blkdev.h"
#include "dir.h"
#include "file.h"
#include "inline.h"
#include "inode.h"
#include "ops.h"
#include "txn.h"
#include "xattr.h"
#include "transport/file.h"

#define UNUSED_OK __attribute__((unused))

struct image {
	char path[256];
	struct blkdev *dev;
	struct fs *fs;
	unsigned logged;	/* error lines */
	bool loud;
};

static const struct cred root_cred = { .umask = 022, .root = true };

/* Output of a command in a static buffer; fails the test on a non-zero exit if `must`. */
UNUSED_OK static char *run(bool must, const char *fmt, ...)
{
	static char out[1 << 18];
	char cmd[2048];
	va_list ap;
	size_t len;
	FILE *p;
	int status;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	p = popen(cmd, "r");
	assert_non_null(p);
	len = fread(out, 1, sizeof(out) - 1, p);
	out[len] = '\0';
	status = pclose(p);
	if (must && status) {
		print_error("%s\n%s", cmd, out);
		fail();
	}
	return out;
}

static void image_log(void *arg, enum fs_log level, const char *line)
{
	struct image *img = arg;

	if (level != FS_LOG_ERR)
		return;
	img->logged++;
	if (img->loud)
		print_error("%s\n", line);
}

UNUSED_OK static void image_open(struct image *img, const struct fs_options *want)
{
	struct fs_options opt = want ? *want : (struct fs_options){ 0 };
	char why[256] = "";
	int err;

	opt.log = image_log;
	opt.log_arg = img;
	opt.errors = opt.errors ? opt.errors : FS_ERRORS_CONTINUE;
	assert_int_equal(file_dev_open(img->path, -1, false, &img->dev), 0);
	err = fs_open(img->dev, &opt, &img->fs, why, sizeof(why));
	if (err)
		print_error("fs_open: %d %s\n", err, why);
	assert_int_equal(err, 0);
}

/* Closes the file system; the image stays. */
UNUSED_OK static void image_close(struct image *img)
{
	struct txn_stats st;

	txn_get_stats(img->fs, &st);
	assert_int_equal(st.overdrawn, 0);
	assert_int_equal(fs_close(img->fs), 0);
	assert_int_equal(blkdev_close(img->dev), 0);
	img->fs = NULL;
}

UNUSED_OK static void image_make(struct image *img, const char *mkfs_args, const char *size)
{
	const char *tmp = getenv("TMPDIR");
	int fd;

	memset(img, 0, sizeof(*img));
	img->loud = true;
	snprintf(img->path, sizeof(img->path), "%s/xattr.XXXXXX", tmp ? tmp : "/tmp");
	fd = mkstemp(img->path);
	assert_true(fd >= 0);
	close(fd);
	run(true, "mke2fs -q -F -t ext4 %s %s %s 2>&1", mkfs_args, img->path, size);
}

UNUSED_OK static void image_fsck(struct image *img)
{
	run(true, "e2fsck -fn %s 2>&1", img->path);
}

UNUSED_OK static void image_free(struct image *img)
{
	if (img->fs)
		image_close(img);
	unlink(img->path);
}

UNUSED_OK static struct inode *make_in(struct image *img, uint32_t dir, const char *name,
				       uint16_t mode)
{
	struct inode *inode = NULL;

	assert_int_equal(ops_make(img->fs, dir, name, mode, 0, NULL, &root_cred, &inode), 0);
	return inode;
}

UNUSED_OK static struct inode *make_file(struct image *img, const char *name)
{
	return make_in(img, EXT2_ROOT_INO, name, S_IFREG | 0644);
}

UNUSED_OK static struct inode *find(struct image *img, const char *name)
{
	struct inode *inode = NULL;

	assert_int_equal(ops_lookup(img->fs, EXT2_ROOT_INO, name, &inode), 0);
	return inode;
}

/* Bytes that depend on seed, without zeros. */
UNUSED_OK static void fill(uint8_t *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = 'a' + (seed + i * 7 + i / 26) % 26;
}

UNUSED_OK static int set_filled(struct inode *inode, const char *name, size_t n, unsigned seed)
{
	uint8_t *value = malloc(n + 1);
	int err;

	fill(value, n, seed);
	err = xattr_set(inode, name, value, n, 0);
	free(value);
	return err;
}

UNUSED_OK static void check_filled(struct inode *inode, const char *name, size_t n,
				   unsigned seed)
{
	uint8_t *want = malloc(n + 1), *got = malloc(n + 1);

	fill(want, n, seed);
	assert_int_equal(xattr_get(inode, name, NULL, 0), n);
	assert_int_equal(xattr_get(inode, name, got, n + 1), n);
	assert_memory_equal(got, want, n);
	free(want);
	free(got);
}

static inline bool has_ea(const struct image *img)
{
	return img->fs->has_ea_inode;
}

#endif
