// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An empty mount namespace: its root is a read-only file system in memory without a file.
 *
 * The copy of the mounts that a new namespace begins with goes away at once, or the kernel
 * would keep our own mount for its sake when everybody else has unmounted it.
 */
#include "sandbox_int.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A mount of an empty file system that is nowhere yet, or -errno. */
static int empty_mount(void)
{
	int fs = fsopen("tmpfs", FSOPEN_CLOEXEC), fd;

	if (fs < 0)
		return -errno;
	if (fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0)) {
		fd = -errno;
	} else {
		fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
			     MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
		if (fd < 0)
			fd = -errno;
	}
	close(fs);
	return fd;
}

/* Puts the mount in the root's place and takes everything else away. */
static int change_root(int empty)
{
	int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (old < 0)
		return -errno;
	if (move_mount(empty, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) || fchdir(empty) ||
	    syscall(SYS_pivot_root, ".", ".") || fchdir(old) || umount2(".", MNT_DETACH) ||
	    fchdir(empty))
		err = -errno;
	close(old);
	return err;
}

static bool is_mount_root(const char *path)
{
	struct statx st;

	return !statx(AT_FDCWD, path, 0, 0, &st) && (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int this_namespace(void)
{
	int fd = open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return fd;
}

/* This thread's new namespace becomes an empty one; it is named by the result. */
static int empty_namespace(void)
{
	int ns = this_namespace(), empty, err;

	if (ns < 0)
		return ns;
	empty = mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ? -errno : empty_mount();
	err = empty < 0 ? empty : change_root(empty);
	if (empty >= 0)
		close(empty);
	if (!err)
		return ns;
	close(ns);
	return err;
}

int sandbox_mounts_open(int *ret_fd)
{
	int before = this_namespace(), fd;

	if (before < 0)
		return before;
	/* From the root directory of a chroot(2) there is no way back. */
	if (!is_mount_root("/"))
		fd = -EPERM;
	else
		fd = unshare(CLONE_NEWNS) ? -errno : empty_namespace();
	/* A copy of the mounts must not stay. */
	if (fd < 0 && setns(before, CLONE_NEWNS))
		fd = -errno;
	close(before);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

int sandbox_mounts_enter(int fd)
{
	/* The root and the directory we are in are no longer shared with other threads. */
	if (unshare(CLONE_FS) || setns(fd, CLONE_NEWNS))
		return -errno;
	return 0;
}
