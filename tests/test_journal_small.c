/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The smallest journals: 1024 blocks of 1 KiB. What does not fit is refused before anything
 * is touched, what is long is cut into transactions, and the log goes round: past its end,
 * and past the last transaction number.
 */
#include <errno.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "csum.h"
#include "dev_record.h"
#include "file.h"
#include "group.h"
#include "inode.h"
#include "iomgr.h"
#include "recover_int.h"
#include "unit_image.h"
#include "unit_ops.h"

enum { MIB = 1 << 20, GIB = 1 << 30 };

#define TINY "-b 1024 -J size=1 -N 1024 -m 0 "

static const char *const kinds[] = {
	"-t ext4 " TINY "-O metadata_csum,64bit", "-t ext4 " TINY "-O ^metadata_csum,^64bit,^extent",
	"-t ext3 " TINY, "-t ext4 " TINY "-O orphan_file,inline_data,ea_inode",
};

static void open_log(struct blkdev *dev, struct log *log)
{
	static char why[256];
	char name[IOMGR_NAME_SIZE];
	ext2_filsys e2;

	iomgr_name(dev, name);
	assert_int_equal(ext2fs_open2(name, "", EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES, 0,
				      0, iomgr_blkdev(), &e2), 0);
	assert_int_equal(log_open(log, e2, dev, dev, why, sizeof(why)), 0);
	log->why_len = 0;
	ext2fs_free(e2);
}

static uint8_t *journal_block(struct blkdev *dev, struct log *log, uint32_t lblk)
{
	uint32_t len;

	return dev_mem_data(dev) + log_pblk(log, lblk, &len) * log->block_size;
}

/* Changes the journal superblock of an image that is not in use. */
static void set_journal(struct blkdev *dev, void (*change)(struct log *log, struct jbd2_super *js))
{
	struct log log;

	open_log(dev, &log);
	change(&log, log_super(&log));
	log_seal_super(&log);
	memcpy(journal_block(dev, &log, 0), log.super_block, log.block_size);
	log_close(&log);
}

static void has_file(struct blkdev *dev, const char *path)
{
	char ask[80], *text;

	snprintf(ask, sizeof(ask), "stat %s", path);
	text = unit_debugfs_ask(dev, ask);
	assert_non_null(strstr(text, "Type: regular"));
	free(text);
}

/* What a crash now leaves, recovered by us and by e2fsck: both clean, both with the file,
 * unless path is NULL. */
static void crash_keeps(struct blkdev *dev, const char *path)
{
	struct blkdev *ours = unit_copy(dev, blkdev_size(dev));
	struct blkdev *theirs = unit_copy(dev, blkdev_size(dev));

	assert_int_equal(fs_close(unit_fs_must_open(ours, NULL)), 0);
	assert_true(unit_is_clean(ours));
	assert_true(unit_fsck(theirs, "-p", 1) <= 1);
	assert_true(unit_is_clean(theirs));
	if (path) {
		has_file(ours, path);
		has_file(theirs, path);
	}
	blkdev_close(ours);
	blkdev_close(theirs);
}

static void crash_is_clean(struct blkdev *dev)
{
	crash_keeps(dev, NULL);
}

/* Orphans stay. */
static void replay_only(struct blkdev *dev, struct recover_result *result)
{
	char name[IOMGR_NAME_SIZE], why[256];
	ext2_filsys e2;

	iomgr_name(dev, name);
	assert_int_equal(ext2fs_open2(name, "", EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES, 0,
				      0, iomgr_blkdev(), &e2), 0);
	assert_int_equal(recover_journal(e2, dev, dev, result, why, sizeof(why)), 0);
	ext2fs_free(e2);
}

static struct txn_stats stats_of(struct fs *fs)
{
	struct txn_stats st;

	txn_get_stats(fs, &st);
	return st;
}

/* Dirties n free blocks from pblk on with something new, in one handle. */
static int dirty_many(struct fs *fs, uint64_t pblk, unsigned n, uint8_t fill)
{
	struct handle h;
	int err = txn_begin(fs, n, &h);

	if (err)
		return err;
	for (unsigned i = 0; i < n; i++) {
		AUTOBUF b = NULL;

		assert_int_equal(cache_read(fs->cache, pblk + i, BUF_RAW, 0, &b), 0);
		assert_int_equal(txn_dirty(&h, b), 0);
		memset(b->data, fill, fs->block_size);
	}
	return txn_stop(&h);
}

static void a_handle_larger_than_the_log_is_refused(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct blkdev *dev = unit_mkfs(16 * MIB, kinds[i]);
		struct fs *fs = unit_fs_must_open(dev, &(struct fs_options){ NO_WRITES });
		uint64_t writes = dev->stats.writes;

		assert_int_equal(dirty_many(fs, 3000, 1023, 1), -ENOSPC);
		assert_int_equal(dirty_many(fs, 3000, 1u << 31, 1), -ENOSPC);
		assert_int_equal(dev->stats.writes, writes);
		assert_false(stats_of(fs).aborted);
		assert_int_equal(unit_make(fs, "/after", S_IFREG | 0644, NULL), 0);
		assert_int_equal(fs_close(fs), 0);
		assert_true(unit_is_clean(dev));
		blkdev_close(dev);
	}
}

/* One of the largest size that is let in can be committed, wherever the head is. */
static void the_largest_handle_fits(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct blkdev *dev = unit_mkfs(16 * MIB, kinds[i]);
		struct fs *fs = unit_fs_must_open(dev, NULL);
		unsigned n = 1023;
		uint64_t pblk;
		uint32_t len;

		assert_int_equal(balloc_reserve(fs, 9000, n, true, &pblk, &len), 0);
		assert_int_equal(len, n);
		while (dirty_many(fs, pblk, n, 1) == -ENOSPC)
			n--;
		assert_true(n > 900);
		assert_int_equal(fs_sync(fs), 0);
		for (unsigned k = 0; k < 12; k++) {
			assert_int_equal(dirty_many(fs, pblk, n - k % 3, (uint8_t)k), 0);
			assert_int_equal(dirty_many(fs, pblk, 1 + k, (uint8_t)k), 0);
			assert_int_equal(fs_sync(fs), 0);
		}
		crash_is_clean(dev);
		balloc_unreserve(fs, pblk, len);
		assert_int_equal(fs_close(fs), 0);
		assert_true(unit_is_clean(dev));
		blkdev_close(dev);
	}
}

static void every_operation_fits(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct blkdev *dev = unit_mkfs_populated(14 * MIB, kinds[i]);
		struct fs *fs = unit_fs_must_open(dev, NULL);

		assert_int_equal(stats_of(fs).log_blocks, 1023);
		for (unsigned n = 0; n < unit_ops_len; n++) {
			int err = unit_ops[n].run(fs);

			if (err == -ENOSPC || stats_of(fs).aborted)
				fail_msg("%s on %s: %d", unit_ops[n].name, kinds[i], err);
			assert_int_equal(fs_sync(fs), 0);
		}
		assert_int_equal(stats_of(fs).overdrawn, 0);
		assert_int_equal(fs_close(fs), 0);
		assert_true(unit_is_clean(dev));
		blkdev_close(dev);
	}
}

/* What is long takes several transactions: a crash between any two of them is recovered. */

struct long_work {
	struct fs *fs;
	int (*work)(struct fs *fs);
	atomic_bool done;
	int err;
};

static void *work_main(void *arg)
{
	struct long_work *w = arg;

	w->err = w->work(w->fs);
	w->done = true;
	return NULL;
}

/* Does it while somebody commits all the time. */
static void work_and_commit(struct fs *fs, int (*work)(struct fs *fs))
{
	struct long_work w = { .fs = fs, .work = work };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, work_main, &w), 0);
	while (!w.done)
		assert_int_equal(txn_commit_now(fs), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(w.err, 0);
	assert_int_equal(fs_sync(fs), 0);
}

static bool has_orphans(struct blkdev *image)
{
	struct recover_result result;

	replay_only(image, &result);
	return unit_super(image)->s_last_orphan ||
	       (unit_super(image)->s_feature_ro_compat &
		htole32(EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT));
}

enum { CUTS = 20, JUDGED = 5 };

static size_t count_flushes(struct blkdev *record)
{
	size_t n = 0;

	for (size_t i = 0; i < dev_record_count(record); i++)
		n += dev_record_get(record, i).op == DEV_RECORD_FLUSH;
	return n;
}

/* Cuts the power at some flushes. Where an orphan is left, and at some others, both
 * recoveries have to deal with it. Returns how many there were. */
static unsigned cut_at_flushes(struct blkdev *base, struct blkdev *record)
{
	struct blkdev *upto = unit_copy(base, blkdev_size(base));
	size_t step = count_flushes(record) / CUTS + 1, flushes = 0;
	unsigned orphans = 0, judged = 0;

	for (size_t i = 0; i < dev_record_count(record); i++) {
		struct dev_record_entry e = dev_record_get(record, i);
		struct blkdev *image;
		bool orphan;

		assert_int_equal(dev_record_apply(&e, upto, e.len), 0);
		if (e.op != DEV_RECORD_FLUSH || flushes++ % step)
			continue;
		image = unit_copy(upto, blkdev_size(upto));
		orphan = has_orphans(image);
		orphans += orphan;
		if ((orphan && orphans < JUDGED) || judged++ % JUDGED == 1)
			crash_is_clean(upto);
		blkdev_close(image);
	}
	blkdev_close(upto);
	return orphans;
}

/* 10 MiB in pieces far apart, over many small groups. */
static int scatter(struct fs *fs)
{
	int err = unit_make(fs, "/long", S_IFREG | 0644, NULL);

	for (uint64_t i = 0; i < 2500 && !err; i++)
		err = unit_write(fs, "/long", i * 1700000, 4096, 1);
	return err;
}

static int do_truncate(struct fs *fs) { return unit_truncate(fs, "/long", 777); }
static int do_unlink(struct fs *fs) { return unit_unlink(fs, "/long"); }

/* Without extents there is no fallocate. */
static int reshape(struct fs *fs, int mode, uint64_t off, uint64_t len)
{
	int err = unit_fallocate(fs, "/long", FALLOC_FL_KEEP_SIZE | mode, off, len);

	return err == -EOPNOTSUPP ? 0 : err;
}

static int do_punch(struct fs *fs)
{
	return reshape(fs, FALLOC_FL_PUNCH_HOLE, 500, 3 * (uint64_t)GIB);
}

static int do_fill(struct fs *fs)
{
	return reshape(fs, 0, 1000, 12 * MIB);
}

static int do_xattr(struct fs *fs)
{
	int err = unit_make(fs, "/attr", S_IFREG | 0644, NULL);

	for (unsigned i = 0; i < 4 && !err; i++)
		err = unit_setxattr(fs, "/attr", "user.huge", 60000 - i * 9000);
	return err == -EOPNOTSUPP || err == -ENOSPC ? 0 : err;
}

static int (*const long_works[])(struct fs *fs) = {
	do_truncate, do_unlink, do_punch, do_fill, do_xattr,
};

/* Returns how many crashes find an orphan. */
static unsigned one_long_work(struct blkdev *base, int (*work)(struct fs *fs))
{
	struct blkdev *live = unit_copy(base, blkdev_size(base)), *record;
	unsigned orphans;
	struct fs *fs;

	assert_int_equal(dev_record_open(live, true, &record), 0);
	fs = unit_fs_must_open(record, &(struct fs_options){ NO_COMMITS });
	work_and_commit(fs, work);
	assert_false(stats_of(fs).aborted);
	assert_int_equal(stats_of(fs).overdrawn, 0);
	assert_int_equal(fs_close(fs), 0);
	assert_true(unit_is_clean(live));
	orphans = cut_at_flushes(base, record);
	blkdev_close(record);
	return orphans;
}

static void long_work_is_cut_into_transactions(void **state)
{
	static const char *const mkfs[] = {
		"-t ext4 -g 512 " TINY "-O metadata_csum,64bit,^orphan_file,ea_inode",
		"-t ext3 -g 512 " TINY, "-t ext4 -g 512 " TINY "-O orphan_file",
	};
	unsigned orphans = 0;

	for (size_t i = 0; i < ARRAY_LEN(mkfs); i++) {
		struct blkdev *base = unit_mkfs(36 * MIB, mkfs[i]);
		struct fs *fs = unit_fs_must_open(base, NULL);

		assert_int_equal(scatter(fs), 0);
		assert_int_equal(fs_close(fs), 0);
		for (size_t k = 0; k < ARRAY_LEN(long_works); k++)
			orphans += one_long_work(base, long_works[k]);
		blkdev_close(base);
	}
	/* It was cut short, or nothing was tested. */
	assert_true(orphans > 0);
}

/* The numbers of transactions go past the last one. */

static uint32_t next_tid;

static void put_tid(struct log *log, struct jbd2_super *js)
{
	js->s_sequence = htobe32(next_tid);
}

static void the_last_transaction_number_is_passed(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct blkdev *dev = unit_mkfs(16 * MIB, kinds[i]);
		char path[32];
		struct fs *fs;

		next_tid = UINT32_MAX - 6;
		set_journal(dev, put_tid);
		fs = unit_fs_must_open(dev, NULL);
		for (unsigned k = 0; k < 14; k++) {
			snprintf(path, sizeof(path), "/f%u", k);
			assert_int_equal(unit_make(fs, path, S_IFREG | 0644, NULL), 0);
			assert_int_equal(unit_write(fs, path, 0, 3000, (uint8_t)k), 0);
			if (k % 3 == 2) {
				snprintf(path, sizeof(path), "/f%u", k - 2);
				assert_int_equal(unit_unlink(fs, path), 0);
			}
			snprintf(path, sizeof(path), "/f%u", k);
			assert_int_equal(unit_fsync(fs, path), 0);
			crash_keeps(dev, path);
		}
		assert_true(txn_current(fs) < 1000);
		assert_int_equal(fs_close(fs), 0);
		assert_true(unit_is_clean(dev));
		fs = unit_fs_must_open(dev, &(struct fs_options){ .readonly = true });
		assert_int_equal(unit_verify(fs, "/f13", 0, 3000, 13), 0);
		assert_int_equal(fs_close(fs), 0);
		blkdev_close(dev);
	}
}

/* Superblocks that others may have left. */

static void as_v1(struct log *log, struct jbd2_super *js)
{
	uint32_t maxlen = js->s_maxlen, tid = js->s_sequence, bs = js->s_blocksize;

	memset(log->super_block, 0, log->block_size);
	js->s_header.h_magic = htobe32(JBD2_MAGIC);
	js->s_header.h_blocktype = htobe32(JBD2_SUPER_V1);
	js->s_blocksize = bs;
	js->s_maxlen = maxlen;
	js->s_first = htobe32(1);
	js->s_sequence = tid;
	log->compat = log->incompat = 0;
}

static void as_csum_v1(struct log *log, struct jbd2_super *js)
{
	log->compat = JBD2_COMPAT_CHECKSUM;
	js->s_feature_compat = htobe32(log->compat);
}

/* In use, it says, but where it starts there is nothing. */
static void in_use_but_empty(struct log *log, struct jbd2_super *js)
{
	js->s_start = htobe32(500);
	js->s_sequence = htobe32(4711);
}

static void high_first(struct log *log, struct jbd2_super *js)
{
	js->s_first = htobe32(1025);	/* as many as there must be remain */
}

static void no_room(struct log *log, struct jbd2_super *js)
{
	js->s_first = htobe32(500);
}

/* The kernel does not take it either: operations would not fit. */
static void a_ring_too_small_is_refused(void **state)
{
	struct blkdev *dev = unit_mkfs(16 * MIB, "-t ext4 " TINY "-O metadata_csum");
	struct fs *fs;

	set_journal(dev, no_room);
	assert_int_equal(unit_fs_open(dev, NULL, &fs), -EUCLEAN);
	fs = unit_fs_must_open(dev, &(struct fs_options){ .readonly = true });
	assert_int_equal(fs_close(fs), 0);
	blkdev_close(dev);
}

/* The kernel had it for itself and its fast commits. */
static void with_fast_commit_area(struct log *log, struct jbd2_super *js)
{
	log->incompat |= JBD2_INCOMPAT_FAST_COMMIT;
	js->s_feature_incompat = htobe32(log->incompat);
	js->s_num_fc_blks = 0;
}

/* The log went round: its first block has become another one. */
static bool went_round(struct blkdev *dev, uint32_t *crc)
{
	uint32_t before = *crc;
	struct log log;

	open_log(dev, &log);
	*crc = csum_crc32c(~0U, journal_block(dev, &log, log.first), log.block_size);
	log_close(&log);
	return *crc != before;
}

static void odd_journals_are_taken_up(void **state)
{
	static const struct {
		const char *mkfs;
		void (*change)(struct log *log, struct jbd2_super *js);
	} cases[] = {
		{ "-t ext3 " TINY, as_v1 },
		{ "-t ext4 " TINY "-O ^metadata_csum,64bit", as_csum_v1 },
		{ "-t ext4 " TINY "-O metadata_csum", in_use_but_empty },
		{ "-t ext3 " TINY, in_use_but_empty },
		{ "-t ext4 -b 1024 -J size=2 -N 1024 -O metadata_csum", high_first },
		{ "-t ext4 -b 1024 -J size=2 -N 1024 -O metadata_csum,fast_commit",
		  with_fast_commit_area },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct blkdev *dev = unit_mkfs(16 * MIB, cases[i].mkfs);
		uint32_t crc = 0;
		struct fs *fs;
		char path[64];

		set_journal(dev, cases[i].change);
		unit_super(dev)->s_feature_incompat |= htole32(EXT3_FEATURE_INCOMPAT_RECOVER);
		unit_debugfs(dev, "ssv wtime 1\n");	/* and its checksum */
		fs = unit_fs_must_open(dev, NULL);
		for (unsigned k = 0; k < 400; k++) {
			snprintf(path, sizeof(path), "/a-name-that-takes-some-room-%u", k);
			assert_int_equal(unit_make(fs, path, S_IFREG | 0644, NULL), 0);
			assert_int_equal(fs_sync(fs), 0);
			if (went_round(dev, &crc) || k % 130 == 1)
				crash_keeps(dev, path);
		}
		assert_true(stats_of(fs).blocks > 1100);
		crash_is_clean(dev);
		assert_int_equal(fs_close(fs), 0);
		assert_true(unit_is_clean(dev));
		blkdev_close(dev);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handle_larger_than_the_log_is_refused),
		cmocka_unit_test(the_largest_handle_fits),
		cmocka_unit_test(every_operation_fits),
		cmocka_unit_test(long_work_is_cut_into_transactions),
		cmocka_unit_test(the_last_transaction_number_is_passed),
		cmocka_unit_test(odd_journals_are_taken_up),
		cmocka_unit_test(a_ring_too_small_is_refused),
	};

	initialize_ext2_error_table();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
