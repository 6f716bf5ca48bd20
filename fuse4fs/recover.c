/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Recovery of a dirty journal: find it, scan it, replay it, empty it.
 *
 * Nothing is written before the whole log has been read and understood. Then the order
 * is: blocks home, flush, an error the journal remembers into the ext4 superblock, the
 * emptied journal superblock, needs_recovery off; each flushed before the next. A crash
 * anywhere in between leaves a journal that replays again, or an empty one.
 */
#include "recover.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "blkdev.h"
#include "recover_int.h"

int log_fail(struct log *log, int err, const char *fmt, ...)
{
	va_list ap;

	if (!log->why_len)
		return err;
	va_start(ap, fmt);
	vsnprintf(log->why, log->why_len, fmt, ap);
	va_end(ap);
	return err;
}

static void init(struct log *log, ext2_filsys e2, struct blkdev *src, struct blkdev *dst,
		 char *why, size_t why_len)
{
	*log = (struct log){
		.e2 = e2, .src = src, .dst = dst, .why = why, .why_len = why_len,
		.block_size = e2->blocksize, .fs_blocks = ext2fs_blocks_count(e2->super),
	};
	revoke_init(&log->revokes);
}

int log_open(struct log *log, ext2_filsys e2, struct blkdev *src, struct blkdev *dst,
	     char *why, size_t why_len)
{
	int err;

	init(log, e2, src, dst, why, why_len);
	if (!e2->super->s_journal_inum)
		return log_fail(log, -EOPNOTSUPP, "the journal is on another device; recover it "
				"with e2fsck, or mount with the kernel's ext4");
	log->super_block = malloc(log->block_size);
	if (!log->super_block)
		return -ENOMEM;
	err = log_map(log);
	return err ? err : log_load_super(log);
}

void log_close(struct log *log)
{
	free(log->runs);
	free(log->runs_by_pblk);
	free(log->window);
	free(log->super_block);
	free(log->blocks);
	revoke_fini(&log->revokes);
}

static int replay(struct log *log, struct recover_result *result)
{
	int fc = log_has_fast_commits(log), err;

	if (fc < 0)
		return fc;
	result->fast_commits = fc;
	if (fc && log->src == log->dst)
		return log_fail(log, -EOPNOTSUPP, "the journal holds fast commits, which cannot "
				"be replayed here; mount once with the kernel's ext4, run e2fsck, or "
				"mount it read-only (-o ro), without them");
	result->first_tid = be32toh(log_super(log)->s_sequence);
	result->last_tid = log->end_tid - 1;
	result->dirty = result->first_tid != log->end_tid;
	result->torn = log->torn;
	err = log_replay(log, result);
	if (err)
		return err;
	err = blkdev_flush(log->dst);
	return err ? log_fail(log, err, "cannot write what the journal holds") : 0;
}

/*
 * A log without the superblock's needs_recovery is not replayed: the superblock is newer
 * (the kernel treats it alike). It is read all the same, for the number of the next
 * transaction must not occur in it.
 */
static int recover(struct log *log, struct recover_result *result)
{
	bool wanted = ext2fs_has_feature_journal_needs_recovery(log->e2->super);
	bool used = log_super(log)->s_start != 0;
	bool failed = log_super(log)->s_errno != 0;
	int err;

	err = log_read_fs_super(log, &log->before);
	if (err)
		return err;
	if (used) {
		err = log_scan(log);
		if (!err && wanted)
			err = replay(log, result);
		if (err)
			return err;
	}
	failed |= log->torn;
	result->written = used || failed || wanted;
	if (failed) {
		err = log_update_fs_super(log, false, true);
		if (err)
			return err;
	}
	if (used || failed || wanted) {
		/* The first that is missing may have begun: one more. */
		uint32_t missing = used ? log->end_tid : be32toh(log_super(log)->s_sequence);

		err = log_reset(log, missing + 1);
		if (err)
			return err;
	}
	return wanted ? log_update_fs_super(log, true, false) : 0;
}

int recover_journal(ext2_filsys e2, struct blkdev *src, struct blkdev *dst,
		    struct recover_result *ret, char *why, size_t why_len)
{
	struct recover_result result = { 0 };
	struct log log;
	int err;

	why[0] = '\0';
	err = log_open(&log, e2, src, dst, why, why_len);
	if (!err)
		err = recover(&log, &result);
	if (err && !why[0])
		log_fail(&log, err, "cannot recover the journal: %s", strerror(-err));
	log_close(&log);
	*ret = result;
	return err;
}

int recover_find_journal(ext2_filsys e2, struct blkdev *dev, struct fs_run **ret,
			 size_t *ret_n, char *why, size_t why_len)
{
	struct fs_run *runs = NULL;
	struct log log;
	int err;

	*ret = NULL;
	*ret_n = 0;
	if (!ext2fs_has_feature_journal(e2->super) || !e2->super->s_journal_inum)
		return 0;
	init(&log, e2, dev, dev, why, why_len);
	err = log_map(&log);
	if (!err)
		runs = calloc(log.nruns, sizeof(*runs));
	if (!err && !runs)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < log.nruns; i++)
		runs[i] = (struct fs_run){ log.runs[i].pblk, log.runs[i].len };
	if (!err) {
		*ret = runs;
		*ret_n = log.nruns;
	}
	log_close(&log);
	return err;
}
