/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The primary superblock in the cache: counts, state, errors, label. What changes it marks it
 * first (super_dirty, commit_hooks.h).
 *
 * Its buf stays pinned from super_open to super_close. What changes all the time
 * (free counts, write time, errors) lives in struct fs and is encoded by super_seal.
 */
#ifndef FUSE4FS_SUPER_H
#define FUSE4FS_SUPER_H

#include "commit_hooks.h"	/* the other half of super.c */
#include "txn.h"

/* Pins the superblock's block; needs the cache. 0, -EIO, -ENOMEM. */
int super_open(struct fs *fs);
void super_close(struct fs *fs);

void super_add_free(struct fs *fs, int64_t blocks, int64_t inodes);
/* Turns on a feature the image may gain in use (large_file, dir_nlink, ...). */
int super_set_feature(struct handle *h, uint32_t compat, uint32_t incompat, uint32_t ro_compat);
/* Turns off a feature that only says what is there now (orphan_present, needs_recovery). */
int super_clear_feature(struct handle *h, uint32_t compat, uint32_t incompat,
			uint32_t ro_compat);
/* First orphan inode (s_last_orphan). */
uint32_t super_last_orphan(struct fs *fs);
int super_set_last_orphan(struct handle *h, uint32_t ino);
/* label: 16 bytes, NUL-padded. */
void super_label(struct fs *fs, char label[16]);
int super_set_label(struct handle *h, const char label[16]);
/*
 * Mount: clears EXT2_VALID_FS, counts the mount, notes where. Unmount: restores the state found at
 * mount, plus EXT2_ERROR_FS if there were errors. Own handles; durable on return, but for
 * the mark of a mount with a journal, which comes with the first transaction.
 */
int super_mark_mounted(struct fs *fs);
int super_mark_clean(struct fs *fs);

#endif
