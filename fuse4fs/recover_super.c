/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two superblocks of recovery: the journal's, and ext4's flags about it. */
#include <errno.h>

#include "blkdev.h"
#include "csum.h"
#include "recover_int.h"

enum { FS_SUPER_OFF = 1024, FS_SUPER_LEN = 1024 };

static int damaged(struct log *log, const char *field)
{
	return log_fail(log, -EUCLEAN, "the journal superblock is damaged (%s); run e2fsck -f",
			field);
}

static uint32_t super_csum(const struct jbd2_super *js)
{
	struct jbd2_super copy = *js;

	copy.s_checksum = 0;
	return csum_crc32c(~0U, &copy, sizeof(copy));
}

static int check_features(struct log *log, const struct jbd2_super *js)
{
	uint32_t incompat = be32toh(js->s_feature_incompat);
	uint32_t unknown = incompat & ~(uint32_t)JBD2_INCOMPAT_KNOWN;

	if (unknown || js->s_feature_ro_compat)
		return log_fail(log, -EOPNOTSUPP, "the journal has unknown features "
				"(incompat 0x%x, ro_compat 0x%x); recover it with e2fsck -f",
				unknown, be32toh(js->s_feature_ro_compat));
	log->incompat = incompat;
	log->compat = be32toh(js->s_feature_compat);
	if (!log_has_csum(log))
		return 0;
	if ((incompat & JBD2_INCOMPAT_CSUM_V2) && (incompat & JBD2_INCOMPAT_CSUM_V3))
		return damaged(log, "checksum versions 2 and 3");
	if (log->compat & JBD2_COMPAT_CHECKSUM)
		return damaged(log, "two kinds of checksum");
	if (js->s_checksum_type != JBD2_CRC32C)
		return damaged(log, "unknown checksum");
	if (super_csum(js) != be32toh(js->s_checksum))
		return damaged(log, "wrong checksum");
	return 0;
}

/* The fast-commit area is cut from the end, if that leaves a journal. */
static void split_log(struct log *log, const struct jbd2_super *js)
{
	uint32_t fc = be32toh(js->s_num_fc_blks);

	log->end = be32toh(js->s_maxlen);
	log->fc_first = log->fc_end = log->end;
	if (!(log->incompat & JBD2_INCOMPAT_FAST_COMMIT))
		return;
	if (fc == 0)
		fc = JBD2_DEFAULT_FC_BLOCKS;
	if (fc >= log->end || log->end - fc < JBD2_MIN_BLOCKS)
		return;
	log->end -= fc;
	log->fc_first = log->end + 1;
}

int log_load_super(struct log *log)
{
	struct jbd2_super *js = log_super(log);
	uint32_t type, start, len;
	int err = blkdev_read(log->src, log->super_block, log->block_size,
			      log_pblk(log, 0, &len) * log->block_size);

	if (err)
		return log_fail(log, err, "cannot read the journal");
	type = be32toh(js->s_header.h_blocktype);
	if (be32toh(js->s_header.h_magic) != JBD2_MAGIC ||
	    (type != JBD2_SUPER_V1 && type != JBD2_SUPER_V2))
		return damaged(log, "magic number");
	if (be32toh(js->s_blocksize) != log->block_size)
		return damaged(log, "block size");
	err = type == JBD2_SUPER_V2 ? check_features(log, js) : 0;
	if (err)
		return err;
	if (be32toh(js->s_maxlen) > log->nblocks || be32toh(js->s_maxlen) < JBD2_MIN_BLOCKS)
		return damaged(log, "length");
	split_log(log, js);
	log->first = be32toh(js->s_first);
	if (log->first == 0 || log->first >= log->end)
		return damaged(log, "first block");
	start = be32toh(js->s_start);
	if (start && (start < log->first || start >= log->end))
		return damaged(log, "start block");
	log->seed = csum_crc32c(~0U, js->s_uuid, sizeof(js->s_uuid));
	return 0;
}

static int write_flush(struct log *log, const void *data, size_t len, uint64_t off,
		       const char *what)
{
	int err = blkdev_write(log->dst, data, len, off);

	if (!err)
		err = blkdev_flush(log->dst);
	return err ? log_fail(log, err, "cannot write the %s", what) : 0;
}

void log_seal_super(struct log *log)
{
	struct jbd2_super *js = log_super(log);

	if (log_has_csum(log))
		js->s_checksum = htobe32(super_csum(js));
}

int log_reset(struct log *log, uint32_t next_tid)
{
	struct jbd2_super *js = log_super(log);
	uint32_t len;

	js->s_start = 0;
	js->s_sequence = htobe32(next_tid);
	js->s_errno = 0;
	log_seal_super(log);
	return write_flush(log, log->super_block, log->block_size,
			   log_pblk(log, 0, &len) * log->block_size, "journal superblock");
}

int log_read_fs_super(struct log *log, struct ext2_super_block *sb)
{
	int err = blkdev_read(log->dst, sb, FS_SUPER_LEN, FS_SUPER_OFF);

	return err ? log_fail(log, err, "cannot read the superblock") : 0;
}

/* An error is written past the journal, which then held an older superblock. */
static void keep_errors(const struct ext2_super_block *before, struct ext2_super_block *sb)
{
	const size_t from = offsetof(struct ext2_super_block, s_error_count);
	const size_t to = offsetof(struct ext2_super_block, s_mount_opts);

	if (get_le32(&before->s_error_count) <= get_le32(&sb->s_error_count))
		return;
	memcpy((uint8_t *)sb + from, (const uint8_t *)before + from, to - from);
	sb->s_first_error_time_hi = before->s_first_error_time_hi;
	sb->s_last_error_time_hi = before->s_last_error_time_hi;
	sb->s_first_error_errcode = before->s_first_error_errcode;
	sb->s_last_error_errcode = before->s_last_error_errcode;
	put_le16(&sb->s_state, get_le16(&sb->s_state) |
		 (get_le16(&before->s_state) & EXT2_ERROR_FS));
}

/* Read again: the replay may have replaced it. */
int log_update_fs_super(struct log *log, bool clear_recovery, bool set_error)
{
	struct ext2_super_block sb;
	int err = log_read_fs_super(log, &sb);

	_Static_assert(sizeof(sb) == FS_SUPER_LEN, "on disk");
	if (err)
		return err;
	if (get_le16(&sb.s_magic) != EXT2_SUPER_MAGIC)
		return log_fail(log, -EUCLEAN,
				"the superblock in the journal is damaged; run e2fsck -f");
	keep_errors(&log->before, &sb);
	if (clear_recovery)
		put_le32(&sb.s_feature_incompat, get_le32(&sb.s_feature_incompat) &
			 ~(uint32_t)EXT3_FEATURE_INCOMPAT_RECOVER);
	if (set_error)
		put_le16(&sb.s_state, get_le16(&sb.s_state) | EXT2_ERROR_FS);
	if (get_le32(&sb.s_feature_ro_compat) & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM)
		put_le32(&sb.s_checksum, csum_crc32c(~0U, &sb, offsetof(struct ext2_super_block,
									s_checksum)));
	return write_flush(log, &sb, FS_SUPER_LEN, FS_SUPER_OFF, "superblock");
}
