/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Classic block maps: 12 direct pointers, then single, double and triple indirect
 * blocks. Called by map.c only. Pointers have 32 bits; blocks above never get in.
 *
 * Source: linux Documentation/filesystems/ext4/ifork.rst, "Direct/Indirect Block
 * Addressing".
 */
#ifndef FUSE4FS_INDIRECT_H
#define FUSE4FS_INDIRECT_H

#include "group.h"
#include "map.h"

enum {
	INDIRECT_DIRECT = 12,		/* direct pointers; then one root per depth */
	INDIRECT_MAX_DEPTH = 3,
};

/* Same contracts as the map_* functions of these names. */
int indirect_lookup(struct inode *inode, uint32_t lblk, struct run *ret_run);
int indirect_insert(struct handle *h, struct inode *inode, const struct run *run);
int indirect_remove(struct handle *h, struct inode *inode, uint32_t lblk, uint64_t end,
		    uint64_t *ret_next);
unsigned indirect_credits(struct inode *inode);
unsigned indirect_remove_credits(struct inode *inode);
uint32_t indirect_max_insert(const struct inode *inode);
void indirect_init(struct inode *inode);
/* Blocks that a map of this block size can address, at most MAP_END. */
uint64_t indirect_end(const struct inode *inode);

/*
 * The way from i_block to the array that holds the pointer of one logical block
 * (indirect_path.c). Missing blocks end it early.
 */
struct indirect_path {
	struct inode *inode;
	unsigned depth;				/* indirect blocks above lblk, 0 .. 3 */
	unsigned have;				/* how many of them exist */
	unsigned off[INDIRECT_MAX_DEPTH + 1];	/* index at each level, i_block first */
	struct buf *buf[INDIRECT_MAX_DEPTH + 1];/* [1 .. have] */
	uint32_t first;				/* logical block of the last array's index 0 */
};

/* Returns 0; -EFBIG lblk cannot be addressed; -EUCLEAN (logged), -EIO, -ENOMEM. */
int indirect_path_open(struct inode *inode, uint32_t lblk, struct indirect_path *path);
void indirect_path_close(struct indirect_path *path);
#define AUTOIPATH __attribute__((cleanup(indirect_path_close))) struct indirect_path

/* Pointers of one level: i_block or an indirect block. */
uint32_t indirect_get(const struct indirect_path *path, unsigned level, unsigned off);
void indirect_put(struct indirect_path *path, unsigned level, unsigned off, uint32_t pblk);
/* Frees the indirect blocks of path that hold nothing any more, from the last up
 * (indirect_remove.c). What cannot be freed stays where it is. */
int indirect_prune(struct handle *h, struct indirect_path *path);
/* Length of the array of one level that lblk's pointer belongs to. */
unsigned indirect_width(const struct indirect_path *path, unsigned level);
/* Logical blocks below one pointer of this level. */
uint64_t indirect_span(const struct indirect_path *path, unsigned level);

#endif
