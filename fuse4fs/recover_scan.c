/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One walk through the log: which transactions are complete, and what is in them.
 *
 * The log ends at the first block that is not the expected one: no magic number, or
 * another sequence number. A transaction counts from its commit block on; what was noted
 * before that is dropped if no commit block comes. Damage is told from the end like this,
 * as the kernel and e2fsck do:
 *  - a descriptor or revoke block with a wrong checksum may be a left-over of an earlier
 *    round. If a commit block with the right number follows all the same, its time
 *    decides: older than the last transaction's, it is a left-over too; else the
 *    journal is damaged and nothing is replayed;
 *  - a commit block with a wrong checksum ends the log there (torn), by the same rule.
 * The walk ends after one round at the latest.
 * Source: linux Documentation/filesystems/ext4/journal.rst; fs/jbd2/recovery.c.
 */
#include <errno.h>

#include "csum.h"
#include "recover_int.h"

/* A walk through the log. */
struct walk {
	struct log *log;
	uint8_t *block;		/* copy of the block we are at */
	uint32_t lblk;		/* of the next block */
	uint32_t left;		/* blocks of the ring not yet passed */
	uint32_t tid;		/* expected */
	uint32_t crc;		/* v1: of the transaction so far */
	bool suspect;		/* a checksum was wrong: the next commit's time decides */
	bool ended;		/* end_tid is known, only later commits are looked for */
	uint64_t last_time;	/* of the last commit */
	size_t complete;	/* log_blocks up to the last commit */
};

/* What a step says: go on, or the log ends here. Negative: -errno. */
enum { STEP_ON = 0, STEP_END = 1 };

/* Reads the next block of the ring; STEP_END after one round. */
static int next_block(struct walk *w, const uint8_t **ret)
{
	int err;

	if (w->left == 0)
		return STEP_END;
	err = log_read(w->log, w->lblk, ret);
	if (err)
		return err;
	w->left--;
	if (++w->lblk >= w->log->end)
		w->lblk = w->log->first;
	return STEP_ON;
}

/* v2, v3: the last four bytes of descriptor and revoke blocks. */
static bool tail_ok(const struct walk *w)
{
	const struct log *log = w->log;
	size_t off = log->block_size - sizeof(struct jbd2_tail);
	static const uint8_t zero[4];
	uint32_t sum, found;

	if (!log_has_csum(log))
		return true;
	memcpy(&found, w->block + off, sizeof(found));
	sum = csum_crc32c(log->seed, w->block, off);
	return csum_crc32c(sum, zero, sizeof(zero)) == be32toh(found);
}

static int note_block(struct walk *w, uint64_t home, uint32_t flags, uint32_t csum)
{
	struct log *log = w->log;

	if (log->nlog_blocks == log->blocks_size) {
		size_t n = log->blocks_size ? log->blocks_size * 2 : 1024;
		struct log_block *blocks = realloc(log->blocks, n * sizeof(*blocks));

		if (!blocks)
			return -ENOMEM;
		log->blocks = blocks;
		log->blocks_size = n;
	}
	log->blocks[log->nlog_blocks] = (struct log_block){
		.home = home, .lblk = w->lblk, .tid = w->tid, .csum = csum,
		.order = log->nlog_blocks, .flags = flags,
	};
	log->nlog_blocks++;
	return 0;
}

static void decode_tag(const struct log *log, const uint8_t *raw, uint64_t *ret_home,
		       uint32_t *ret_flags, uint32_t *ret_csum)
{
	struct jbd2_tag3 tag3;
	struct jbd2_tag tag = { 0 };

	if (log->incompat & JBD2_INCOMPAT_CSUM_V3) {
		memcpy(&tag3, raw, sizeof(tag3));
		*ret_home = be32toh(tag3.t_blocknr);
		if (log->incompat & JBD2_INCOMPAT_64BIT)
			*ret_home |= (uint64_t)be32toh(tag3.t_blocknr_high) << 32;
		*ret_flags = be32toh(tag3.t_flags);
		*ret_csum = be32toh(tag3.t_checksum);
		return;
	}
	memcpy(&tag, raw, MIN(jbd2_tag_size(log->incompat), sizeof(tag)));
	*ret_home = be32toh(tag.t_blocknr);
	if (log->incompat & JBD2_INCOMPAT_64BIT)
		*ret_home |= (uint64_t)be32toh(tag.t_blocknr_high) << 32;
	*ret_flags = be16toh(tag.t_flags);
	*ret_csum = be16toh(tag.t_checksum);
}

bool log_copy_ok(const struct log *log, const struct log_block *lb, const uint8_t *data)
{
	uint32_t tid_be = htobe32(lb->tid), sum;

	if (!log_has_csum(log))
		return true;
	sum = csum_crc32c(csum_crc32c(log->seed, &tid_be, sizeof(tid_be)), data,
			  log->block_size);
	return lb->csum == (log->incompat & JBD2_INCOMPAT_CSUM_V3 ? sum : (sum & 0xffff));
}

/* The data of the block noted last: into the v1 checksum, or against its own. */
static int pass_data(struct walk *w, bool sum)
{
	struct log_block *lb = &w->log->blocks[w->log->nlog_blocks - 1];
	const uint8_t *data;
	int ret;

	if (sum || (log_has_csum(w->log) && !w->ended)) {
		ret = next_block(w, &data);
		if (ret)
			return ret;
		if (sum)
			w->crc = ext2fs_crc32_be(w->crc, data, w->log->block_size);
		lb->bad = !log_copy_ok(w->log, lb, data);
		return STEP_ON;
	}
	if (w->left == 0)
		return STEP_END;
	w->left--;
	if (++w->lblk >= w->log->end)
		w->lblk = w->log->first;
	return STEP_ON;
}

static int do_descriptor(struct walk *w)
{
	struct log *log = w->log;
	size_t tag_size = jbd2_tag_size(log->incompat);
	size_t limit = log->block_size - jbd2_tail_size(log->incompat);
	size_t pos = sizeof(struct jbd2_header);
	uint32_t flags = 0;
	bool sum;

	if (!tail_ok(w))
		w->suspect = true;
	sum = (log->compat & JBD2_COMPAT_CHECKSUM) && !w->ended;
	if (sum)
		w->crc = ext2fs_crc32_be(w->crc, w->block, log->block_size);
	while (pos + tag_size <= limit && !(flags & JBD2_TAG_LAST)) {
		uint64_t home;
		uint32_t csum;
		int ret;

		decode_tag(log, w->block + pos, &home, &flags, &csum);
		ret = note_block(w, home, flags, csum);
		if (ret)
			return ret;
		ret = pass_data(w, sum);
		if (ret)
			return ret;
		pos += tag_size;
		if (!(flags & JBD2_TAG_SAME_UUID))
			pos += sizeof(log_super(log)->s_uuid);
	}
	return STEP_ON;
}

static int do_revoke(struct walk *w)
{
	struct log *log = w->log;
	size_t size = log->incompat & JBD2_INCOMPAT_64BIT ? 8 : 4;
	size_t limit = log->block_size - jbd2_tail_size(log->incompat);
	const struct jbd2_revoke *head = (const void *)w->block;
	size_t used = be32toh(head->r_count);

	if (!tail_ok(w))
		w->suspect = true;
	/* Not trusted anyway, or a transaction after the end. */
	if (w->suspect || w->ended)
		return STEP_ON;
	if (used > limit)
		return log_fail(log, -EUCLEAN, "the journal is damaged (a revoke block of "
				"transaction %u); run e2fsck -f", w->tid);
	for (size_t pos = sizeof(*head); pos + size <= used; pos += size) {
		uint32_t half[2] = { 0 };
		uint64_t pblk;
		int err;

		memcpy(half, w->block + pos, size);
		pblk = size == 4 ? be32toh(half[0]) :
				   (uint64_t)be32toh(half[0]) << 32 | be32toh(half[1]);
		err = pblk < log->fs_blocks ? revoke_add(&log->revokes, pblk, w->tid) : 0;
		if (err)
			return err;
	}
	return STEP_ON;
}

/*
 * The kernel takes a commit block for whole whose first sector is: the rest is zeros,
 * whatever stood there before.
 */
static bool commit_sum_ok(const struct walk *w)
{
	static const uint8_t zeros[1024];
	const struct log *log = w->log;
	struct jbd2_commit head;
	uint32_t found, start, sum;
	size_t rest = log->block_size - sizeof(head);

	if (!log_has_csum(log))
		return true;
	memcpy(&head, w->block, sizeof(head));
	found = be32toh(head.h_chksum[0]);
	head.h_chksum[0] = 0;
	start = csum_crc32c(log->seed, &head, sizeof(head));
	if (csum_crc32c(start, w->block + sizeof(head), rest) == found)
		return true;
	for (sum = start; rest; rest -= MIN(rest, sizeof(zeros)))
		sum = csum_crc32c(sum, zeros, MIN(rest, sizeof(zeros)));
	return sum == found;
}

/* v1: the crc of all the transaction's blocks, or no checksum at all. */
static bool commit_v1_ok(const struct walk *w)
{
	const struct jbd2_commit *head = (const void *)w->block;
	uint32_t found;

	memcpy(&found, &head->h_chksum[0], sizeof(found));
	if (head->h_chksum_type == 0 && head->h_chksum_size == 0 && found == 0)
		return true;
	return head->h_chksum_type == JBD2_CRC32 && head->h_chksum_size == 4 &&
	       be32toh(found) == w->crc;
}

/* The transaction ends the log: it is the first that does not count. */
static void end_here(struct walk *w)
{
	w->log->end_tid = w->tid;
	w->ended = true;
}

static void complete(struct walk *w, uint64_t time)
{
	if (!w->ended) {
		w->complete = w->log->nlog_blocks;
		revoke_commit(&w->log->revokes);
	}
	w->last_time = time;
	w->crc = ~0U;
	w->tid++;
}

/*
 * Without async_commit a commit block is written when everything before it is safe: one
 * with a wrong checksum is damage. With it the last transaction may be half written,
 * and only a commit after that one proves damage.
 */
static int do_commit(struct walk *w)
{
	struct log *log = w->log;
	const struct jbd2_commit *head = (const void *)w->block;
	bool v1 = log->compat & JBD2_COMPAT_CHECKSUM;
	uint64_t sec;

	memcpy(&sec, &head->h_commit_sec, sizeof(sec));
	sec = be64toh(sec);
	if (w->suspect && sec < w->last_time)
		return STEP_END;
	if (w->suspect)
		return log_fail(log, -EUCLEAN, "the journal is damaged (transaction %u has a "
				"wrong checksum); run e2fsck -f", w->tid);
	if (v1 && w->ended) {
		log->torn = true;
		return STEP_END;
	}
	if (v1 ? !commit_v1_ok(w) : !commit_sum_ok(w)) {
		if (sec < w->last_time)
			return STEP_END;
		if (!w->ended)
			end_here(w);
		if (!(log->incompat & JBD2_INCOMPAT_ASYNC_COMMIT)) {
			log->torn = true;
			return STEP_END;
		}
	}
	complete(w, sec);
	return STEP_ON;
}

static int step(struct walk *w)
{
	const struct jbd2_header *head = (const void *)w->block;
	const uint8_t *data;
	int ret = next_block(w, &data);

	if (ret)
		return ret;
	memcpy(w->block, data, w->log->block_size);
	if (be32toh(head->h_magic) != JBD2_MAGIC || be32toh(head->h_sequence) != w->tid)
		return STEP_END;
	switch (be32toh(head->h_blocktype)) {
	case JBD2_DESCRIPTOR:
		return do_descriptor(w);
	case JBD2_REVOKE:
		return do_revoke(w);
	case JBD2_COMMIT:
		return do_commit(w);
	}
	return STEP_END;
}

int log_scan(struct log *log)
{
	AUTOFREE uint8_t *block = malloc(log->block_size);
	struct walk w = {
		.log = log, .block = block, .crc = ~0U,
		.lblk = be32toh(log_super(log)->s_start), .left = log->end - log->first,
		.tid = be32toh(log_super(log)->s_sequence),
	};
	int ret;

	if (!block)
		return -ENOMEM;
	do
		ret = step(&w);
	while (ret == STEP_ON);
	if (ret < 0)
		return ret;
	if (!w.ended)
		log->end_tid = w.tid;
	log->nlog_blocks = w.complete;
	revoke_finish(&log->revokes);
	return 0;
}
