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
/* Exchanges a loaded copy and what is in inode->raw; a second time undoes it. */
void xattr_ibody_swap(struct inode *inode, struct xattr_area *a);

/* The value of system.data where it lies in raw. -ENODATA, -EUCLEAN (logged). */
ssize_t xattr_ibody_data_view(struct inode *inode, const void **ret_data);
/* Largest value system.data could have; -ENOSPC: not even an empty one. -EUCLEAN. */
int xattr_ibody_data_max(struct inode *inode, size_t *ret_max);

/* -- xattr_block.c --------------------------------------------------------------- */

/* The inode's block, referenced; NULL without one. -EUCLEAN, -EIO (logged), -ENOMEM. */
int xattr_block_open(struct inode *inode, struct buf **ret_buf);
/* Held over every look at an opened block's bytes. A leaf lock. */
void xattr_block_lock(struct fs *fs, const struct buf *b) NO_TSA;
void xattr_block_unlock(struct fs *fs, const struct buf *b) NO_TSA;
/* The checked area in data, the bytes of block pblk or a copy. -EUCLEAN (logged). */
int xattr_block_view(struct inode *inode, uint64_t pblk, uint8_t *data,
		     struct xattr_area *ret);
/* A private, changeable copy, empty without a block. ret->base is the caller's to free
 * and *ret_buf to put whatever it returns. */
int xattr_block_load(struct inode *inode, struct buf **ret_buf, struct xattr_area *ret);
/* More than one inode uses it. Once false it stays so while inode->lock is held. */
bool xattr_block_shared(struct fs *fs, const struct buf *b);

/*
 * A change of the inode's block in steps: prepare does all that may fail, then the
 * caller applies it to the inode and stores that, then finish writes the bytes; or undo.
 */
struct xattr_block_change {
	struct xattr_area area;		/* what the block shall hold; empty: no block */
	struct buf *old;		/* what it is now, or NULL; consumed when freed */
	struct inode *gone;		/* ea_inode named by old and not by the inode any more */
	struct inode **shared;		/* ea_inodes named by old and by the inode, needed
					 * when old is shared */
	unsigned nshared;
	/* prepare's */
	struct buf *target;		/* to be written: old, or a new block, or NULL */
	bool fresh;			/* target is a new block */
	unsigned counted;		/* of shared: have got one more reference */
};
/* On an error nothing has changed. */
int xattr_block_prepare(struct handle *h, struct inode *inode, struct xattr_block_change *c);
void xattr_block_undo(struct handle *h, struct inode *inode, struct xattr_block_change *c);
void xattr_block_apply_inode(struct inode *inode, const struct xattr_block_change *c);
/* An error means something leaked, which is logged; the change is made. */
int xattr_block_finish(struct handle *h, struct inode *inode, struct xattr_block_change *c);

/* -- xattr.c --------------------------------------------------------------------- */

/* By key; the stored form of the value. size 0: only asked. -ENODATA, -ERANGE. */
ssize_t xattr_get_key(struct inode *inode, const struct xattr_key *key, void *value,
		      size_t size);
/* The whole stored value in memory the caller frees; -ENODATA, -E2BIG, -ENOMEM. */
ssize_t xattr_get_alloc(struct inode *inode, const struct xattr_key *key, void **ret_value);

/* -- xattr_plan.c ---------------------------------------------------------------- */

enum { PLAN_CREATE = 1, PLAN_REPLACE = 2, PLAN_REMOVE = 4 };

/* One change worked out in memory; nothing on disk or in the inode has changed yet. */
struct xattr_plan {
	struct inode *inode;
	struct xattr_key key;
	struct xattr_area ibody;	/* private copy */
	struct xattr_block_change block;	/* with a private copy */
	bool ibody_edited, block_edited;
	bool in_place;			/* made and committed in a handle of the caller's */
	const void *value;
	uint32_t size;
	struct ea_space space;		/* reserved for value, unless in_place */
	bool ea_new;			/* the entry waits for that ea_inode's number */
	struct inode *ea_old;		/* of the old entry, or NULL */
	bool ea_rewrite;		/* value goes into ea_old, whose entry stays */
	bool old_in_block;
	bool noop;
	bool set_mode;			/* with `mode`, in the same store; the caller's */
	uint16_t mode;
};

/*
 * xattr_plan_make - work out how to set or (PLAN_REMOVE) remove an attribute
 *
 * value     in stored form; lives as long as the plan
 * in_place  a handle is open: nothing is reserved, which could wait, and no ea_inode may
 *           be released, whose deletion had to follow
 *
 * Returns 0; -EEXIST, -ENODATA, -ENOSPC, -EUCLEAN, -EIO, -ENOMEM; -EBUSY would release
 * an ea_inode. fini it whatever it returns, after the lock and the handle unless
 * in_place. REQUIRES inode->lock.
 */
int xattr_plan_make(struct xattr_plan *p, struct inode *inode, const struct xattr_key *key,
		    const void *value, uint32_t size, unsigned flags, bool in_place);
void xattr_plan_fini(struct xattr_plan *p);

/* -- xattr_set.c ----------------------------------------------------------------- */

unsigned xattr_plan_credits(const struct xattr_plan *p);
/* All or nothing. Sets ctime, stores the inode. */
int xattr_plan_commit(struct handle *h, struct xattr_plan *p);
/* A value in stored form, in a handle begun with xattr_credits. -EBUSY: would release an
 * ea_inode (never when an ACL keeps its size). */
int xattr_set_key_locked(struct handle *h, struct inode *inode, const struct xattr_key *key,
			 const void *value, size_t size);

/* -- acl.c ----------------------------------------------------------------------- */

static inline bool xattr_is_acl(const struct xattr_key *key)
{
	return key->index == XATTR_IDX_ACL_ACCESS || key->index == XATTR_IDX_ACL_DEFAULT;
}
/* Stored form to Linux's xattr form: its size, -ERANGE, -ENODATA empty, -EUCLEAN (not
 * logged), -ENOMEM. size 0: only asked. */
ssize_t acl_to_linux(const void *disk, size_t disk_size, void *value, size_t size);
/*
 * What setting an ACL means. *ret_disk: heap memory with the stored form, or NULL: no ACL
 * is stored. *mode: the permission bits become those of an access ACL.
 * -EINVAL malformed, -EACCES default ACL on other than a directory, -EOPNOTSUPP symlink.
 */
int acl_from_linux(const struct inode *inode, uint8_t index, const void *value, size_t size,
		   uint16_t *mode, void **ret_disk, size_t *ret_disk_size);
/* Bytes of the longest ACL that inode stores, 0 without. */
size_t acl_stored_max(struct inode *inode);

#endif
