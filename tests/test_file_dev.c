/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Local files and block devices of transport/file.c. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "transport/file.h"

enum { SIZE = 1024 * 1024 };

struct fixture {
	char dir[256], path[300];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");
	int fd;

	snprintf(f->dir, sizeof(f->dir), "%s/file_dev.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/image", f->dir);
	fd = open(f->path, O_CREAT | O_RDWR, 0600);
	if (fd < 0 || ftruncate(fd, SIZE) < 0)
		return -1;
	close(fd);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unlink(f->path);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void bytes_written_are_read_back(void **state)
{
	struct fixture *f = *state;
	char *out = malloc(SIZE), *in = malloc(SIZE);
	struct blkdev *dev;

	for (size_t i = 0; i < SIZE; i++)
		out[i] = i * 31 >> 3;
	assert_int_equal(file_dev_open(f->path, -1, false, &dev), 0);
	assert_int_equal(blkdev_size(dev), SIZE);
	assert_string_equal(dev->info.name, f->path);
	assert_int_equal(blkdev_write(dev, out + 3, SIZE - 3, 3), 0);
	assert_int_equal(blkdev_flush(dev), 0);
	assert_int_equal(blkdev_read(dev, in + 3, SIZE - 3, 3), 0);
	assert_memory_equal(out + 3, in + 3, SIZE - 3);
	blkdev_prefetch(dev, 0, SIZE);
	assert_true(fcntl(file_dev_fd(dev), F_GETFD) & FD_CLOEXEC);
	assert_false(fcntl(file_dev_fd(dev), F_GETFL) & O_NONBLOCK);
	assert_int_equal(blkdev_close(dev), 0);
	free(out);
	free(in);
}

static void nowait_is_right_or_eagain(void **state)
{
	struct fixture *f = *state;
	struct blkdev *dev;
	char c = 0;
	int err;

	assert_int_equal(file_dev_open(f->path, -1, false, &dev), 0);
	assert_int_equal(blkdev_write(dev, "x", 1, 77), 0);
	err = blkdev_read_nowait(dev, &c, 1, 77);
	assert_true(err == 0 ? c == 'x' : err == -EAGAIN);
	assert_int_equal(blkdev_close(dev), 0);
}

static void zeros_and_discards_read_as_zeros(void **state)
{
	struct fixture *f = *state;
	char *buf = malloc(SIZE), *zeros = calloc(1, SIZE);
	struct blkdev *dev;
	struct stat st;

	memset(buf, 'x', SIZE);
	assert_int_equal(file_dev_open(f->path, -1, false, &dev), 0);
	assert_int_equal(blkdev_write(dev, buf, SIZE, 0), 0);
	assert_int_equal(blkdev_write_zeros(dev, 5, 100000), 0);
	assert_int_equal(blkdev_read(dev, buf, SIZE, 0), 0);
	assert_int_equal(buf[4], 'x');
	assert_memory_equal(buf + 5, zeros, 100000);
	assert_int_equal(buf[100005], 'x');
	if (dev->info.can_discard) {
		assert_int_equal(blkdev_discard(dev, 0, SIZE), 0);
		assert_int_equal(blkdev_read(dev, buf, SIZE, 0), 0);
		assert_memory_equal(buf, zeros, SIZE);
	}
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_size, SIZE);
	assert_int_equal(blkdev_close(dev), 0);
	free(buf);
	free(zeros);
}

static void readonly_needs_no_write_permission(void **state)
{
	struct fixture *f = *state;
	struct blkdev *dev;
	char c;

	assert_int_equal(chmod(f->path, 0400), 0);
	assert_int_equal(file_dev_open(f->path, -1, true, &dev), 0);
	assert_int_equal(fcntl(file_dev_fd(dev), F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(blkdev_read(dev, &c, 1, 0), 0);
	assert_int_equal(blkdev_write(dev, &c, 1, 0), -EROFS);
	assert_int_equal(blkdev_flush(dev), 0);
	assert_int_equal(blkdev_close(dev), 0);
}

static void a_file_that_shrinks_is_an_io_error(void **state)
{
	struct fixture *f = *state;
	struct blkdev *dev;
	char buf[4096];

	assert_int_equal(file_dev_open(f->path, -1, false, &dev), 0);
	assert_int_equal(truncate(f->path, 1000), 0);
	assert_int_equal(blkdev_read(dev, buf, 1000, 0), 0);
	assert_int_equal(blkdev_read(dev, buf, 1001, 0), -EIO);
	assert_int_equal(blkdev_read(dev, buf, 10, SIZE - 10), -EIO);
	assert_int_equal(blkdev_read_nowait(dev, buf, 10, SIZE - 10), -EAGAIN);
	assert_int_equal(blkdev_flush(dev), -EIO);
	assert_int_equal(blkdev_close(dev), 0);
}

static void what_is_no_image_is_refused(void **state)
{
	struct fixture *f = *state;
	struct blkdev *dev = NULL;

	assert_int_equal(file_dev_open(f->dir, -1, true, &dev), -EISDIR);
	assert_int_equal(file_dev_open(f->dir, -1, false, &dev), -EISDIR);
	assert_int_equal(file_dev_open("/dev/null", -1, false, &dev), -ENOTBLK);
	assert_int_equal(truncate(f->path, 0), 0);
	assert_int_equal(file_dev_open(f->path, -1, false, &dev), -ENODATA);
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(file_dev_open(f->path, -1, false, &dev), -ENOENT);
	assert_int_equal(mkfifo(f->path, 0600), 0);
	assert_int_equal(file_dev_open(f->path, -1, true, &dev), -ENOTBLK);
	assert_null(dev);
}

static int opened(const struct fixture *f, int flags)
{
	int fd = open(f->path, flags);

	assert_true(fd >= 0);
	return fd;
}

static void a_descriptor_is_taken_over_on_success_only(void **state)
{
	struct fixture *f = *state;
	struct blkdev *dev;
	int fd;

	fd = opened(f, O_RDWR);
	assert_int_equal(file_dev_open("fd:x", fd, false, &dev), 0);
	assert_int_equal(file_dev_fd(dev), fd);
	assert_int_equal(blkdev_close(dev), 0);
	assert_int_equal(fcntl(fd, F_GETFD), -1);

	fd = opened(f, O_RDONLY);
	assert_int_equal(file_dev_open("fd:x", fd, false, &dev), -EACCES);
	assert_int_equal(file_dev_open("fd:x", fd, true, &dev), 0);
	assert_int_equal(blkdev_close(dev), 0);
}

static void a_descriptor_that_would_lie_is_refused(void **state)
{
	static const struct { int flags, err; } bad[] = {
		{ O_WRONLY, -EACCES },
		{ O_PATH, -EACCES },
		{ O_RDWR | O_APPEND, -EINVAL },
		{ O_RDWR | O_DIRECT, -EINVAL },
	};
	struct fixture *f = *state;
	struct blkdev *dev = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = open(f->path, bad[i].flags);

		if (fd < 0)
			continue;	/* no O_DIRECT here */
		assert_int_equal(file_dev_open("fd:x", fd, false, &dev), bad[i].err);
		assert_int_equal(close(fd), 0);
	}
	assert_int_equal(file_dev_open("fd:x", 9999, false, &dev), -EBADF);
	assert_null(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bytes_written_are_read_back, setup, teardown),
		cmocka_unit_test_setup_teardown(nowait_is_right_or_eagain, setup, teardown),
		cmocka_unit_test_setup_teardown(zeros_and_discards_read_as_zeros, setup, teardown),
		cmocka_unit_test_setup_teardown(readonly_needs_no_write_permission, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_shrinks_is_an_io_error, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_image_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_descriptor_is_taken_over_on_success_only, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_descriptor_that_would_lie_is_refused, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
