/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commits through the image's own jbd2 journal. */
#ifndef FUSE4FS_JOURNAL_H
#define FUSE4FS_JOURNAL_H

#include "commit.h"

/*
 * journal_open - start writing the journal inside the image
 *
 * The journal was recovered (recover_journal): it is empty. Sets its features as the
 * kernel does by those of the file system, says needs_recovery in the ext4 superblock,
 * then in the journal that it is in use; each durable before the next (I4). Needs the
 * cache and the superblock's buf; fs->e2 is read.
 *
 * Closing the writer brings everything home, empties the journal and takes
 * needs_recovery back; after an abort it writes nothing, and the next mount recovers.
 *
 * Returns 0; -EUCLEAN journal inode or superblock damaged, or the log is in use (logged);
 * -EOPNOTSUPP unknown journal features (logged); -EIO; -ENOMEM.
 */
int journal_open(struct fs *fs, struct commit_writer **ret);

#endif
