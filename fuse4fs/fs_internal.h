/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by fs_*.c and super.c only. */
#ifndef FUSE4FS_FS_INTERNAL_H
#define FUSE4FS_FS_INTERNAL_H

#include "fs.h"

/* Why there is nothing to serve, with the way out. */
extern const char fs_not_found[];

/*
 * fs_check_super - is this a superblock that may be served as wanted?
 *
 * sb        1024 bytes as on disk
 * dev_size  bytes of the device
 * Checks the magic, the checksum, the features (feature.h) and every number that sizes
 * something. Returns 0; -EINVAL not ext4; -EUCLEAN; -EOPNOTSUPP; -EROFS; why is set.
 */
int fs_check_super(const struct ext2_super_block *sb, uint64_t dev_size, bool readonly,
		   char *why, size_t why_len);
/* Sets fs's geometry and feature fields from fs->e2. */
void fs_decode_super(struct fs *fs);

/* fs_hint.c: prefetches what opening will read; the superblock's surroundings, and when that
 * has been checked by fs_check_super, descriptors, first inodes, journal superblock. */
void fs_hint_head(struct blkdev *dev);
void fs_hint_metadata(struct blkdev *dev, const struct ext2_super_block *sb);

#endif
