/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which ext4 features are served how. The table is the policy; the code only reads it. */
#include "feature.h"

#include <errno.h>
#include <stdio.h>

#include "util.h"

#define RW(set, mask, name)	{ FEATURE_##set, mask, name, FEATURE_RW, NULL, NULL }
#define RO(set, mask, name, reason, way_out) \
	{ FEATURE_##set, mask, name, FEATURE_RO, reason, way_out }
#define REFUSED(set, mask, name, reason, way_out) \
	{ FEATURE_##set, mask, name, FEATURE_REFUSED, reason, way_out }

#define MOUNT_RO	"mount it read-only (-o ro)"
#define USE_KERNEL	"mount it with the kernel's ext4"

const struct feature_rule feature_rules[] = {
	RW(COMPAT, EXT2_FEATURE_COMPAT_DIR_PREALLOC, "dir_prealloc"),
	RW(COMPAT, EXT2_FEATURE_COMPAT_IMAGIC_INODES, "imagic_inodes"),
	RW(COMPAT, EXT3_FEATURE_COMPAT_HAS_JOURNAL, "has_journal"),
	RW(COMPAT, EXT2_FEATURE_COMPAT_EXT_ATTR, "ext_attr"),
	RW(COMPAT, EXT2_FEATURE_COMPAT_RESIZE_INODE, "resize_inode"),
	RW(COMPAT, EXT2_FEATURE_COMPAT_DIR_INDEX, "dir_index"),
	RW(COMPAT, EXT2_FEATURE_COMPAT_LAZY_BG, "lazy_bg"),
	RW(COMPAT, 0x0080, "snapshot_exclude_inode"),
	RW(COMPAT, EXT2_FEATURE_COMPAT_EXCLUDE_BITMAP, "snapshot_bitmap"),
	RW(COMPAT, EXT4_FEATURE_COMPAT_SPARSE_SUPER2, "sparse_super2"),
	/*
	 * The flag only reserves blocks of the journal for fast commits. Ours are full
	 * commits, which are always allowed: each one makes the fast commits before it
	 * void, because those carry the id of the transaction after the last full one.
	 * The flag stays. Fast commits still pending are journal recovery's concern.
	 */
	RW(COMPAT, EXT4_FEATURE_COMPAT_FAST_COMMIT, "fast_commit"),
	RW(COMPAT, EXT4_FEATURE_COMPAT_STABLE_INODES, "stable_inodes"),
	RW(COMPAT, EXT4_FEATURE_COMPAT_ORPHAN_FILE, "orphan_file"),

	REFUSED(INCOMPAT, EXT2_FEATURE_INCOMPAT_COMPRESSION, "compression",
		"compressed files were never part of ext4",
		"use the e2compr tools that wrote it"),
	RW(INCOMPAT, EXT2_FEATURE_INCOMPAT_FILETYPE, "filetype"),
	RW(INCOMPAT, EXT3_FEATURE_INCOMPAT_RECOVER, "needs_recovery"),
	REFUSED(INCOMPAT, EXT3_FEATURE_INCOMPAT_JOURNAL_DEV, "journal_dev",
		"this is an external journal, not a file system",
		"give the device of the file system that uses it"),
	RW(INCOMPAT, EXT2_FEATURE_INCOMPAT_META_BG, "meta_bg"),
	RW(INCOMPAT, EXT3_FEATURE_INCOMPAT_EXTENTS, "extent"),
	RW(INCOMPAT, EXT4_FEATURE_INCOMPAT_64BIT, "64bit"),
	RW(INCOMPAT, EXT4_FEATURE_INCOMPAT_MMP, "mmp"),
	RW(INCOMPAT, EXT4_FEATURE_INCOMPAT_FLEX_BG, "flex_bg"),
	RW(INCOMPAT, EXT4_FEATURE_INCOMPAT_EA_INODE, "ea_inode"),
	REFUSED(INCOMPAT, EXT4_FEATURE_INCOMPAT_DIRDATA, "dirdata",
		"directory entries carry data only Lustre knows", "use a Lustre server"),
	RW(INCOMPAT, EXT4_FEATURE_INCOMPAT_CSUM_SEED, "metadata_csum_seed"),
	RW(INCOMPAT, EXT4_FEATURE_INCOMPAT_LARGEDIR, "large_dir"),
	RW(INCOMPAT, EXT4_FEATURE_INCOMPAT_INLINE_DATA, "inline_data"),
	REFUSED(INCOMPAT, EXT4_FEATURE_INCOMPAT_ENCRYPT, "encrypt",
		"names and contents of encrypted directories cannot be read without fscrypt",
		USE_KERNEL),
	REFUSED(INCOMPAT, EXT4_FEATURE_INCOMPAT_CASEFOLD, "casefold",
		"names would have to be looked up without regard to case by Unicode rules",
		USE_KERNEL),

	RW(RO_COMPAT, EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER, "sparse_super"),
	RW(RO_COMPAT, EXT2_FEATURE_RO_COMPAT_LARGE_FILE, "large_file"),
	RO(RO_COMPAT, 0x0004, "btree_dir", "its format was never defined", MOUNT_RO),
	RW(RO_COMPAT, EXT4_FEATURE_RO_COMPAT_HUGE_FILE, "huge_file"),
	RW(RO_COMPAT, EXT4_FEATURE_RO_COMPAT_GDT_CSUM, "uninit_bg"),
	RW(RO_COMPAT, EXT4_FEATURE_RO_COMPAT_DIR_NLINK, "dir_nlink"),
	RW(RO_COMPAT, EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE, "extra_isize"),
	RO(RO_COMPAT, EXT4_FEATURE_RO_COMPAT_HAS_SNAPSHOT, "snapshot",
	   "blocks that belong to a snapshot would be overwritten", MOUNT_RO),
	RO(RO_COMPAT, EXT4_FEATURE_RO_COMPAT_QUOTA, "quota",
	   "the usage in the quota files would become wrong",
	   MOUNT_RO ", or remove the feature with tune2fs -O ^quota"),
	RO(RO_COMPAT, EXT4_FEATURE_RO_COMPAT_BIGALLOC, "bigalloc",
	   "allocation in clusters of several blocks is not implemented",
	   MOUNT_RO " or " USE_KERNEL),
	RW(RO_COMPAT, EXT4_FEATURE_RO_COMPAT_METADATA_CSUM, "metadata_csum"),
	RO(RO_COMPAT, EXT4_FEATURE_RO_COMPAT_REPLICA, "replica",
	   "the copies of this image elsewhere would differ", MOUNT_RO),
	RO(RO_COMPAT, EXT4_FEATURE_RO_COMPAT_READONLY, "read-only",
	   "the image is marked as read-only",
	   MOUNT_RO ", or remove the mark with tune2fs -O ^read-only"),
	RW(RO_COMPAT, EXT4_FEATURE_RO_COMPAT_PROJECT, "project"),
	RO(RO_COMPAT, EXT4_FEATURE_RO_COMPAT_SHARED_BLOCKS, "shared_blocks",
	   "writing one file would change others that share its blocks", MOUNT_RO),
	RO(RO_COMPAT, EXT4_FEATURE_RO_COMPAT_VERITY, "verity",
	   "files sealed with fs-verity could be changed behind their hashes", MOUNT_RO),
	RW(RO_COMPAT, EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT, "orphan_present"),
};
const size_t feature_rules_len = ARRAY_LEN(feature_rules);

static const char *const set_names[FEATURE_SETS] = { "compat", "incompat", "ro_compat" };

static const struct feature_rule unknown_incompat = {
	FEATURE_INCOMPAT, 0, NULL, FEATURE_REFUSED,
	"it is not known what it changes", USE_KERNEL " or with a newer version",
};
static const struct feature_rule unknown_ro_compat = {
	FEATURE_RO_COMPAT, 0, NULL, FEATURE_RO, "it is not known what it changes", MOUNT_RO,
};

const struct feature_rule *feature_find(enum feature_set set, uint32_t mask)
{
	for (size_t i = 0; i < feature_rules_len; i++)
		if (feature_rules[i].set == set && feature_rules[i].mask == mask)
			return &feature_rules[i];
	return NULL;
}

static const struct feature_rule *rule_of(enum feature_set set, uint32_t mask)
{
	const struct feature_rule *rule = feature_find(set, mask);

	if (rule)
		return rule;
	if (set == FEATURE_INCOMPAT)
		return &unknown_incompat;
	return set == FEATURE_RO_COMPAT ? &unknown_ro_compat : NULL;
}

static void explain(const struct feature_rule *rule, enum feature_set set, uint32_t mask,
		    char *why, size_t why_len)
{
	char unknown[32];

	snprintf(unknown, sizeof(unknown), "%s bit 0x%x", set_names[set], mask);
	snprintf(why, why_len, "feature %s %s: %s; %s", rule->name ? rule->name : unknown,
		 rule->serve == FEATURE_REFUSED ? "is not supported" : "allows only reading",
		 rule->reason, rule->way_out);
}

/* The first feature that is served no better than `serve`. */
static bool find_obstacle(const uint32_t words[FEATURE_SETS], enum feature_serve serve,
			  char *why, size_t why_len)
{
	for (int set = 0; set < FEATURE_SETS; set++) {
		for (uint32_t left = words[set]; left; left &= left - 1) {
			uint32_t mask = left & -left;
			const struct feature_rule *rule = rule_of(set, mask);

			if (!rule || rule->serve < serve)
				continue;
			explain(rule, set, mask, why, why_len);
			return true;
		}
	}
	return false;
}

int feature_check(uint32_t compat, uint32_t incompat, uint32_t ro_compat, bool readonly,
		  char *why, size_t why_len)
{
	const uint32_t words[FEATURE_SETS] = { compat, incompat, ro_compat };

	if (find_obstacle(words, FEATURE_REFUSED, why, why_len))
		return -EOPNOTSUPP;
	if (!readonly && find_obstacle(words, FEATURE_RO, why, why_len))
		return -EROFS;
	return 0;
}
