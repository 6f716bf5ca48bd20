/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The primary superblock in the cache: counts, state, errors, label. */
#ifndef FUSE4FS_SUPER_H
#define FUSE4FS_SUPER_H

#include "txn.h"

/* Marks the superblock as changed in this transaction; super_seal fills it in. */
int super_dirty(struct handle *h);
/* Called by a commit while no handle is open: counts, times, errors, checksum. */
int super_seal(struct fs *fs);
void super_add_free(struct fs *fs, int64_t blocks, int64_t inodes);
/* Turns on a feature the image may gain in use (large_file, dir_nlink, ...). */
int super_set_feature(struct handle *h, uint32_t compat, uint32_t incompat, uint32_t ro_compat);
/* First orphan inode (s_last_orphan). */
uint32_t super_last_orphan(struct fs *fs);
int super_set_last_orphan(struct handle *h, uint32_t ino);
/* Mount: clears EXT2_VALID_FS, counts the mount; unmount: sets it. Own handles. */
int super_mark_mounted(struct fs *fs);
int super_mark_clean(struct fs *fs);
/* Writes the error fields straight to the device, past the transactions. */
void super_write_error(struct fs *fs);

#endif
