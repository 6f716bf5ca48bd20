/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directories: inline, linear, hash-indexed (htree), behind one interface.
 *
 * All functions need dir->lock: shared to read, exclusive to change. Names are bytes,
 * 1..255, no '/' or NUL; longer gives -ENAMETOOLONG. A damaged block is an -EUCLEAN for
 * what it holds, logged once with inode and block; the rest of the directory is served.
 */
#ifndef FUSE4FS_DIR_H
#define FUSE4FS_DIR_H

#include "inode.h"

/* ftype: EXT2_FT_*, EXT2_FT_UNKNOWN where the image stores none. -ENOENT. */
int dir_lookup(struct inode *dir, const char *name, size_t len, uint32_t *ret_ino,
	       uint8_t *ret_ftype);
/* -EEXIST; -ENOSPC (also: htree full without large_dir). Stores the dir inode (size,
 * mtime, ctime, version). Credits: dir_credits. On failure nothing has changed. */
int dir_insert(struct handle *h, struct inode *dir, const char *name, size_t len,
	       uint32_t ino, uint8_t ftype);
/* -ENOENT. Stores the dir inode. */
int dir_remove(struct handle *h, struct inode *dir, const char *name, size_t len);
/* Points an existing name at another inode, in place. */
int dir_replace(struct handle *h, struct inode *dir, const char *name, size_t len,
		uint32_t ino, uint8_t ftype);
/* New directory: "." and "..", first block or inline. Sets size; caller stores. */
int dir_init(struct handle *h, struct inode *dir, uint32_t parent_ino);
int dir_get_parent(struct inode *dir, uint32_t *ret_ino);
int dir_set_parent(struct handle *h, struct inode *dir, uint32_t parent_ino);
/* 1 empty, 0 not, -errno. */
int dir_is_empty(struct inode *dir);
/* Most blocks an insert, removal or replacement may dirty (incl. dir's inode). */
unsigned dir_credits(struct inode *dir);

/*
 * dir_read - entries after `cookie` (0: from the start, "." and ".." first)
 *
 * emit gets the cookie to continue *after* this entry; it returns false to stop
 * (this entry was not taken). Cookies stay valid while the directory changes: an entry
 * that exists throughout is seen exactly once. Hash order where the file system has
 * dir_index and the directory is one block, inline or indexed (so that growing an index
 * keeps cookies), block order else. name is not NUL-terminated.
 */
typedef bool (*dir_emit)(void *arg, const char *name, size_t len, uint32_t ino,
			 uint8_t ftype, uint64_t next_cookie);
int dir_read(struct inode *dir, uint64_t cookie, dir_emit emit, void *arg);

uint8_t dir_ftype(uint16_t mode);	/* EXT2_FT_* of a mode, by fs->has_filetype at store */

#endif
