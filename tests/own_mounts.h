/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mounts of our own: a copy in somebody else's namespace would keep a file system alive when
 * we unmount it, and it would go on writing to an image that is another one by then. They
 * also end with us, however that is.
 */
#ifndef TESTS_OWN_MOUNTS_H
#define TESTS_OWN_MOUNTS_H

#include <mntent.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

/* Other tests' mounts (f4t-, see lib.sh) have copies here, too. Returns how many it detached. */
static inline unsigned own_mounts_detach(const char *dir)
{
	const char *own = strstr(dir, "f4t-");
	const size_t own_len = own ? (size_t)(own - dir) + strcspn(own, "/") : 0;
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	const struct mntent *m;
	unsigned n = 0;

	if (!mounts)
		return 0;
	while ((m = getmntent(mounts)))
		if (strstr(m->mnt_dir, "f4t-") &&
		    (!own || strncmp(m->mnt_dir, dir, own_len)))
			n += !umount2(m->mnt_dir, MNT_DETACH);
	endmntent(mounts);
	return n;
}

/* A namespace without them; what dir, the caller's, is on stays. 0, or -1 with errno. */
static inline int own_mounts(const char *dir)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -1;
	while (own_mounts_detach(dir))
		;	/* a list that shrinks may be read with gaps */
	return 0;
}

#endif
