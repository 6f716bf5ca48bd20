/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Directories without an index: blocks of records in no order. Needs dir->lock. */
#ifndef FUSE4FS_DIR_LINEAR_H
#define FUSE4FS_DIR_LINEAR_H

#include "dir_block.h"

/*
 * Searches all leaf blocks, of a damaged index too, from the block of the last hit on.
 * 0 with the slot (caller puts its buf); -ENOENT; -EUCLEAN not found, but a block could
 * not be searched (logged); -EIO; -ENOMEM.
 */
int dir_linear_find(struct inode *dir, const char *name, size_t len, struct dir_slot *ret);
/* As dir_insert. Turns a full single block into an index where the image has dir_index. */
int dir_linear_insert(struct handle *h, struct inode *dir, const struct dir_ent *e);

#endif
