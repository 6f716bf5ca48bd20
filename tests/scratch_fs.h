/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A scratch file system for one test: mke2fs in a temporary directory, opened here,
 * judged by e2fsck when it is closed. Header-only; each test links what it uses.
 */
#ifndef TESTS_SCRATCH_FS_H
#define TESTS_SCRATCH_FS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs.h"
#include "group.h"
#include "inode.h"
#include "ops.h"
#include "transport/blkdev.h"
#include "transport/file.h"

struct scratch {
	char dir[256];
	char path[300];
	struct blkdev *dev;
	struct fs *fs;
};

#define UNUSED __attribute__((unused))

/* Runs a command; its output only shows when the result is not as expected. */
static UNUSED void scratch_run(int want, const char *fmt, ...)
{
	char cmd[1024], log[] = "/tmp/scratch-log-XXXXXX", cat[1200];
	va_list ap;
	int n, status;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	close(mkstemp(log));
	snprintf(cat, sizeof(cat), "PATH=$PATH:/sbin:/usr/sbin; { %s; } >%s 2>&1", cmd, log);
	status = system(cat);
	n = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	if (n != want) {
		fprintf(stderr, "%s: exit %d\n", cmd, n);
		snprintf(cat, sizeof(cat), "head -40 %s >&2", log);
		if (system(cat))
			fprintf(stderr, "no log\n");
	}
	unlink(log);
	assert_int_equal(n, want);
}

static UNUSED void scratch_log(void *arg, enum fs_log level, const char *line)
{
	bool *quiet = arg;

	if (level <= FS_LOG_WARN && !(quiet && *quiet))
		fprintf(stderr, "log: %s\n", line);
}

static UNUSED void scratch_open(struct scratch *s)
{
	struct fs_options opt = { .log = scratch_log, .errors = FS_ERRORS_CONTINUE };
	char why[256] = "";
	int err;

	assert_int_equal(file_dev_open(s->path, -1, false, &s->dev), 0);
	err = fs_open(s->dev, &opt, &s->fs, why, sizeof(why));
	if (err)
		fprintf(stderr, "fs_open: %d %s\n", err, why);
	assert_int_equal(err, 0);
}

/* mke2fs with these options on a sparse image of this many bytes. */
static UNUSED void scratch_new(struct scratch *s, uint64_t size, const char *mkfs)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(s->dir, sizeof(s->dir), "%s/fuse4fs-test-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/image", s->dir);
	scratch_run(0, "truncate -s %llu %s && mke2fs -q -F -t ext4 %s %s",
		    (unsigned long long)size, s->path, mkfs, s->path);
	scratch_open(s);
}

/* Closes it and lets e2fsck look. No handle may have changed more than it asked for. */
static UNUSED void scratch_check(struct scratch *s)
{
	struct txn_stats stats;

	txn_get_stats(s->fs, &stats);
	assert_int_equal(stats.overdrawn, 0);
	assert_int_equal(fs_close(s->fs), 0);
	assert_int_equal(blkdev_close(s->dev), 0);
	s->fs = NULL;
	scratch_run(0, "e2fsck -fn %s", s->path);
}

static UNUSED void scratch_free(struct scratch *s)
{
	unlink(s->path);
	rmdir(s->dir);
}

static UNUSED struct inode *scratch_file(struct scratch *s, const char *name)
{
	struct cred cred = { .root = true };
	struct inode *inode;

	assert_int_equal(ops_make(s->fs, EXT2_ROOT_INO, name, S_IFREG | 0644, 0, NULL, &cred,
				  &inode), 0);
	return inode;
}

#endif
