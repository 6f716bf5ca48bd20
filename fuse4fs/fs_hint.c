/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What opening a file system is going to read, asked for at once.
 *
 * The superblock names the descriptors; the first of them, which the device has read along
 * with it, names the inode table with the journal's inode; a copy of that inode's map in
 * the superblock names the journal's first block. On a device that is far away this
 * makes one wait of three. Hints only: nothing read here is believed, and what is
 * wrong costs a useless read.
 */
#include "fs_internal.h"

#include "blkdev.h"

enum {
	HEAD_BYTES = 64 << 10,		/* read along with the superblock */
	INODES_BYTES = 16 << 10,	/* of the inode table: the journal's and the root's */
	DESC_MIN = 32,
};

void fs_hint_head(struct blkdev *dev)
{
	uint64_t size = blkdev_size(dev);

	blkdev_prefetch(dev, 0, MIN(size, (uint64_t)HEAD_BYTES));
}

static void hint(struct blkdev *dev, uint64_t pblk, uint32_t bs, uint64_t len)
{
	uint64_t size = blkdev_size(dev);

	if (pblk && pblk < size / bs)
		blkdev_prefetch(dev, pblk * bs, MIN(len, size - pblk * bs));
}

/* The first block of the journal, by the copy of its inode's map; 0: not known. */
static uint64_t journal_block(const struct ext2_super_block *sb)
{
	const uint8_t *map = (const uint8_t *)sb->s_jnl_blocks;
	const struct ext3_extent_header *eh = (const void *)map;
	const struct ext3_extent *ex = (const void *)(eh + 1);

	if (sb->s_jnl_backup_type != EXT3_JNL_BACKUP_BLOCKS)
		return 0;
	if (get_le16(&eh->eh_magic) != EXT3_EXT_MAGIC)
		return get_le32(map);
	if (get_le16(&eh->eh_depth) || !get_le16(&eh->eh_entries) || get_le32(&ex->ee_block))
		return 0;
	return get_le32(&ex->ee_start) | (uint64_t)get_le16(&ex->ee_start_hi) << 32;
}

static uint64_t inode_table(struct blkdev *dev, const struct ext2_super_block *sb,
			    uint64_t desc_off, uint32_t desc_size)
{
	struct ext4_group_desc gd = { 0 };
	bool is64 = desc_size >= EXT2_MIN_DESC_SIZE_64BIT;
	size_t len = is64 ? sizeof(gd) : DESC_MIN;

	/* Without a wait, or not at all. */
	if (blkdev_read_nowait(dev, &gd, len, desc_off))
		return 0;
	return get_le32(&gd.bg_inode_table) |
	       (is64 ? (uint64_t)get_le32(&gd.bg_inode_table_hi) << 32 : 0);
}

void fs_hint_metadata(struct blkdev *dev, const struct ext2_super_block *sb)
{
	uint32_t bs = 1024U << le32toh(sb->s_log_block_size);
	uint32_t incompat = le32toh(sb->s_feature_incompat);
	uint32_t desc_size = incompat & EXT4_FEATURE_INCOMPAT_64BIT ? le16toh(sb->s_desc_size) :
								     DESC_MIN;
	uint64_t first = le32toh(sb->s_first_data_block), blocks, ngroups;

	blocks = le32toh(sb->s_blocks_count);
	if (incompat & EXT4_FEATURE_INCOMPAT_64BIT)
		blocks |= (uint64_t)le32toh(sb->s_blocks_count_hi) << 32;
	ngroups = (blocks - first + le32toh(sb->s_blocks_per_group) - 1) /
		  le32toh(sb->s_blocks_per_group);
	/* With meta_bg they are spread; the first block of them is there all the same. */
	if (incompat & EXT2_FEATURE_INCOMPAT_META_BG)
		ngroups = MIN(ngroups, (uint64_t)bs / desc_size);
	hint(dev, first + 1, bs, ngroups * desc_size);
	hint(dev, inode_table(dev, sb, (first + 1) * bs, desc_size), bs, INODES_BYTES);
	if (le32toh(sb->s_feature_compat) & EXT3_FEATURE_COMPAT_HAS_JOURNAL)
		hint(dev, journal_block(sb), bs, bs);
}
