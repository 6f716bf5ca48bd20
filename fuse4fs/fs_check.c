/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks of a superblock before anything believes it, and its decoding afterwards.
 * Every number that sizes an allocation, a loop or a shift is bounded here.
 */
#include "fs_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "csum.h"
#include "feature.h"
#include "why.h"

enum {
	MAX_LOG_BLOCK = 6,		/* 64 KiB */
	MIN_BLOCKS_PER_GROUP = 64,	/* mke2fs makes no less than 256 */
	MAX_DESC_TABLE = 256 << 20,	/* bytes: 512 TiB in 4 KiB blocks */
};

const char fs_not_found[] = "no ext2, ext3 or ext4 file system found (partition= or offset= say where "
	"one begins, fuse4fs --probe what is there)";

/* Host-order copies of the fields the checks need. */
struct geometry {
	uint32_t block_size, inode_size, desc_size, blocks_per_group, inodes_per_group;
	uint32_t compat, incompat, ro_compat;
	uint64_t blocks, ngroups;
	bool bigalloc;
};

static bool is_power_of_2(uint32_t n)
{
	return n && !(n & (n - 1));
}

static int check_identity(const struct ext2_super_block *sb, const struct why *why)
{
	uint32_t rev = le32toh(sb->s_rev_level);

	if (le16toh(sb->s_magic) != EXT2_SUPER_MAGIC)
		return why_fail(why, -EINVAL, "%s", fs_not_found);
	if (rev > EXT2_DYNAMIC_REV)
		return why_fail(why, -EOPNOTSUPP, "revision %" PRIu32 " is not known; use a newer version",
				rev);
	if (!(le32toh(sb->s_feature_ro_compat) & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM))
		return 0;
	if (sb->s_checksum_type != EXT2_CRC32C_CHKSUM)
		return why_fail(why, -EOPNOTSUPP,
				"checksum type %u is not known; mount it with the kernel's ext4",
				sb->s_checksum_type);
	if (csum_crc32c(~0U, sb, offsetof(struct ext2_super_block, s_checksum)) !=
	    le32toh(sb->s_checksum))
		return why_fail(why, -EUCLEAN, "the superblock's checksum is wrong; run e2fsck");
	return 0;
}

static int check_features(const struct ext2_super_block *sb, bool readonly,
			  struct geometry *g, const struct why *why)
{
	bool journal, external;

	/* Revision 0 promises none, but the kernel and e2fsck honour them there too. */
	g->compat = le32toh(sb->s_feature_compat);
	g->incompat = le32toh(sb->s_feature_incompat);
	g->ro_compat = le32toh(sb->s_feature_ro_compat);
	journal = g->compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL;
	external = journal && !le32toh(sb->s_journal_inum);
	if (external && !readonly)
		return why_fail(why, -EROFS,
				"its journal is on another device, which is not supported; mount it read-only (-o ro), or bring the journal inside with tune2fs -O ^has_journal and tune2fs -j");
	if (!journal && !readonly && (g->incompat & EXT3_FEATURE_INCOMPAT_RECOVER))
		return why_fail(why, -EUCLEAN, "it needs recovery but has no journal; run e2fsck");
	g->bigalloc = g->ro_compat & EXT4_FEATURE_RO_COMPAT_BIGALLOC;
	return feature_check(g->compat, g->incompat, g->ro_compat, readonly, why->text,
			     why->len);
}

static int check_blocks(const struct ext2_super_block *sb, struct geometry *g,
			const struct why *why)
{
	uint32_t log_bs = le32toh(sb->s_log_block_size);
	uint32_t log_cs = le32toh(sb->s_log_cluster_size);
	uint32_t first = le32toh(sb->s_first_data_block);
	bool is64 = g->incompat & EXT4_FEATURE_INCOMPAT_64BIT;

	if (log_bs > MAX_LOG_BLOCK)
		return why_fail(why, -EUCLEAN, "superblock: block size 2^%" PRIu32 " is not valid",
				log_bs + 10);
	g->block_size = 1024U << log_bs;
	if (g->bigalloc ? log_cs < log_bs || log_cs > log_bs + 15 : log_cs != log_bs)
		return why_fail(why, -EUCLEAN, "superblock: cluster size is not valid");
	if (first != (log_bs == 0) && !(g->bigalloc && first == 0))
		return why_fail(why, -EUCLEAN, "superblock: first data block %" PRIu32 " is not valid",
				first);
	g->blocks = le32toh(sb->s_blocks_count);
	if (is64)
		g->blocks |= (uint64_t)le32toh(sb->s_blocks_count_hi) << 32;
	if (g->blocks <= first + 1 || g->blocks >> 48)
		return why_fail(why, -EUCLEAN, "superblock: %" PRIu64 " blocks is not valid", g->blocks);
	g->desc_size = is64 ? le16toh(sb->s_desc_size) : EXT2_MIN_DESC_SIZE;
	if (is64 && (g->desc_size < EXT2_MIN_DESC_SIZE_64BIT || !is_power_of_2(g->desc_size) ||
		     g->desc_size > MIN(g->block_size, (uint32_t)EXT2_MAX_DESC_SIZE)))
		return why_fail(why, -EUCLEAN, "superblock: descriptor size %" PRIu32 " is not valid",
				g->desc_size);
	return 0;
}

static int check_inodes(const struct ext2_super_block *sb, struct geometry *g,
			const struct why *why)
{
	bool dynamic = le32toh(sb->s_rev_level) >= EXT2_DYNAMIC_REV;

	g->inode_size = dynamic ? le16toh(sb->s_inode_size) : EXT2_GOOD_OLD_INODE_SIZE;
	if (g->inode_size < EXT2_GOOD_OLD_INODE_SIZE || !is_power_of_2(g->inode_size) ||
	    g->inode_size > g->block_size)
		return why_fail(why, -EUCLEAN, "superblock: inode size %" PRIu32 " is not valid",
				g->inode_size);
	g->inodes_per_group = le32toh(sb->s_inodes_per_group);
	if (g->inodes_per_group < g->block_size / g->inode_size ||
	    g->inodes_per_group > g->block_size * 8)
		return why_fail(why, -EUCLEAN, "superblock: %" PRIu32 " inodes per group is not valid",
				g->inodes_per_group);
	if (dynamic && (le32toh(sb->s_first_ino) < EXT2_GOOD_OLD_FIRST_INO ||
			le32toh(sb->s_first_ino) > le32toh(sb->s_inodes_count)))
		return why_fail(why, -EUCLEAN, "superblock: first inode %" PRIu32 " is not valid",
				le32toh(sb->s_first_ino));
	return 0;
}

static int check_groups(const struct ext2_super_block *sb, struct geometry *g,
			const struct why *why)
{
	uint32_t bits = g->block_size * 8;
	uint32_t clusters = le32toh(sb->s_clusters_per_group), per = le32toh(sb->s_blocks_per_group);
	uint64_t desc_blocks;

	if (!g->bigalloc)
		clusters = per;
	if (!clusters || clusters > bits || clusters % 8 || per < MIN_BLOCKS_PER_GROUP)
		return why_fail(why, -EUCLEAN, "superblock: %" PRIu32 " blocks per group is not valid",
				per);
	if (g->bigalloc && per != (uint64_t)clusters << (le32toh(sb->s_log_cluster_size) -
							 le32toh(sb->s_log_block_size)))
		return why_fail(why, -EUCLEAN, "superblock: clusters per group is not valid");
	g->blocks_per_group = per;
	g->ngroups = div_up(g->blocks - le32toh(sb->s_first_data_block), per);
	if (g->ngroups * g->desc_size > MAX_DESC_TABLE)
		return why_fail(why, -EUCLEAN, "superblock: %" PRIu64 " block groups are too many",
				g->ngroups);
	if (g->ngroups * g->inodes_per_group != le32toh(sb->s_inodes_count))
		return why_fail(why, -EUCLEAN, "superblock: %" PRIu32 " inodes in %" PRIu64
				" groups of %" PRIu32 " is not valid", le32toh(sb->s_inodes_count),
				g->ngroups, g->inodes_per_group);
	desc_blocks = div_up(g->ngroups, g->block_size / g->desc_size);
	if ((g->incompat & EXT2_FEATURE_INCOMPAT_META_BG) &&
	    le32toh(sb->s_first_meta_bg) > desc_blocks)
		return why_fail(why, -EUCLEAN, "superblock: first meta block group is not valid");
	if (le16toh(sb->s_reserved_gdt_blocks) > g->block_size / 4)
		return why_fail(why, -EUCLEAN, "superblock: reserved descriptor blocks are not valid");
	return 0;
}

int fs_check_super(const struct ext2_super_block *sb, uint64_t dev_size, bool readonly,
		   char *why_text, size_t why_len)
{
	struct why why = { why_text, why_len };
	struct geometry g = { 0 };
	int ret;

	ret = check_identity(sb, &why);
	if (ret)
		return ret;
	ret = check_features(sb, readonly, &g, &why);
	if (ret)
		return ret;
	ret = check_blocks(sb, &g, &why);
	if (ret)
		return ret;
	ret = check_inodes(sb, &g, &why);
	if (ret)
		return ret;
	ret = check_groups(sb, &g, &why);
	if (ret)
		return ret;
	if (g.blocks > dev_size / g.block_size)
		return why_fail(&why, -EUCLEAN, "the file system has %" PRIu64 " bytes but the device only %"
				PRIu64 "; it is cut short (copy the whole of it; or save what is there with truncate "
				"-s and e2fsck)", g.blocks * g.block_size, dev_size);
	return 0;
}

static uint8_t default_hash(const struct ext2_super_block *sb)
{
	uint8_t version = sb->s_def_hash_version;
	bool is_unsigned = sb->s_flags & EXT2_FLAGS_UNSIGNED_HASH;

	if (version > EXT2_HASH_TEA)
		version = EXT2_HASH_HALF_MD4;
	return is_unsigned ? version + (EXT2_HASH_LEGACY_UNSIGNED - EXT2_HASH_LEGACY) : version;
}

/* As the kernel: room for all the fields it knows, or what the image asks for. */
static uint32_t want_extra_isize(struct ext2_super_block *sb, uint32_t inode_size)
{
	uint32_t want = sizeof(struct ext2_inode_large) - EXT2_GOOD_OLD_INODE_SIZE;
	uint32_t asked = 0;

	if (inode_size <= EXT2_GOOD_OLD_INODE_SIZE)
		return 0;
	if (ext2fs_has_feature_extra_isize(sb))
		asked = MAX(sb->s_want_extra_isize, sb->s_min_extra_isize);
	if (asked > want && asked % 4 == 0 && asked + EXT2_GOOD_OLD_INODE_SIZE <= inode_size)
		want = asked;
	return want;
}

static void decode_features(struct fs *fs, struct ext2_super_block *sb)
{
	fs->has_csum = ext2fs_has_feature_metadata_csum(sb);
	fs->has_gdt_csum = fs->has_csum || ext2fs_has_feature_gdt_csum(sb);
	fs->has_extents = ext2fs_has_feature_extents(sb);
	fs->has_64bit = ext2fs_has_feature_64bit(sb);
	fs->has_dir_index = ext2fs_has_feature_dir_index(sb);
	fs->has_large_dir = ext2fs_has_feature_largedir(sb);
	fs->has_filetype = ext2fs_has_feature_filetype(sb);
	fs->has_inline_data = ext2fs_has_feature_inline_data(sb);
	fs->has_ea_inode = ext2fs_has_feature_ea_inode(sb);
	fs->has_huge_file = ext2fs_has_feature_huge_file(sb);
	fs->has_dir_nlink = ext2fs_has_feature_dir_nlink(sb);
	fs->has_orphan_file = ext2fs_has_feature_orphan_file(sb);
	fs->has_journal = ext2fs_has_feature_journal(sb);
	fs->has_flex_bg = ext2fs_has_feature_flex_bg(sb);
	fs->has_project = ext2fs_has_feature_project(sb);
}

void fs_decode_super(struct fs *fs)
{
	struct ext2_super_block *sb = fs->e2->super;

	fs->block_size = fs->e2->blocksize;
	fs->block_bits = 10 + sb->s_log_block_size;
	fs->inode_size = EXT2_INODE_SIZE(sb);
	fs->want_extra_isize = want_extra_isize(sb, fs->inode_size);
	fs->inodes_per_group = sb->s_inodes_per_group;
	fs->blocks_per_group = sb->s_blocks_per_group;
	fs->first_data_block = sb->s_first_data_block;
	fs->ngroups = fs->e2->group_desc_count;
	fs->desc_size = EXT2_DESC_SIZE(sb);
	fs->inodes_count = sb->s_inodes_count;
	fs->first_ino = EXT2_FIRST_INODE(sb);
	fs->blocks_count = ext2fs_blocks_count(sb);
	fs->reserve_uid = sb->s_def_resuid;
	fs->reserve_gid = sb->s_def_resgid;
	fs->reserved_blocks = MIN(ext2fs_r_blocks_count(sb), fs->blocks_count);
	fs->cluster_bits = sb->s_log_cluster_size - sb->s_log_block_size;
	fs->csum_seed = fs->e2->csum_seed;
	fs->mount_state = sb->s_state;
	fs->kbytes_written = sb->s_kbytes_written;
	fs->error_count = sb->s_error_count;
	fs->def_hash_version = default_hash(sb);
	memcpy(fs->hash_seed, sb->s_hash_seed, sizeof(fs->hash_seed));
	decode_features(fs, sb);
}
