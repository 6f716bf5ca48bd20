/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server behind a mount, from before an unmount until it has ended.
 *
 * umount(2) returns when the mount is gone, which is before the server's last flush: whoever
 * copies the image then has half of it, and nobody has told whether that flush worked.
 */
#ifndef FUSE4FS_MOUNT_WAIT_H
#define FUSE4FS_MOUNT_WAIT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct awaited {
	int pid;		/* 0: not ours to see */
	int pid_fd;		/* readable when the process has ended, or -1 */
	int bdi_fd;		/* folder in /sys that is there as long as any mount, or -1 */
	char image[PATH_MAX];	/* "" when nobody answered: there is nobody to wait for */
	char device[32];	/* MAJOR:MINOR; "" unknown */
	bool shared;		/* this namespace has other mounts of it, too */
};

/* Before the unmount: asks the server. mountpoint: as mountinfo has it. Fini it. */
void mount_wait_init(struct awaited *a, const char *mountpoint);
void mount_wait_fini(struct awaited *a);
/* After it: another mount of the same in this namespace, so that the server goes on. */
bool mount_wait_other(const struct awaited *a, char *point, size_t size);
/*
 * Waits, bounded, for the server's end, and says on standard error what takes long. name: of the
 * mount, for that. 0; -ETIMEDOUT; -errno of asking.
 */
int mount_wait_end(const struct awaited *a, const char *name);
/* After that: false when the server is known to have failed at its end. ret_status as wait(2)'s. */
bool mount_wait_succeeded(const struct awaited *a, int *ret_status);

#endif
