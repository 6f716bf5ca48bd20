/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exclusive use of images (transport/imglock.c, imguse.c). Tests with loop devices and
 * mounts need root, run in a mount namespace of their own and are skipped elsewhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "own_mounts.h"
#include "transport/imglock.h"

enum { SIZE = 4 * 1024 * 1024 };

struct fixture {
	char dir[200], path[256], mnt[256];
	int fd;			/* read and write */
	int loop;		/* or -1 */
	char loop_path[64];
	char why[1400];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");

	snprintf(f->dir, sizeof(f->dir), "%s/imglock.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/image", f->dir);
	snprintf(f->mnt, sizeof(f->mnt), "%s/a place", f->dir);
	f->fd = open(f->path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	f->loop = -1;
	*state = f;
	return f->fd < 0 || ftruncate(f->fd, SIZE) < 0 || mkdir(f->mnt, 0700) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	umount(f->mnt);
	if (f->loop >= 0)
		close(f->loop);
	close(f->fd);
	unlink(f->path);
	rmdir(f->mnt);
	rmdir(f->dir);
	free(f);
	return 0;
}

static int take_fd(struct fixture *f, int fd, bool readonly, enum imglock_mode mode,
		   unsigned timeout_ms, struct imglock **ret)
{
	struct imglock_request req = {
		.fd = fd, .path = f->path, .readonly = readonly, .mode = mode,
		.timeout_ms = timeout_ms,
	};

	f->why[0] = '\0';
	return imglock_take(&req, ret, f->why, sizeof(f->why));
}

static int take(struct fixture *f, bool readonly, struct imglock **ret)
{
	return take_fd(f, f->fd, readonly, IMGLOCK_FAIL, 0, ret);
}

static void expect_busy(struct fixture *f, bool readonly, const char *says)
{
	struct imglock *lock = NULL;

	assert_int_equal(take(f, readonly, &lock), -EBUSY);
	assert_null(lock);
	if (!strstr(f->why, says))
		print_error("reason: %s\n", f->why);
	assert_non_null(strstr(f->why, says));
}

static void expect_free(struct fixture *f, bool readonly)
{
	struct imglock *lock;

	assert_int_equal(take(f, readonly, &lock), 0);
	imglock_release(lock);
}

static long elapsed_ms(const struct timespec *since)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - since->tv_sec) * 1000 + (now.tv_nsec - since->tv_nsec) / 1000000;
}

/* A child that holds the image until killed, or for some time. */
static pid_t child_holding(struct fixture *f, bool readonly, unsigned ms)
{
	int ready[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct imglock *lock;

		if (take(f, readonly, &lock) || write(ready[1], "x", 1) != 1)
			_exit(1);
		close(ready[1]);
		usleep(ms * 1000);
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void a_writer_excludes_everybody_and_is_named(void **state)
{
	struct fixture *f = *state;
	pid_t pid = child_holding(f, false, 60000);
	char says[64];

	snprintf(says, sizeof(says), "is in use by process %d (", (int)pid);
	expect_busy(f, false, says);
	expect_busy(f, true, says);
	end_child(pid);
	expect_free(f, false);
}

static void readers_share_and_exclude_writers(void **state)
{
	struct fixture *f = *state;
	pid_t pid = child_holding(f, true, 60000);
	char says[64];

	snprintf(says, sizeof(says), "by process %d", (int)pid);
	expect_free(f, true);
	expect_busy(f, false, says);
	end_child(pid);
	expect_free(f, false);
}

static void one_process_is_excluded_from_itself(void **state)
{
	struct fixture *f = *state;
	struct imglock *lock;

	assert_int_equal(take(f, false, &lock), 0);
	expect_busy(f, false, "by process");
	imglock_release(lock);
	expect_free(f, false);
}

static void a_shared_descriptor_locks_for_one_server(void **state)
{
	struct fixture *f = *state;
	struct imglock *lock, *other;
	int copy = dup(f->fd);

	assert_int_equal(take(f, false, &lock), 0);
	assert_int_equal(take_fd(f, copy, false, IMGLOCK_FAIL, 0, &other), -EBUSY);
	imglock_release(lock);
	close(copy);
}

static void none_neither_locks_nor_looks(void **state)
{
	struct fixture *f = *state;
	struct imglock *lock, *none;

	assert_int_equal(take(f, false, &lock), 0);
	assert_int_equal(take_fd(f, f->fd, false, IMGLOCK_NONE, 0, &none), 0);
	assert_null(none);
	imglock_release(none);
	imglock_release(lock);
}

static void waiting_ends_with_the_holder(void **state)
{
	struct fixture *f = *state;
	pid_t pid = child_holding(f, false, 150);
	struct imglock *lock;

	assert_int_equal(take_fd(f, f->fd, false, IMGLOCK_WAIT, 10000, &lock), 0);
	imglock_release(lock);
	end_child(pid);
}

static void waiting_ends_with_the_timeout(void **state)
{
	struct fixture *f = *state;
	pid_t pid = child_holding(f, false, 60000);
	struct timespec start;
	struct imglock *lock;

	clock_gettime(CLOCK_MONOTONIC, &start);
	assert_int_equal(take_fd(f, f->fd, false, IMGLOCK_WAIT, 100, &lock), -EBUSY);
	assert_true(elapsed_ms(&start) >= 100);
	assert_non_null(strstr(f->why, "by process"));
	end_child(pid);
}

struct waiter {
	struct fixture *f;
	atomic_bool done;
	int err;
};

static void *wait_free(void *arg)
{
	struct waiter *w = arg;

	w->err = imglock_wait_free(w->f->path, 60000);
	w->done = true;
	return NULL;
}

static void umount_waits_for_a_writer(void **state)
{
	struct fixture *f = *state;
	struct waiter w = { .f = f };
	pthread_t thread;
	pid_t pid;

	assert_int_equal(imglock_wait_free(f->path, 0), 0);
	pid = child_holding(f, false, 60000);
	assert_int_equal(imglock_wait_free(f->path, 50), -ETIMEDOUT);
	assert_int_equal(pthread_create(&thread, NULL, wait_free, &w), 0);
	usleep(100000);
	assert_false(w.done);
	end_child(pid);
	pthread_join(thread, NULL);
	assert_int_equal(w.err, 0);
	assert_int_equal(imglock_wait_free("/nonexistent/image", 0), -ENOENT);
}

static void umount_does_not_wait_for_readers(void **state)
{
	struct fixture *f = *state;
	pid_t pid = child_holding(f, true, 60000);

	assert_int_equal(imglock_wait_free(f->path, 0), 0);
	end_child(pid);
}

static void lock_bytes(int fd, short type, off_t start, off_t len)
{
	struct flock lock = { .l_type = type, .l_start = start, .l_len = len };

	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
}

static bool is_free_for_write_lock(int fd, off_t byte)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = byte, .l_len = 1 };

	assert_int_equal(fcntl(fd, F_OFD_GETLK, &lock), 0);
	return lock.l_type == F_UNLCK;
}

static void qemu_as_a_writer_is_respected(void **state)
{
	struct fixture *f = *state;
	int fd = open(f->path, O_RDWR);

	lock_bytes(fd, F_RDLCK, 100, 2);	/* reads and writes */
	lock_bytes(fd, F_RDLCK, 201, 1);	/* tolerates no writer */
	expect_busy(f, false, "by process");
	expect_busy(f, true, "by process");
	close(fd);
}

static void qemu_as_a_reader_shares(void **state)
{
	struct fixture *f = *state;
	struct imglock *lock;
	int fd = open(f->path, O_RDWR);

	lock_bytes(fd, F_RDLCK, 100, 1);
	lock_bytes(fd, F_RDLCK, 201, 1);
	assert_int_equal(take(f, true, &lock), 0);
	/* A second QEMU asks whether somebody minds reading (no) or writing (yes). */
	assert_true(is_free_for_write_lock(fd, 200));
	assert_false(is_free_for_write_lock(f->fd, 201));
	imglock_release(lock);
	expect_busy(f, false, "by process");
	close(fd);
}

static void a_reader_of_all_bytes_is_no_writer(void **state)
{
	struct fixture *f = *state;
	int fd = open(f->path, O_RDONLY);

	lock_bytes(fd, F_RDLCK, 0, 0);
	expect_free(f, true);
	expect_busy(f, false, "by process");
	close(fd);
}

/* Attaches the image; it is detached by the kernel when nothing uses it any more. */
static void attach_loop(struct fixture *f, bool readonly)
{
	struct loop_config config = {
		.fd = (uint32_t)f->fd,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR | (readonly ? LO_FLAGS_READ_ONLY : 0),
	};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	if (control < 0)
		skip();
	/* Other tests may be faster to take the free one. */
	for (int i = 0; i < 20 && f->loop < 0; i++) {
		int n = ioctl(control, LOOP_CTL_GET_FREE);

		snprintf(f->loop_path, sizeof(f->loop_path), "/dev/loop%d", n);
		f->loop = open(f->loop_path, O_RDWR | O_CLOEXEC);
		if (f->loop >= 0 && ioctl(f->loop, LOOP_CONFIGURE, &config) < 0) {
			close(f->loop);
			f->loop = -1;
		}
	}
	close(control);
	if (f->loop < 0)
		skip();
}

static void mount_loop(struct fixture *f, bool readonly)
{
	char command[400];

	snprintf(command, sizeof(command), "mke2fs -q -F -t ext4 '%s' >/dev/null 2>&1", f->path);
	if (system(command) != 0 || own_mounts(f->dir))
		skip();
	attach_loop(f, readonly);
	if (mount(f->loop_path, f->mnt, "ext4", readonly ? MS_RDONLY : 0, "") < 0)
		skip();
}

static void an_attached_writable_loop_device_excludes_writers(void **state)
{
	struct fixture *f = *state;
	struct imglock *lock;

	attach_loop(f, false);
	expect_busy(f, false, f->loop_path);
	expect_free(f, true);
	close(f->loop);
	f->loop = -1;
	/* The kernel, or a device manager that looks at it, may take a moment. */
	assert_int_equal(take_fd(f, f->fd, false, IMGLOCK_WAIT, 10000, &lock), 0);
	imglock_release(lock);
}

static void an_idle_readonly_loop_device_excludes_nobody(void **state)
{
	struct fixture *f = *state;

	attach_loop(f, true);
	expect_free(f, false);
	expect_free(f, true);
}

static void a_mounted_loop_device_excludes_all(void **state)
{
	struct fixture *f = *state;

	mount_loop(f, false);
	expect_busy(f, false, f->mnt);
	expect_busy(f, true, f->loop_path);
}

static void a_loop_device_mounted_readonly_excludes_writers(void **state)
{
	struct fixture *f = *state;

	mount_loop(f, true);
	expect_busy(f, false, f->mnt);
	expect_free(f, true);
}

static void a_mounted_block_device_is_refused(void **state)
{
	struct fixture *f = *state;
	struct imglock *lock;
	int fd;

	mount_loop(f, false);
	/* Kernels may refuse opening it for writing: claim through a reader. */
	fd = open(f->loop_path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(take_fd(f, fd, true, IMGLOCK_FAIL, 0, &lock), -EBUSY);
	assert_non_null(strstr(f->why, f->mnt));
	assert_int_equal(take_fd(f, fd, false, IMGLOCK_FAIL, 0, &lock), -EBUSY);
	assert_non_null(strstr(f->why, f->mnt));
	close(fd);
}

/* The mount moves into the namespace of a child, where mountinfo does not show it to us. */
static pid_t hide_mount(struct fixture *f)
{
	int ready[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	assert_int_equal(umount(f->mnt), 0);
	return pid;
}

static void a_mount_in_another_namespace_counts(void **state)
{
	struct fixture *f = *state;
	struct imglock *lock;
	pid_t pid;
	int fd;

	mount_loop(f, false);
	pid = hide_mount(f);
	expect_busy(f, false, "out of sight");
	expect_busy(f, true, "out of sight");
	fd = open(f->loop_path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(take_fd(f, fd, true, IMGLOCK_FAIL, 0, &lock), -EBUSY);
	assert_non_null(strstr(f->why, "out of sight"));
	close(fd);
	end_child(pid);
}

static void a_readonly_mount_in_another_namespace_excludes_writers(void **state)
{
	struct fixture *f = *state;
	pid_t pid;

	mount_loop(f, true);
	pid = hide_mount(f);
	expect_busy(f, false, f->loop_path);
	expect_free(f, true);
	end_child(pid);
}

static void a_block_device_is_claimed_while_it_is_used(void **state)
{
	struct fixture *f = *state;
	struct imglock *lock;
	int fd;

	attach_loop(f, false);
	fd = open(f->loop_path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(take_fd(f, fd, false, IMGLOCK_FAIL, 0, &lock), 0);
	assert_int_equal(open(f->loop_path, O_RDWR | O_EXCL | O_CLOEXEC), -1);
	assert_int_equal(errno, EBUSY);
	imglock_release(lock);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_writer_excludes_everybody_and_is_named),
		TEST(readers_share_and_exclude_writers),
		TEST(one_process_is_excluded_from_itself),
		TEST(a_shared_descriptor_locks_for_one_server),
		TEST(none_neither_locks_nor_looks),
		TEST(waiting_ends_with_the_holder),
		TEST(waiting_ends_with_the_timeout),
		TEST(umount_waits_for_a_writer),
		TEST(umount_does_not_wait_for_readers),
		TEST(qemu_as_a_writer_is_respected),
		TEST(qemu_as_a_reader_shares),
		TEST(a_reader_of_all_bytes_is_no_writer),
		TEST(an_attached_writable_loop_device_excludes_writers),
		TEST(an_idle_readonly_loop_device_excludes_nobody),
		TEST(a_mounted_loop_device_excludes_all),
		TEST(a_loop_device_mounted_readonly_excludes_writers),
		TEST(a_mounted_block_device_is_refused),
		TEST(a_mount_in_another_namespace_counts),
		TEST(a_readonly_mount_in_another_namespace_excludes_writers),
		TEST(a_block_device_is_claimed_while_it_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
