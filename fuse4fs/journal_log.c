/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A transaction as jbd2 writes it: revoke blocks, then descriptor blocks with the
 * blocks their tags name, then (when all that is durable) the commit block.
 *
 * The blocks are gathered in memory and leave in long writes, cut where the ring or a
 * piece of the journal ends. A block that begins with the journal's magic number stands
 * in the log with zeros there, and its tag says so.
 * Source: linux Documentation/filesystems/ext4/journal.rst; fs/jbd2/commit.c.
 */
#include <assert.h>
#include <errno.h>

#include "blkdev.h"
#include "csum.h"
#include "journal_int.h"

enum { UUID_SIZE = 16, JBD2_SHARE = 4, OVERHEAD_SHARE = 16 };

/* Log blocks being gathered. */
struct out {
	struct journal *j;
	struct commit *c;
	uint32_t lblk;		/* ring block of the first gathered */
	uint32_t n, max;	/* gathered; that fit */
	uint32_t crc;		/* v1: of descriptors and data */
};

uint32_t log_after(const struct journal *j, uint32_t lblk, uint64_t n)
{
	return j->log.first + (uint32_t)((lblk - j->log.first + n) % j->capacity);
}

static bool has_v1(const struct log *log)
{
	return log->compat & JBD2_COMPAT_CHECKSUM;
}

static size_t usable(const struct log *log)
{
	return log->block_size - jbd2_tail_size(log->incompat);
}

/* The first tag of each block is followed by a UUID. */
static size_t tags_per_block(const struct log *log)
{
	return (usable(log) - sizeof(struct jbd2_header) - UUID_SIZE) /
	       jbd2_tag_size(log->incompat);
}

static size_t revoke_size(const struct log *log)
{
	return log->incompat & JBD2_INCOMPAT_64BIT ? 8 : 4;
}

static size_t revokes_per_block(const struct log *log)
{
	return (usable(log) - sizeof(struct jbd2_revoke)) / revoke_size(log);
}

uint64_t log_space(const struct journal *j, const struct commit *c, size_t nrevokes)
{
	return c->n + div_up(c->n, tags_per_block(&j->log)) +
	       div_up(nrevokes, revokes_per_block(&j->log)) + 1;
}

unsigned log_max_blocks(const struct journal *j)
{
	return j->capacity / JBD2_SHARE;
}

/* Descriptors take one block in tags_per_block (at least 61), revokes of all that a live
 * log can hold one in revokes_per_block (at least 125). */
unsigned log_max_handle(const struct journal *j)
{
	return j->capacity - j->capacity / OVERHEAD_SHARE;
}

/* n blocks from ring block lblk on, which do not wrap around. */
static int write_ring(struct journal *j, const uint8_t *data, uint32_t lblk, uint32_t n)
{
	const struct log *log = &j->log;
	uint32_t bs = log->block_size;

	assert(j->in_use && lblk >= log->first && lblk + n <= log->end);	/* I4 */
	while (n) {
		uint32_t len;
		uint64_t pblk = log_pblk(log, lblk, &len);
		int err;

		len = MIN(len, n);
		err = blkdev_write(j->fs->dev, data, (size_t)len * bs, pblk * bs);
		if (err)
			return err;
		data += (size_t)len * bs;
		lblk += len;
		n -= len;
	}
	return 0;
}

static int out_drain(struct out *o)
{
	int err;

	if (!o->n)
		return 0;
	if (commit_aborted(o->c->mgr))
		return -EIO;
	err = write_ring(o->j, o->j->out, o->lblk, o->n);
	o->lblk = log_after(o->j, o->lblk, o->n);
	o->n = 0;
	return err;
}

/* Memory for the next block of the log; what was returned before is complete. */
static int out_next(struct out *o, uint8_t **ret)
{
	int err;

	if (o->n == o->max || o->lblk + o->n == o->j->log.end) {
		err = out_drain(o);
		if (err)
			return err;
	}
	*ret = o->j->out + (size_t)o->n++ * o->j->log.block_size;
	return 0;
}

static void put_header(uint8_t *block, enum jbd2_blocktype type, uint32_t tid)
{
	const struct jbd2_header head = {
		.h_magic = htobe32(JBD2_MAGIC), .h_blocktype = htobe32(type),
		.h_sequence = htobe32(tid),
	};

	memcpy(block, &head, sizeof(head));
}

/* The checksum at the end of descriptor and revoke blocks, whose place is zero. */
static void put_tail(const struct log *log, uint8_t *block)
{
	uint32_t sum_be;

	if (!log_has_csum(log))
		return;
	sum_be = htobe32(csum_crc32c(log->seed, block, log->block_size));
	memcpy(block + usable(log), &sum_be, sizeof(sum_be));
}

static void add_v1(struct out *o, const uint8_t *block)
{
	if (has_v1(&o->j->log))
		o->crc = ext2fs_crc32_be(o->crc, block, o->j->log.block_size);
}

static bool needs_escape(const uint8_t *data)
{
	const uint32_t magic_be = htobe32(JBD2_MAGIC);

	return memcmp(data, &magic_be, sizeof(magic_be)) == 0;
}

/* Of the block as it stands in the log. */
static uint32_t block_sum(const struct log *log, uint32_t tid, const uint8_t *data)
{
	static const uint8_t zero[4];
	uint32_t tid_be = htobe32(tid), sum;

	if (!log_has_csum(log))
		return 0;
	sum = csum_crc32c(log->seed, &tid_be, sizeof(tid_be));
	sum = csum_crc32c(sum, needs_escape(data) ? zero : data, sizeof(zero));
	return csum_crc32c(sum, data + sizeof(zero), log->block_size - sizeof(zero));
}

static void put_tag(const struct log *log, uint8_t *pos, const struct copy *k, uint32_t flags,
		    uint32_t sum)
{
	uint32_t high = log->incompat & JBD2_INCOMPAT_64BIT ? (uint32_t)(k->pblk >> 32) : 0;

	if (log->incompat & JBD2_INCOMPAT_CSUM_V3) {
		const struct jbd2_tag3 tag = {
			.t_blocknr = htobe32((uint32_t)k->pblk), .t_flags = htobe32(flags),
			.t_blocknr_high = htobe32(high), .t_checksum = htobe32(sum),
		};

		memcpy(pos, &tag, sizeof(tag));
	} else {
		const struct jbd2_tag tag = {
			.t_blocknr = htobe32((uint32_t)k->pblk),
			.t_checksum = htobe16((uint16_t)sum),
			.t_flags = htobe16((uint16_t)flags), .t_blocknr_high = htobe32(high),
		};

		memcpy(pos, &tag, MIN(jbd2_tag_size(log->incompat), sizeof(tag)));
	}
}

/* One descriptor block for n copies. */
static int put_descriptor(struct out *o, const struct copy *copies, size_t n)
{
	const struct log *log = &o->j->log;
	uint32_t tid = o->c->tid;
	uint8_t *block, *pos;
	int err = out_next(o, &block);

	if (err)
		return err;
	memset(block, 0, log->block_size);
	put_header(block, JBD2_DESCRIPTOR, tid);
	pos = block + sizeof(struct jbd2_header);
	for (size_t i = 0; i < n; i++) {
		const struct copy *k = &copies[i];
		uint32_t flags = (needs_escape(k->data) ? JBD2_TAG_ESCAPE : 0) |
				 (i ? JBD2_TAG_SAME_UUID : 0) |
				 (i + 1 == n ? JBD2_TAG_LAST : 0);

		put_tag(log, pos, k, flags, block_sum(log, tid, k->data));
		pos += jbd2_tag_size(log->incompat);
		if (i)
			continue;
		memcpy(pos, ((struct jbd2_super *)log->super_block)->s_uuid, UUID_SIZE);
		pos += UUID_SIZE;
	}
	put_tail(log, block);
	add_v1(o, block);
	return 0;
}

static int put_data(struct out *o, const struct copy *k)
{
	uint8_t *block;
	int err = out_next(o, &block);

	if (err)
		return err;
	memcpy(block, k->data, o->j->log.block_size);
	if (needs_escape(block))
		memset(block, 0, sizeof(uint32_t));
	add_v1(o, block);
	return 0;
}

static int put_revokes(struct out *o, const uint64_t *pblks, size_t n)
{
	const struct log *log = &o->j->log;
	size_t size = revoke_size(log);
	struct jbd2_revoke head;
	uint8_t *block, *pos;
	int err = out_next(o, &block);

	if (err)
		return err;
	memset(block, 0, log->block_size);
	pos = block + sizeof(head);
	for (size_t i = 0; i < n; i++, pos += size) {
		uint64_t be64 = htobe64(pblks[i]);
		uint32_t be32 = htobe32((uint32_t)pblks[i]);

		memcpy(pos, size == 8 ? (void *)&be64 : (void *)&be32, size);
	}
	put_header(block, JBD2_REVOKE, o->c->tid);
	memcpy(&head, block, sizeof(head));
	head.r_count = htobe32((uint32_t)(pos - block));
	memcpy(block, &head, sizeof(head));
	put_tail(log, block);
	return 0;
}

/* What replay would refuse: blocks outside, or of the journal itself. */
static bool homes_ok(const struct journal *j, const struct commit *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->copies[i].pblk >= j->fs->blocks_count ||
		    log_owns(&j->log, c->copies[i].pblk))
			return false;
	return true;
}

int log_write(struct journal *j, struct commit *c, uint32_t start, uint32_t *ret_crc)
{
	size_t per_block = tags_per_block(&j->log), per_revoke = revokes_per_block(&j->log);
	struct out o = {
		.j = j, .c = c, .lblk = start, .crc = ~0U,
		.max = MAX(OUT_BYTES / j->log.block_size, 1u),
	};
	int err = homes_ok(j, c) ? 0 : -EUCLEAN;

	for (size_t i = 0; i < j->nrevokes && !err; i += per_revoke)
		err = put_revokes(&o, j->revokes + i, MIN(per_revoke, j->nrevokes - i));
	for (size_t i = 0; i < c->n && !err; i++) {
		if (i % per_block == 0)
			err = put_descriptor(&o, c->copies + i, MIN(per_block, c->n - i));
		if (!err)
			err = put_data(&o, &c->copies[i]);
	}
	if (!err)
		err = out_drain(&o);
	*ret_crc = o.crc;
	return err;
}

int log_write_commit(struct journal *j, const struct commit *c, uint32_t lblk, uint32_t crc)
{
	const struct log *log = &j->log;
	struct jbd2_commit head = { 0 };
	uint8_t *block = j->out;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	memset(block, 0, log->block_size);
	put_header(block, JBD2_COMMIT, c->tid);
	memcpy(&head, block, sizeof(head));
	head.h_commit_sec = htobe64((uint64_t)now.tv_sec);
	head.h_commit_nsec = htobe32((uint32_t)now.tv_nsec);
	if (has_v1(log)) {
		head.h_chksum_type = JBD2_CRC32;
		head.h_chksum_size = sizeof(crc);
		head.h_chksum[0] = htobe32(crc);
	}
	memcpy(block, &head, sizeof(head));
	if (log_has_csum(log)) {
		head.h_chksum[0] = htobe32(csum_crc32c(log->seed, block, log->block_size));
		memcpy(block, &head, sizeof(head));
	}
	if (commit_aborted(c->mgr))
		return -EIO;
	return write_ring(j, block, lblk, 1);
}
