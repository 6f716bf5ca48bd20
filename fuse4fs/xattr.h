/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Extended attributes: in the inode, in a block (shared blocks are copied on write),
 * in ea_inodes. Names are Linux names ("user.x", "system.posix_acl_access"); values of
 * ACLs are Linux's xattr form here and ext4's form on disk. system.data is invisible.
 * "_locked": inode->lock held (exclusive to change), inside a handle to change.
 */
#ifndef FUSE4FS_XATTR_H
#define FUSE4FS_XATTR_H

#include "inode.h"

/* Length of the value (size 0: only asked) or -ENODATA, -ERANGE, -EOPNOTSUPP (prefix). */
ssize_t xattr_get(struct inode *inode, const char *name, void *value, size_t size);
ssize_t xattr_get_locked(struct inode *inode, const char *name, void *value, size_t size);
/* NUL-separated names; trusted.* only if `privileged`. Length or -ERANGE. */
ssize_t xattr_list(struct inode *inode, char *list, size_t size, bool privileged);
/* flags: XATTR_CREATE / XATTR_REPLACE. -EEXIST, -ENODATA, -ENOSPC, -E2BIG, -ERANGE (name),
 * -EPERM (immutable). Sets ctime. Own lock and handle. Setting an access ACL also sets mode. */
int xattr_set(struct inode *inode, const char *name, const void *value, size_t size, int flags);
int xattr_remove(struct inode *inode, const char *name);
/* In the caller's handle of xattr_credits: -EBUSY where an ea_inode would have to be
 * deleted, which must follow a handle. */
int xattr_set_locked(struct handle *h, struct inode *inode, const char *name,
		     const void *value, size_t size, int flags);
/* Inode on its way out: frees the block reference and ea_inodes. Own lock and handles;
 * after a crash it goes on where it was. Damaged attributes are logged and lost: 0. */
int xattr_free_all(struct inode *inode);
/* For one set, acl_chmod_locked, or one of the two ACLs of acl_inherit (inode: the parent):
 * covers the longer of value_size and the ACLs that inode stores. inode->lock held. */
unsigned xattr_credits(struct inode *inode, size_t value_size);

/* acl.c: default ACL inheritance for a new child, in create's handle, child locked and
 * NEW. *mode is what the caller asked (umask not yet applied); on return what to store. */
int acl_inherit(struct handle *h, struct inode *parent, struct inode *child, uint16_t umask);
/* chmod keeps the access ACL's mask in step. Lock held, in a handle. */
int acl_chmod_locked(struct handle *h, struct inode *inode, uint16_t mode);

/* In-inode area shared with inline.c: system.data value. Lock held. -ENODATA. */
ssize_t xattr_ibody_data_get(struct inode *inode, void *value, size_t size);
/* Sets or (size 0 with remove) drops it; only in the inode; -ENOSPC. Changes raw only. */
int xattr_ibody_data_set(struct inode *inode, const void *value, size_t size, bool remove);
/* Largest value system.data could have now. */
size_t xattr_ibody_data_room(struct inode *inode);

#endif
