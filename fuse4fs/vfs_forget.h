/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FORGETs that are carried out when nobody waits for an answer.
 *
 * The kernel sends one for each inode that it drops, right before the next request of who made
 * it drop that: rm deletes file after file, and would wait for each end of the one before.
 * So some are put off until no request waits (the loop's hook spare). The count of references
 * only stays higher for a moment, as if the kernel had sent it later. Who needs what they free
 * carries them out himself: statfs, and who has found no space (fs_options.settle).
 */
#ifndef FUSE4FS_VFS_FORGET_H
#define FUSE4FS_VFS_FORGET_H

#include <stdbool.h>
#include <stdint.h>

#include "lock.h"

struct vfs;

enum { FORGETS_MAX = 64 };

struct forgets {
	struct mutex lock;
	unsigned head, tail;	/* [lock] free-running; [tail, head) wait */
	struct {
		uint32_t ino;
		uint64_t count;
	} ring[FORGETS_MAX];	/* [lock] */
};

void forgets_init(struct forgets *f);
void forgets_fini(struct forgets *f);

/* Puts vfs_forget(v, ino, count) off. False: it is to be done now, there are enough or the file
 * system is nearly full. */
bool vfs_forget_later(struct vfs *v, uint32_t ino, uint64_t count);
/* Carries out the oldest one. False: there is none. */
bool vfs_forget_one(struct vfs *v);
/* All that have been put off, but for those that another thread is at. */
void vfs_forget_waiting(struct vfs *v);

#endif
