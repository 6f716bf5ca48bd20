/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening local images (fuse4fs/device.c): windows, and what a user is told. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fuse4fs/device.h"

enum { SIZE = 1024 * 1024 };

struct fixture {
	char dir[200], path[256], why[400];
	struct device_options opt;
	struct device d;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");
	int fd;

	snprintf(f->dir, sizeof(f->dir), "%s/device.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/image", f->dir);
	fd = open(f->path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, SIZE) < 0 || pwrite(fd, "0123456789", 10, 1000) != 10)
		return -1;
	close(fd);
	f->opt.image = f->path;
	f->opt.lock = IMGLOCK_FAIL;
	f->opt.unlock.passfd = -1;
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

static int open_it(struct fixture *f)
{
	f->why[0] = '\0';
	f->d = (struct device){ .dev = NULL };
	return device_open(&f->opt, &f->d, f->why, sizeof(f->why));
}

static void close_it(struct fixture *f)
{
	assert_int_equal(device_close(&f->d), 0);
}

static void expect_error(struct fixture *f, int want, const char *says)
{
	int err = open_it(f);

	if (err != want || !strstr(f->why, says))
		print_error("%d: %s\n", err, f->why);
	assert_int_equal(err, want);
	assert_non_null(strstr(f->why, says));
	assert_null(f->d.dev);
	assert_null(f->d.lock);
}

static void the_whole_image_is_the_default(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(open_it(f), 0);
	assert_int_equal(blkdev_size(f->d.dev), SIZE);
	assert_string_equal(f->d.dev->info.name, f->path);
	close_it(f);
}

static void offset_and_sizelimit_cut_a_window(void **state)
{
	struct fixture *f = *state;
	char buf[4];

	f->opt.offset = 1003;
	f->opt.sizelimit = 4;
	assert_int_equal(open_it(f), 0);
	assert_int_equal(blkdev_size(f->d.dev), 4);
	assert_int_equal(blkdev_read(f->d.dev, buf, 4, 0), 0);
	assert_memory_equal(buf, "3456", 4);
	close_it(f);
	f->opt.sizelimit = 0;
	assert_int_equal(open_it(f), 0);
	assert_int_equal(blkdev_size(f->d.dev), SIZE - 1003);
	close_it(f);
}

static void windows_outside_are_told(void **state)
{
	struct fixture *f = *state;

	f->opt.offset = SIZE;
	expect_error(f, -EINVAL, "offset=1048576 is beyond");
	f->opt.offset = UINT64_MAX;
	expect_error(f, -EINVAL, "is beyond its");
	f->opt.offset = 512;
	f->opt.sizelimit = SIZE;
	expect_error(f, -EINVAL, "sizelimit=1048576 after offset=512 does not fit");
	/* Nothing stays locked. */
	f->opt.offset = f->opt.sizelimit = 0;
	assert_int_equal(open_it(f), 0);
	close_it(f);
}

static void partitions_are_cut_out_or_told(void **state)
{
	static const uint8_t mbr[] = {
		0, 0, 0, 0, 0x83, 0, 0, 0, 8, 0, 0, 0, 16, 0, 0, 0,
		[64] = 0x55, 0xaa,
	};
	struct fixture *f = *state;
	int fd;

	f->opt.partition = 1;
	expect_error(f, -ENODATA, "no partition table");
	f->opt.offset = 512;
	expect_error(f, -EINVAL, "one or the other");
	f->opt.offset = 0;
	fd = open(f->path, O_WRONLY);
	assert_int_equal(pwrite(fd, mbr, sizeof(mbr), 446), sizeof(mbr));
	close(fd);
	assert_int_equal(open_it(f), 0);
	assert_int_equal(blkdev_size(f->d.dev), 16 * 512);
	close_it(f);
	f->opt.partition = 2;
	expect_error(f, -ENOENT, "has no partition 2, only 1: 1");
	f->opt.partition = -1;
	expect_error(f, -EINVAL, "count from 1");
}

static void what_is_no_image_is_told(void **state)
{
	struct fixture *f = *state;

	f->opt.image = "";
	expect_error(f, -EINVAL, "no image was named");
	f->opt.image = f->dir;
	expect_error(f, -EISDIR, "is a directory");
	f->opt.image = "/dev/null";
	expect_error(f, -ENOTBLK, "neither");
	f->opt.image = f->path;
	assert_int_equal(truncate(f->path, 0), 0);
	expect_error(f, -ENODATA, "is empty");
	unlink(f->path);
	expect_error(f, -ENOENT, "does not exist");
}

/* In a child that is nobody; root may do everything. */
static int as_nobody(struct fixture *f, int err, const char *says)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(2);
		_exit(open_it(f) == err && strstr(f->why, says) ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void denied_access_names_the_way_out(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(chmod(f->path, 0644), 0);
	assert_int_equal(as_nobody(f, -EACCES, "mount with -o ro"), 0);
	f->opt.readonly = true;
	assert_int_equal(as_nobody(f, 0, ""), 0);
	assert_int_equal(chmod(f->path, 0600), 0);
	assert_int_equal(as_nobody(f, -EACCES, "permission denied"), 0);
}

static void an_image_in_use_is_told(void **state)
{
	struct fixture *f = *state;
	struct fixture other = *f;

	assert_int_equal(open_it(f), 0);
	expect_error(&other, -EBUSY, "is in use by process");
	assert_non_null(strstr(other.why, f->path));
	other.opt.lock = IMGLOCK_NONE;
	assert_int_equal(open_it(&other), 0);
	close_it(&other);
	close_it(f);
	f->opt.readonly = true;
	other.opt = f->opt;
	assert_int_equal(open_it(f), 0);
	assert_int_equal(open_it(&other), 0);
	close_it(&other);
	close_it(f);
}

static void inherited_descriptors_are_images(void **state)
{
	struct fixture *f = *state;
	char name[32];
	int fd = open(f->path, O_RDWR);

	snprintf(name, sizeof(name), "fd:%d", fd);
	f->opt.image = name;
	assert_int_equal(open_it(f), 0);
	assert_int_equal(blkdev_size(f->d.dev), SIZE);
	close_it(f);
	expect_error(f, -EBADF, "is not an open descriptor");
	f->opt.image = "fd:";
	expect_error(f, -EINVAL, "number of an open descriptor");
	f->opt.image = "fd:3x";
	expect_error(f, -EINVAL, "number of an open descriptor");
	f->opt.image = "fd:99999999999999999999";
	expect_error(f, -EINVAL, "number of an open descriptor");
	f->opt.image = "fd:1";
	expect_error(f, -EINVAL, "standard streams");
}

static void descriptors_without_access_are_told(void **state)
{
	struct fixture *f = *state;
	char name[32];
	int fd = open(f->path, O_RDONLY);

	snprintf(name, sizeof(name), "fd:%d", fd);
	f->opt.image = name;
	expect_error(f, -EACCES, "not open for reading and writing");
	f->opt.readonly = true;
	assert_int_equal(open_it(f), 0);
	close_it(f);
}

static void the_passphrase_is_kept_from_other_programs(void **state)
{
	struct fixture *f = *state;
	int fd = dup(STDIN_FILENO);

	assert_true(fd > STDERR_FILENO);
	f->opt.unlock.passfd = fd;
	expect_error(f, -EINVAL, "passfd=");
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

/* Else cipher text would be taken for a blank device, and plain text be written to it. */
static void a_key_without_a_container_is_refused(void **state)
{
	static const uint8_t magic[] = { 'L', 'U', 'K', 'S', 0xba, 0xbe, 0, 1 };
	struct fixture *f = *state;
	uint8_t head[sizeof(magic)];
	int fd = open(f->path, O_RDWR | O_CLOEXEC);

	f->opt.unlock.keyfile = "/nonexistent";
	expect_error(f, -EINVAL, "keyfile= was given, but no LUKS container");
	for (size_t i = 0; i < 6; i++) {
		memcpy(head, magic, sizeof(magic));
		head[i] ^= 1;
		assert_int_equal(pwrite(fd, head, sizeof(head), 0), sizeof(head));
		expect_error(f, -EINVAL, "nocrypt");
	}
	f->opt.offset = 512;
	expect_error(f, -EINVAL, "offset=");
	f->opt.offset = 0;
	f->opt.unlock.keyfile = NULL;
	f->opt.unlock.one_keyslot = true;
	expect_error(f, -EINVAL, "key-slot= was given");
	f->opt.unlock.one_keyslot = false;
	assert_int_equal(open_it(f), 0);
	close_it(f);
	close(fd);
}

static void unknown_versions_of_luks_are_named(void **state)
{
	static const uint8_t head[] = { 'L', 'U', 'K', 'S', 0xba, 0xbe, 0, 3 };
	struct fixture *f = *state;
	int fd = open(f->path, O_RDWR | O_CLOEXEC);

	assert_int_equal(pwrite(fd, head, sizeof(head), 0), sizeof(head));
	expect_error(f, -EOPNOTSUPP, "version 3 is not known");
	assert_int_equal(pwrite(fd, "\0\0", 2, 6), 2);
	expect_error(f, -EOPNOTSUPP, "version 0 is not known");
	f->opt.unlock.nocrypt = true;
	assert_int_equal(open_it(f), 0);
	close_it(f);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_whole_image_is_the_default),
		TEST(offset_and_sizelimit_cut_a_window),
		TEST(windows_outside_are_told),
		TEST(partitions_are_cut_out_or_told),
		TEST(what_is_no_image_is_told),
		TEST(denied_access_names_the_way_out),
		TEST(an_image_in_use_is_told),
		TEST(inherited_descriptors_are_images),
		TEST(descriptors_without_access_are_told),
		TEST(the_passphrase_is_kept_from_other_programs),
		TEST(a_key_without_a_container_is_refused),
		TEST(unknown_versions_of_luks_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
