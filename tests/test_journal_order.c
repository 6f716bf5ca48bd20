/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order in which a journal writes, read from a record of the device's calls. A workload
 * goes round a small log several times, with blocks that are freed and live again as data;
 * then every call is judged:
 *
 *  R1  a commit block is written when all of its transaction has been flushed
 *  R2  metadata goes home when the commit block that covers this content has been flushed
 *  R3  the tail passes a transaction when each of its blocks is home and flushed, or is in
 *      a later transaction, or revoked by one
 *  R4  the log's room is used again when the tail that gives it back has been flushed
 *  R5  needs_recovery is flushed before the journal is in use, that before the first commit
 *      block; at the end the journal is empty, flushed, before needs_recovery goes
 *  R6  a block of the live log is written as data when a flushed transaction has revoked it
 *  R7  what was freed is discarded when the commit block has been flushed
 *  R8  fsync returns when everything before it has been flushed, and so does the close
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "cache.h"
#include "dev_delay.h"
#include "dev_record.h"
#include "group.h"
#include "iomgr.h"
#include "recover_int.h"
#include "txn.h"
#include "unit_image.h"
#include "unit_tree.h"

enum { MIB = 1 << 20, BS = 1024, NBLOCKS = 16 * MIB / BS, MAX_TXN = 4096, LOG_MAX = 1024 };
enum { NEVER = 0 };	/* indices into the record start at 1 here */

/* A copy in the log. */
struct logged_copy {
	uint64_t home;
	uint32_t tid;
	bool escaped;
	const uint8_t *data;
};

/* What the workload notes. */
struct notes {
	size_t synced[4096];	/* calls when an fsync had returned */
	size_t nsynced;
	size_t freed[4096];	/* calls when something was freed */
	size_t nfreed;
};

struct judge {
	struct blkdev *record;
	const struct notes *notes;
	struct log map;
	size_t now;		/* the call being judged, from 1 */
	size_t flushed;		/* calls before this one are durable */
	struct logged_copy *copies;
	size_t ncopies;
	/* by transaction number */
	size_t committed[MAX_TXN], last_write[MAX_TXN];
	/* by home block: last revoked by; when and with what it was written home last */
	uint32_t revoked_by[NBLOCKS];
	size_t home_at[NBLOCKS];
	const uint8_t *home_data[NBLOCKS];
	/* by log block: whose it is */
	uint32_t owner[LOG_MAX];
	/* the log as its blocks come */
	uint32_t tid, tags_left;
	size_t first_tag;	/* in copies, whose data comes next */
	/* tails written: the durable one counts */
	uint32_t tail, tail_durable, start;
	size_t tail_at, empty_at, in_use_at, needs_at;
	bool needs;		/* needs_recovery as written last */
	unsigned seen[9];	/* how often each rule was applied */
	unsigned bad;
};

static void broken(struct judge *j, const char *rule, uint64_t what)
{
	if (j->bad++ < 10)
		fprintf(stderr, "%s broken at call %zu (%llu)\n", rule, j->now,
			(unsigned long long)what);
}

static void rule(struct judge *j, unsigned n, bool holds, uint64_t what)
{
	char name[4] = { 'R', (char)('0' + n), '\0' };

	j->seen[n]++;
	if (!holds)
		broken(j, name, what);
}

static bool is_durable(const struct judge *j, size_t call)
{
	return call && call < j->flushed;
}

static bool same(const struct logged_copy *c, const uint8_t *data)
{
	size_t skip = c->escaped ? 4 : 0;

	return memcmp(c->data + skip, data + skip, BS - skip) == 0;
}

/* The newest copy of home in a committed transaction before `below` (0: any); NULL: none. */
static const struct logged_copy *newest(const struct judge *j, uint64_t home, uint32_t below)
{
	const struct logged_copy *found = NULL;

	for (size_t i = 0; i < j->ncopies; i++) {
		const struct logged_copy *c = &j->copies[i];

		if (c->home == home && c->data && j->committed[c->tid] && (!below || c->tid < below))
			found = c;
	}
	return found;
}

/* Blocks of the log. */

static void see_descriptor(struct judge *j, const uint8_t *block)
{
	const uint8_t *pos = block + sizeof(struct jbd2_header);
	struct jbd2_tag3 tag;

	j->first_tag = j->ncopies;
	do {
		memcpy(&tag, pos, sizeof(tag));
		j->copies = reallocarray(j->copies, j->ncopies + 1, sizeof(*j->copies));
		assert_non_null(j->copies);
		j->copies[j->ncopies++] = (struct logged_copy){
			.home = be32toh(tag.t_blocknr), .tid = j->tid,
			.escaped = be32toh(tag.t_flags) & JBD2_TAG_ESCAPE,
		};
		pos += sizeof(tag) + (be32toh(tag.t_flags) & JBD2_TAG_SAME_UUID ? 0 : 16);
	} while (!(be32toh(tag.t_flags) & JBD2_TAG_LAST));
	j->tags_left = (uint32_t)(j->ncopies - j->first_tag);
}

static void see_revokes(struct judge *j, const uint8_t *block)
{
	struct jbd2_revoke head;

	memcpy(&head, block, sizeof(head));
	for (size_t at = sizeof(head); at + 8 <= be32toh(head.r_count); at += 8) {
		uint64_t be;

		memcpy(&be, block + at, sizeof(be));
		j->revoked_by[be64toh(be)] = j->tid;
	}
}

static void see_log_block(struct judge *j, uint32_t lblk, const uint8_t *block)
{
	struct jbd2_header head;

	memcpy(&head, block, sizeof(head));
	if (j->owner[lblk])
		rule(j, 4, j->owner[lblk] < j->tail_durable, lblk);
	rule(j, 5, is_durable(j, j->needs_at) && j->needs && j->in_use_at, lblk);
	if (j->tags_left) {
		j->copies[j->ncopies - j->tags_left--].data = block;
	} else {
		assert_int_equal(be32toh(head.h_magic), JBD2_MAGIC);
		j->tid = be32toh(head.h_sequence);
		assert_true(j->tid && j->tid < MAX_TXN);
		switch (be32toh(head.h_blocktype)) {
		case JBD2_DESCRIPTOR:
			see_descriptor(j, block);
			break;
		case JBD2_REVOKE:
			see_revokes(j, block);
			break;
		case JBD2_COMMIT:
			rule(j, 1, is_durable(j, j->last_write[j->tid]), j->tid);
			rule(j, 5, is_durable(j, j->in_use_at), j->tid);
			j->committed[j->tid] = j->now;
			break;
		}
	}
	j->owner[lblk] = j->tid;
	if (j->committed[j->tid] != j->now)
		j->last_write[j->tid] = j->now;
}

/* The tail moves past transaction c->tid. */
static void pass_copy(struct judge *j, const struct logged_copy *c, uint32_t tail)
{
	const struct logged_copy *last = newest(j, c->home, tail), *next = newest(j, c->home, 0);
	uint32_t revoked = j->revoked_by[c->home];
	bool home = j->home_data[c->home] && is_durable(j, j->home_at[c->home]) &&
		    same(last, j->home_data[c->home]);

	if (last != c)
		return;
	rule(j, 3, home || next->tid >= tail || (revoked >= c->tid && j->committed[revoked]),
	     c->home);
}

static void see_journal_super(struct judge *j, const uint8_t *block)
{
	struct jbd2_super js;
	uint32_t tail;

	memcpy(&js, block, sizeof(js));
	tail = be32toh(js.s_sequence);
	j->start = be32toh(js.s_start);
	if (j->start && !j->in_use_at) {
		j->in_use_at = j->now;
		rule(j, 5, is_durable(j, j->needs_at) && j->needs, 0);
	}
	for (size_t i = 0; i < j->ncopies; i++)
		if (j->copies[i].tid >= j->tail && j->copies[i].tid < tail)
			pass_copy(j, &j->copies[i], tail);
	j->tail = tail;
	j->tail_at = j->now;
	if (!j->start)
		j->empty_at = j->now;
}

/* Past the transactions, or home. */
static void see_super(struct judge *j, const uint8_t *block)
{
	const struct ext2_super_block *sb = (const void *)block;
	bool needs = le32toh(sb->s_feature_incompat) & EXT3_FEATURE_INCOMPAT_RECOVER;

	if (j->needs && !needs)
		rule(j, 5, !j->start && is_durable(j, j->empty_at), 1);
	if (needs && !j->needs)
		j->needs_at = j->now;
	j->needs = needs;
}

/* An fsync that began after that commit block, or wrote it, has returned. */
static bool has_returned(const struct judge *j, size_t commit)
{
	for (size_t i = 0; commit && i < j->notes->nsynced; i++)
		if (j->notes->synced[i] >= commit)
			return j->notes->synced[i] < j->now;
	return false;
}

static void see_home(struct judge *j, uint64_t home, const uint8_t *block)
{
	const struct logged_copy *c = NULL;
	bool live = false;

	for (size_t i = 0; i < j->ncopies; i++) {
		const struct logged_copy *k = &j->copies[i];

		if (k->home != home || !k->data)
			continue;
		live |= k->tid >= j->tail_durable && j->revoked_by[home] < k->tid;
		if (same(k, block))
			c = k;
	}
	if (home == SUPERBLOCK_OFFSET / BS) {
		see_super(j, block);
		live &= c != NULL;
	}
	if (c && j->revoked_by[home] < c->tid) {
		rule(j, 2, is_durable(j, j->committed[c->tid]), home);
	} else if (c) {
		/* On its way when it was revoked: that commit has to wait for it. */
		rule(j, 6, !has_returned(j, j->committed[j->revoked_by[home]]), home);
	} else if (live) {
		rule(j, 6, false, home);
	} else if (j->revoked_by[home]) {
		rule(j, 6, is_durable(j, j->committed[j->revoked_by[home]]), home);
	}
	j->home_at[home] = j->now;
	j->home_data[home] = block;
}

static uint32_t journal_lblk(const struct judge *j, uint64_t pblk)
{
	for (size_t i = 0; i < j->map.nruns; i++)
		if (pblk - j->map.runs[i].pblk < j->map.runs[i].len)
			return j->map.runs[i].lblk + (uint32_t)(pblk - j->map.runs[i].pblk);
	return UINT32_MAX;
}

static void see_write(struct judge *j, const struct dev_record_entry *e)
{
	assert_int_equal(e->off % BS, 0);
	for (uint64_t at = 0; at < e->len; at += BS) {
		uint64_t pblk = (e->off + at) / BS;
		uint32_t lblk = journal_lblk(j, pblk);

		if (lblk == 0)
			see_journal_super(j, e->data + at);
		else if (lblk != UINT32_MAX)
			see_log_block(j, lblk, e->data + at);
		else
			see_home(j, pblk, e->data + at);
	}
}

/* Nothing freed is discarded before a commit block that came after has been flushed. */
static void see_discard(struct judge *j)
{
	const struct notes *notes = j->notes;
	size_t last = 0;

	for (size_t i = 0; i < notes->nfreed; i++)
		if (notes->freed[i] < j->now)
			last = MAX(last, notes->freed[i]);
	for (uint32_t t = 1; t < MAX_TXN; t++)
		if (j->committed[t] > last && is_durable(j, j->committed[t])) {
			rule(j, 7, true, t);
			return;
		}
	rule(j, 7, false, last);
}

static void judge_all(struct judge *j)
{
	const struct notes *notes = j->notes;
	size_t n = dev_record_count(j->record), last_write = 0, next_sync = 0;

	for (size_t i = 0; i < n; i++) {
		struct dev_record_entry e = dev_record_get(j->record, i);

		j->now = i + 1;
		for (; next_sync < notes->nsynced && notes->synced[next_sync] <= i; next_sync++)
			rule(j, 8, !last_write || last_write < j->flushed, i);
		switch (e.op) {
		case DEV_RECORD_FLUSH:
			j->flushed = j->now;
			if (is_durable(j, j->tail_at))
				j->tail_durable = j->tail;
			break;
		case DEV_RECORD_DISCARD:
			see_discard(j);
			break;
		case DEV_RECORD_WRITE:
			see_write(j, &e);
			/* A checkpoint in another thread promises nobody anything. */
			if (journal_lblk(j, e.off / BS) != UINT32_MAX && j->committed[j->tid] == j->now)
				last_write = j->now;
		}
	}
	rule(j, 8, dev_record_get(j->record, n - 1).op == DEV_RECORD_FLUSH, n);
	rule(j, 5, !j->needs && !j->start, 2);
}

/* The workload. */

static void note(size_t *list, size_t *n, struct blkdev *record)
{
	if (*n < 4096)
		list[(*n)++] = dev_record_count(record);
}

static void sync_and_note(struct fs *fs, struct blkdev *record, struct notes *notes)
{
	assert_int_equal(fs_sync(fs), 0);
	note(notes->synced, &notes->nsynced, record);
}

/* A directory of some blocks, removed; its blocks become a file's. */
static void live_and_die(struct fs *fs, struct blkdev *record, struct notes *notes, unsigned round)
{
	char path[300];

	assert_int_equal(unit_make(fs, "/d", S_IFDIR | 0755, NULL), 0);
	for (unsigned i = 0; i < 40; i++) {
		snprintf(path, sizeof(path), "/d/%0100u-%u", round, i);
		assert_int_equal(unit_make(fs, path, S_IFREG | 0644, NULL), 0);
		if (i % 2 == 0)
			sync_and_note(fs, record, notes);
	}
	sync_and_note(fs, record, notes);
	for (unsigned i = 0; i < 40; i++) {
		snprintf(path, sizeof(path), "/d/%0100u-%u", round, i);
		assert_int_equal(unit_unlink(fs, path), 0);
	}
	assert_int_equal(unit_rmdir(fs, "/d"), 0);
	note(notes->freed, &notes->nfreed, record);
	sync_and_note(fs, record, notes);
	/* All that is free, so what was metadata too. */
	assert_int_equal(unit_make(fs, "/fill", S_IFREG | 0644, NULL), 0);
	(void)unit_write(fs, "/fill", 0, 14 * MIB, (uint8_t)round);
	sync_and_note(fs, record, notes);
	assert_int_equal(unit_unlink(fs, "/fill"), 0);
	note(notes->freed, &notes->nfreed, record);
	sync_and_note(fs, record, notes);
}

enum { SET = 110, SETS = 24 };

/* As many blocks of metadata as a transaction may have, each apart from the next. */
static void make_set(struct fs *fs, uint64_t *set, unsigned round)
{
	struct handle h;

	assert_int_equal(txn_begin(fs, SET + 4 * BALLOC_CREDITS, &h), 0);
	for (unsigned i = 0; i < SET; i++) {
		AUTOBUF b = NULL;

		assert_int_equal(balloc_new_block(&h, 3000 + 10 * i + 2 * (round % 5), &set[i]), 0);
		assert_int_equal(cache_new(fs->cache, set[i], BUF_RAW, 0, &b), 0);
		assert_int_equal(txn_dirty(&h, b), 0);
		memset(b->data, (int)(1 + round), BS);
		put_le32(b->data, (uint32_t)set[i]);
	}
	assert_int_equal(txn_stop(&h), 0);
}

static void free_set(struct fs *fs, const uint64_t *set)
{
	struct handle h;

	assert_int_equal(txn_begin(fs, SET + 4 * BALLOC_CREDITS, &h), 0);
	for (unsigned i = 0; i < SET; i++)
		assert_int_equal(balloc_free(&h, set[i], 1, true), 0);
	assert_int_equal(txn_stop(&h), 0);
}

static void change_set(struct fs *fs, const uint64_t *set, unsigned round)
{
	struct handle h;

	assert_int_equal(txn_begin(fs, SET, &h), 0);
	for (unsigned i = 0; i < SET; i++) {
		AUTOBUF b = NULL;

		assert_int_equal(cache_read(fs->cache, set[i], BUF_RAW, 0, &b), 0);
		assert_int_equal(txn_dirty(&h, b), 0);
		put_le32(b->data + 4, round);
	}
	assert_int_equal(txn_stop(&h), 0);
}

/* Commits so fast that they wait for room until a slow checkpoint has made it. */
static void fill_log(struct fs *fs, struct blkdev *record, struct notes *notes)
{
	static uint64_t set[4][SET];

	for (unsigned r = 0; r < 40; r++) {
		if (r < 4)
			make_set(fs, set[r], r);
		else
			change_set(fs, set[r % 4], r);
		sync_and_note(fs, record, notes);
	}
	for (unsigned r = 0; r < 4; r++)
		free_set(fs, set[r]);
	note(notes->freed, &notes->nfreed, record);
	sync_and_note(fs, record, notes);
}

/* Blocks are freed that a slow checkpoint has under way. */
static void crowd(struct fs *fs, struct blkdev *record, struct notes *notes)
{
	static uint64_t set[SETS][SET];

	fill_log(fs, record, notes);
	for (unsigned r = 0; r < SETS; r++) {
		make_set(fs, set[r], r);
		sync_and_note(fs, record, notes);
		if (r < 1)
			continue;
		free_set(fs, set[r - 1]);
		note(notes->freed, &notes->nfreed, record);
		sync_and_note(fs, record, notes);
	}
	free_set(fs, set[SETS - 1]);
	note(notes->freed, &notes->nfreed, record);
	sync_and_note(fs, record, notes);
}

static void many_lives(struct fs *fs, struct blkdev *record, struct notes *notes)
{
	for (unsigned round = 0; round < 24; round++)
		live_and_die(fs, record, notes, round);
}

static struct judge *judge_new(struct blkdev *dev, struct blkdev *record, const struct notes *notes)
{
	struct judge *j = calloc(1, sizeof(*j));
	char name[IOMGR_NAME_SIZE], why[256];
	ext2_filsys e2;

	assert_non_null(j);
	iomgr_name(dev, name);
	assert_int_equal(ext2fs_open2(name, "", EXT2_FLAG_64BITS, 0, 0, iomgr_blkdev(), &e2), 0);
	assert_int_equal(log_open(&j->map, e2, dev, dev, why, sizeof(why)), 0);
	ext2fs_free(e2);
	j->record = record;
	j->notes = notes;
	return j;
}

static void play_and_judge(void (*work)(struct fs *fs, struct blkdev *record, struct notes *notes),
			   const struct dev_delay_times *times, const char *applied)
{
	struct blkdev *base = unit_mkfs(16 * MIB, "-t ext4 -b 1024 -J size=1 -N 512 -m 0 "
					"-O metadata_csum,64bit,^orphan_file,^inline_data");
	struct blkdev *live = unit_copy(base, blkdev_size(base)), *slow, *record;
	struct notes *notes = calloc(1, sizeof(*notes));
	struct txn_stats st;
	struct judge *j;
	struct fs *fs;

	assert_non_null(notes);
	assert_int_equal(dev_delay_open(live, false, times, &slow), 0);
	assert_int_equal(dev_record_open(slow, true, &record), 0);
	j = judge_new(base, record, notes);
	fs = unit_fs_must_open(record, &(struct fs_options){ NO_COMMITS, .discard = true });
	work(fs, record, notes);
	txn_get_stats(fs, &st);
	assert_true(st.blocks > 2 * st.log_blocks && st.checkpoints > 2);
	assert_int_equal(fs_close(fs), 0);
	assert_true(unit_is_clean(live));
	judge_all(j);
	for (; *applied; applied++)
		if (!j->seen[*applied - '0'])
			fail_msg("rule R%c was never applied", *applied);
	assert_int_equal(j->bad, 0);
	log_close(&j->map);
	free(j->copies);
	free(j);
	free(notes);
	blkdev_close(record);
	blkdev_close(live);
	blkdev_close(base);
}

static void test_lives(void **state)
{
	play_and_judge(many_lives, &(struct dev_delay_times){ 0 }, "12345678");
}

static void test_crowd(void **state)
{
	play_and_judge(crowd, &(struct dev_delay_times){ .write_us = 400 }, "1234578");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lives),
		cmocka_unit_test(test_crowd),
	};

	initialize_ext2_error_table();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
