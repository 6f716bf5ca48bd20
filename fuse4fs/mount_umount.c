// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Unmounting, and waiting for the server to finish.
 *
 * umount(2) returns when the mount is gone, which is before the server's last flush: whoever
 * copies the image then has half of it. So the server's process is asked for first and
 * waited for afterwards.
 */
#include "mount.h"

#include <errno.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "options.h"
#include "status.h"

enum { PATIENCE_MS = 5000, LIMIT_MS = 600000 };

static int run_fusermount(const char *mountpoint, bool lazy)
{
	const char *argv[] = { "fusermount3", "-u", lazy ? "-z" : "-q", "--", mountpoint, NULL };
	posix_spawnattr_t attr;
	sigset_t none;
	int status, err;
	pid_t pid;

	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	err = -posix_spawnp(&pid, argv[0], NULL, &attr, (char *const *)argv, environ);
	posix_spawnattr_destroy(&attr);
	if (err)
		return err;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EBUSY;
}

int mount_umount(const char *mountpoint, bool lazy, bool force)
{
	int flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0) | (force ? MNT_FORCE : 0);

	if (!umount2(mountpoint, flags))
		return 0;
	return errno == EPERM ? run_fusermount(mountpoint, lazy) : -errno;
}

/* A descriptor that becomes readable when the process ends, or -1: not ours to see. */
static int open_server(const char *mountpoint)
{
	int pid = status_pid(mountpoint);

	return pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
}

static int wait_for_server(int fd, const char *mountpoint)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, PATIENCE_MS) == 1)
		return 0;
	fprintf(stderr, "fuse4fs: %s: unmounted; waiting for the server to write the rest\n",
		mountpoint);
	return poll(&p, 1, LIMIT_MS) == 1 ? 0 : -ETIMEDOUT;
}

int mount_umount_main(const char *mountpoint, bool lazy, bool force)
{
	/* A dead server cannot be asked, a stuck one would not answer. */
	int fd = force || lazy ? -1 : open_server(mountpoint);
	int err = mount_umount(mountpoint, lazy, force);

	if (err) {
		if (fd >= 0)
			close(fd);
		fprintf(stderr, "fuse4fs: %s: cannot unmount: %s%s\n", mountpoint, strerror(-err),
			err == -EBUSY ? " (fuser -m names its users)" :
			err == -EINVAL ? " (is it mounted?)" : "");
		return MNT_EX_FAIL;
	}
	if (fd < 0)
		return MNT_EX_OK;
	err = wait_for_server(fd, mountpoint);
	close(fd);
	if (err)
		fprintf(stderr, "fuse4fs: %s: the server is still writing; do not use the image "
			"yet\n", mountpoint);
	return err ? MNT_EX_FAIL : MNT_EX_OK;
}
