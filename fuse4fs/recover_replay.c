/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing the log's blocks home.
 *
 * Of each block only the last copy is written, in order of the homes, in batches: a
 * batch is read from the log in the log's order and written in long pieces. The order
 * among homes does not matter, the journal stays until everything is flushed.
 */
#include <errno.h>

#include "blkdev.h"
#include "recover_int.h"

enum { BATCH_BYTES = 4 << 20, STAGE_BYTES = 1 << 20 };

/* Some blocks on their way, in order of home: data of blocks[i] at data + i blocks. */
struct batch {
	struct log *log;
	struct log_block *blocks;
	uint32_t *by_lblk;	/* indices into blocks, in the log's order */
	uint32_t n;
	uint8_t *data;
	uint8_t *stage;		/* a piece of the log */
};

/* By home, the last copy of a block first. */
static int by_home(const void *a, const void *b)
{
	const struct log_block *x = a, *y = b;

	if (x->home != y->home)
		return x->home < y->home ? -1 : 1;
	return (x->order < y->order) - (x->order > y->order);
}

/* Keeps what is to be written, sorted by home. */
static void choose(struct log *log, struct recover_result *result)
{
	size_t kept = 0;
	uint64_t prev = UINT64_MAX;

	if (log->nlog_blocks)
		qsort(log->blocks, log->nlog_blocks, sizeof(*log->blocks), by_home);
	for (size_t i = 0; i < log->nlog_blocks; i++) {
		struct log_block lb = log->blocks[i];

		if (lb.home == prev)
			continue;
		prev = lb.home;
		if (revoke_test(&log->revokes, lb.home, lb.tid))
			result->revoked++;
		else
			log->blocks[kept++] = lb;
	}
	log->nlog_blocks = kept;
}

/* Before anything is written. */
static int check_homes(struct log *log)
{
	for (size_t i = 0; i < log->nlog_blocks; i++) {
		uint64_t home = log->blocks[i].home;

		if (home >= log->fs_blocks || log_owns(log, home))
			return log_fail(log, -EUCLEAN, "the journal is damaged (transaction %u "
					"names block %llu); run e2fsck -f", log->blocks[i].tid,
					(unsigned long long)home);
	}
	return 0;
}

static int bad_copy(struct log *log, const struct log_block *lb)
{
	return log_fail(log, -EUCLEAN, "the journal is damaged (the copy of block %llu in "
			"transaction %u has a wrong checksum); run e2fsck -f",
			(unsigned long long)lb->home, lb->tid);
}

/* Damage is damage, even of a copy that a later one replaces; what is revoked is not
 * looked at. Before anything is written. */
static int check_copies(struct log *log)
{
	for (size_t i = 0; i < log->nlog_blocks; i++) {
		const struct log_block *lb = &log->blocks[i];

		if (lb->bad && !revoke_test(&log->revokes, lb->home, lb->tid))
			return bad_copy(log, lb);
	}
	return 0;
}

/* A block whose first bytes are the magic number stands in the log with zeros there. */
static int take(struct batch *b, uint32_t i, const uint8_t *data)
{
	const struct log_block *lb = &b->blocks[i];
	uint32_t bs = b->log->block_size, magic_be = htobe32(JBD2_MAGIC);

	if (!log_copy_ok(b->log, lb, data))
		return bad_copy(b->log, lb);
	memcpy(b->data + (size_t)i * bs, data, bs);
	if (lb->flags & JBD2_TAG_ESCAPE)
		memcpy(b->data + (size_t)i * bs, &magic_be, sizeof(magic_be));
	return 0;
}

/* Reads by_lblk[from..]: as many as lie in one piece. Returns how many, or -errno. */
static int64_t read_piece(struct batch *b, uint32_t from)
{
	struct log *log = b->log;
	uint32_t first = b->blocks[b->by_lblk[from]].lblk, len, n = 1;
	uint64_t pblk = log_pblk(log, first, &len);
	int err;

	len = MIN(len, MAX(1u, (uint32_t)STAGE_BYTES / log->block_size));
	while (n < len && from + n < b->n && b->blocks[b->by_lblk[from + n]].lblk == first + n)
		n++;
	err = blkdev_read(log->src, b->stage, (size_t)n * log->block_size,
			  pblk * log->block_size);
	if (err)
		return log_fail(log, err, "cannot read the journal");
	for (uint32_t i = 0; i < n; i++) {
		err = take(b, b->by_lblk[from + i], b->stage + (size_t)i * log->block_size);
		if (err)
			return err;
	}
	return n;
}

static int compare_lblk(const void *a, const void *b, void *blocks)
{
	const struct log_block *all = blocks;
	uint32_t x = all[*(const uint32_t *)a].lblk, y = all[*(const uint32_t *)b].lblk;

	return (x > y) - (x < y);
}

static int read_batch(struct batch *b)
{
	int64_t n;

	for (uint32_t i = 0; i < b->n; i++)
		b->by_lblk[i] = i;
	qsort_r(b->by_lblk, b->n, sizeof(*b->by_lblk), compare_lblk, b->blocks);
	for (uint32_t i = 0; i < b->n; i += n) {
		n = read_piece(b, i);
		if (n < 0)
			return n;
	}
	return 0;
}

static int write_batch(struct batch *b)
{
	struct log *log = b->log;
	uint32_t n;

	for (uint32_t i = 0; i < b->n; i += n) {
		uint64_t home = b->blocks[i].home;
		int err;

		for (n = 1; i + n < b->n && b->blocks[i + n].home == home + n; n++)
			;
		err = blkdev_write(log->dst, b->data + (size_t)i * log->block_size,
				   (size_t)n * log->block_size, home * log->block_size);
		if (err)
			return log_fail(log, err, "cannot write what the journal holds");
	}
	return 0;
}

int log_replay(struct log *log, struct recover_result *result)
{
	uint32_t per_batch = MAX(1u, (uint32_t)BATCH_BYTES / log->block_size);
	AUTOFREE uint8_t *data = NULL;
	AUTOFREE uint8_t *stage = NULL;
	AUTOFREE uint32_t *by_lblk = NULL;
	int err;

	err = check_copies(log);
	if (err)
		return err;
	choose(log, result);
	err = check_homes(log);
	if (err || !log->nlog_blocks)
		return err;
	data = malloc((size_t)per_batch * log->block_size);
	stage = malloc(MAX((uint32_t)STAGE_BYTES, log->block_size));
	by_lblk = calloc(per_batch, sizeof(*by_lblk));
	if (!data || !stage || !by_lblk)
		return -ENOMEM;
	for (size_t i = 0; i < log->nlog_blocks && !err; i += per_batch) {
		struct batch b = {
			.log = log, .blocks = log->blocks + i, .by_lblk = by_lblk, .data = data,
			.n = MIN((size_t)per_batch, log->nlog_blocks - i), .stage = stage,
		};

		err = read_batch(&b);
		if (!err)
			err = write_batch(&b);
		if (!err)
			result->blocks += b.n;
	}
	return err;
}
