/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading an inode from its table, and refusing what cannot be served.
 *
 * Tables are read in neighbourhoods: a cold `ls -l` visits inodes in order of their
 * names but they lie together. What is wrong with an inode is logged only when its
 * bitmap says that it is in use: a stale handle may name anything.
 */
#include <errno.h>

#include "csum.h"
#include "group.h"
#include "inode_int.h"

enum { PREFETCH_BYTES = 128 << 10, PREFETCH_BLOCKS = 32 };

/* Blocks at the start of a group's table that hold inodes in use. */
static uint32_t used_table_blocks(struct fs *fs, dgrp_t group)
{
	uint32_t unused = fs->has_gdt_csum ? ext2fs_bg_itable_unused(fs->e2, group) : 0;
	uint32_t used = fs->inodes_per_group - MIN(unused, fs->inodes_per_group);

	return div_up((uint64_t)used * fs->inode_size, fs->block_size);
}

/* pblk holds inode ino; reads what is around it too. */
static void prefetch_around(struct fs *fs, uint32_t ino, uint64_t pblk)
{
	dgrp_t group = (ino - 1) / fs->inodes_per_group;
	uint64_t byte = (uint64_t)((ino - 1) % fs->inodes_per_group) * fs->inode_size;
	uint32_t index = byte >> fs->block_bits;
	uint32_t fit = MAX(1, PREFETCH_BYTES >> fs->block_bits);
	uint32_t window = MIN((uint32_t)PREFETCH_BLOCKS, fit);
	uint32_t first = round_down(index, window);
	uint32_t end = MIN(first + window, used_table_blocks(fs, group));
	struct buf *cached = cache_peek(fs->cache, pblk);

	if (cached) {
		cache_put(cached);
		return;
	}
	if (index < end && end - first > 1 && pblk >= index)
		cache_prefetch(fs->cache, pblk - (index - first), end - first);
}

static int read_raw(struct inode *inode)
{
	struct fs *fs = inode->fs;
	struct mutex *slot = inode_slot_lock(fs, inode->ino);
	uint64_t pblk;
	uint32_t off;
	AUTOBUF buf = NULL;
	int err = group_inode_loc(fs, inode->ino, &pblk, &off);

	if (err)
		return err;
	prefetch_around(fs, inode->ino, pblk);
	err = cache_read(fs->cache, pblk, BUF_RAW, 0, &buf);
	if (err)
		return fs_error(fs, err, inode->ino, pblk, "cannot read inode table");
	mutex_lock(slot);
	memcpy(inode->raw, buf->data + off, fs->inode_size);
	mutex_unlock(slot);
	return 0;
}

static const char *check_extra_isize(const struct inode *inode)
{
	uint32_t extra = inode_extra_isize(inode);

	if (extra + EXT2_GOOD_OLD_INODE_SIZE > inode->fs->inode_size || extra % 4)
		return "i_extra_isize out of range";
	return NULL;
}

/*
 * An inode of before the extra fields (extra size 0) has nothing behind the first
 * 128 bytes; it gets them with the next store, as the kernel does it.
 */
static void grow_extra_isize(struct inode *inode)
{
	struct fs *fs = inode->fs;
	uint32_t extra = sizeof(struct ext2_inode_large) - EXT2_GOOD_OLD_INODE_SIZE;

	if (fs->inode_size <= EXT2_GOOD_OLD_INODE_SIZE || inode_extra_isize(inode))
		return;
	memset(inode->raw + EXT2_GOOD_OLD_INODE_SIZE, 0,
	       fs->inode_size - EXT2_GOOD_OLD_INODE_SIZE);
	if (EXT2_GOOD_OLD_INODE_SIZE + extra <= fs->inode_size)
		put_le16(inode->raw + EXT2_GOOD_OLD_INODE_SIZE, extra);
}

static const char *check_flags(const struct inode *inode)
{
	const struct fs *fs = inode->fs;
	uint32_t flags = inode->flags;

	if ((flags & EXT4_EXTENTS_FL) && !fs->has_extents)
		return "extents without the feature";
	if ((flags & EXT4_INLINE_DATA_FL) && !fs->has_inline_data)
		return "inline data without the feature";
	if ((flags & EXT4_INLINE_DATA_FL) && (flags & EXT4_EXTENTS_FL))
		return "both inline data and extents";
	if ((flags & EXT4_EA_INODE_FL) && !fs->has_ea_inode)
		return "an attribute inode without the feature";
	if (S_ISDIR(inode->mode) && (flags & EXT2_INDEX_FL) && !fs->has_dir_index)
		return "a directory index without the feature";
	/* The mount gate refuses images with these features. */
	if (flags & (EXT4_ENCRYPT_FL | EXT4_CASEFOLD_FL))
		return "encryption or case folding without the feature";
	return NULL;
}

static const char *check_symlink(struct inode *inode)
{
	const uint8_t *target = inode_block(inode);

	if (inode->flags & (EXT2_IMMUTABLE_FL | EXT2_APPEND_FL))
		return "a symbolic link with immutable or append-only flag";
	/* An orphan whose deletion was cut short. */
	if (inode->size == 0 && inode->nlink == 0)
		return NULL;
	if (inode->size == 0 || inode->size > MIN(4096, inode->fs->block_size))
		return "symbolic link of impossible length";
	if (!inode_is_fast_symlink(inode))
		return NULL;
	if (inode->size >= sizeof(((struct ext2_inode *)0)->i_block) ||
	    memchr(target, 0, inode->size))
		return "fast symbolic link of impossible length";
	return NULL;
}

static const char *check_by_type(struct inode *inode)
{
	switch (inode->mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
		/* Block numbers are 32 bits wide. */
		if (inode->size > (uint64_t)inode->fs->block_size << 32)
			return "size beyond what block numbers reach";
		return NULL;
	case S_IFLNK:
		return check_symlink(inode);
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		if (inode->flags & (EXT4_INLINE_DATA_FL | EXT4_EXTENTS_FL))
			return "a special file with data";
		return NULL;
	}
	return "unknown file type";
}

static const char *check(struct inode *inode)
{
	const char *why = check_flags(inode);

	if (!why)
		why = check_by_type(inode);
	if (!why && inode->blocks >> 55)
		why = "impossible block count";
	if (!why && inode->file_acl && !fs_block_valid(inode->fs, inode->file_acl, 1))
		why = "attribute block outside the data blocks";
	return why;
}

/* Damaged, unless the number is free: then whatever is in the table means nothing. */
static int reject(struct inode *inode, const char *why)
{
	int used = ialloc_in_use(inode->fs, inode->ino);

	if (used == 0)
		return -ESTALE;
	return fs_error(inode->fs, -EUCLEAN, inode->ino, 0, "damaged inode: %s", why);
}

/* Before the checksum: a table never written has none. */
static bool is_unused(const uint8_t *raw)
{
	return get_le16(raw + offsetof(struct ext2_inode, i_mode)) == 0 &&
	       get_le16(raw + offsetof(struct ext2_inode, i_links_count)) == 0;
}

int inode_load(struct inode *inode, unsigned allow)
{
	struct fs *fs = inode->fs;
	const char *why;
	int err = read_raw(inode);

	if (err)
		return err;
	if (is_unused(inode->raw))
		return -ESTALE;
	why = check_extra_isize(inode);
	if (why)
		return reject(inode, why);
	inode->gen = get_le32(inode->raw + offsetof(struct ext2_inode, i_generation));
	inode->csum_seed = csum_inode_seed(fs, inode->ino, inode->gen);
	if (!csum_inode_verify(fs, inode->csum_seed, inode->ino, inode->raw))
		return reject(inode, "wrong checksum");
	grow_extra_isize(inode);
	inode_decode(inode);
	if (!(allow & INODE_ALLOW_UNLINKED) && inode->nlink == 0)
		return -ESTALE;
	why = check(inode);
	if (why)
		return reject(inode, why);
	inode->internal = inode->flags & EXT4_EA_INODE_FL;
	return 0;
}
