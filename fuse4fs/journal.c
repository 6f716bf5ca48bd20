/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commits through the journal.
 *
 * One transaction is two flushes: everything but the commit block is written in long
 * writes and flushed together with the file data that was written before (I2); then the
 * commit block, and a flush. After that its blocks are known to the table, what it freed
 * is not, and the checkpointer may bring it home (I1).
 *
 * A block that was freed is revoked if the live log holds it, by this transaction: a
 * replay must not put it over what the block's next owner writes. From then on it does
 * not go home either. What the log does not hold needs no revoke, which bounds them.
 */
#include "journal.h"

#include <assert.h>
#include <errno.h>

#include "blkdev.h"
#include "commit_hooks.h"
#include "csum.h"
#include "journal_int.h"

enum { MIN_PENDING_BYTES = 4 << 20, PATIENCE = 100 };

static struct journal *to_journal(struct commit_writer *w)
{
	return container_of(w, struct journal, w);
}

/* Appends; -ENOMEM. */
static int add_revoke(struct journal *j, const struct commit *c, uint64_t pblk)
{
	size_t lo = 0, hi = c->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->copies[mid].pblk < pblk)
			lo = mid + 1;
		else
			hi = mid;
	}
	/* It came back to life in the same transaction. */
	if (lo < c->n && c->copies[lo].pblk == pblk)
		return 0;
	if (j->nrevokes == j->revokes_size) {
		size_t size = MAX(2 * j->revokes_size, (size_t)64);
		uint64_t *more = reallocarray(j->revokes, size, sizeof(*more));

		if (!more)
			return -ENOMEM;
		j->revokes = more;
		j->revokes_size = size;
	}
	j->revokes[j->nrevokes++] = pblk;
	return 0;
}

/* r: sorted, disjoint. */
static bool in_ranges(const struct range *r, size_t n, uint64_t pblk)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r[mid].pblk + r[mid].n <= pblk)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && r[lo].pblk <= pblk;
}

static int find_by_table(struct journal *j, const struct commit *c, const struct range *r,
			 size_t n) REQUIRES(j->lock)
{
	int err = 0;

	for (size_t i = 0; i <= j->table.mask; i++)
		for (struct entry *e = j->table.buckets[i]; e && !err; e = e->next)
			if (in_ranges(r, n, e->pblk))
				err = add_revoke(j, c, e->pblk);
	return err;
}

static int find_by_block(struct journal *j, const struct commit *c, const struct range *r,
			 size_t n) REQUIRES(j->lock)
{
	int err = 0;

	for (size_t i = 0; i < n; i++)
		for (uint64_t k = 0; k < r[i].n && !err; k++)
			if (table_find(&j->table, r[i].pblk + k))
				err = add_revoke(j, c, r[i].pblk + k);
	return err;
}

/* What of c's freed blocks the live log holds: whichever search is shorter. */
static int find_revokes(struct journal *j, const struct commit *c) REQUIRES(j->lock)
{
	size_t n;
	const struct range *r = commit_freed(c, &n);
	uint64_t total = 0;

	j->nrevokes = 0;
	for (size_t i = 0; i < n; i++)
		total += r[i].n;
	if (!total || !j->table.count)
		return 0;
	if (total > j->table.count + j->table.mask)
		return find_by_table(j, c, r, n);
	return find_by_block(j, c, r, n);
}

/* All that may have to wait or fail before a byte is written. */
static int prepare(struct journal *j, const struct commit *c, struct logged **ret)
	REQUIRES(j->lock)
{
	struct logged *lt = calloc(1, sizeof(*lt));
	int err = lt ? 0 : -ENOMEM;

	if (!err)
		err = find_revokes(j, c);
	if (!err)
		err = table_reserve(&j->table, c->n);
	if (!err)
		err = checkpoint_wait(j, log_space(j, c, j->nrevokes), false);
	if (err) {
		free(lt);
		return err;
	}
	lt->tid = c->tid;
	lt->start = j->head;
	lt->nblks = (uint32_t)log_space(j, c, j->nrevokes);
	*ret = lt;
	return 0;
}

/* With everything home the log holds nothing to revoke, and most memory is free again. The
 * next transaction has begun, so that this one cannot be put off: memory is waited for. */
static int prepare_or_drain(struct journal *j, struct commit *c, struct logged **ret)
{
	int err;

	mutex_lock(&j->lock);
	if (!j->mgr)
		j->mgr = c->mgr;
	err = prepare(j, c, ret);
	for (unsigned i = 0; err == -ENOMEM && i < PATIENCE; i++) {
		if (i)
			checkpoint_pause(j);
		err = checkpoint_wait(j, 0, true);
		if (!err)
			err = prepare(j, c, ret);
	}
	mutex_unlock(&j->lock);
	return err;
}

/* A write home under way must not land on the next owner of a block that was freed; the
 * ones that follow know of it. */
static void wait_for_write(struct journal *j) REQUIRES(j->lock)
{
	const uint64_t seen = j->writes;

	while (j->writing && j->writes == seen)
		cond_wait(&j->room, &j->lock);
}

/* c is durable: makes it part of the live log, at once, for the lock is let go later. */
static void record(struct journal *j, struct commit *c, struct logged *lt)
{
	mutex_lock(&j->lock);
	assert(c->tid == j->next_tid && j->used + lt->nblks <= j->capacity);
	list_push(&j->logged, &lt->node);
	j->used += lt->nblks;
	j->head = log_after(j, lt->start, lt->nblks);
	j->next_tid = c->tid + 1;
	for (size_t i = 0; i < c->n; i++)
		table_put(&j->table, &c->copies[i], lt);
	for (size_t i = 0; i < j->nrevokes; i++)
		table_remove(&j->table, j->revokes[i]);
	if (j->nrevokes)
		wait_for_write(j);
	clock_gettime(CLOCK_MONOTONIC, &j->last_commit);
	checkpoint_poke(j);
	mutex_unlock(&j->lock);
}

static int journal_write(struct commit_writer *w, struct commit *c)
{
	struct journal *j = to_journal(w);
	struct logged *lt;
	uint32_t crc;
	int err;

	err = prepare_or_drain(j, c, &lt);
	if (err)
		return err;
	err = log_write(j, c, lt->start, &crc);
	if (!err)
		err = commit_flush(c->mgr);
	if (!err)
		err = log_write_commit(j, c, log_after(j, lt->start, lt->nblks - 1), crc);
	if (!err)
		err = commit_flush(c->mgr);
	if (err) {
		free(lt);
		return err;
	}
	record(j, c, lt);
	return 0;
}

static void journal_stats(struct commit_writer *w, struct txn_stats *st)
{
	struct journal *j = to_journal(w);

	mutex_lock(&j->lock);
	st->log_blocks = j->capacity;
	st->log_free = j->capacity - j->used;
	st->checkpoints = j->passes;
	st->checkpoint_blocks = j->table.npending;
	if (!list_empty(&j->logged))
		st->checkpoint_lag = j->next_tid -
			container_of(j->logged.next, struct logged, node)->tid;
	mutex_unlock(&j->lock);
}

/* Not flushed. */
static int write_super(struct journal *j) REQUIRES(j->super_lock)
{
	uint32_t len, bs = j->log.block_size;

	log_seal_super(&j->log);
	return blkdev_write(j->fs->dev, j->log.super_block, bs, log_pblk(&j->log, 0, &len) * bs);
}

static int write_tail(struct journal *j, uint32_t start, uint32_t tid) REQUIRES(j->super_lock)
{
	struct jbd2_super *js = log_super(&j->log);

	if (j->failed)
		return -EIO;
	js->s_start = htobe32(start);
	js->s_sequence = htobe32(tid);
	return write_super(j);
}

int journal_set_tail(struct journal *j, uint32_t start, uint32_t tid)
{
	int err;

	mutex_lock(&j->super_lock);
	err = write_tail(j, start, tid);
	if (!err)
		err = blkdev_flush(j->fs->dev);
	mutex_unlock(&j->super_lock);
	return err;
}

/* What the next mount is to know, the kernel's too: it marks the file system. If it cannot
 * be written, the ext4 superblock may still say it. */
static void journal_failed(struct commit_writer *w, int err)
{
	struct journal *j = to_journal(w);

	mutex_lock(&j->super_lock);
	j->failed = true;
	log_super(&j->log)->s_errno = htobe32((uint32_t)err);
	if (!write_super(j))
		(void)blkdev_flush(j->fs->dev);
	mutex_unlock(&j->super_lock);
}

static void journal_free(struct journal *j)
{
	table_fini(&j->table);
	while (!list_empty(&j->logged)) {
		struct logged *lt = container_of(j->logged.next, struct logged, node);

		list_unlink(&lt->node);
		free(lt);
	}
	log_close(&j->log);
	free(j->out);
	free(j->home);
	free(j->revokes);
	mutex_fini(&j->lock);
	mutex_fini(&j->super_lock);
	cond_fini(&j->wake);
	cond_fini(&j->room);
	free(j);
}

static int journal_close(struct commit_writer *w, bool aborted)
{
	struct journal *j = to_journal(w);
	int err = 0;

	checkpoint_stop(j);
	if (!aborted) {
		err = checkpoint_rest(j);
		assert(err || !j->table.npending);	/* I4 */
		if (!err)
			err = journal_set_tail(j, 0, j->next_tid);
		if (!err)
			err = super_write_recover(j->fs, false);
	}
	journal_free(j);
	return err;
}

static const struct commit_writer_ops journal_ops = {
	.write = journal_write,
	.failed = journal_failed,
	.stats = journal_stats,
	.close = journal_close,
};

/*
 * As the kernel's ext4: checksum v3 with metadata_csum, 64bit with 64bit. A checksum that
 * is there already is kept; of two kinds only the newer one can be right. Fast commits are
 * not written: without the feature their area is part of the log, for every reader alike
 * (e2fsck 1.47.0, where it is set, wraps around behind that area instead of before it).
 */
static void choose_features(struct journal *j)
{
	struct jbd2_super *js = log_super(&j->log);
	uint32_t compat = j->log.compat, incompat = j->log.incompat;

	if (be32toh(js->s_header.h_blocktype) == JBD2_SUPER_V1) {
		memset(&js->s_feature_compat, 0,
		       sizeof(*js) - offsetof(struct jbd2_super, s_feature_compat));
		js->s_header.h_blocktype = htobe32(JBD2_SUPER_V2);
		js->s_nr_users = htobe32(1);
	}
	incompat |= JBD2_INCOMPAT_REVOKE;
	incompat &= ~(uint32_t)(JBD2_INCOMPAT_ASYNC_COMMIT | JBD2_INCOMPAT_FAST_COMMIT);
	j->log.end = be32toh(js->s_maxlen);
	if (j->fs->has_64bit)
		incompat |= JBD2_INCOMPAT_64BIT;
	if (j->fs->has_csum && !log_has_csum(&j->log)) {
		incompat |= JBD2_INCOMPAT_CSUM_V3;
		compat &= ~(uint32_t)JBD2_COMPAT_CHECKSUM;
		js->s_checksum_type = JBD2_CRC32C;
	}
	js->s_feature_compat = htobe32(compat);
	js->s_feature_incompat = htobe32(incompat);
	j->log.compat = compat;
	j->log.incompat = incompat;
	j->log.seed = csum_crc32c(~0U, js->s_uuid, sizeof(js->s_uuid));
}

static int init(struct journal *j)
{
	struct cache_stats st;
	uint32_t bs = j->fs->block_size;

	choose_features(j);
	j->capacity = j->log.end - j->log.first;
	j->head = j->log.first;
	j->next_tid = be32toh(log_super(&j->log)->s_sequence);
	cache_get_stats(j->fs->cache, &st);
	j->max_pending = MAX(st.limit / 2, (uint64_t)MIN_PENDING_BYTES) / bs;
	j->out = malloc(MAX((uint32_t)OUT_BYTES, bs));
	j->home = malloc(MAX((uint32_t)HOME_BYTES, bs));
	if (!j->out || !j->home)
		return -ENOMEM;
	return table_init(&j->table, bs, j->capacity);
}

/* From here on a crash finds a journal in use. */
static int start(struct journal *j)
{
	int err = super_write_recover(j->fs, true);

	/* Durable with the first transaction, whose commit block waits for a flush: until then
	 * a superblock that says "empty" is as true. */
	mutex_lock(&j->super_lock);
	if (!err)
		err = write_tail(j, j->head, j->next_tid);
	mutex_unlock(&j->super_lock);
	j->in_use = !err;
	if (!err)
		err = checkpoint_start(j);
	return err;
}

int journal_open(struct fs *fs, struct commit_writer **ret)
{
	struct journal *j = calloc(1, sizeof(*j));
	char why[256] = "";
	int err;

	if (!j)
		return -ENOMEM;
	j->fs = fs;
	list_init(&j->logged);
	mutex_init(&j->lock);
	mutex_init(&j->super_lock);
	cond_init(&j->wake);
	cond_init(&j->room);
	err = log_open(&j->log, fs->e2, fs->dev, fs->dev, why, sizeof(why));
	if (!err && log_super(&j->log)->s_start)
		err = log_fail(&j->log, -EUCLEAN, "the journal is in use; run e2fsck -f");
	if (!err && j->log.end - j->log.first < JBD2_MIN_BLOCKS - 1)
		err = log_fail(&j->log, -EUCLEAN, "the journal has only %u blocks to write to; "
			       "make a new one with tune2fs", j->log.end - j->log.first);
	if (!err)
		err = init(j);
	if (!err)
		err = start(j);
	if (err) {
		if (why[0])
			fs_log(fs, FS_LOG_ERR, "%s", why);
		journal_free(j);
		return err;
	}
	j->w = (struct commit_writer){
		.ops = &journal_ops, .fs = fs, .max_blocks = log_max_blocks(j),
		.max_handle = log_max_handle(j), .first_tid = j->next_tid,
	};
	*ret = &j->w;
	return 0;
}
