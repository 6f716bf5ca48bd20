/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Orphans: inodes to be deleted or truncated if we die (I5). List or orphan file. */
#ifndef FUSE4FS_ORPHAN_H
#define FUSE4FS_ORPHAN_H

#include "inode.h"

/* Needs inodes, cache and groups. -EUCLEAN when the orphan file cannot be used (logged). */
int orphan_open(struct fs *fs, struct orphans **ret);
/* After inode_cache_close (it deletes orphans), before txn_close: clears orphan_present when
 * the orphan file is empty (own handle). NULL is fine. */
void orphan_close(struct orphans *o);
/* Idempotent. inode->lock held exclusively. Credits: ORPHAN_CREDITS. The on-disk dtime
 * is changed here; the rest of the inode is the caller's to store. */
int orphan_add(struct handle *h, struct inode *inode);
int orphan_del(struct handle *h, struct inode *inode);
/*
 * At mount, rw: finishes truncates, deletes unlinked inodes, by list and file. Damage is
 * logged (fs_error) and left to e2fsck, never a loop. 0; -EIO, -ENOMEM.
 */
int orphan_process(struct fs *fs);
/*
 * The deletion itself: truncate to 0, drop xattrs, orphan_del, free. Several
 * transactions. No lock held; inode unreachable (DEAD). It has left the inode table when
 * this returns 0; on failure it is still an orphan on disk.
 */
int inode_evict(struct inode *inode);
enum { ORPHAN_CREDITS = 4 };

#endif
