/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mount itself: made, tuned, taken away.
 *
 * default_permissions is always on: the kernel checks modes, groups and access control lists
 * against what we report, also under uid= and gid=. Mounted by root it is open to everybody
 * (allow_other), by a user it is that user's alone unless asked otherwise; set-user-ID bits
 * and device nodes are dead unless root says suid or dev: the image is not trusted.
 */
#ifndef FUSE4FS_MOUNT_H
#define FUSE4FS_MOUNT_H

#include <stdbool.h>
#include <stddef.h>

struct server;

/* Makes srv->se for the role's operations and mounts it at srv->mountpoint. 0, or -errno and
 * in why what follows the mount point's name. */
int mount_session(struct server *srv, char *why, size_t why_len);
/* Closes the connection and frees the session. The mount, where there still is one, is dead. */
void mount_end(struct server *srv);

/* Larger readahead and normal write-back limits for the mount, where we may (root); the
 * kernel's defaults for FUSE are those of a stranger's server. No error. */
void mount_tune(const struct server *srv);

/* Has the kernel follow no symbolic link in the mount, for which libfuse has no option. Before
 * anything is served. 0; -EPERM; -EINVAL the mount is somebody else's. */
int mount_nosymfollow(const struct server *srv);

/* MAJOR:MINOR of what is mounted there, found without asking its server. False: nothing is,
 * or /proc does not tell. dev: 32 bytes do. */
bool mount_device(const char *mountpoint, char *dev, size_t size);
/* How many mounts there are of it in this mount namespace; writes one of their names. */
unsigned mount_count(const char *dev, char *point, size_t size);
/* Whether this user has mounted what is there, which is whom fusermount3 lets unmount it. */
bool mount_is_ours(const char *mountpoint);

/*
 * Makes umount(8) find our helper. Given an absolute name by root it takes the type from
 * statfs(2), "fuse", and looks for no other helper than that type's, unless mount(8) has noted
 * something about the mount in /run/mount/utab: so it is told to. As root; no error. A note
 * left behind by another way of unmounting says nothing about other mounts.
 */
void mount_register(const char *image, const char *mountpoint);

/*
 * mount_umount - unmount, as root by umount2(2), else with fusermount3
 *
 * mountpoint: absolute and without symbolic links. lazy: detach now, the rest happens when the
 * last user leaves. 0 or -errno: -EBUSY, -EINVAL not a mount point, -EPERM, -ENOPKG there is no
 * fusermount3.
 */
int mount_umount(const char *mountpoint, bool lazy, bool force);
/*
 * mount_drain - have everything written and sent before an unmount
 *
 * For an image elsewhere, where that may take long, says on standard error how much is left.
 * Blocks for as long as it is being tried. 0; -errno: something was not written, and will not be
 * by the unmount.
 */
int mount_drain(const char *mountpoint);
/* The whole of `fuse4fs -u`: unmounts, waits, bounded, for the server's end, and says whether
 * everything was written. Not for other mounts of the same: the server goes on for these. */
int mount_umount_main(const char *name, bool lazy, bool force);

#endif
