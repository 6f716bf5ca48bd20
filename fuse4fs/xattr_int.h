/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the xattr_*.c, acl.c and ea_inode.c files share; not for others. */
#ifndef FUSE4FS_XATTR_INT_H
#define FUSE4FS_XATTR_INT_H

#include "ea_inode.h"
#include "xattr.h"
#include "xattr_area.h"

enum { XATTR_VALUE_MAX = 65536 };

/* -- xattr_name.c ---------------------------------------------------------------- */

/* "user.x" to (1, "x"), pointing into name. -EOPNOTSUPP unknown or switched off;
 * -EINVAL nothing after the prefix; -ERANGE more than 255 bytes after it. */
int xattr_key_parse(const struct fs *fs, const char *name, struct xattr_key *ret_key);
/* Bytes of the full name with its NUL, written only if room is enough; 0: not shown. */
size_t xattr_key_print(const struct fs *fs, const struct xattr_key *key, bool privileged,
		       char *buf, size_t room);

/* -- xattr_ibody.c --------------------------------------------------------------- */

/* The checked area in inode->raw; ret->size 0 when there is none or no attribute in it.
 * 0 or -EUCLEAN (logged). inode->lock held. */
int xattr_ibody_view(struct inode *inode, struct xattr_area *ret);
/* A private, changeable copy; ret->base is the caller's to free (NULL without room). */
int xattr_ibody_load(struct inode *inode, struct xattr_area *ret);
/* Puts a copy back into inode->raw. */
void xattr_ibody_store(struct inode *inode, const struct xattr_area *a);

/* The value of system.data where it lies in raw. -ENODATA, -EUCLEAN (logged). */
ssize_t xattr_ibody_data_view(struct inode *inode, const void **ret_data);
/* Largest value system.data could have; -ENOSPC: not even an empty one. -EUCLEAN. */
int xattr_ibody_data_max(struct inode *inode, size_t *ret_max);

/* -- xattr_block.c --------------------------------------------------------------- */

/* The inode's block, checked and referenced, and its area in place; *ret_buf NULL and
 * ret->size 0 without one. -EUCLEAN (logged), -EIO, -ENOMEM. inode->lock held. */
int xattr_block_view(struct inode *inode, struct buf **ret_buf, struct xattr_area *ret);
uint32_t xattr_block_refs(const struct buf *b);

/* A change of the inode's block, taken in two steps so that it can still be undone. */
struct xattr_block_change {
	struct xattr_area area;		/* what the block shall hold; empty: no block */
	struct buf *old;		/* what it is now, or NULL; the caller's reference */
	struct buf *new;		/* to be written: old, or a new block, or NULL */
	bool locked;			/* fs->xattr_lock held: old is shared */
	bool drop;			/* old loses our reference */
	unsigned ea_refs;		/* ea_inodes that have got one more reference */
};
/* Everything that may fail: allocation, journal, references of ea_inodes. On an error
 * nothing has changed. skip: the entry whose ea_inode is new and counted already. */
int xattr_block_prepare(struct handle *h, struct inode *inode, struct xattr_block_change *c,
			const struct xattr_key *skip) NO_TSA;
void xattr_block_undo(struct handle *h, struct inode *inode, struct xattr_block_change *c,
		      const struct xattr_key *skip) NO_TSA;
/* Writes it, drops old. The inode's file_acl and blocks were set by prepare's caller
 * through xattr_block_apply_inode and stored. */
int xattr_block_finish(struct handle *h, struct inode *inode, struct xattr_block_change *c) NO_TSA;
void xattr_block_apply_inode(struct inode *inode, const struct xattr_block_change *c);

/* -- xattr.c --------------------------------------------------------------------- */

/* By key; the stored form of the value. size 0: only asked. -ENODATA, -ERANGE. */
ssize_t xattr_get_key(struct inode *inode, const struct xattr_key *key, void *value,
		      size_t size);
/* The whole stored value in memory the caller frees; -ENODATA, -E2BIG, -ENOMEM. */
ssize_t xattr_get_alloc(struct inode *inode, const struct xattr_key *key, void **ret_value);

/* -- xattr_set.c ----------------------------------------------------------------- */

enum { PLAN_CREATE = 1, PLAN_REPLACE = 2, PLAN_REMOVE = 4 };

/* One change worked out in memory; nothing on disk or in the inode has changed yet. */
struct xattr_plan {
	struct inode *inode;
	struct xattr_key key;
	struct xattr_area ibody;	/* private copy */
	struct xattr_area block;	/* in place, or a private copy once block_edited */
	bool ibody_edited, block_edited;
	struct buf *old_block;
	struct ea_space ea_new;		/* reserved for a value in a new ea_inode */
	const void *ea_value;
	struct inode *ea_made, *ea_old;
	bool ea_rewrite;		/* the value goes into ea_old in place */
	bool noop;
	bool set_mode;			/* with `mode`, in the same store */
	uint16_t mode;
};

/*
 * plan_make - work out how to set (val) or remove (flags PLAN_REMOVE) an attribute
 *
 * value is in stored form and must live as long as the plan. in_place: an ea_inode may
 * not be released, because the caller's handle cannot delete it afterwards.
 * Returns 0, -EEXIST, -ENODATA, -ENOSPC, -EUCLEAN, -EIO, -ENOMEM; fini it whatever it
 * returns, with neither lock nor handle unless in_place. REQUIRES inode->lock.
 */
int plan_make(struct xattr_plan *p, struct inode *inode, const struct xattr_key *key,
	      const void *value, uint32_t size, unsigned flags, bool in_place);
unsigned plan_credits(const struct xattr_plan *p);
/* All or nothing. Stores the inode. */
int plan_commit(struct handle *h, struct xattr_plan *p);
void plan_fini(struct xattr_plan *p);

/* -- acl.c ----------------------------------------------------------------------- */

static inline bool xattr_is_acl(const struct xattr_key *key)
{
	return key->index == XATTR_IDX_ACL_ACCESS || key->index == XATTR_IDX_ACL_DEFAULT;
}
/* Stored form to Linux's xattr form: its size, -ERANGE, -EUCLEAN (not logged). */
ssize_t acl_to_linux(const void *disk, size_t disk_size, void *value, size_t size);
/*
 * What setting an ACL means. *ret_disk: heap memory with the stored form, or NULL: no ACL
 * is stored. *mode: the permission bits become those of an access ACL.
 * -EINVAL malformed, -EACCES default ACL on other than a directory, -EOPNOTSUPP symlink.
 */
int acl_from_linux(const struct inode *inode, uint8_t index, const void *value, size_t size,
		   uint16_t *mode, void **ret_disk, size_t *ret_disk_size);

#endif
