/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inline_data: content in i_block (60 bytes) and the in-inode attribute system.data.
 * All need inode->lock (reading: shared) and inode_is_inline(inode).
 */
#ifndef FUSE4FS_INLINE_H
#define FUSE4FS_INLINE_H

#include "inode.h"

/* A new inode: sets the flag, empty content (i_block and an empty system.data, as the
 * kernel keeps one). Changes flags and raw only. -ENOSPC: no room, stays not inline. */
int inline_init(struct inode *inode);
/* Bytes that are stored inline now / could be stored at most. */
int inline_capacity(struct inode *inode, size_t *ret_used, size_t *ret_max);
/* Copies [off, off+len) of the inline area. Short at its end. */
ssize_t inline_read(struct inode *inode, void *buf, size_t len, size_t off);
/* Makes the area `len` bytes of `buf`; stores the inode (size is the caller's).
 * -ENOSPC when it does not fit (nothing changed). */
int inline_write(struct handle *h, struct inode *inode, const void *buf, size_t len);
/* Drops the area and the flag, leaving an empty map (map_init); stores the inode. The
 * caller has the content and puts it into blocks in the same handle. */
int inline_clear(struct handle *h, struct inode *inode);

#endif
