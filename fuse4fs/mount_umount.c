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
#include <fcntl.h>
#include <limits.h>
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
#include "transport/imglock.h"

enum { PATIENCE_MS = 5000, LIMIT_MS = 600000 };

/* Runs a program to its end. 0; -EBUSY it failed; -errno it was not started. */
static int run_program(const char *const *argv, bool quiet)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	int status, err;
	pid_t pid;

	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&actions);
	if (quiet)
		posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	err = -posix_spawnp(&pid, argv[0], &actions, &attr, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	if (err)
		return err;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EBUSY;
}

static int run_fusermount(const char *mountpoint, bool lazy)
{
	const char *argv[] = { "fusermount3", "-u", lazy ? "-z" : "-q", "--", mountpoint, NULL };

	return run_program(argv, false);
}

void mount_register(const char *image, const char *mountpoint)
{
	const char *argv[] = { "mount", "-i", "-f", "-t", "fuse.fuse4fs", "-o", "uhelper=fuse4fs",
			       "--", image, mountpoint, NULL };

	if (geteuid() == 0 && mountpoint[0] == '/' && access("/run/mount", W_OK) == 0)
		run_program(argv, true);
}

/* Takes the note away, which umount(8) does only for mounts that are still there. */
static void unregister(const char *mountpoint)
{
	const char *argv[] = { "umount", "-i", "--fake", "--", mountpoint, NULL };

	if (geteuid() == 0 && access("/run/mount/utab", W_OK) == 0)
		run_program(argv, true);
}

int mount_umount(const char *mountpoint, bool lazy, bool force)
{
	int flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0) | (force ? MNT_FORCE : 0);

	if (!umount2(mountpoint, flags))
		return 0;
	return errno == EPERM ? run_fusermount(mountpoint, lazy) : -errno;
}

/* Who is to be waited for. */
struct awaited {
	int pid_fd;		/* readable when the process has ended, or -1: not ours to see */
	char image[PATH_MAX];	/* "" when nobody answered */
};

static struct awaited ask_server(const char *mountpoint)
{
	struct awaited a = { .pid_fd = -1 };
	int pid;

	if (status_server(mountpoint, &pid, a.image, sizeof(a.image)))
		a.image[0] = '\0';
	else if (pid > 0)
		a.pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	return a;
}

static int wait_some(const struct awaited *a, int timeout_ms)
{
	struct pollfd p = { .fd = a->pid_fd, .events = POLLIN };

	if (a->pid_fd < 0)
		return imglock_wait_free(a->image, (unsigned)timeout_ms);
	return poll(&p, 1, timeout_ms) == 1 ? 0 : -ETIMEDOUT;
}

static int wait_for_server(const struct awaited *a, const char *mountpoint)
{
	int err = wait_some(a, PATIENCE_MS);

	if (err != -ETIMEDOUT)
		return err;
	fprintf(stderr, "fuse4fs: %s: unmounted; waiting for the server, which writes the rest, or "
		"for other mount namespaces that have the mount, too\n", mountpoint);
	return wait_some(a, LIMIT_MS);
}

static void complain(const char *mountpoint, int err)
{
	fprintf(stderr, "fuse4fs: %s: cannot unmount: %s%s\n", mountpoint, strerror(-err),
		err == -EBUSY ? " (fuser -m names its users)" :
		err == -EINVAL ? " (is it mounted?)" : "");
}

int mount_umount_main(const char *mountpoint, bool lazy, bool force)
{
	struct awaited a = { .pid_fd = -1 };
	int err;

	/* A dead server cannot be asked, a stuck one would not answer. */
	if (!force && !lazy)
		a = ask_server(mountpoint);
	if (a.image[0])
		mount_drain(mountpoint);
	if (a.image[0])
		unregister(mountpoint);
	err = mount_umount(mountpoint, lazy, force);
	if (!err && a.image[0]) {
		err = wait_for_server(&a, mountpoint);
	} else if (err) {
		complain(mountpoint, err);
		if (a.image[0])
			mount_register(a.image, mountpoint);
	}
	if (a.pid_fd >= 0)
		close(a.pid_fd);
	if (err == -ETIMEDOUT)
		fprintf(stderr, "fuse4fs: %s: the server has not ended; do not use the image "
			"yet\n", mountpoint);
	return err ? MNT_EX_FAIL : MNT_EX_OK;
}
