/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device stack: a local file with its lock or what device_remote.c opens, the window, and
 * what device_unlock.c adds.
 *
 * The lock comes before anything is read, so that a second mount which waits for the
 * first sees what that one wrote. It covers the whole image, whatever the window.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device.h"
#include "device_remote.h"
#include "device_unlock.h"
#include "transport/file.h"
#include "transport/imguse.h"
#include "transport/partition.h"
#include "transport/slice.h"

static int fail(int err, char *why, size_t why_len, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static int fail(int err, char *why, size_t why_len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, why_len, fmt, ap);
	va_end(ap);
	return err;
}

static int check_options(const struct device_options *opt, char *why, size_t why_len)
{
	if (!opt->image || !*opt->image)
		return fail(-EINVAL, why, why_len, "no image was named");
	if (opt->partition < 0)
		return fail(-EINVAL, why, why_len, "partition=%d: partitions count from 1",
			    opt->partition);
	if (opt->remote.break_lock && !device_remote_is(opt->image))
		return fail(-EINVAL, why, why_len,
			    "lock=break is for images on SSH servers; nothing holds a local lock "
			    "but a program that runs");
	if (opt->partition && (opt->offset || opt->sizelimit))
		return fail(-EINVAL, why, why_len,
			    "partition= says where to look, as offset= and sizelimit= do; "
			    "give one or the other");
	return 0;
}

/* -1 in *ret_fd: the image is a path. A file of such a name is "./fd:3". */
static int parse_fd(const char *image, int *ret_fd, char *why, size_t why_len)
{
	const char *digits = image + 3;
	unsigned long n;

	*ret_fd = -1;
	if (strncmp(image, "fd:", 3) != 0)
		return 0;
	if (!*digits || digits[strspn(digits, "0123456789")] || strlen(digits) > 9)
		return fail(-EINVAL, why, why_len,
			    "%s: fd: is followed by the number of an open descriptor", image);
	n = strtoul(digits, NULL, 10);
	if (n <= STDERR_FILENO)
		return fail(-EINVAL, why, why_len,
			    "%s: 0, 1 and 2 are the standard streams; pass the image as 3 or more",
			    image);
	*ret_fd = (int)n;
	return 0;
}

static int explain_busy(const char *image, char *why, size_t why_len)
{
	struct stat st;
	char how[1200];

	if (stat(image, &st) < 0 || !S_ISBLK(st.st_mode))
		return fail(-EBUSY, why, why_len, "%s: is in use by the kernel or a running program",
			    image);
	imguse_claimed(st.st_rdev, how, sizeof(how));
	return fail(-EBUSY, why, why_len, "%s: is in use %s; unmount or release it there first",
		    image, how);
}

static int explain_denied(const struct device_options *opt, int fd, char *why, size_t why_len)
{
	if (fd >= 0)
		return fail(-EACCES, why, why_len, "%s: is not open for reading%s%s", opt->image,
			    opt->readonly ? "" : " and writing",
			    opt->readonly ? "" : "; open it so, or mount with -o ro");
	if (!opt->readonly && faccessat(AT_FDCWD, opt->image, R_OK, AT_EACCESS) == 0)
		return fail(-EACCES, why, why_len,
			    "%s: no permission to write; it can be read: mount with -o ro",
			    opt->image);
	return fail(-EACCES, why, why_len,
		    "%s: permission denied; its owner has to grant you access", opt->image);
}

/* Turns an error of file_dev_open into a sentence; returns it. */
static int explain_open(const struct device_options *opt, int fd, int err, char *why,
			size_t why_len)
{
	static const struct { int err; const char *text; } texts[] = {
		{ -ENOENT, "does not exist" },
		{ -EISDIR, "is a directory; name an image file or a block device" },
		{ -ENOTBLK, "is neither a regular file nor a block device" },
		{ -ENODATA, "is empty; make a file system in it with mke2fs first" },
		{ -EROFS, "cannot be written where it is; mount with -o ro" },
		{ -EBADF, "is not an open descriptor" },
		{ -EINVAL, "is open with O_APPEND or O_DIRECT; open it without" },
	};

	if (err == -EACCES || err == -EPERM)
		return explain_denied(opt, fd, why, why_len);
	if (err == -EBUSY || err == -ETXTBSY)
		return explain_busy(opt->image, why, why_len);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i].err == err)
			return fail(err, why, why_len, "%s: %s", opt->image, texts[i].text);
	}
	return fail(err, why, why_len, "%s: cannot be opened: %s", opt->image, strerror(-err));
}

static int take_lock(const struct device_options *opt, struct blkdev *dev, int inherited,
		     struct imglock **ret, char *why, size_t why_len)
{
	struct imglock_request req = {
		.fd = file_dev_fd(dev),
		.path = inherited < 0 ? opt->image : NULL,
		.readonly = opt->readonly,
		.mode = opt->lock,
		.timeout_ms = opt->lock_timeout_ms,
	};
	char phrase[1400];
	int err;

	err = imglock_take(&req, ret, phrase, sizeof(phrase));
	if (err == -EBUSY)
		return fail(err, why, why_len, "%s: %s; unmount or release it there first",
			    opt->image, phrase);
	if (err == -ENOLCK)
		return fail(err, why, why_len, "%s: %s", opt->image, phrase);
	if (err)
		return fail(err, why, why_len, "%s: cannot be locked: %s", opt->image,
			    strerror(-err));
	return 0;
}

static int explain_window(const struct device_options *opt, uint64_t size, char *why,
			  size_t why_len)
{
	unsigned long long have = size;

	if (opt->offset >= size)
		return fail(-EINVAL, why, why_len, "%s: offset=%llu is beyond its %llu bytes", opt->image,
			    (unsigned long long)opt->offset, have);
	return fail(-EINVAL, why, why_len,
		    "%s: sizelimit=%llu after offset=%llu does not fit into its %llu bytes", opt->image,
		    (unsigned long long)opt->sizelimit, (unsigned long long)opt->offset, have);
}

/* Replaces *dev by the window asked for; on failure *dev is as it was. */
static int cut_window(const struct device_options *opt, struct blkdev **dev, char *why,
		      size_t why_len)
{
	uint64_t off = opt->offset, len = opt->sizelimit;
	char phrase[512];
	int err;

	if (opt->partition) {
		err = partition_find(*dev, opt->partition, phrase, sizeof(phrase), &off, &len);
		if (err)
			return fail(err, why, why_len, "%s: %s", opt->image, phrase);
	}
	if (off == 0 && len == 0)
		return 0;
	err = slice_dev_open(*dev, off, len, dev);
	if (err == -EINVAL)
		return explain_window(opt, blkdev_size(*dev), why, why_len);
	return err ? fail(err, why, why_len, "%s: %s", opt->image, strerror(-err)) : 0;
}

static int open_local(const struct device_options *opt, struct device *d, char *why,
		      size_t why_len)
{
	int fd, err = parse_fd(opt->image, &fd, why, why_len);

	if (err)
		return err;
	err = file_dev_open(opt->image, fd, opt->readonly, &d->dev);
	if (err)
		return explain_open(opt, fd, err, why, why_len);
	return take_lock(opt, d->dev, fd, &d->lock, why, why_len);
}

static int open_remote(const struct device_options *opt, struct device *d, char *why,
		       size_t why_len)
{
	int err = device_remote_open(opt, &d->dev, &d->login, why, why_len);

	if (!err) {
		d->remote = d->dev;
		d->programs = device_remote_programs(d->login);
	}
	return err;
}

int device_open(const struct device_options *opt, struct device *ret, char *why,
		size_t why_len)
{
	struct device d = { .crypt = { .version = 0 } };
	int err = check_options(opt, why, why_len);

	if (err)
		return err;
	/* ssh(1), fusermount3(1) and what else is started has no business with the passphrase. */
	if (opt->unlock.passfd > STDERR_FILENO)
		(void)fcntl(opt->unlock.passfd, F_SETFD, FD_CLOEXEC);
	if (device_remote_is(opt->image))
		err = open_remote(opt, &d, why, why_len);
	else
		err = open_local(opt, &d, why, why_len);
	if (!err)
		err = cut_window(opt, &d.dev, why, why_len);
	if (!err)
		err = device_unlock(opt, &d.dev, &d.crypt, why, why_len);
	if (err) {
		device_close(&d);
		return err;
	}
	*ret = d;
	return 0;
}

int device_close(struct device *d)
{
	int err = blkdev_close(d->dev);

	imglock_release(d->lock);
	device_remote_free(d->login);
	*d = (struct device){ .dev = NULL };
	return err;
}
