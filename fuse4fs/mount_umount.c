// SPDX-License-Identifier: GPL-2.0-or-later
/* Unmounting: by whom it can be done, and the whole of `fuse4fs -u`. */
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mount_wait.h"
#include "options.h"

/* Runs a program to its end; what it says is not heard. 0; -EBUSY it failed; -errno it was not
 * started. */
static int run_program(const char *const *argv)
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

/* It does not say by its status why it failed. */
static int run_fusermount(const char *mountpoint, bool lazy)
{
	const char *argv[] = { "fusermount3", "-u", lazy ? "-z" : "-q", "--", mountpoint, NULL };
	char device[32];
	int err;

	if (!mount_device(mountpoint, device, sizeof(device)))
		return -EINVAL;
	err = run_program(argv);
	if (err == -ENOENT)
		return -ENOPKG;
	return err == -EBUSY && !mount_is_ours(mountpoint) ? -EPERM : err;
}

void mount_register(const char *image, const char *mountpoint)
{
	const char *argv[] = { "mount", "-i", "-f", "-t", "fuse.fuse4fs", "-o", "uhelper=fuse4fs",
			       "--", image, mountpoint, NULL };

	if (geteuid() == 0 && mountpoint[0] == '/' && access("/run/mount", W_OK) == 0)
		run_program(argv);
}

/* Takes the note away, which umount(8) does only for mounts that are still there. */
static void unregister(const char *mountpoint)
{
	const char *argv[] = { "umount", "-i", "--fake", "--", mountpoint, NULL };

	if (geteuid() == 0 && access("/run/mount/utab", W_OK) == 0)
		run_program(argv);
}

int mount_umount(const char *mountpoint, bool lazy, bool force)
{
	int flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0) | (force ? MNT_FORCE : 0);

	if (!umount2(mountpoint, flags))
		return 0;
	return errno == EPERM ? run_fusermount(mountpoint, lazy) : -errno;
}

static void complain(const char *name, int err)
{
	static const struct { int err; const char *way_out; } hints[] = {
		{ -EBUSY, " (fuser -m names its users)" },
		{ -EINVAL, " (is it mounted?)" },
		{ -EPERM, " (root can, and who has mounted it)" },
		{ -ENOPKG, " (it takes root or fusermount3)" },
	};
	const char *way_out = "";

	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
		if (hints[i].err == err)
			way_out = hints[i].way_out;
	fprintf(stderr, "fuse4fs: %s: cannot unmount: %s%s\n", name, strerror(-err), way_out);
}

/* write_err: of the attempt to write everything before. */
static int wait_and_tell(const struct awaited *a, const char *name, int write_err)
{
	int status = 0, err = mount_wait_end(a, name);
	const bool succeeded = err || mount_wait_succeeded(a, &status);

	if (err == -ETIMEDOUT)
		fprintf(stderr, "fuse4fs: %s: the server has not ended; do not use the image yet\n",
			name);
	else if (err)
		fprintf(stderr, "fuse4fs: %s: unmounted; whether the server has ended cannot be "
			"seen: %s\n", name, strerror(-err));
	else if (write_err)
		fprintf(stderr, "fuse4fs: %s: unmounted, but not everything could be written: %s "
			"(see the system log; run e2fsck)\n", name, strerror(-write_err));
	else if (!succeeded)
		fprintf(stderr, "fuse4fs: %s: unmounted, but not everything could be written: the "
			"server ended with %s %d (see the system log; run e2fsck)\n", name,
			WIFEXITED(status) ? "status" : "signal",
			WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return err || write_err || !succeeded ? MNT_EX_FAIL : MNT_EX_OK;
}

static int umount_and_wait(const char *mountpoint, const char *name)
{
	int err, status = MNT_EX_OK, write_err = 0;
	char other[PATH_MAX];
	struct awaited a;

	mount_wait_init(&a, mountpoint);
	if (a.image[0] && !a.shared)
		write_err = mount_drain(mountpoint);
	if (a.image[0])
		unregister(mountpoint);
	err = mount_umount(mountpoint, false, false);
	if (err) {
		complain(name, err);
		if (a.image[0])
			mount_register(a.image, mountpoint);
		status = MNT_EX_FAIL;
	} else if (mount_wait_other(&a, other, sizeof(other))) {
		fprintf(stderr, "fuse4fs: %s: unmounted; still mounted at %s\n", name, other);
		mount_register(a.image, other);
	} else if (a.image[0]) {
		status = wait_and_tell(&a, name, write_err);
	}
	mount_wait_fini(&a);
	return status;
}

int mount_umount_main(const char *name, bool lazy, bool force)
{
	char mountpoint[PATH_MAX];
	int err = 0;

	/* A dead mount has a name, too. */
	if (!realpath(name, mountpoint)) {
		err = errno == ENOENT ? -ENOENT : 0;
		snprintf(mountpoint, sizeof(mountpoint), "%s", name);
	}
	/* A dead server cannot be asked, a stuck one would not answer. */
	if (!err && !lazy && !force)
		return umount_and_wait(mountpoint, name);
	if (!err)
		err = mount_umount(mountpoint, lazy, force);
	if (err)
		complain(name, err);
	return err ? MNT_EX_FAIL : MNT_EX_OK;
}
