/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Block groups: descriptors in core, bitmaps on demand.
 *
 * The descriptor's counts live in struct group; group_seal writes them (and the
 * bitmap checksums) into the cached descriptor blocks when a commit closes. Each
 * group that allocation has touched keeps a `busy` bitmap for blocks and inodes:
 * on-disk bit OR reserved in core OR freed by a transaction not yet durable (I3).
 * Only `busy` is searched; only a handle changes the on-disk bitmap.
 */
#ifndef FUSE4FS_GROUP_H
#define FUSE4FS_GROUP_H

#include "commit_hooks.h"	/* the other half of group_seal.c */
#include "txn.h"

/*
 * Reads and checks every descriptor (from fs->e2); sets fs->free_blocks, free_inodes,
 * avail_blocks, overhead_blocks. Wrong descriptors: -EUCLEAN, but on a read-only mount
 * only a log line. why: sentence for the user. Also -ENOMEM.
 */
int group_open(struct fs *fs, struct groups **ret, char *why, size_t why_len);
/*
 * The journal's blocks are system blocks from now on, as the kernel's block_validity has it:
 * not free whatever a bitmap says, and nobody's data. Before anything is allocated or
 * mapped. -ENOMEM; -EUCLEAN metadata of the groups lies among them (protected all the same).
 */
int group_protect(struct fs *fs, const struct fs_run *runs, size_t n);
/* The transactions must be closed. NULL is fine. */
void group_close(struct groups *g);
/* Blocks nobody uses or has reserved, for statfs. */
uint64_t group_free_blocks(struct fs *fs);

/* True when something freed waits for its commit. */
bool group_pending(struct fs *fs);
/*
 * The same, but waits up to half a second for files that were unlinked a moment ago: the kernel
 * tells of its last reference after unlink(2) has returned, and until then they hold their blocks.
 * Who keeps such a file open delays ENOSPC by that; two seconds after the unlink nobody waits.
 */
bool group_wait_pending(struct fs *fs);
/*
 * True when err is -ENOSPC and a commit has since given freed blocks or inodes back: what
 * failed, inside a handle that has been stopped, is worth another try. *tries is 0 at first
 * and bounds them. (balloc_reserve commits by itself.) Waits; no handle may be open.
 */
bool group_retry(struct fs *fs, int err, unsigned *tries);

/*
 * Blocks (balloc.c). Reservation is in core only and needs no handle, so that
 * data can be written before the metadata that points to it exists:
 *   balloc_reserve -> blkdev_write -> txn_begin -> balloc_commit + map_insert -> txn_stop
 */

/* goal: preferred first block; want >= 1 blocks; returns the best run found, of
 * at least 1 block, inside one group. root: may use the root-reserved blocks. -ENOSPC;
 * -EROFS, -EIO by state; -ENOMEM. Call it with no handle: it may wait for a commit that
 * makes freed blocks usable. Groups with bad bitmaps are passed over. */
int balloc_reserve(struct fs *fs, uint64_t goal, uint32_t want, bool root,
		   uint64_t *ret_pblk, uint32_t *ret_len);
/* Gives back (part of) a reservation that was not committed. */
void balloc_unreserve(struct fs *fs, uint64_t pblk, uint32_t len);
/* Sets the bits on disk; the range was reserved. Credits: BALLOC_CREDITS. */
int balloc_commit(struct handle *h, uint64_t pblk, uint32_t len);
/* Frees blocks. metadata: revoke and drop cached copies. -EUCLEAN when a block was
 * already free or is a system block (logged; nothing freed of that group). */
int balloc_free(struct handle *h, uint64_t pblk, uint64_t len, bool metadata);
/* Before a free that must not fail halfway: has the bitmaps of [pblk, pblk+len) join the
 * handle. -EIO, -ENOMEM; 0 also for what balloc_free will refuse as damage. */
int balloc_join(struct handle *h, uint64_t pblk, uint64_t len);
/* One metadata block, reserved and committed at once. May use the root-reserved blocks:
 * it belongs to data that has its room already. Never waits for a commit. */
int balloc_new_block(struct handle *h, uint64_t goal, uint64_t *ret_pblk);
/* Where a new inode's data should start. */
uint64_t balloc_goal(struct fs *fs, const struct inode *inode);
/* FITRIM on bytes [start, start+len): discards free runs >= minlen. */
int balloc_trim(struct fs *fs, uint64_t start, uint64_t len, uint64_t minlen,
		uint64_t *ret_trimmed);
enum { BALLOC_CREDITS = 4 };	/* bitmap, descriptor, superblock, slack; per group touched */

/*
 * Inodes (ialloc.c). Orlov for directories near the root, else the parent's group.
 */
/* Allocates ino, marks it, initialises the table if needed, counts used_dirs. parent may
 * be NULL. -ENOSPC (see group_pending). */
int ialloc_new(struct handle *h, const struct inode *parent, bool is_dir, uint32_t *ret_ino);
/* As balloc_join, for an inode's bit. */
int ialloc_join(struct handle *h, uint32_t ino);
/* Frees it (bitmap, counts). The inode itself was stored with its dtime. */
int ialloc_free(struct handle *h, uint32_t ino, bool is_dir);
/* 1 in use, 0 free, or -errno: for checking handles and directory entries. */
int ialloc_in_use(struct fs *fs, uint32_t ino);
enum { IALLOC_CREDITS = 6 };

/* Where an inode's bytes are: block and offset in it. -EUCLEAN bad descriptor. */
int group_inode_loc(struct fs *fs, uint32_t ino, uint64_t *ret_pblk, uint32_t *ret_off);

#endif
