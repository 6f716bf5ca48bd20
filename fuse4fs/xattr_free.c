/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attributes of an inode that is going away.
 *
 * Entries with ea_inodes go one by one, each in the transaction that takes its count
 * down, so that after a crash the deletion goes on where it was and counts nothing
 * twice. Then the block goes. What is in the inode goes with it.
 */
#include <errno.h>

#include "group.h"
#include "xattr_int.h"

/* The first entry with an ea_inode in the inode or in a block of its own. */
static int find_ea_entry(struct inode *inode, char name[256], struct xattr_key *ret_key)
{
	struct xattr_area ibody, block = { .base = NULL };
	struct xattr_ent e = { .next = 0 };
	AUTOBUF b = NULL;
	int err = xattr_ibody_view(inode, &ibody);
	bool found = false;

	if (err)
		return err;
	while (!found && xattr_area_next(&ibody, &e))
		found = e.val.ea_ino != 0;
	if (!found) {
		err = xattr_block_load(inode, &b, &block);
		e.next = 0;
		if (!err && b && !xattr_block_shared(inode->fs, b))
			while (!found && xattr_area_next(&block, &e))
				found = e.val.ea_ino != 0;
	}
	if (found) {
		memcpy(name, e.key.name, e.key.len);
		*ret_key = (struct xattr_key){ e.key.index, e.key.len, name };
	}
	free(block.base);
	return err ? err : found ? 0 : -ENODATA;
}

static int remove_entry(struct inode *inode, const struct xattr_key *key)
{
	struct xattr_plan p;
	struct handle h;
	int err, end;

	rwlock_write(&inode->lock);
	err = xattr_plan_make(&p, inode, key, NULL, 0, PLAN_REMOVE, false);
	if (!err)
		err = inode_begin(inode, xattr_plan_credits(&p), &h);
	if (!err) {
		err = xattr_plan_commit(&h, &p);
		end = txn_stop(&h);
		err = err ? err : end;
	}
	rwlock_write_unlock(&inode->lock);
	xattr_plan_fini(&p);
	return err;
}

static int free_ea_entries(struct inode *inode)
{
	struct xattr_key key;
	char name[256];
	int err;

	for (;;) {
		rwlock_read(&inode->lock);
		err = find_ea_entry(inode, name, &key);
		rwlock_read_unlock(&inode->lock);
		if (err)
			return err == -ENODATA ? 0 : err;
		err = remove_entry(inode, &key);
		if (err)
			return err;
	}
}

/* Gives back our reference of the block; its ea_inodes, if any, are others' too. */
static int drop_block(struct handle *h, struct inode *inode)
{
	struct xattr_block_change c = { .area = { .block = true } };
	int err = xattr_block_load(inode, &c.old, &c.area);

	free(c.area.base);
	c.area = (struct xattr_area){ .block = true };
	if (!err)
		err = xattr_block_prepare(h, inode, &c);
	if (!err) {
		xattr_block_apply_inode(inode, &c);
		err = inode_store(h, inode, false);
	}
	if (!err)
		err = xattr_block_finish(h, inode, &c);
	cache_put(c.old);
	return err;
}

static int free_block(struct inode *inode)
{
	struct handle h;
	int err, end;

	err = inode_begin(inode, INODE_STORE_CREDITS + 1 + BALLOC_CREDITS, &h);
	if (err)
		return err;
	err = drop_block(&h, inode);
	end = txn_stop(&h);
	return err ? err : end;
}

int xattr_free_all(struct inode *inode)
{
	int err = 0;

	/* What an ea_inode may itself refer to is never followed (ea_inode_open). */
	if (!(inode->flags & EXT4_EA_INODE_FL))
		err = free_ea_entries(inode);
	if (err && err != -EUCLEAN)
		return err;
	rwlock_write(&inode->lock);
	err = inode->file_acl ? free_block(inode) : 0;
	rwlock_write_unlock(&inode->lock);
	/* What is damaged (logged) cannot be given back; the inode may go all the same. */
	return err == -EUCLEAN ? 0 : err;
}
