/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the file_*.c share. */
#ifndef FUSE4FS_FILE_INTERNAL_H
#define FUSE4FS_FILE_INTERNAL_H

#include "file.h"
#include "group.h"
#include "map_cache.h"

/* Block that holds byte off; first block at or behind byte off. */
static inline uint64_t file_lblk(const struct inode *inode, uint64_t off)
{
	return off >> inode->fs->block_bits;
}
static inline uint64_t file_lblk_up(const struct inode *inode, uint64_t off)
{
	return (off >> inode->fs->block_bits) + (fs_block_off(inode->fs, off) != 0);
}

static inline uint64_t file_run_end(const struct run *r)
{
	return (uint64_t)r->lblk + r->len;
}

/* True for what has a map: regular files, directories, links with a block. */
bool file_is_mapped(struct inode *inode);

/* Credits to commit len reserved blocks and insert them as one run. */
unsigned file_insert_credits(struct inode *inode, uint64_t pblk, uint32_t len);
/*
 * Commits reserved blocks and inserts them. On failure the run is free again:
 * nothing has changed. REQUIRES inode->lock exclusively.
 */
int file_insert(struct handle *h, struct inode *inode, const struct run *run);

/*
 * inode->io, fair to those who want it exclusively: rwlocks prefer readers, and a file
 * that is read without a break would never be truncated. Not recursive.
 */
void file_share(struct inode *inode) ACQUIRE_SHARED(inode->io);
void file_unshare(struct inode *inode) RELEASE_SHARED(inode->io);
void file_exclude(struct inode *inode) ACQUIRE(inode->io);
void file_unexclude(struct inode *inode) RELEASE(inode->io);

/*
 * Claims: writers that allocate hold the blocks they are about to map, so that no
 * two of them allocate or zero-pad the same block (file_range.c).
 */
struct file_claim {
	struct map_cache *mc;
	struct list node;
	uint64_t lblk, end;
};
/* Waits until no other claim overlaps. 0 or -ENOMEM. REQUIRES inode->io shared and
 * no other lock, no handle. */
int file_claim(struct inode *inode, struct file_claim *c, uint64_t lblk, uint64_t end);
void file_unclaim(struct file_claim *c);

/* Writes zeros over bytes [off, end) of one block where it is mapped and written.
 * REQUIRES inode->io exclusively, or a claim on the block where it is behind the end of
 * the file; takes the lock. */
int file_zero_part(struct inode *inode, uint64_t off, uint64_t end);

/*
 * map_remove over as many handles as it takes, storing the inode in each; sets the
 * times where `now` is not NULL. REQUIRES inode->io exclusively; takes the lock.
 */
int file_unmap(struct inode *inode, uint64_t lblk, uint64_t end, const struct timespec *now);

/*
 * Does a change of the data set mtime and ctime here? [inode->lock] Not where the kernel's
 * client keeps them: it tells new ones itself, and tells nothing when its clock still stands at
 * the last ones, so setting any here would part us for good. But it does not date what is
 * written past its cache (chattr +S).
 */
static inline bool file_sets_times(const struct inode *inode, bool past_cache)
{
	const struct fs *fs = inode->fs;

	if (!fs->client_times)
		return true;
	return past_cache && fs->sync_files_bypass && (inode->flags & EXT2_SYNC_FL);
}

static inline void file_touch(struct inode *inode, const struct timespec *now, bool past_cache)
{
	if (file_sets_times(inode, past_cache))
		inode->mtime = inode->ctime = *now;
}

/* Inline files (file_inline.c). All take the lock themselves but for _locked. */
/* Reads [off, off + len), which lies inside the file: zeros where nothing is stored. */
int file_inline_read_locked(struct inode *inode, void *buf, size_t len, uint64_t off);
/* past_cache: file_sets_times. 1 written; 0 the file is not inline (any more); -errno. */
int file_inline_write(struct inode *inode, const void *buf, size_t len, uint64_t off, bool root,
		      bool past_cache);
/* Same results; bytes [off, end) become zeros, the size stays. */
int file_inline_zero(struct inode *inode, uint64_t off, uint64_t end);
/* Same results; sets the size. */
int file_inline_truncate(struct inode *inode, uint64_t size);
/* Moves the content to a block; 0 also when it was not inline. */
int file_inline_to_blocks(struct inode *inode, bool root);

#endif
