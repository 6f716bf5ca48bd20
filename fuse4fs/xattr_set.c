/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changing extended attributes: the steps of a plan on the image, and the calls that
 * users see.
 *
 * Order of a commit: first what may fail for lack of room (ea_inode, block), then the
 * inode, then what cannot fail. Until the inode is stored everything can be undone.
 */
#include <errno.h>
#include <sys/xattr.h>

#include "group.h"
#include "super.h"
#include "xattr_int.h"

/* -- a plan on the image --------------------------------------------------------- */

static bool lacks_feature(const struct fs *fs)
{
	return !ext2fs_has_feature_xattr(fs->e2->super);
}

static struct xattr_area *area_of_key(struct xattr_plan *p)
{
	struct xattr_ent e;

	return xattr_area_find(&p->ibody, &p->key, &e) ? &p->ibody : &p->block.area;
}

/* The value that is to live in an ea_inode, and its entry. *ret_made: NEW, or NULL. */
static int store_ea(struct handle *h, struct xattr_plan *p, struct inode **ret_made)
{
	struct inode *ea = p->ea_old;
	int err = 0;

	*ret_made = NULL;
	if (p->ea_new)
		err = ea_inode_make(h, p->inode, p->value, p->size, &p->space, ret_made);
	else if (p->ea_rewrite)
		err = ea_inode_rewrite(h, ea, p->value, p->size);
	if (err || !(p->ea_new || p->ea_rewrite))
		return err;
	if (*ret_made)
		ea = *ret_made;
	xattr_area_set_ea(area_of_key(p), &p->key, ea->ino, ea_inode_ent_hash(ea, &p->key));
	return 0;
}

/* The owner's i_blocks counts its values in ea_inodes, shared or not. */
static void count_ea_blocks(struct xattr_plan *p, struct inode *ea_made)
{
	struct inode *inode = p->inode;
	uint64_t old = p->ea_old && !p->ea_rewrite ? ea_inode_sectors(inode, p->ea_old) : 0;

	inode->blocks -= MIN(old, inode->blocks);
	if (ea_made)
		inode->blocks += ea_inode_sectors(inode, ea_made);
}

/* The inode with its new area, block and mode; as before when it cannot be stored. */
static int store_inode(struct handle *h, struct xattr_plan *p, struct inode *ea_made)
{
	struct inode *inode = p->inode;
	uint64_t file_acl = inode->file_acl, blocks = inode->blocks, version = inode->version;
	struct timespec ctime = inode->ctime;
	uint16_t mode = inode->mode;
	int err;

	if (p->ibody_edited)
		xattr_ibody_swap(inode, &p->ibody);
	if (p->block_edited)
		xattr_block_apply_inode(inode, &p->block);
	count_ea_blocks(p, ea_made);
	if (p->set_mode)
		inode->mode = p->mode;
	inode->ctime = fs_now();
	inode->version++;
	err = inode_store(h, inode, false);
	if (!err)
		return 0;
	if (p->ibody_edited)
		xattr_ibody_swap(inode, &p->ibody);
	inode->file_acl = file_acl;
	inode->blocks = blocks;
	inode->mode = mode;
	inode->ctime = ctime;
	inode->version = version;
	return err;
}

static int store_all(struct handle *h, struct xattr_plan *p, struct inode *ea_made)
{
	int err = p->block_edited ? xattr_block_prepare(h, p->inode, &p->block) : 0;

	if (err)
		return err;
	err = store_inode(h, p, ea_made);
	if (err) {
		if (p->block_edited)
			xattr_block_undo(h, p->inode, &p->block);
		return err;
	}
	if (p->block_edited)
		err = xattr_block_finish(h, p->inode, &p->block);
	if (p->ea_old && !p->old_in_block && !p->ea_rewrite)
		err = err ? err : ea_inode_count(h, p->inode, p->ea_old, -1);
	/* The change is made; what could not be released stays behind for e2fsck. */
	if (err)
		fs_error(h->fs, err, p->inode->ino, 0, "space of an attribute is lost");
	return 0;
}

int xattr_plan_commit(struct handle *h, struct xattr_plan *p)
{
	struct inode *ea;
	int err = 0;

	if (p->noop && !p->set_mode)
		return 0;
	if (lacks_feature(h->fs))
		err = super_set_feature(h, EXT2_FEATURE_COMPAT_EXT_ATTR, 0, 0);
	if (err)
		return err;
	err = store_ea(h, p, &ea);
	if (err)
		return err;
	err = store_all(h, p, ea);
	if (ea && err)
		ea_inode_abandon(h, ea);
	if (ea && !err) {
		ea_inode_publish(ea);
		inode_put(ea);
	}
	return err;
}

/* -- credits --------------------------------------------------------------------- */

enum {
	BASE_CREDITS = INODE_STORE_CREDITS + 1,			/* and the superblock */
	BLOCK_CREDITS = 2 * (1 + BALLOC_CREDITS),		/* one made, one freed */
	LIKELY_RUNS = 4,
};

/* Before anything is reserved. */
static unsigned likely_ea_credits(const struct fs *fs, uint32_t size)
{
	struct ea_space likely = { .nruns = LIKELY_RUNS };

	likely.runs[0].len = div_up(size, fs->block_size);
	return ea_make_credits(fs, &likely);
}

unsigned xattr_plan_credits(const struct xattr_plan *p)
{
	const struct fs *fs = p->inode->fs;
	unsigned n = BASE_CREDITS;

	if (p->ea_new)
		n += p->in_place ? likely_ea_credits(fs, p->size) : ea_make_credits(fs, &p->space);
	if (p->ea_rewrite)
		n += ea_rewrite_credits(fs, p->size);
	if (p->ea_old)
		n += EA_COUNT_CREDITS;
	if (p->block_edited)
		n += BLOCK_CREDITS + p->block.nshared * INODE_STORE_CREDITS;
	return n;
}

/* ea_inodes in the block, each of which is counted when the block is copied. */
static unsigned count_ea_entries(struct inode *inode)
{
	struct xattr_ent e = { .next = 0 };
	struct xattr_area a;
	AUTOBUF b = NULL;
	unsigned n = 0;

	if (xattr_block_load(inode, &b, &a) == 0)
		while (xattr_area_next(&a, &e))
			n += e.val.ea_ino != 0;
	free(a.base);
	return n;
}

unsigned xattr_credits(struct inode *inode, size_t value_size)
{
	struct fs *fs = inode->fs;
	unsigned n = BASE_CREDITS + BLOCK_CREDITS;

	if (!fs->has_ea_inode)
		return n;
	n += likely_ea_credits(fs, MAX(value_size, acl_stored_max(inode))) + EA_COUNT_CREDITS;
	return n + (inode->file_acl ? count_ea_entries(inode) * INODE_STORE_CREDITS : 0);
}

/* -- setting and removing -------------------------------------------------------- */

struct change {
	struct xattr_key key;
	const void *value;	/* stored form */
	size_t size;
	unsigned flags;		/* PLAN_* */
	bool set_mode;
	uint16_t mode;
	void *acl;		/* value, when it had to be made */
};

static void change_fini(struct change *c)
{
	free(c->acl);
}
#define AUTOCHANGE __attribute__((cleanup(change_fini))) struct change

static int may_change(const struct inode *inode)
{
	return inode->flags & (EXT2_IMMUTABLE_FL | EXT2_APPEND_FL) ? -EPERM : 0;
}

/* What the kernel's ACL code ignores: the flags, and that there was no ACL to remove. */
static int resolve_acl(struct inode *inode, struct change *c)
{
	int err;

	if (c->flags & PLAN_REMOVE)
		return 0;
	c->mode = inode->mode;
	c->flags = 0;
	err = acl_from_linux(inode, c->key.index, c->value, c->size, &c->mode, &c->acl, &c->size);
	if (err)
		return err;
	c->value = c->acl;
	if (!c->acl)
		c->flags = PLAN_REMOVE;
	c->set_mode = c->mode != inode->mode;
	return 0;
}

static int resolve(struct inode *inode, const char *name, const void *value, size_t size,
		   unsigned flags, struct change *c)
{
	int err = xattr_key_parse(inode->fs, name, &c->key);

	if (err)
		return err;
	if (size > XATTR_VALUE_MAX)
		return -E2BIG;
	c->value = value;
	c->size = size;
	c->flags = flags;
	return xattr_is_acl(&c->key) ? resolve_acl(inode, c) : 0;
}

static int make_plan(struct inode *inode, const struct change *c, bool in_place,
		     struct xattr_plan *p)
{
	int err = xattr_plan_make(p, inode, &c->key, c->value, c->size, c->flags, in_place);

	if (err == -ENODATA && xattr_is_acl(&c->key)) {
		p->noop = true;
		err = 0;
	}
	p->set_mode = c->set_mode;
	p->mode = c->mode;
	return err;
}

static int commit_once(struct xattr_plan *p)
{
	struct handle h;
	int err, end;

	err = inode_begin(p->inode, xattr_plan_credits(p), &h);
	if (err)
		return err;
	h.sync = inode_wants_sync(p->inode);
	err = xattr_plan_commit(&h, p);
	end = txn_stop(&h);
	return err ? err : end;
}

/* Blocks that were freed lately are free only after a commit. */
static int commit_own(struct xattr_plan *p)
{
	int err;

	if (p->noop && !p->set_mode)
		return 0;
	err = commit_once(p);
	if (err != -ENOSPC || p->ea_new)
		return err;
	err = txn_commit_now(p->inode->fs);
	return err ? err : commit_once(p);
}

static int change_locked(struct inode *inode, const char *name, const void *value, size_t size,
			 unsigned flags, struct xattr_plan *p)
{
	AUTOCHANGE c = { .value = NULL };
	int err = may_change(inode);

	if (!err)
		err = resolve(inode, name, value, size, flags, &c);
	if (!err)
		err = make_plan(inode, &c, false, p);
	return err ? err : commit_own(p);
}

static int change(struct inode *inode, const char *name, const void *value, size_t size,
		  unsigned flags)
{
	struct xattr_plan p = { .inode = inode };
	int err = fs_may_write(inode->fs);

	if (err)
		return err;
	rwlock_write(&inode->lock);
	err = change_locked(inode, name, value, size, flags, &p);
	rwlock_write_unlock(&inode->lock);
	xattr_plan_fini(&p);
	return err;
}

static unsigned plan_flags(int flags)
{
	return (flags & XATTR_CREATE ? PLAN_CREATE : 0) |
	       (flags & XATTR_REPLACE ? PLAN_REPLACE : 0);
}

int xattr_set(struct inode *inode, const char *name, const void *value, size_t size, int flags)
{
	return change(inode, name, value, size, plan_flags(flags));
}

int xattr_remove(struct inode *inode, const char *name)
{
	return change(inode, name, NULL, 0, PLAN_REMOVE);
}

/* In a handle that was begun with xattr_credits. */
static int commit_in(struct handle *h, struct xattr_plan *p)
{
	unsigned promised = xattr_credits(p->inode, p->size), need = xattr_plan_credits(p);
	int err = need > promised ? txn_extend(h, need - promised) : 0;

	if (err)
		return err == -EAGAIN ? -ENOSPC : err;
	return xattr_plan_commit(h, p);
}

int xattr_set_key_locked(struct handle *h, struct inode *inode, const struct xattr_key *key,
			 const void *value, size_t size)
{
	struct xattr_plan p;
	int err = xattr_plan_make(&p, inode, key, value, size, 0, true);

	if (!err)
		err = commit_in(h, &p);
	xattr_plan_fini(&p);
	return err;
}

int xattr_set_locked(struct handle *h, struct inode *inode, const char *name,
		     const void *value, size_t size, int flags)
{
	AUTOCHANGE c = { .value = NULL };
	struct xattr_plan p = { .inode = inode };
	int err = may_change(inode);

	if (!err)
		err = resolve(inode, name, value, size, plan_flags(flags), &c);
	if (!err)
		err = make_plan(inode, &c, true, &p);
	if (!err)
		err = commit_in(h, &p);
	xattr_plan_fini(&p);
	return err;
}
