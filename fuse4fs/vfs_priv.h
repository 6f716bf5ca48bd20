/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the vfs_*.c files share; not for others. */
#ifndef FUSE4FS_VFS_PRIV_H
#define FUSE4FS_VFS_PRIV_H

#include "inode.h"
#include "ops.h"
#include "vfs.h"

/* Attributes as the kernel is to see them. Takes inode->lock. */
void vfs_fill_stat(struct vfs *v, struct inode *inode, struct stat *st);
/* Fills the entry and counts one lookup. The caller keeps its reference: while it holds
 * it, a forget cannot delete the inode. -ENOMEM. */
int vfs_fill_entry(struct vfs *v, struct inode *inode, struct vfs_entry *ret);
/* Owner of what is created in dir. */
int vfs_creator(struct vfs *v, uint32_t dir, const struct vfs_cred *cred, struct cred *ret);

#endif
