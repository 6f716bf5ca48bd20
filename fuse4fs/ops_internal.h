/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the ops_*.c files share; not for others. */
#ifndef FUSE4FS_OPS_INTERNAL_H
#define FUSE4FS_OPS_INTERNAL_H

#include "dir.h"
#include "map.h"
#include "ops.h"

/* 0 and the length; -ENOENT empty, -ENAMETOOLONG over 255 bytes, -EINVAL with a '/'. */
int ops_check_name(const char *name, size_t *ret_len);
/* Like ops_check_name for a name to be made or removed: "." and ".." give -EINVAL. */
int ops_check_new_name(const char *name, size_t *ret_len);
/* A referenced directory inode; -ENOTDIR. */
int ops_get_dir(struct fs *fs, uint32_t ino, struct inode **ret);
/*
 * The inode an entry points at, referenced. dir->lock held (shared is enough), so the
 * entry cannot go away meanwhile: an inode that is free is damage, -EUCLEAN, logged.
 */
int ops_entry_inode(struct inode *dir, const char *name, size_t len, struct inode **ret);
/* 0, -ENOENT dir was removed, -EPERM immutable. dir->lock held. */
int ops_may_add(struct inode *dir);
/* 0, or -EPERM: entry of child may not leave dir (immutable, append-only). Locks held. */
int ops_may_remove(struct inode *dir, struct inode *child);
/* dir hands its project on, and the inode has another one: it may not get a name there. Locks
 * held. */
bool ops_other_project(const struct inode *dir, const struct inode *inode);
/* 0 or -EMLINK: dir takes one more subdirectory. dir->lock held. */
int ops_may_add_subdir(struct inode *dir);
/* Link counts of directories; 1 stands for "more than inode_link_max" (dir_nlink). */
void ops_inc_nlink(struct inode *dir);
void ops_dec_nlink(struct inode *dir);
/*
 * Before an entry of inode goes: all that ops_drop_link may fail at. 1 when this made it an
 * orphan, 0, or -errno: nothing has changed. ops_keep_link takes a 1 back.
 */
int ops_prepare_drop(struct handle *h, struct inode *inode);
void ops_keep_link(struct handle *h, struct inode *inode);
/* Drops one link (a directory: all) of an inode whose entry has gone; at 0 it becomes an
 * orphan in the same handle (I5). Stores it. inode->lock held. */
int ops_drop_link(struct handle *h, struct inode *inode);
/*
 * Makes the inode itself, without a name: content by type, ACL, owner. On success it is
 * NEW and locked, referenced, nlink set, not yet stored after the last change. On failure
 * *ret is NULL or an inode that ops_discard_inode has seen, for the caller to put after
 * the handle. dir->lock held exclusively.
 */
int ops_new_inode(struct handle *h, struct inode *dir, uint16_t mode, dev_t rdev,
		  const char *target, const struct cred *cred, struct inode **ret);
/* Undoes ops_new_inode: an unlinked LIVE orphan that the caller's inode_put, after the
 * handle, deletes. The reference stays the caller's. */
void ops_discard_inode(struct handle *h, struct inode *inode);
unsigned ops_new_inode_credits(struct inode *dir);

#endif
