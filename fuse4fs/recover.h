/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Recovery of a dirty jbd2 journal at mount. */
#ifndef FUSE4FS_RECOVER_H
#define FUSE4FS_RECOVER_H

#include "fs.h"

struct recover_result {
	bool dirty;		/* the journal held transactions */
	bool written;		/* dst was changed: read the superblock again */
	uint32_t first_tid, last_tid;
	uint64_t blocks;	/* replayed */
	uint64_t revoked;
	bool torn;		/* the tail was damaged; replay stopped there, as e2fsck's,
				 * and EXT2_ERROR_FS was set */
	bool fast_commits;	/* refused (-EOPNOTSUPP) because of them, nothing written; or,
				 * with dst in memory, left out */
};

/*
 * recover_journal - replay what the journal inode holds
 *
 * e2      as opened by ext2fs_open2; only read (journal inode and superblock)
 * src     device to read the journal from; may be dst
 * dst     device that gets the blocks and, after a flush, the emptied journal
 *         superblock and the ext4 superblock without needs_recovery. The caller
 *         passes a memory overlay for a read-only mount: then fast commits are left
 *         out, what was fully committed is there.
 * ret     filled also on failure, as far as it went
 * why     sentence for the user on failure
 *
 * Handles 64bit, checksum v1/v2/v3, revokes, escapes, wrap-around, torn tails. An error
 * the journal remembers becomes EXT2_ERROR_FS. Without needs_recovery nothing is
 * replayed, a log in use is emptied. The UUID is not compared: that of an internal
 * journal stays when the file system's is changed.
 * Returns 0 (result filled, also when clean); -EUCLEAN journal superblock, map or a
 * complete transaction damaged; -EOPNOTSUPP unknown journal feature, external journal,
 * or fast-commit records that would be needed; -EIO; -ENOMEM. Only I/O errors are
 * noticed after writing has begun.
 * Crash in the middle: the journal is still there and replays again.
 */
int recover_journal(ext2_filsys e2, struct blkdev *src, struct blkdev *dst,
		    struct recover_result *ret, char *why, size_t why_len);

/*
 * recover_find_journal - where the journal inside the image is
 *
 * ret     its pieces in the journal's order, disjoint and inside the file system; the
 *         caller frees
 * Without a journal, or with one on another device, *ret_n is 0. Returns 0; -EUCLEAN the
 * journal inode is damaged (why says how); -EIO; -ENOMEM.
 */
int recover_find_journal(ext2_filsys e2, struct blkdev *dev, struct fs_run **ret,
			 size_t *ret_n, char *why, size_t why_len);

#endif
