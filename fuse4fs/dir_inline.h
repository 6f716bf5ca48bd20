/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directories inside their inode (inline_data): the parent's number in 4 bytes, records
 * in the rest of i_block, more records in system.data. No record crosses from the one
 * to the other; "." and ".." are not stored. The size is that of both parts.
 *
 * Works on a copy, written back whole. Needs dir->lock and inode_is_inline(dir).
 */
#ifndef FUSE4FS_DIR_INLINE_H
#define FUSE4FS_DIR_INLINE_H

#include "dir_block.h"

enum {
	DIR_INLINE_PARENT = 4,	/* bytes of the parent's number */
	DIR_INLINE_HEAD = 60,	/* i_block */
	DIR_INLINE_AREAS = 2,
	/* A record at offset o here is at o + this in the block it may be moved to. */
	DIR_INLINE_SHIFT = 2 * DIR_REC_MIN - DIR_INLINE_PARENT,
};

struct dir_inline {
	uint8_t *buf;
	uint8_t *heap;		/* NULL, or buf */
	size_t used, size;	/* bytes in buf; its capacity */
	uint8_t small[1024];
};

/* 0 with a copy the caller drops; -EUCLEAN (logged); -ENOMEM. */
int dir_inline_load(struct inode *dir, struct dir_inline *in);
void dir_inline_drop(struct dir_inline *in);
/* Part 0 or 1; false if there is none. */
bool dir_inline_area(const struct dir_inline *in, unsigned i, struct dir_area *ret);

int dir_inline_lookup(struct inode *dir, const char *name, size_t len, uint32_t *ret_ino,
		      uint8_t *ret_ftype);
/* As dir_insert; -ENOSPC: does not fit, dir_inline_convert is due. */
int dir_inline_insert(struct handle *h, struct inode *dir, const struct dir_ent *e);
int dir_inline_remove(struct handle *h, struct inode *dir, const char *name, size_t len);
int dir_inline_replace(struct handle *h, struct inode *dir, const struct dir_ent *e);
int dir_inline_init(struct handle *h, struct inode *dir, uint32_t parent_ino);
int dir_inline_set_parent(struct handle *h, struct inode *dir, uint32_t parent_ino);
int dir_inline_is_empty(struct inode *dir);
/* Into one block, entries in the same order. Nothing has changed on failure. */
int dir_inline_convert(struct handle *h, struct inode *dir);

#endif
