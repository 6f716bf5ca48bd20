/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by balloc*.c only. */
#ifndef FUSE4FS_BALLOC_INTERNAL_H
#define FUSE4FS_BALLOC_INTERNAL_H

#include "group_internal.h"

/*
 * balloc_search - find and hold the best run of up to `want` free blocks
 *
 * The held blocks leave groups->avail, not fs->avail_blocks. -ENOSPC when no group has a
 * free block; -ENOMEM, -EIO.
 */
int balloc_search(struct fs *fs, uint64_t goal, uint32_t want, uint64_t *ret_pblk,
		  uint32_t *ret_len);
/* Holds / releases bits of a loaded map. REQUIRES the group's lock. */
void balloc_hold(struct groups *gs, struct group_map *map, uint32_t bit, uint32_t n);
void balloc_unhold(struct groups *gs, struct group_map *map, uint32_t bit, uint32_t n);

#endif
