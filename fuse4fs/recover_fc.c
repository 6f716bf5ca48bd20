/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether fast commits would have to be replayed. They are not, here: what they hold
 * are changes of inodes and names, not blocks, and only ext4 itself can apply them.
 *
 * The area holds a row of records (tag, length, value). One fast commit is a row that
 * ends with a tail; it counts if the tail's checksum is right and its number is that of
 * the transaction after the last complete one. The first row starts with a head.
 * Source: linux Documentation/filesystems/ext4/journal.rst, "Fast commits".
 */
#include "csum.h"
#include "recover_int.h"

enum { FC_PAD = 7, FC_TAIL = 8, FC_HEAD = 9 };

struct fc_record {
	uint16_t tag_le, len_le;
};
_Static_assert(sizeof(struct fc_record) == 4, "on disk");

struct fc_head {
	uint32_t features_le, tid_le;
};
_Static_assert(sizeof(struct fc_head) == 8, "on disk");

struct fc_tail {
	uint32_t tid_le, crc_le;
};
_Static_assert(sizeof(struct fc_tail) == 8, "on disk");

enum fc_step { FC_ON, FC_STOP, FC_FOUND };

static enum fc_step check_tail(const struct log *log, const uint8_t *rec, uint32_t len,
			       uint32_t crc)
{
	const uint8_t *value = rec + sizeof(struct fc_record);

	if (len < sizeof(struct fc_tail) || get_le32(value) != log->end_tid)
		return FC_STOP;
	crc = csum_crc32c(crc, rec, sizeof(struct fc_record) + offsetof(struct fc_tail, crc_le));
	return crc == get_le32(value + offsetof(struct fc_tail, crc_le)) ? FC_FOUND : FC_STOP;
}

/* The records of one block; crc runs over blocks. */
static enum fc_step look_at_block(const struct log *log, const uint8_t *block, uint32_t *crc)
{
	uint32_t pos = 0, head = sizeof(struct fc_record);

	while (pos + head <= log->block_size) {
		const uint8_t *rec = block + pos;
		uint32_t tag = get_le16(rec), len = get_le16(rec + 2);

		if (len > log->block_size - head - pos || tag == 0 || tag > FC_HEAD)
			return FC_STOP;
		if (tag == FC_TAIL)
			return check_tail(log, rec, len, *crc);
		if (tag == FC_HEAD && (len < sizeof(struct fc_head) ||
		    get_le32(rec + head + offsetof(struct fc_head, tid_le)) != log->end_tid))
			return FC_STOP;
		*crc = csum_crc32c(*crc, rec, head + len);
		pos += head + len;
	}
	return FC_ON;
}

int log_has_fast_commits(struct log *log)
{
	uint32_t crc = 0;

	for (uint32_t lblk = log->fc_first; lblk < log->fc_end; lblk++) {
		const uint8_t *block;
		enum fc_step step;
		int err = log_read(log, lblk, &block);

		if (err)
			return err;
		if (lblk == log->fc_first && get_le16(block) != FC_HEAD)
			return 0;
		step = look_at_block(log, block, &crc);
		if (step != FC_ON)
			return step == FC_FOUND;
	}
	return 0;
}
