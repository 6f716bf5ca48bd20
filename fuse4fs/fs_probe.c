// SPDX-License-Identifier: GPL-2.0-or-later
/* Describing a superblock, and mounting it on memory to see; see fs_probe.h. */
#include "fs_probe.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "blkdev.h"
#include "feature.h"
#include "fs_internal.h"
#include "overlay.h"

enum { SUPER_OFF = 1024, OVERLAY_MAX = 256 << 20, WORD_BITS = 32 };

/* Unterminated on disk. */
static void copy_text(char *out, size_t size, const void *text, size_t len)
{
	snprintf(out, size, "%.*s", (int)strnlen(text, len), (const char *)text);
}

static void add_feature(struct fs_probe *p, enum feature_set set, uint32_t mask)
{
	static const char *const sets[] = { "compat", "incompat", "ro_compat" };
	const struct feature_rule *rule = feature_find(set, mask);
	char *out;

	if (p->nfeatures == FS_PROBE_FEATURES)
		return;
	out = p->features[p->nfeatures++];
	if (rule)
		snprintf(out, sizeof(p->features[0]), "%s", rule->name);
	else
		snprintf(out, sizeof(p->features[0]), "%s:0x%" PRIx32, sets[set], mask);
}

static void list_features(struct fs_probe *p, const uint32_t words[FEATURE_SETS])
{
	for (int set = 0; set < FEATURE_SETS; set++)
		for (int bit = 0; bit < WORD_BITS; bit++)
			if (words[set] & UINT32_C(1) << bit)
				add_feature(p, (enum feature_set)set, UINT32_C(1) << bit);
}

/* As blkid(8) tells them apart: by what older drivers would not take. */
static const char *type_of(const uint32_t words[FEATURE_SETS])
{
	const uint32_t incompat3 = EXT2_FEATURE_INCOMPAT_FILETYPE | EXT3_FEATURE_INCOMPAT_RECOVER |
		EXT2_FEATURE_INCOMPAT_META_BG;
	const uint32_t ro_compat3 = EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER |
		EXT2_FEATURE_RO_COMPAT_LARGE_FILE | 0x0004;

	if ((words[FEATURE_INCOMPAT] & ~incompat3) || (words[FEATURE_RO_COMPAT] & ~ro_compat3))
		return "ext4";
	return words[FEATURE_COMPAT] & EXT3_FEATURE_COMPAT_HAS_JOURNAL ? "ext3" : "ext2";
}

static const char *journal_of(const struct ext2_super_block *sb, const uint32_t words[FEATURE_SETS])
{
	if (!(words[FEATURE_COMPAT] & EXT3_FEATURE_COMPAT_HAS_JOURNAL))
		return "none";
	if (words[FEATURE_INCOMPAT] & EXT3_FEATURE_INCOMPAT_RECOVER)
		return "needs recovery";
	return le32toh(sb->s_journal_inum) ? "clean" : "external";
}

static uint64_t wide(uint32_t lo_le32, uint32_t hi_le32, bool is64)
{
	return le32toh(lo_le32) | (is64 ? (uint64_t)le32toh(hi_le32) << 32 : 0);
}

static void print_uuid(const uint8_t uuid[16], char out[37])
{
	char *at = out;

	for (int i = 0; i < 16; i++)
		at += sprintf(at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			      uuid[i]);
}

static void describe(const struct ext2_super_block *sb, struct fs_probe *p)
{
	const uint32_t words[FEATURE_SETS] = {
		[FEATURE_COMPAT] = le32toh(sb->s_feature_compat),
		[FEATURE_INCOMPAT] = le32toh(sb->s_feature_incompat),
		[FEATURE_RO_COMPAT] = le32toh(sb->s_feature_ro_compat),
	};
	const bool is64 = words[FEATURE_INCOMPAT] & EXT4_FEATURE_INCOMPAT_64BIT;
	const uint32_t log_bs = le32toh(sb->s_log_block_size);

	p->type = type_of(words);
	p->journal = journal_of(sb, words);
	list_features(p, words);
	print_uuid(sb->s_uuid, p->uuid);
	copy_text(p->label, sizeof(p->label), sb->s_volume_name, sizeof(sb->s_volume_name));
	copy_text(p->last_mounted, sizeof(p->last_mounted), sb->s_last_mounted,
		  sizeof(sb->s_last_mounted));
	p->block_size = log_bs <= 6 ? 1024U << log_bs : 0;
	p->inode_size = le32toh(sb->s_rev_level) ? le16toh(sb->s_inode_size) : 128;
	p->blocks = wide(sb->s_blocks_count, sb->s_blocks_count_hi, is64);
	p->free_blocks = wide(sb->s_free_blocks_count, sb->s_free_blocks_hi, is64);
	p->inodes = le32toh(sb->s_inodes_count);
	p->free_inodes = le32toh(sb->s_free_inodes_count);
	p->unmounted = (le16toh(sb->s_state) & EXT2_VALID_FS) &&
		       !(words[FEATURE_INCOMPAT] & EXT3_FEATURE_INCOMPAT_RECOVER);
	p->errors = le16toh(sb->s_state) & EXT2_ERROR_FS;
	p->error_count = le32toh(sb->s_error_count);
	p->written_sec = le32toh(sb->s_wtime) | (uint64_t)sb->s_wtime_hi << 32;
	p->mounted_sec = le32toh(sb->s_mtime) | (uint64_t)sb->s_mtime_hi << 32;
	p->checked_sec = le32toh(sb->s_lastcheck) | (uint64_t)sb->s_lastcheck_hi << 32;
}

static void take_note(void *arg, enum fs_log level, const char *line)
{
	struct fs_probe *p = arg;

	(void)level;
	if (p->nnotes < FS_PROBE_NOTES)
		snprintf(p->notes[p->nnotes++], FS_PROBE_TEXT, "%s", line);
}

/* What fs_open says on a view that keeps all changes in memory. */
static int try_mount(struct blkdev *dev, bool readonly, struct fs_probe *p)
{
	const struct fs_options opt = {
		.readonly = readonly, .dry_run = true, .log = take_note, .log_arg = p,
	};
	struct blkdev *view;
	struct fs *fs;
	int err = overlay_dev_open(dev, false, OVERLAY_MAX, &view);

	if (err)
		return err;
	p->nnotes = 0;
	p->why[0] = '\0';
	err = fs_open(view, &opt, &fs, p->why, sizeof(p->why));
	if (!err) {
		unsigned nnotes = p->nnotes;

		(void)fs_close(fs);	/* the changes go nowhere */
		p->nnotes = nnotes;
	}
	(void)blkdev_close(view);
	return err;
}

static void judge(struct blkdev *dev, struct fs_probe *p)
{
	char why_not_rw[FS_PROBE_TEXT];
	int err = try_mount(dev, false, p);

	if (!err) {
		p->mount = "rw";
		return;
	}
	memcpy(why_not_rw, p->why, sizeof(why_not_rw));
	p->mount = try_mount(dev, true, p) ? "refused" : "ro";
	memcpy(p->why, why_not_rw, sizeof(why_not_rw));
}

int fs_probe(struct blkdev *dev, struct fs_probe *ret)
{
	struct ext2_super_block sb;
	int err;

	*ret = (struct fs_probe){ .found = false };
	if (blkdev_size(dev) < SUPER_OFF + sizeof(sb))
		return 0;
	err = blkdev_read(dev, &sb, sizeof(sb), SUPER_OFF);
	if (err || le16toh(sb.s_magic) != EXT2_SUPER_MAGIC)
		return err;
	ret->found = true;
	describe(&sb, ret);
	judge(dev, ret);
	return 0;
}
