/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by ialloc*.c only. */
#ifndef FUSE4FS_IALLOC_INTERNAL_H
#define FUSE4FS_IALLOC_INTERNAL_H

#include "group_internal.h"

/*
 * ialloc_next_group - the next group to try for a new inode
 *
 * tried   0, 1, 2, ...: how many groups have been tried in vain
 * Returns a group that had free inodes a moment ago, or UINT32_MAX: no more.
 */
uint32_t ialloc_next_group(struct fs *fs, const struct inode *parent, bool is_dir,
			   uint32_t tried);

#endif
