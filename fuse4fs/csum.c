/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Metadata checksums (metadata_csum): where each kind of block keeps its own, and
 * over what it is computed.
 *
 * Every offset taken from a block is checked against the block's size before it is
 * used; a block without a proper place for a checksum is wrong to verify and is left
 * alone by seal, so that a mistake cannot overwrite content.
 *
 * Source: linux Documentation/filesystems/ext4/checksums.rst and the format chapters
 * it refers to; the dx_tail follows the entries' limit, not their count.
 */
#include "csum.h"

enum {
	DIR_TAIL_LEN = 12,
	DIR_TAIL_FT = 0xDE,
	DX_ENTRY_LEN = 8,
	DX_TAIL_LEN = 8,
	DX_NODE_COUNTLIMIT_OFF = 8,	/* behind one empty entry of the block's length */
	DX_ROOT_DOTDOT_OFF = 12,
	DX_ROOT_INFO_OFF = 24,		/* behind "." and ".." */
	DX_ROOT_INFO_LEN = 8,
	DX_ROOT_COUNTLIMIT_OFF = 32,
	XATTR_CSUM_OFF = 16,
	ORPHAN_TAIL_LEN = 8,
	INODE_CSUM_LO_OFF = 0x7C,
	INODE_EXTRA_ISIZE_OFF = 0x80,
	INODE_CSUM_HI_OFF = 0x82,
};

_Static_assert(sizeof(struct ext2_dir_entry_tail) == DIR_TAIL_LEN, "dir tail");
_Static_assert(sizeof(struct ext2_dx_tail) == DX_TAIL_LEN, "dx tail");
_Static_assert(sizeof(struct ext4_orphan_block_tail) == ORPHAN_TAIL_LEN, "orphan tail");
_Static_assert(offsetof(struct ext2_ext_attr_header, h_checksum) == XATTR_CSUM_OFF, "xattr");
_Static_assert(offsetof(struct ext2_inode_large, i_checksum_hi) == INODE_CSUM_HI_OFF, "inode");

/* Finds where a block's checksum stands and what it should be. False: no place. */
typedef bool (*csum_fn)(const struct fs *fs, uint32_t seed, uint64_t pblk,
			const uint8_t *data, uint32_t *ret_off, uint32_t *ret_sum);

uint32_t csum_inode_seed(const struct fs *fs, uint32_t ino, uint32_t generation)
{
	uint8_t le[8];

	put_le32(le, ino);
	put_le32(le + 4, generation);
	return csum_crc32c(fs->csum_seed, le, sizeof(le));
}

static bool sum_dir(const struct fs *fs, uint32_t seed, uint64_t pblk, const uint8_t *data,
		    uint32_t *ret_off, uint32_t *ret_sum)
{
	uint32_t tail_off = fs->block_size - DIR_TAIL_LEN;
	const uint8_t *tail = data + tail_off;

	(void)pblk;
	if (get_le32(tail) != 0 || get_le16(tail + 4) != DIR_TAIL_LEN || tail[6] != 0 ||
	    tail[7] != DIR_TAIL_FT)
		return false;
	*ret_off = tail_off + 8;
	*ret_sum = csum_crc32c(seed, data, tail_off);
	return true;
}

/* Length of a directory entry: 64 KiB blocks need more than 16 bits. */
static uint32_t rec_len(const struct fs *fs, const uint8_t *entry)
{
	uint32_t len = get_le16(entry + 4);

	if (len == 65535 || len == 0)
		return fs->block_size;
	return fs->block_size < 65536 ? len : (len & 65532) | (len & 3) << 16;
}

/* Where limit and count of an htree block are; 0: it is none. */
static uint32_t dx_countlimit_off(const struct fs *fs, const uint8_t *data)
{
	const uint8_t *dotdot = data + DX_ROOT_DOTDOT_OFF;
	const uint8_t *info = data + DX_ROOT_INFO_OFF;

	if (rec_len(fs, data) == fs->block_size)
		return DX_NODE_COUNTLIMIT_OFF;
	if (rec_len(fs, data) != DX_ROOT_DOTDOT_OFF ||
	    rec_len(fs, dotdot) != fs->block_size - DX_ROOT_DOTDOT_OFF)
		return 0;
	if (get_le32(info) != 0 || info[5] != DX_ROOT_INFO_LEN)
		return 0;
	return DX_ROOT_COUNTLIMIT_OFF;
}

static bool sum_dx(const struct fs *fs, uint32_t seed, uint64_t pblk, const uint8_t *data,
		   uint32_t *ret_off, uint32_t *ret_sum)
{
	static const uint8_t zero[4];
	uint32_t off = dx_countlimit_off(fs, data);
	uint32_t limit, count, tail_off, sum;

	(void)pblk;
	if (!off)
		return false;
	limit = get_le16(data + off);
	count = get_le16(data + off + 2);
	tail_off = off + limit * DX_ENTRY_LEN;
	if (count > limit || tail_off > fs->block_size - DX_TAIL_LEN)
		return false;
	sum = csum_crc32c(seed, data, off + count * DX_ENTRY_LEN);
	sum = csum_crc32c(sum, data + tail_off, 4);
	*ret_sum = csum_crc32c(sum, zero, sizeof(zero));
	*ret_off = tail_off + 4;
	return true;
}

static bool sum_extent(const struct fs *fs, uint32_t seed, uint64_t pblk,
		       const uint8_t *data, uint32_t *ret_off, uint32_t *ret_sum)
{
	uint32_t max = get_le16(data + offsetof(struct ext3_extent_header, eh_max));
	uint32_t tail_off = sizeof(struct ext3_extent_header) +
			    max * sizeof(struct ext3_extent);

	(void)pblk;
	if (get_le16(data) != EXT3_EXT_MAGIC || tail_off > fs->block_size - 4)
		return false;
	*ret_off = tail_off;
	*ret_sum = csum_crc32c(seed, data, tail_off);
	return true;
}

/* The block may be shared by many inodes: the file system's seed, not theirs. */
static bool sum_xattr(const struct fs *fs, uint32_t seed, uint64_t pblk,
		      const uint8_t *data, uint32_t *ret_off, uint32_t *ret_sum)
{
	static const uint8_t zero[4];
	uint8_t le[8];
	uint32_t sum;

	(void)seed;
	put_le64(le, pblk);
	sum = csum_crc32c(fs->csum_seed, le, sizeof(le));
	sum = csum_crc32c(sum, data, XATTR_CSUM_OFF);
	sum = csum_crc32c(sum, zero, sizeof(zero));
	*ret_sum = csum_crc32c(sum, data + XATTR_CSUM_OFF + 4,
			       fs->block_size - XATTR_CSUM_OFF - 4);
	*ret_off = XATTR_CSUM_OFF;
	return true;
}

/* Over the block number and the slots; the magic before the checksum is not covered. */
static bool sum_orphan(const struct fs *fs, uint32_t seed, uint64_t pblk,
		       const uint8_t *data, uint32_t *ret_off, uint32_t *ret_sum)
{
	uint8_t le[8];

	put_le64(le, pblk);
	*ret_sum = csum_crc32c(csum_crc32c(seed, le, sizeof(le)), data,
			       fs->block_size - ORPHAN_TAIL_LEN);
	*ret_off = fs->block_size - 4;
	return true;
}

static const csum_fn kinds[] = {
	[BUF_RAW] = NULL,
	[BUF_DIR] = sum_dir,
	[BUF_DX] = sum_dx,
	[BUF_EXTENT] = sum_extent,
	[BUF_XATTR] = sum_xattr,
	[BUF_ORPHAN] = sum_orphan,
};

bool csum_verify(const struct fs *fs, enum buf_kind kind, uint32_t seed, uint64_t pblk,
		 const uint8_t *data)
{
	uint32_t off, sum;

	if (!fs->has_csum || !kinds[kind])
		return true;
	return kinds[kind](fs, seed, pblk, data, &off, &sum) && get_le32(data + off) == sum;
}

void csum_seal(const struct fs *fs, enum buf_kind kind, uint32_t seed, uint64_t pblk,
	       uint8_t *data)
{
	uint32_t off, sum;

	if (!fs->has_csum || !kinds[kind])
		return;
	if (kinds[kind](fs, seed, pblk, data, &off, &sum))
		put_le32(data + off, sum);
}

/* The upper half exists where the inode says that its fields reach so far. */
static bool inode_has_hi(const struct fs *fs, const uint8_t *raw)
{
	if (fs->inode_size <= EXT2_GOOD_OLD_INODE_SIZE)
		return false;
	return EXT2_GOOD_OLD_INODE_SIZE + get_le16(raw + INODE_EXTRA_ISIZE_OFF) >=
	       INODE_CSUM_HI_OFF + 2;
}

static uint32_t sum_inode(const struct fs *fs, uint32_t seed, const uint8_t *raw)
{
	static const uint8_t zero[2];
	uint32_t off = INODE_CSUM_LO_OFF;
	uint32_t sum = csum_crc32c(seed, raw, off);

	sum = csum_crc32c(sum, zero, sizeof(zero));
	off += sizeof(zero);
	if (inode_has_hi(fs, raw)) {
		sum = csum_crc32c(sum, raw + off, INODE_CSUM_HI_OFF - off);
		sum = csum_crc32c(sum, zero, sizeof(zero));
		off = INODE_CSUM_HI_OFF + sizeof(zero);
	}
	return csum_crc32c(sum, raw + off, fs->inode_size - off);
}

bool csum_inode_verify(const struct fs *fs, uint32_t seed, uint32_t ino, const uint8_t *raw)
{
	uint32_t sum;

	(void)ino;
	if (!fs->has_csum)
		return true;
	sum = sum_inode(fs, seed, raw);
	if (get_le16(raw + INODE_CSUM_LO_OFF) != (sum & 0xFFFF))
		return false;
	return !inode_has_hi(fs, raw) || get_le16(raw + INODE_CSUM_HI_OFF) == sum >> 16;
}

void csum_inode_seal(const struct fs *fs, uint32_t seed, uint32_t ino, uint8_t *raw)
{
	uint32_t sum;

	(void)ino;
	if (!fs->has_csum)
		return;
	sum = sum_inode(fs, seed, raw);
	put_le16(raw + INODE_CSUM_LO_OFF, sum & 0xFFFF);
	if (inode_has_hi(fs, raw))
		put_le16(raw + INODE_CSUM_HI_OFF, sum >> 16);
}
