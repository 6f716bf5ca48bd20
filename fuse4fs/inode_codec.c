/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The on-disk inode, decoded and encoded. Pure: memory to memory.
 *
 * Fields past the first 128 bytes exist only as far as i_extra_isize reaches.
 * Source: linux Documentation/filesystems/ext4/inodes.rst.
 */
#include <errno.h>

#include "inode_int.h"

#define FIELD(name)	offsetof(struct ext2_inode_large, name)
/* Whether a field behind the first 128 bytes is there. */
#define HAS_FIELD(inode, name) \
	(inode_extra_isize(inode) + EXT2_GOOD_OLD_INODE_SIZE >= \
	 FIELD(name) + sizeof(((struct ext2_inode_large *)0)->name))

enum {
	VERSION_LO = FIELD(osd1.linux1.l_i_version),
	BLOCKS_HI = FIELD(osd2.linux2.l_i_blocks_hi),
	FILE_ACL_HI = FIELD(osd2.linux2.l_i_file_acl_high),
	UID_HI = FIELD(osd2.linux2.l_i_uid_high),
	GID_HI = FIELD(osd2.linux2.l_i_gid_high),
};

enum { EPOCH_BITS = 2, EPOCH_MASK = 3, NS_MAX = 999999999 };

/* Latest second with two epoch bits. */
static const int64_t time_max_extra = (INT64_C(1) << 34) - 1 + INT32_MIN;

unsigned inode_extra_isize(const struct inode *inode)
{
	if (inode->fs->inode_size <= EXT2_GOOD_OLD_INODE_SIZE)
		return 0;
	return get_le16(inode->raw + FIELD(i_extra_isize));
}

static struct timespec decode_time(const uint8_t *raw, size_t sec_pos, size_t extra_pos)
{
	struct timespec ts = { .tv_sec = (int32_t)get_le32(raw + sec_pos) };

	if (extra_pos) {
		uint32_t extra = get_le32(raw + extra_pos);

		ts.tv_sec += (int64_t)(extra & EPOCH_MASK) << 32;
		ts.tv_nsec = MIN(extra >> EPOCH_BITS, (uint32_t)NS_MAX);
	}
	return ts;
}

/* Cuts *ts to what is stored: the in-core time never differs from the disk's. */
static void encode_time(uint8_t *raw, struct timespec *ts, size_t sec_pos, size_t extra_pos)
{
	int64_t max = extra_pos ? time_max_extra : INT32_MAX;
	int64_t sec = MIN(MAX((int64_t)ts->tv_sec, (int64_t)INT32_MIN), max);

	ts->tv_sec = sec;
	put_le32(raw + sec_pos, (uint32_t)sec);
	if (!extra_pos) {
		ts->tv_nsec = 0;
		return;
	}
	put_le32(raw + extra_pos, (uint32_t)ts->tv_nsec << EPOCH_BITS |
		 (uint32_t)((sec - (int32_t)sec) >> 32 & EPOCH_MASK));
}

static size_t extra_pos(const struct inode *inode, size_t pos)
{
	return inode_extra_isize(inode) + EXT2_GOOD_OLD_INODE_SIZE >= pos + 4 ? pos : 0;
}

static void decode_times(struct inode *inode)
{
	const uint8_t *raw = inode->raw;

	inode->atime = decode_time(raw, FIELD(i_atime), extra_pos(inode, FIELD(i_atime_extra)));
	inode->mtime = decode_time(raw, FIELD(i_mtime), extra_pos(inode, FIELD(i_mtime_extra)));
	inode->ctime = decode_time(raw, FIELD(i_ctime), extra_pos(inode, FIELD(i_ctime_extra)));
	if (HAS_FIELD(inode, i_crtime))
		inode->crtime = decode_time(raw, FIELD(i_crtime),
					    extra_pos(inode, FIELD(i_crtime_extra)));
}

static void encode_times(struct inode *inode)
{
	uint8_t *raw = inode->raw;

	encode_time(raw, &inode->atime, FIELD(i_atime), extra_pos(inode, FIELD(i_atime_extra)));
	encode_time(raw, &inode->mtime, FIELD(i_mtime), extra_pos(inode, FIELD(i_mtime_extra)));
	encode_time(raw, &inode->ctime, FIELD(i_ctime), extra_pos(inode, FIELD(i_ctime_extra)));
	if (HAS_FIELD(inode, i_crtime))
		encode_time(raw, &inode->crtime, FIELD(i_crtime),
			    extra_pos(inode, FIELD(i_crtime_extra)));
}

/* In 512-byte units: 32 bits; with huge_file 48, or 48 bits of file-system blocks. */
static uint64_t decode_blocks(const struct inode *inode)
{
	uint64_t blocks = get_le32(inode->raw + FIELD(i_blocks));

	if (!inode->fs->has_huge_file)
		return blocks;
	blocks |= (uint64_t)get_le16(inode->raw + BLOCKS_HI) << 32;
	if (inode->flags & EXT4_HUGE_FILE_FL)
		blocks <<= inode->fs->block_bits - 9;
	return blocks;
}

static int encode_blocks(struct inode *inode)
{
	uint64_t blocks = inode->blocks;

	inode->flags &= ~EXT4_HUGE_FILE_FL;
	if (blocks >> 32 && !inode->fs->has_huge_file)
		return -EUCLEAN;
	if (blocks >> 48) {
		inode->flags |= EXT4_HUGE_FILE_FL;
		blocks >>= inode->fs->block_bits - 9;
		if (blocks >> 48)
			return -EUCLEAN;
	}
	put_le32(inode->raw + FIELD(i_blocks), (uint32_t)blocks);
	put_le16(inode->raw + BLOCKS_HI, blocks >> 32);
	return 0;
}

/* Old images keep a directory's ACL block where others keep the high half. */
static bool has_size_high(const struct inode *inode)
{
	return S_ISREG(inode->mode) || inode->fs->has_large_dir;
}

void inode_decode(struct inode *inode)
{
	const uint8_t *raw = inode->raw;

	inode->mode = get_le16(raw + FIELD(i_mode));
	inode->type = inode->mode & S_IFMT;
	inode->uid = get_le16(raw + FIELD(i_uid)) | (uint32_t)get_le16(raw + UID_HI) << 16;
	inode->gid = get_le16(raw + FIELD(i_gid)) | (uint32_t)get_le16(raw + GID_HI) << 16;
	inode->nlink = get_le16(raw + FIELD(i_links_count));
	inode->flags = get_le32(raw + FIELD(i_flags));
	inode->gen = get_le32(raw + FIELD(i_generation));
	inode->dtime = get_le32(raw + FIELD(i_dtime));
	inode->size = get_le32(raw + FIELD(i_size));
	if (has_size_high(inode))
		inode->size |= (uint64_t)get_le32(raw + FIELD(i_size_high)) << 32;
	inode->blocks = decode_blocks(inode);
	inode->file_acl = get_le32(raw + FIELD(i_file_acl));
	if (inode->fs->has_64bit)
		inode->file_acl |= (uint64_t)get_le16(raw + FILE_ACL_HI) << 32;
	inode->version = get_le32(raw + VERSION_LO);
	if (HAS_FIELD(inode, i_version_hi))
		inode->version |= (uint64_t)get_le32(raw + FIELD(i_version_hi)) << 32;
	if (inode->fs->has_project && HAS_FIELD(inode, i_projid))
		inode->projid = get_le32(raw + FIELD(i_projid));
	decode_times(inode);
}

int inode_encode(struct inode *inode)
{
	uint8_t *raw = inode->raw;
	int err = encode_blocks(inode);

	if (err)
		return err;
	put_le16(raw + FIELD(i_mode), inode->mode);
	put_le16(raw + FIELD(i_uid), inode->uid);
	put_le16(raw + UID_HI, inode->uid >> 16);
	put_le16(raw + FIELD(i_gid), inode->gid);
	put_le16(raw + GID_HI, inode->gid >> 16);
	put_le16(raw + FIELD(i_links_count), inode->nlink);
	put_le32(raw + FIELD(i_flags), inode->flags);
	put_le32(raw + FIELD(i_generation), inode->gen);
	put_le32(raw + FIELD(i_size), inode->size);
	if (has_size_high(inode))
		put_le32(raw + FIELD(i_size_high), inode->size >> 32);
	put_le32(raw + FIELD(i_file_acl), inode->file_acl);
	if (inode->fs->has_64bit)
		put_le16(raw + FILE_ACL_HI, inode->file_acl >> 32);
	put_le32(raw + VERSION_LO, inode->version);
	if (HAS_FIELD(inode, i_version_hi))
		put_le32(raw + FIELD(i_version_hi), inode->version >> 32);
	if (inode->fs->has_project && HAS_FIELD(inode, i_projid))
		put_le32(raw + FIELD(i_projid), inode->projid);
	encode_times(inode);
	return 0;
}
