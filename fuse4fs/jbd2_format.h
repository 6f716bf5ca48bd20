/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jbd2's on-disk format: what recovery reads and a commit writes. All fields are
 * big-endian. Source: linux Documentation/filesystems/ext4/journal.rst.
 *
 * A log is blocks [s_first, s_maxlen) used as a ring; without fast commits. A
 * transaction is any number of descriptor blocks (each followed by the blocks its
 * tags name) and revoke blocks, then one commit block, all with one sequence number.
 *
 * Checksums: v1 (compat CHECKSUM) is one crc32 over a transaction's descriptors and
 * data, in its commit block. v2 and v3 seal every block with crc32c, seeded with
 * crc32c(~0, s_uuid); the superblock's own starts from ~0. v3 differs from v2 in
 * the tags: a full 32-bit checksum and always 64-bit block numbers.
 */
#ifndef FUSE4FS_JBD2_FORMAT_H
#define FUSE4FS_JBD2_FORMAT_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { JBD2_MAGIC = 0xC03B3998 };
enum { JBD2_MIN_BLOCKS = 1024, JBD2_DEFAULT_FC_BLOCKS = 256 };

enum jbd2_blocktype {
	JBD2_DESCRIPTOR = 1, JBD2_COMMIT = 2, JBD2_SUPER_V1 = 3, JBD2_SUPER_V2 = 4,
	JBD2_REVOKE = 5,
};

/* First in every block of the log that is not a copy of a file-system block. */
struct jbd2_header {
	uint32_t h_magic;
	uint32_t h_blocktype;
	uint32_t h_sequence;
};
_Static_assert(sizeof(struct jbd2_header) == 12, "on disk");

enum { JBD2_COMPAT_CHECKSUM = 0x1 };
enum {
	JBD2_INCOMPAT_REVOKE = 0x01, JBD2_INCOMPAT_64BIT = 0x02,
	JBD2_INCOMPAT_ASYNC_COMMIT = 0x04, JBD2_INCOMPAT_CSUM_V2 = 0x08,
	JBD2_INCOMPAT_CSUM_V3 = 0x10, JBD2_INCOMPAT_FAST_COMMIT = 0x20,
};
enum {
	JBD2_INCOMPAT_KNOWN = JBD2_INCOMPAT_REVOKE | JBD2_INCOMPAT_64BIT |
		JBD2_INCOMPAT_ASYNC_COMMIT | JBD2_INCOMPAT_CSUM_V2 |
		JBD2_INCOMPAT_CSUM_V3 | JBD2_INCOMPAT_FAST_COMMIT,
};

/* s_checksum_type and h_chksum_type. */
enum { JBD2_CRC32 = 1, JBD2_CRC32C = 4 };

/* Block 0 of the journal; the rest of that block is zero. */
struct jbd2_super {
	struct jbd2_header s_header;
	uint32_t s_blocksize;
	uint32_t s_maxlen;		/* blocks of the journal, this one included */
	uint32_t s_first;		/* first block of the log, usually 1 */
	uint32_t s_sequence;		/* first transaction expected in the log */
	uint32_t s_start;		/* its first block; 0: the log is empty */
	uint32_t s_errno;		/* negative errno of an aborted journal, as u32 */
	/* v2 only from here; a v1 superblock has no features. */
	uint32_t s_feature_compat;
	uint32_t s_feature_incompat;
	uint32_t s_feature_ro_compat;
	uint8_t s_uuid[16];
	uint32_t s_nr_users;
	uint32_t s_dynsuper;
	uint32_t s_max_transaction;
	uint32_t s_max_trans_data;
	uint8_t s_checksum_type;
	uint8_t s_padding2[3];
	uint32_t s_num_fc_blks;		/* at the end; 0: JBD2_DEFAULT_FC_BLOCKS */
	uint32_t s_head;
	uint32_t s_padding[40];
	uint32_t s_checksum;		/* crc32c of these 1024 bytes, this field 0 */
	uint8_t s_users[16 * 48];
};
_Static_assert(sizeof(struct jbd2_super) == 1024, "on disk");
_Static_assert(offsetof(struct jbd2_super, s_uuid) == 0x30, "on disk");
_Static_assert(offsetof(struct jbd2_super, s_num_fc_blks) == 0x54, "on disk");
_Static_assert(offsetof(struct jbd2_super, s_checksum) == 0xFC, "on disk");

enum {
	JBD2_TAG_ESCAPE = 1,		/* the block began with the magic; zeroed in the log */
	JBD2_TAG_SAME_UUID = 2,		/* no 16-byte UUID follows the tag */
	JBD2_TAG_DELETED = 4,
	JBD2_TAG_LAST = 8,
};

/* Not v3. t_blocknr_high only with 64bit; v2 appends two bytes of padding. */
struct jbd2_tag {
	uint32_t t_blocknr;
	uint16_t t_checksum;		/* v2: low half of the block's crc32c */
	uint16_t t_flags;
	uint32_t t_blocknr_high;
};
_Static_assert(sizeof(struct jbd2_tag) == 12, "on disk");

struct jbd2_tag3 {
	uint32_t t_blocknr;
	uint32_t t_flags;
	uint32_t t_blocknr_high;
	uint32_t t_checksum;
};
_Static_assert(sizeof(struct jbd2_tag3) == 16, "on disk");

/* Last bytes of descriptor and revoke blocks, with checksum v2 or v3. */
struct jbd2_tail {
	uint32_t t_checksum;
};
_Static_assert(sizeof(struct jbd2_tail) == 4, "on disk");

/* Block numbers follow: 8 bytes each with 64bit, else 4. */
struct jbd2_revoke {
	struct jbd2_header r_header;
	uint32_t r_count;		/* bytes used in this block, this header included */
};
_Static_assert(sizeof(struct jbd2_revoke) == 16, "on disk");

struct jbd2_commit {
	struct jbd2_header h_header;
	uint8_t h_chksum_type;		/* v1: JBD2_CRC32 and size 4; v2, v3: zero */
	uint8_t h_chksum_size;
	uint8_t h_padding[2];
	uint32_t h_chksum[8];		/* only [0] is used */
	uint64_t h_commit_sec;
	uint32_t h_commit_nsec;
} __attribute__((packed));
_Static_assert(sizeof(struct jbd2_commit) == 60, "on disk");
_Static_assert(offsetof(struct jbd2_commit, h_chksum) == 16, "on disk");
_Static_assert(offsetof(struct jbd2_commit, h_commit_sec) == 48, "on disk");

/* Bytes a tag takes, without a UUID. */
static inline size_t jbd2_tag_size(uint32_t incompat)
{
	size_t size = sizeof(struct jbd2_tag);

	if (incompat & JBD2_INCOMPAT_CSUM_V3)
		return sizeof(struct jbd2_tag3);
	if (incompat & JBD2_INCOMPAT_CSUM_V2)
		size += 2;
	return incompat & JBD2_INCOMPAT_64BIT ? size : size - 4;
}

static inline size_t jbd2_tail_size(uint32_t incompat)
{
	return incompat & (JBD2_INCOMPAT_CSUM_V2 | JBD2_INCOMPAT_CSUM_V3) ?
		sizeof(struct jbd2_tail) : 0;
}

/* Transaction numbers wrap around. */
static inline int jbd2_tid_cmp(uint32_t a, uint32_t b)
{
	int32_t d = (int32_t)(a - b);

	return (d > 0) - (d < 0);
}

#endif
