/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which inodes the kernel knows: FUSE's lookup counts.
 *
 * Every entry that a reply hands out adds one, every FORGET subtracts. While the count is
 * not 0 the kernel may name the inode at any time, so an unlinked one must live. Eight bytes
 * per inode known, in tables between a quarter and two thirds full: 12 to 32 bytes; bounded
 * by the kernel's own inode cache, which spends about a kilobyte on each.
 */
#ifndef FUSE4FS_NODES_H
#define FUSE4FS_NODES_H

#include <stdbool.h>
#include <stdint.h>

struct nodes;

int nodes_new(struct nodes **ret);	/* 0 or -ENOMEM */
void nodes_free(struct nodes *n);	/* NULL is fine */

/* One more lookup of ino (not 0). 0 or -ENOMEM (not counted). */
int nodes_get(struct nodes *n, uint32_t ino);
/*
 * Subtracts count; true when that made it 0 (the entry is gone). More than were counted
 * counts as all; an unknown ino is false. A count that ever reached 2^32-1 stays.
 */
bool nodes_put(struct nodes *n, uint32_t ino, uint64_t count);
bool nodes_known(struct nodes *n, uint32_t ino);
uint64_t nodes_count(struct nodes *n);	/* inodes known */
/* Empties n, calling fn for every inode that was known; inside fn it no longer is. */
void nodes_drain(struct nodes *n, void (*fn)(void *arg, uint32_t ino, uint32_t count), void *arg);

#endif
