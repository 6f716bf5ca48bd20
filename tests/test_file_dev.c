/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Local files and block devices of transport/file.c. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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

/* Attaches the image to a loop device, which the kernel frees after its last close. */
static int attach_loop(const struct fixture *f, unsigned flags, char *name, size_t len)
{
	struct loop_config config = { .info.lo_flags = LO_FLAGS_AUTOCLEAR | flags };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int fd = -1;

	if (control < 0)
		skip();
	config.fd = (uint32_t)opened(f, O_RDWR | O_CLOEXEC);
	/* Other tests may be faster to take the free one. */
	for (int i = 0; i < 20 && fd < 0; i++) {
		snprintf(name, len, "/dev/loop%d", ioctl(control, LOOP_CTL_GET_FREE));
		fd = open(name, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config) < 0) {
			close(fd);
			fd = -1;
		}
	}
	close((int)config.fd);
	close(control);
	if (fd < 0)
		skip();
	return fd;
}

static void block_devices_are_served(void **state)
{
	char name[64], *buf = malloc(SIZE), *zeros = calloc(1, SIZE);
	struct fixture *f = *state;
	int loop = attach_loop(f, 0, name, sizeof(name));
	struct blkdev *dev;

	memset(buf, 'x', SIZE);
	assert_int_equal(file_dev_open(name, -1, false, &dev), 0);
	assert_int_equal(blkdev_size(dev), SIZE);
	assert_int_equal(blkdev_write(dev, buf, SIZE, 0), 0);
	assert_int_equal(blkdev_write_zeros(dev, 700, 8192), 0);
	assert_int_equal(blkdev_write_zeros(dev, 16384, 8192), 0);
	if (dev->info.can_discard)
		assert_int_equal(blkdev_discard(dev, 65536 + 1, 65536), 0);
	assert_int_equal(blkdev_flush(dev), 0);
	assert_int_equal(blkdev_read(dev, buf, SIZE, 0), 0);
	assert_int_equal(buf[699], 'x');
	assert_memory_equal(buf + 700, zeros, 8192);
	assert_int_equal(buf[8892], 'x');
	assert_memory_equal(buf + 16384, zeros, 8192);
	/* Whole sectors inside the range may go; what shares one with others stays. */
	assert_int_equal(buf[65536], 'x');
	assert_int_equal(buf[65537], 'x');
	assert_int_equal(buf[131072], 'x');
	if (dev->info.can_discard)
		assert_memory_equal(buf + 65536 + 4096, zeros, 32768);
	assert_int_equal(blkdev_close(dev), 0);
	close(loop);
	free(buf);
	free(zeros);
}

static void a_readonly_block_device_is_not_opened_for_writing(void **state)
{
	struct fixture *f = *state;
	char name[64];
	int loop = attach_loop(f, LO_FLAGS_READ_ONLY, name, sizeof(name));
	struct blkdev *dev;
	int err;

	err = file_dev_open(name, -1, false, &dev);
	assert_true(err == -EROFS || err == -EACCES);
	assert_int_equal(file_dev_open(name, -1, true, &dev), 0);
	assert_int_equal(blkdev_close(dev), 0);
	close(loop);
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
		cmocka_unit_test_setup_teardown(block_devices_are_served, setup, teardown),
		cmocka_unit_test_setup_teardown(a_readonly_block_device_is_not_opened_for_writing,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
