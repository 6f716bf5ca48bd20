/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lock on an image.
 *
 * A writer write-locks every byte. A reader read-locks all but bytes 101 to 200: QEMU
 * marks what it does with an image by read locks on bytes 100 to 103 and what it does
 * not tolerate by read locks on 200 to 203, one byte for each of: consistent read,
 * write, write unchanged, resize. So readers of both kinds get along, writers do not,
 * and a byte of 101 and more that is locked is a writing QEMU.
 * Source: QEMU block/file-posix.c, RAW_LOCK_PERM_BASE and RAW_LOCK_SHARED_BASE.
 *
 * A block device opened for writing is claimed with O_EXCL besides, which the kernel
 * refuses while it is mounted or part of another device.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "imglock.h"
#include "imguse.h"

enum {
	QEMU_WRITE_BYTE = 101,
	QEMU_SHARE_BASE = 200,
	POLL_FIRST_MS = 10,
	POLL_MAX_MS = 200,
};

struct imglock {
	int fd;		/* [init only] owned; its file description holds the lock */
};

/* Buffer for the reason of a failure; NULL while nobody wants to know. */
struct reason {
	char *buf;
	size_t len;
};

static int busy(struct reason why, const char *phrase)
{
	if (why.buf)
		snprintf(why.buf, why.len, "is in use %s", phrase);
	return -EBUSY;
}

static struct flock range(short type, off_t start, off_t len)
{
	return (struct flock){
		.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len,
	};
}

static int set_lock(int fd, struct flock lock)
{
	while (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		if (errno != EINTR)
			return errno == EACCES ? -EAGAIN : -errno;
	}
	return 0;
}

/* Names the holder of whatever is in the way of `lock`. */
static int busy_locked(int fd, struct flock lock, const struct stat *st, struct reason why)
{
	char who[128];

	if (!why.buf)
		return -EBUSY;
	if (fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
		lock.l_pid = 0;
	imguse_locker(st, lock.l_pid, who, sizeof(who));
	return busy(why, who);
}

static bool qemu_writes(int fd)
{
	struct flock lock = range(F_WRLCK, QEMU_WRITE_BYTE, 1);

	if (fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
		return false;
	/* QEMU's bytes are neighbours and become one range; a lock on all is no QEMU. */
	return lock.l_start >= QEMU_WRITE_BYTE - 1 && lock.l_len > 0 &&
	       lock.l_start + lock.l_len <= QEMU_SHARE_BASE;
}

static int lock_reader(int fd, const struct stat *st, struct reason why)
{
	const struct flock parts[] = {
		range(F_RDLCK, 0, QEMU_WRITE_BYTE),
		range(F_RDLCK, QEMU_SHARE_BASE + 1, 0),
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		int err = set_lock(fd, parts[i]);

		if (err == -EAGAIN)
			return busy_locked(fd, parts[i], st, why);
		if (err)
			return 0;	/* no locks here; reading harms nobody */
	}
	if (qemu_writes(fd))
		return busy_locked(fd, range(F_WRLCK, QEMU_WRITE_BYTE, 1), st, why);
	return 0;
}

static int lock_writer(int fd, const struct stat *st, struct reason why)
{
	struct flock all = range(F_WRLCK, 0, 0);
	int err = set_lock(fd, all);

	if (err == -EAGAIN)
		return busy_locked(fd, all, st, why);
	if (err && why.buf)
		snprintf(why.buf, why.len,
			 "cannot be locked where it is (%s); give lock=none if nobody else uses it",
			 strerror(-err));
	return err ? -ENOLCK : 0;
}

/* The file behind a loop device is the image, too: whoever has locked that one has this one. */
static int check_backing(const struct stat *st, bool readonly, struct reason why)
{
	struct flock lock = range(readonly ? F_RDLCK : F_WRLCK, 0, 0);
	int fd = imguse_open_backing(st->st_rdev), err = 0;
	struct stat file;

	if (fd < 0)
		return 0;
	if (fstat(fd, &file) == 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
		err = busy_locked(fd, lock, &file, why);
	close(fd);
	return err;
}

/* What the kernel does with the image. */
static int check_kernel(const struct stat *st, bool readonly, struct reason why)
{
	char how[1200];

	if (S_ISBLK(st->st_mode) && imguse_mounted(st->st_rdev, readonly, how, sizeof(how)))
		return busy(why, how);
	if (S_ISREG(st->st_mode) && imguse_loop(st, readonly, how, sizeof(how)))
		return busy(why, how);
	return S_ISBLK(st->st_mode) ? check_backing(st, readonly, why) : 0;
}

static bool is_same(int fd, const struct stat *st)
{
	struct stat have;

	return fstat(fd, &have) == 0 && have.st_mode == st->st_mode &&
	       have.st_rdev == st->st_rdev && have.st_dev == st->st_dev &&
	       have.st_ino == st->st_ino;
}

/*
 * A file description of our own: one that came from a parent is shared with it, and
 * with the next server it starts. Where it cannot be had, the shared one has to do.
 */
static int open_own(const struct imglock_request *req, const struct stat *st, int *ret_fd)
{
	int flags = (req->readonly ? O_RDONLY : O_RDWR) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	char self[64];
	const char *paths[] = { self, req->path };
	int fd;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", req->fd);
	if (S_ISBLK(st->st_mode) && !req->readonly)
		flags |= O_EXCL;
	for (size_t i = 0; i < 2 && paths[i]; i++) {
		fd = open(paths[i], flags);
		if (fd < 0 && errno == EBUSY)
			return -EBUSY;
		if (fd >= 0 && is_same(fd, st)) {
			*ret_fd = fd;
			return 0;
		}
		if (fd >= 0)
			close(fd);
	}
	fd = fcntl(req->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* Both locks and looks: a lock first, so that of two servers one sees the other. */
static int attempt(const struct imglock_request *req, const struct stat *st,
		   struct reason why, int *ret_fd)
{
	char how[1200];
	int err, fd = -1;

	err = open_own(req, st, &fd);
	if (err == -EBUSY && why.buf) {
		imguse_claimed(st->st_rdev, how, sizeof(how));
		return busy(why, how);
	}
	if (err)
		return err;
	err = req->readonly ? lock_reader(fd, st, why) : lock_writer(fd, st, why);
	if (!err)
		err = check_kernel(st, req->readonly, why);
	if (err) {
		set_lock(fd, range(F_UNLCK, 0, 0));
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

/* Sleeps longer each time, but not past the end. False: the time is over. */
static bool sleep_until(uint64_t end_ms, unsigned *poll_ms)
{
	uint64_t now = now_ms();
	uint64_t ms = *poll_ms;
	struct timespec ts;

	if (now >= end_ms)
		return false;
	if (ms > end_ms - now)
		ms = end_ms - now;
	ts.tv_sec = ms / 1000;
	ts.tv_nsec = ms % 1000 * 1000000;
	nanosleep(&ts, NULL);
	*poll_ms = *poll_ms * 2 < POLL_MAX_MS ? *poll_ms * 2 : POLL_MAX_MS;
	return true;
}

static int attempt_for_a_while(const struct imglock_request *req, const struct stat *st,
			       struct reason why, int *ret_fd)
{
	unsigned timeout_ms = req->timeout_ms ? req->timeout_ms : IMGLOCK_TIMEOUT_MS;
	uint64_t end_ms = now_ms() + (req->mode == IMGLOCK_WAIT ? timeout_ms : 0);
	unsigned poll_ms = POLL_FIRST_MS;
	int err;

	if (req->mode == IMGLOCK_WAIT) {
		do {
			err = attempt(req, st, (struct reason){ 0 }, ret_fd);
			if (err != -EBUSY)
				break;
		} while (sleep_until(end_ms, &poll_ms));
		if (err == 0)
			return 0;
	}
	/* Once more to learn the reason, which is too dear for every round. */
	return attempt(req, st, why, ret_fd);
}

int imglock_take(const struct imglock_request *req, struct imglock **ret, char *why,
		 size_t why_len)
{
	struct imglock *lock = NULL;
	struct stat st;
	int err;

	if (req->mode == IMGLOCK_NONE) {
		*ret = NULL;
		return 0;
	}
	snprintf(why, why_len, "cannot be locked");
	if (fstat(req->fd, &st) < 0)
		return -errno;
	lock = calloc(1, sizeof(*lock));
	if (!lock)
		return -ENOMEM;
	err = attempt_for_a_while(req, &st, (struct reason){ why, why_len }, &lock->fd);
	if (err) {
		free(lock);
		return err;
	}
	*ret = lock;
	return 0;
}

void imglock_release(struct imglock *lock)
{
	if (!lock)
		return;
	/* By hand: a child may have the description too. */
	set_lock(lock->fd, range(F_UNLCK, 0, 0));
	close(lock->fd);
	free(lock);
}

/* Our writers lock all bytes, so one tells. */
static bool has_writer(int fd)
{
	struct flock lock = range(F_RDLCK, 0, 1);

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static bool is_gone(pid_t pid)
{
	return pid > 0 && kill(pid, 0) < 0 && errno == ESRCH;
}

/*
 * When the writer goes, a mount that waited may follow at once and stay for days:
 * the process that was there at first is watched, not only the lock.
 */
static int wait_writer(int fd, uint64_t end_ms)
{
	unsigned poll_ms = POLL_FIRST_MS;
	struct stat st;
	pid_t pid;

	if (!has_writer(fd))
		return 0;
	pid = fstat(fd, &st) < 0 ? 0 : imguse_find_locker(&st);
	while (has_writer(fd) && !is_gone(pid)) {
		if (!sleep_until(end_ms, &poll_ms))
			return -ETIMEDOUT;
	}
	return 0;
}

int imglock_wait_free(const char *path, unsigned timeout_ms)
{
	int err, fd;

	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = wait_writer(fd, now_ms() + timeout_ms);
	close(fd);
	return err;
}
