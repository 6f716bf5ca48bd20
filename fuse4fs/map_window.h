/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Windows: blocks reserved ahead of a growing file.
 *
 * A window maps logical blocks to reserved ones before they are written, so that
 * writes that arrive out of order still end up side by side. A request inside a
 * window takes its part; what is left before and behind stays as windows. There
 * are few of them: the smallest gives way.
 *
 * Files with windows are on fs->windows, for a full file system to take them back.
 * mc->window changes under inode->lock (exclusively), or under fs->super_lock while
 * the inode is on its way out; whoever empties it from outside holds both.
 */
#ifndef FUSE4FS_MAP_WINDOW_H
#define FUSE4FS_MAP_WINDOW_H

#include "map_cache.h"

/* All but map_window_reclaim: REQUIRES inode->lock exclusively. */

/* Keeps reserved blocks as a window, or gives them back if others are larger. */
void map_window_keep(struct inode *inode, struct map_cache *mc, uint32_t lblk, uint64_t pblk,
		     uint32_t len);
/* Takes up to want blocks from lblk on out of the window that holds lblk. */
bool map_window_take(struct inode *inode, struct map_cache *mc, uint32_t lblk, uint32_t want,
		     uint64_t *ret_pblk, uint32_t *ret_len);
/* Of want blocks from lblk on, those before the next window. */
uint32_t map_window_room(const struct map_cache *mc, uint32_t lblk, uint32_t want);
/* Gives back the windows of all files that are not locked just now. */
void map_window_reclaim(struct fs *fs);

#endif
