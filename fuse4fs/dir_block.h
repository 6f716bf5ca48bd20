/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directory blocks: reading them, their records, the walk over all of them.
 * Everything needs dir->lock (shared to read).
 */
#ifndef FUSE4FS_DIR_BLOCK_H
#define FUSE4FS_DIR_BLOCK_H

#include "dir_area.h"
#include "dir.h"
#include "map.h"

/* Where a name was found. buf is referenced; the holder puts it. */
struct dir_slot {
	struct buf *buf;
	uint32_t lblk;
	struct dir_area area;
	struct dir_pos pos;
};

/*
 * Damage: logs it as fs_error with inode and blocks, the first few times per in-core
 * inode, so that a hostile image cannot fill the log. buf may be NULL.
 * dir_damaged always returns -EUCLEAN.
 */
void dir_log_damage(struct inode *dir, uint32_t lblk, const struct buf *buf, const char *what);
static inline int dir_damaged(struct inode *dir, uint32_t lblk, const struct buf *buf,
			      const char *what)
{
	dir_log_damage(dir, lblk, buf, what);
	return -EUCLEAN;
}

/* Blocks of a directory that is not inline; at most what the image can hold. */
uint32_t dir_nblks(const struct inode *dir);
/* Index flag set. Whether the index is any good is htree.c's to find out. */
static inline bool dir_is_indexed(const struct inode *dir) { return dir->flags & EXT2_INDEX_FL; }
/* Entries are listed in hash order (dir.h). */
bool dir_hash_ordered(const struct inode *dir);
/* Names are encrypted or folded: not served. */
static inline bool dir_is_foreign(const struct inode *dir)
{
	return dir->flags & (EXT4_ENCRYPT_FL | EXT4_CASEFOLD_FL);
}

/* map_read_block, with damage logged. A hole is damage. */
int dir_block_read(struct inode *dir, uint32_t lblk, enum buf_kind kind, struct buf **ret);
/* The records of a leaf. -EUCLEAN (logged) when it has no room for its checksum. */
int dir_block_area(struct inode *dir, uint32_t lblk, struct buf *b, struct dir_area *ret);
/* The area of a block image with or without a checksum tail. Unchecked. */
void dir_block_area_init(const struct fs *fs, uint8_t *data, struct dir_area *ret);
/* Writes the empty checksum tail of a new leaf. Nothing without metadata_csum. */
void dir_block_tail_init(const struct fs *fs, uint8_t *data);
/* "." and ".." at `data`, ".." as the last record up to `end`. */
void dir_block_dots_init(const struct inode *dir, struct dir_area *a, uint32_t parent,
			 uint32_t dotdot_len);
/* "." and ".." of block 0: offset of "..". -EUCLEAN (logged). */
int dir_block_dotdot(struct inode *dir, struct buf *b, uint32_t *ret_off);

/* 0, or -EUCLEAN (logged) for a number no entry may have. */
int dir_check_ino(struct inode *dir, uint32_t lblk, const struct buf *b, uint32_t ino);
/* The same for an entry other than the dots: neither the directory itself nor the root. */
int dir_check_child(struct inode *dir, uint32_t lblk, const struct buf *b, uint32_t ino);

/*
 * Walk over all leaf blocks in block order, index nodes left out, holes jumped over.
 * Start at `first`, wrap around once. Damaged blocks are logged, counted, skipped.
 */
struct dir_walk {
	struct inode *dir;
	uint32_t next, left, nblks;
	unsigned damaged;
};
void dir_walk_init(struct dir_walk *w, struct inode *dir, uint32_t first);
/* 1: *buf (caller puts) and its area; 0: no more; -EIO, -ENOMEM. */
int dir_walk_next(struct dir_walk *w, struct buf **ret_buf, uint32_t *ret_lblk,
		  struct dir_area *ret_area);

/* Start reading the blocks around lblk where they lie together on the device. */
void dir_block_prefetch(struct inode *dir, uint32_t lblk);
enum { DIR_PREFETCH = 32 };	/* blocks: window, aligned */

/*
 * New blocks at the end, all or none: n at nblks.., size not yet changed.
 * ret gets n references. kind of each from kinds[]. -ENOSPC, -EFBIG: nothing changed.
 */
enum { DIR_NEW_MAX = 4 };
int dir_blocks_new(struct handle *h, struct inode *dir, unsigned n, const enum buf_kind *kinds,
		   struct buf **ret);
/* Gives them back after a failure later in the same handle. Consumes the references. */
void dir_blocks_undo(struct handle *h, struct inode *dir, unsigned n, struct buf **bufs);

/*
 * Size (0: as it is), mtime, ctime, version; stores the inode. Done before the first
 * byte of a block changes, because it is the last thing that can fail; on failure the
 * in-core fields are as before.
 */
int dir_store(struct handle *h, struct inode *dir, uint64_t size, uint32_t flags);

#endif
