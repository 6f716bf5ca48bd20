/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Orphans: inodes to be deleted or truncated if we die (I5). List or orphan file. */
#ifndef FUSE4FS_ORPHAN_H
#define FUSE4FS_ORPHAN_H

#include "inode.h"

int orphan_open(struct fs *fs, struct orphans **ret);
void orphan_close(struct orphans *o);
/* Idempotent. inode->lock held exclusively. Credits: ORPHAN_CREDITS. */
int orphan_add(struct handle *h, struct inode *inode);
int orphan_del(struct handle *h, struct inode *inode);
/* At mount, rw: finishes truncates, deletes unlinked inodes, by list and file.
 * A damaged list is an error logged and left to e2fsck, never a loop. */
int orphan_process(struct fs *fs);
/* The deletion itself: truncate to 0, drop xattrs, orphan_del, free. Several
 * transactions. No lock held; inode unreachable. */
int inode_evict(struct inode *inode);
enum { ORPHAN_CREDITS = 4 };

#endif
