/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the recover*.c files share, and with them what writes a journal (journal*.c): its
 * map and its superblock. One thread, but log_pblk and log_owns only read.
 */
#ifndef FUSE4FS_RECOVER_INT_H
#define FUSE4FS_RECOVER_INT_H

#include "jbd2_format.h"
#include "recover.h"
#include "revoke.h"

/* Part of the journal that lies in one piece. */
struct log_run {
	uint32_t lblk, len;
	uint64_t pblk;
};

/* A copy of a file-system block in the log. */
struct log_block {
	uint64_t home;		/* where it belongs */
	uint32_t lblk;		/* where it is in the journal */
	uint32_t tid;
	uint32_t csum;		/* of its tag, v2 and v3 */
	uint32_t order;		/* later ones replace earlier ones */
	uint8_t flags;		/* JBD2_TAG_* */
	bool bad;		/* not what its tag's checksum says */
};

struct log {
	ext2_filsys e2;
	struct blkdev *src, *dst;
	uint32_t block_size;
	uint64_t fs_blocks;
	char *why;
	size_t why_len;
	/* recover_map.c: runs by lblk, without holes; nblocks in all. */
	struct log_run *runs, *runs_by_pblk;
	size_t nruns, runs_size;
	uint32_t nblocks;
	uint8_t *window;	/* journal blocks win_lblk..+win_len as read last */
	uint32_t win_lblk, win_len;
	/* recover_super.c */
	uint8_t *super_block;	/* journal block 0 */
	uint32_t compat, incompat;
	uint32_t first, end;	/* the ring is [first, end) */
	uint32_t fc_first, fc_end;	/* fast commits, empty if none */
	uint32_t seed;		/* of checksums v2 and v3 */
	struct ext2_super_block before;	/* ext4's, as it was before the replay */
	/* recover_scan.c */
	struct log_block *blocks;	/* of complete transactions, in log order */
	size_t nlog_blocks, blocks_size;
	struct revoke_set revokes;
	uint32_t end_tid;	/* first transaction that is not complete */
	bool torn;
};

static inline struct jbd2_super *log_super(const struct log *log)
{
	return (struct jbd2_super *)log->super_block;
}
static inline bool log_has_csum(const struct log *log)
{
	return log->incompat & (JBD2_INCOMPAT_CSUM_V2 | JBD2_INCOMPAT_CSUM_V3);
}

/*
 * Finds the journal of e2 and reads its superblock, which is checked. Fills *log whatever
 * it returns: log_close is always right. why: for the log's errors as long as it is open,
 * why_len may be set to 0 then. Returns as recover_journal.
 */
int log_open(struct log *log, ext2_filsys e2, struct blkdev *src, struct blkdev *dst,
	     char *why, size_t why_len);
void log_close(struct log *log);
/* Fills log->why and returns err. */
int log_fail(struct log *log, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* recover_map.c */
int log_map(struct log *log);		/* finds the journal's blocks */
/* Where journal block lblk (< nblocks) is, and how many follow it there. */
uint64_t log_pblk(const struct log *log, uint32_t lblk, uint32_t *ret_len);
/* Journal block lblk; the pointer is good until the next call. */
int log_read(struct log *log, uint32_t lblk, const uint8_t **ret_data);
/* The block belongs to the journal itself. */
bool log_owns(const struct log *log, uint64_t pblk);

/* recover_super.c */
int log_load_super(struct log *log);
/* The checksum of super_block, where log->incompat asks for one. */
void log_seal_super(struct log *log);
/* Makes the journal empty: next_tid is the first one to be written. errno is cleared. */
int log_reset(struct log *log, uint32_t next_tid);
/* ext4's superblock on dst. */
int log_read_fs_super(struct log *log, struct ext2_super_block *sb);
/* In the ext4 superblock on dst: needs_recovery off, EXT2_ERROR_FS on. Errors that stood
 * there before the replay are kept. Flushed. */
int log_update_fs_super(struct log *log, bool clear_recovery, bool set_error);

/* recover_scan.c: fills blocks, revokes, end_tid, torn. Nothing is written. */
int log_scan(struct log *log);
/* data, read from the log, is what lb's tag says. */
bool log_copy_ok(const struct log *log, const struct log_block *lb, const uint8_t *data);
/* recover_replay.c: writes what was scanned home. Not flushed. */
int log_replay(struct log *log, struct recover_result *result);
/* recover_fc.c: 1 when fast commits follow the last complete transaction, 0, -errno. */
int log_has_fast_commits(struct log *log);

#endif
