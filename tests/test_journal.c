/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The journal as it is written: its format, its limits, its failures. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dev_fault.h"
#include "file.h"
#include "group.h"
#include "iomgr.h"
#include "jbd2_format.h"
#include "recover_int.h"
#include "unit_image.h"
#include "unit_tree.h"

enum { MIB = 1 << 20 };

#define SMALL "-t ext4 -b 1024 -N 512 -J size=1 "

/* mem <- fault */
struct rig {
	struct blkdev *mem, *fault;
	struct fs *fs;
};

static void rig_open(struct rig *r, uint64_t size, const char *mkfs)
{
	struct fs_options opt = { NO_WRITES, .errors = FS_ERRORS_RO };

	r->mem = unit_mkfs(size, mkfs);
	assert_int_equal(dev_fault_open(r->mem, false, &r->fault), 0);
	r->fs = unit_fs_must_open(r->fault, &opt);
}

static void rig_close(struct rig *r)
{
	assert_int_equal(fs_close(r->fs), 0);
	blkdev_close(r->fault);
	assert_true(unit_is_clean(r->mem));
	blkdev_close(r->mem);
}

/* The journal superblock as it is on the device. */
static struct jbd2_super journal_super(struct blkdev *dev)
{
	char name[IOMGR_NAME_SIZE], why[256] = "";
	struct jbd2_super js;
	ext2_filsys e2;
	struct log log;

	iomgr_name(dev, name);
	assert_int_equal(ext2fs_open2(name, "", EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES, 0,
				      0, iomgr_blkdev(), &e2), 0);
	assert_int_equal(log_open(&log, e2, dev, dev, why, sizeof(why)), 0);
	js = *log_super(&log);
	log_close(&log);
	ext2fs_free(e2);
	return js;
}

static bool needs_recovery(struct blkdev *dev)
{
	return le32toh(unit_super(dev)->s_feature_incompat) & EXT3_FEATURE_INCOMPAT_RECOVER;
}

/* What a crash now would leave, recovered by us: opened and closed. */
static struct blkdev *crash(struct rig *r)
{
	struct blkdev *copy = unit_copy(r->mem, blkdev_size(r->mem));

	assert_int_equal(fs_close(unit_fs_must_open(copy, NULL)), 0);
	assert_true(unit_is_clean(copy));
	return copy;
}

static struct txn_stats stats(struct rig *r)
{
	struct txn_stats st;

	txn_get_stats(r->fs, &st);
	return st;
}

static void it_is_in_use_from_open_to_close(void **state)
{
	static const struct { const char *mkfs; uint32_t incompat; } cases[] = {
		{ "-O metadata_csum,64bit", JBD2_INCOMPAT_CSUM_V3 | JBD2_INCOMPAT_64BIT },
		{ "-O metadata_csum,^64bit", JBD2_INCOMPAT_CSUM_V3 },
		{ "-O ^metadata_csum,64bit", JBD2_INCOMPAT_64BIT },
		{ "-O ^metadata_csum,^64bit", 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct jbd2_super js;
		struct rig r;
		char mkfs[200];

		snprintf(mkfs, sizeof(mkfs), SMALL "%s", cases[i].mkfs);
		rig_open(&r, 8 * MIB, mkfs);
		js = journal_super(r.mem);
		assert_int_equal(be32toh(js.s_feature_incompat),
				 cases[i].incompat | JBD2_INCOMPAT_REVOKE);
		assert_int_equal(be32toh(js.s_feature_compat), 0);
		assert_true(js.s_start);
		assert_true(needs_recovery(r.mem));
		assert_int_equal(unit_make(r.fs, "/dir", S_IFDIR | 0755, NULL), 0);
		assert_int_equal(fs_close(r.fs), 0);
		js = journal_super(r.mem);
		assert_int_equal(js.s_start, 0);
		assert_false(needs_recovery(r.mem));
		r.fs = unit_fs_must_open(r.fault, NULL);
		assert_int_equal(unit_rmdir(r.fs, "/dir"), 0);
		rig_close(&r);
	}
}

/* A whole block of metadata that starts like a block of the log. */
static uint64_t put_block(struct rig *r, const void *bytes, size_t len)
{
	AUTOBUF b = NULL;
	struct handle h;
	uint64_t pblk;

	assert_int_equal(txn_begin(r->fs, 1 + BALLOC_CREDITS, &h), 0);
	assert_int_equal(balloc_new_block(&h, 3000, &pblk), 0);
	assert_int_equal(cache_new(r->fs->cache, pblk, BUF_RAW, 0, &b), 0);
	assert_int_equal(txn_dirty(&h, b), 0);
	memcpy(b->data, bytes, len);
	assert_int_equal(txn_stop(&h), 0);
	return pblk;
}

static void free_block(struct rig *r, uint64_t pblk)
{
	struct handle h;

	assert_int_equal(txn_begin(r->fs, BALLOC_CREDITS, &h), 0);
	assert_int_equal(balloc_free(&h, pblk, 1, true), 0);
	assert_int_equal(txn_stop(&h), 0);
}

static uint8_t *on_disk(struct blkdev *dev, uint64_t pblk)
{
	return dev_mem_data(dev) + pblk * 1024;
}

/* e2fsck finds such a block without an owner, so only our recovery runs. */
static struct blkdev *crash_unchecked(struct rig *r)
{
	struct blkdev *copy = unit_copy(r->mem, blkdev_size(r->mem));

	assert_int_equal(fs_close(unit_fs_must_open(copy, NULL)), 0);
	return copy;
}

static void the_magic_number_is_escaped(void **state)
{
	static const char *const mkfs[] = {
		SMALL "-O metadata_csum,64bit", SMALL "-O ^metadata_csum,^64bit",
	};
	const uint32_t bytes[4] = { htobe32(JBD2_MAGIC), htobe32(JBD2_COMMIT), htobe32(2), 7 };

	for (size_t i = 0; i < ARRAY_LEN(mkfs); i++) {
		struct blkdev *copy;
		struct rig r;
		uint64_t pblk;

		rig_open(&r, 8 * MIB, mkfs[i]);
		pblk = put_block(&r, bytes, sizeof(bytes));
		assert_int_equal(fs_sync(r.fs), 0);
		assert_memory_not_equal(on_disk(r.mem, pblk), bytes, sizeof(bytes));
		copy = crash_unchecked(&r);
		assert_memory_equal(on_disk(copy, pblk), bytes, sizeof(bytes));
		blkdev_close(copy);
		free_block(&r, pblk);
		rig_close(&r);
	}
}

/* Neither a replay nor a checkpoint puts it over what its next owner wrote. */
static void freed_metadata_does_not_come_back(void **state)
{
	const char old[] = "metadata", new[] = "data of a file";
	struct blkdev *copy;
	struct rig r;
	uint64_t pblk;

	rig_open(&r, 8 * MIB, SMALL "-O metadata_csum,64bit");
	pblk = put_block(&r, old, sizeof(old));
	assert_int_equal(fs_sync(r.fs), 0);
	free_block(&r, pblk);
	copy = crash_unchecked(&r);
	assert_memory_equal(on_disk(copy, pblk), old, sizeof(old));
	blkdev_close(copy);
	assert_int_equal(fs_sync(r.fs), 0);
	assert_int_equal(blkdev_write(r.fs->dev, new, sizeof(new), fs_off(r.fs, pblk)), 0);
	copy = crash(&r);
	assert_memory_equal(on_disk(copy, pblk), new, sizeof(new));
	blkdev_close(copy);
	assert_int_equal(fs_close(r.fs), 0);
	assert_memory_equal(on_disk(r.mem, pblk), new, sizeof(new));
	r.fs = unit_fs_must_open(r.fault, NULL);
	rig_close(&r);
}

/* Freed and metadata again: the newest content counts, whatever the log says of it. */
static void a_block_may_become_metadata_again(void **state)
{
	struct rig r;

	rig_open(&r, 8 * MIB, SMALL "-O metadata_csum,64bit");
	for (unsigned i = 0; i < 20; i++) {
		char text[32];
		struct blkdev *copy;
		uint64_t pblk;

		snprintf(text, sizeof(text), "life %u", i);
		pblk = put_block(&r, text, sizeof(text));
		assert_int_equal(fs_sync(r.fs), 0);
		copy = crash_unchecked(&r);
		assert_string_equal((char *)on_disk(copy, pblk), text);
		blkdev_close(copy);
		free_block(&r, pblk);
		assert_int_equal(fs_sync(r.fs), 0);
	}
	rig_close(&r);
}

static void a_small_fsync_writes_few_blocks(void **state)
{
	uint64_t before, flushes;
	struct rig r;

	rig_open(&r, 256 * MIB, "-t ext4 -b 4096 -O metadata_csum,64bit");
	assert_int_equal(unit_make(r.fs, "/f", S_IFREG | 0644, NULL), 0);
	assert_int_equal(unit_fsync(r.fs, "/f"), 0);
	for (unsigned i = 0; i < 50; i++) {
		before = r.fault->stats.write_bytes;
		flushes = r.fault->stats.flushes;
		assert_int_equal(unit_write(r.fs, "/f", i * 4096, 4096, 1), 0);
		assert_int_equal(unit_fsync(r.fs, "/f"), 0);
		assert_true(r.fault->stats.write_bytes - before <= (1 + 8) * 4096);
		assert_int_equal(r.fault->stats.flushes - flushes, 2);
	}
	/* Nothing to commit: a flush alone. */
	before = r.fault->stats.write_bytes;
	flushes = r.fault->stats.flushes;
	assert_int_equal(unit_fsync(r.fs, "/f"), 0);
	assert_int_equal(r.fault->stats.write_bytes, before);
	assert_int_equal(r.fault->stats.flushes, flushes + 1);
	rig_close(&r);
}

static void a_full_log_slows_down_but_does_not_fail(void **state)
{
	struct txn_stats st;
	struct rig r;
	char path[64];

	rig_open(&r, 32 * MIB, SMALL "-O metadata_csum,64bit");
	assert_int_equal(stats(&r).log_blocks, 1023);
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < 300; i++) {
			snprintf(path, sizeof(path), "/a-file-with-a-long-name-%u", i);
			assert_int_equal(round % 2 ? unit_unlink(r.fs, path) :
					 unit_make(r.fs, path, S_IFREG | 0644, NULL), 0);
			if (i % 4 == 0)
				assert_int_equal(fs_sync(r.fs), 0);
		}
	}
	st = stats(&r);
	assert_true(st.checkpoints > 1);
	assert_true(st.blocks > 2 * st.log_blocks);
	assert_true(st.log_free <= st.log_blocks);
	assert_int_equal(st.overdrawn, 0);
	blkdev_close(crash(&r));
	rig_close(&r);
}

/* Work until something fails; what was synced before must survive. */
static int work(struct fs *fs, unsigned *ret_synced)
{
	char path[32];
	int err = 0;

	for (unsigned i = 0; i < 12 && !err; i++) {
		snprintf(path, sizeof(path), "/f%u", i);
		err = unit_make(fs, path, S_IFREG | 0644, NULL);
		if (!err)
			err = unit_write(fs, path, 0, 3000, (uint8_t)i);
		if (!err)
			err = unit_fsync(fs, path);
		if (!err)
			*ret_synced = i + 1;
	}
	return err;
}

static void check_after_failure(struct rig *r, unsigned synced)
{
	struct blkdev *copy = unit_copy(r->mem, blkdev_size(r->mem));
	struct fs *fs = unit_fs_must_open(copy, NULL);
	char path[32];

	for (unsigned i = 0; i < synced; i++) {
		snprintf(path, sizeof(path), "/f%u", i);
		assert_int_equal(unit_verify(fs, path, 0, 3000, (uint8_t)i), 0);
	}
	assert_int_equal(fs_close(fs), 0);
	/* The error is in the superblock until e2fsck has looked; nothing else is wrong. */
	assert_true(unit_fsck(copy, "-fp", 1) <= 1);
	assert_true(unit_is_clean(copy));
	blkdev_close(copy);
}

static void fail_nth(unsigned ops, unsigned n, bool forever, bool *ret_fired)
{
	unsigned synced = 0;
	uint64_t writes;
	struct rig r;
	int err, end;

	rig_open(&r, 8 * MIB, SMALL "-O metadata_csum,64bit");
	dev_fault_arm(r.fault, ops, n, -EIO, forever);
	err = work(r.fs, &synced);
	*ret_fired = dev_fault_fired(r.fault);
	assert_true(!err || *ret_fired);
	if (stats(&r).aborted) {
		assert_int_equal(unit_make(r.fs, "/late", S_IFREG | 0644, NULL), -EROFS);
		writes = r.fault->stats.writes;
		assert_true(unit_fsync(r.fs, "/f0") < 0 || !synced);
		assert_int_equal(r.fault->stats.writes, writes);
	}
	/* The checkpoint at the end may be what fails. */
	end = fs_close(r.fs);
	*ret_fired = dev_fault_fired(r.fault);
	assert_true(!end || *ret_fired);
	blkdev_close(r.fault);
	check_after_failure(&r, synced);
	blkdev_close(r.mem);
}

static void a_failed_write_stops_everything(void **state)
{
	bool fired = true;

	for (unsigned n = 1; fired; n++)
		fail_nth(DEV_FAULT_WRITE, n, n % 2, &fired);
}

static void a_failed_flush_stops_everything(void **state)
{
	bool fired = true;

	for (unsigned n = 1; fired; n++)
		fail_nth(DEV_FAULT_FLUSH, n, n % 2, &fired);
}

/* A commit that fails says so in both superblocks; a replay takes it over from the
 * journal's, and does not take it back from the file system's. */
static void an_error_outlives_the_replay(void **state)
{
	const struct ext2_super_block *sb;
	struct rig r;

	rig_open(&r, 8 * MIB, SMALL "-O metadata_csum,64bit");
	assert_int_equal(unit_make(r.fs, "/f", S_IFREG | 0644, NULL), 0);
	assert_int_equal(fs_sync(r.fs), 0);
	assert_int_equal(unit_make(r.fs, "/g", S_IFREG | 0644, NULL), 0);
	dev_fault_arm(r.fault, DEV_FAULT_WRITE, 1, -EIO, false);
	assert_int_equal(fs_sync(r.fs), -EIO);
	assert_true(fs_close(r.fs) < 0);
	assert_int_equal((int32_t)be32toh(journal_super(r.mem).s_errno), -EIO);
	sb = unit_super(r.mem);
	assert_true(le32toh(sb->s_error_count) > 0);
	assert_true(sb->s_first_error_time && sb->s_last_error_time);
	assert_true(sb->s_first_error_func[0] && sb->s_last_error_func[0]);
	assert_int_equal(sb->s_last_error_errcode, 2);	/* EXT4_ERR_EIO */
	r.fs = unit_fs_must_open(r.fault, NULL);
	assert_int_equal(journal_super(r.mem).s_errno, 0);
	assert_true(le16toh(unit_super(r.mem)->s_state) & EXT2_ERROR_FS);
	assert_true(le32toh(unit_super(r.mem)->s_error_count) > 0);
	assert_int_equal(fs_close(r.fs), 0);
	blkdev_close(r.fault);
	assert_true(unit_fsck(r.mem, "-fp", 1) <= 1);
	assert_true(unit_is_clean(r.mem));
	blkdev_close(r.mem);
}

/* Asked for, it is no error: the next mount replays and finds nothing wrong. */
static void a_shutdown_is_no_error(void **state)
{
	struct rig r;

	rig_open(&r, 8 * MIB, SMALL "-O metadata_csum,64bit");
	assert_int_equal(unit_make(r.fs, "/f", S_IFREG | 0644, NULL), 0);
	assert_int_equal(fs_shutdown(r.fs, true), 0);
	assert_int_equal(unit_make(r.fs, "/g", S_IFREG | 0644, NULL), -EIO);
	(void)fs_close(r.fs);
	assert_int_equal(journal_super(r.mem).s_errno, 0);
	assert_true(journal_super(r.mem).s_start);
	r.fs = unit_fs_must_open(r.fault, NULL);
	assert_false(le16toh(unit_super(r.mem)->s_state) & EXT2_ERROR_FS);
	assert_int_equal(unit_unlink(r.fs, "/f"), 0);
	rig_close(&r);
}

static void a_damaged_journal_is_refused_for_writing(void **state)
{
	struct blkdev *dev = unit_mkfs(8 * MIB, SMALL "-O metadata_csum");
	struct fs_options ro = { .readonly = true };
	struct fs *fs;

	unit_debugfs(dev, "set_inode_field <8> size 524288\n");
	assert_int_equal(unit_fs_open(dev, NULL, &fs), -EUCLEAN);
	assert_int_equal(unit_fs_open(dev, &ro, &fs), 0);
	assert_int_equal(fs_close(fs), 0);
	blkdev_close(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_in_use_from_open_to_close),
		cmocka_unit_test(the_magic_number_is_escaped),
		cmocka_unit_test(freed_metadata_does_not_come_back),
		cmocka_unit_test(a_block_may_become_metadata_again),
		cmocka_unit_test(a_small_fsync_writes_few_blocks),
		cmocka_unit_test(a_full_log_slows_down_but_does_not_fail),
		cmocka_unit_test(a_failed_write_stops_everything),
		cmocka_unit_test(a_failed_flush_stops_everything),
		cmocka_unit_test(an_error_outlives_the_replay),
		cmocka_unit_test(a_shutdown_is_no_error),
		cmocka_unit_test(a_damaged_journal_is_refused_for_writing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
