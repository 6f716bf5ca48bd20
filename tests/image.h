/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scratch images for unit tests: made by mke2fs, opened by fs_open, judged by e2fsck.
 * Header only, so that tests which stand in for a part of fs do not link all of it.
 * Any failure fails the test. Include after cmocka.h.
 */
#ifndef TESTS_IMAGE_H
#define TESTS_IMAGE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs.h"
#include "no_commits.h"
#include "transport/blkdev.h"
#include "transport/file.h"

struct image {
	char path[256];
	struct blkdev *dev;
	struct fs *fs;
	struct fs_options opt;
	char why[256];
	unsigned errors;	/* FS_LOG_ERR lines */
	char last_error[256];
};

__attribute__((unused))
static void image_log(void *arg, enum fs_log level, const char *line)
{
	struct image *img = arg;

	if (level != FS_LOG_ERR)
		return;
	img->errors++;
	snprintf(img->last_error, sizeof(img->last_error), "%s", line);
}

/* Runs a shell command; its output appears only when it fails. */
__attribute__((unused, format(printf, 1, 2)))
static int image_run(const char *fmt, ...)
{
	char cmd[1024], line[256];
	char *log = NULL;
	size_t len = 0;
	va_list ap;
	FILE *p, *out;
	int status;

	va_start(ap, fmt);
	snprintf(cmd, sizeof(cmd), "PATH=$PATH:/usr/sbin:/sbin; exec 2>&1; ");
	vsnprintf(cmd + strlen(cmd), sizeof(cmd) - strlen(cmd), fmt, ap);
	va_end(ap);
	out = open_memstream(&log, &len);
	p = popen(cmd, "r");
	assert_true(out && p);
	while (fgets(line, sizeof(line), p))
		fputs(line, out);
	status = pclose(p);
	fclose(out);
	if (status)
		fprintf(stderr, "%s\n%s", cmd, log);
	free(log);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

__attribute__((unused))
static void image_make(struct image *img, uint64_t size, const char *mke2fs_args)
{
	const char *tmp = getenv("TMPDIR");
	int fd;

	memset(img, 0, sizeof(*img));
	snprintf(img->path, sizeof(img->path), "%s/f4image-XXXXXX", tmp ? tmp : "/tmp");
	fd = mkstemp(img->path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
	assert_int_equal(image_run("mke2fs -q -F %s %s", mke2fs_args, img->path), 0);
	img->opt.log = image_log;
	img->opt.log_arg = img;
}

/* Opened, it changes only when it is told to: a copy made meanwhile is of one instant. */
__attribute__((unused))
static void image_keep_still(struct image *img)
{
	const struct fs_options still = { NO_WRITES };

	img->opt.commit_sec = still.commit_sec;
	img->opt.idle_ms = still.idle_ms;
	img->opt.checkpoint_ms = still.checkpoint_ms;
}

/* What fs_open returns; img->why has its sentence. */
__attribute__((unused))
static int image_try_open(struct image *img)
{
	int ret;

	assert_int_equal(file_dev_open(img->path, -1, img->opt.readonly, &img->dev), 0);
	ret = fs_open(img->dev, &img->opt, &img->fs, img->why, sizeof(img->why));
	if (ret) {
		img->fs = NULL;
		blkdev_close(img->dev);
		img->dev = NULL;
	}
	return ret;
}

__attribute__((unused))
static void image_open(struct image *img)
{
	int ret = image_try_open(img);

	if (ret)
		fail_msg("fs_open: %d %s", ret, img->why);
}

__attribute__((unused))
static int image_close(struct image *img)
{
	int ret = img->fs ? fs_close(img->fs) : 0;

	blkdev_close(img->dev);
	img->fs = NULL;
	img->dev = NULL;
	return ret;
}

__attribute__((unused))
static void image_fsck(const struct image *img)
{
	assert_int_equal(image_run("e2fsck -fn %s", img->path), 0);
}

__attribute__((unused))
static void image_free(struct image *img)
{
	if (img->dev)
		image_close(img);
	unlink(img->path);
}

#endif
