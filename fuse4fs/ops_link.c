/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of existing inodes: link, unlink, rmdir. */
#include <assert.h>
#include <errno.h>

#include "group.h"
#include "ops_internal.h"
#include "orphan.h"

int ops_prepare_drop(struct handle *h, struct inode *inode)
{
	bool is_last = S_ISDIR(inode->type) || inode->nlink <= 1;
	int err = inode_join(h, inode);

	if (err || !is_last || inode->orphan)
		return err;
	err = orphan_add(h, inode);
	return err ? err : 1;
}

void ops_keep_link(struct handle *h, struct inode *inode)
{
	int err = orphan_del(h, inode);

	if (err)
		fs_error(h->fs, err, inode->ino, 0, "cannot undo the removal of a link");
}

int ops_drop_link(struct handle *h, struct inode *inode)
{
	int err = 0;

	inode->ctime = fs_now();
	if (S_ISDIR(inode->type)) {
		inode->nlink = 0;
		inode->size = 0;
	} else if (inode->nlink > 0) {
		inode->nlink--;
	}
	if (inode->nlink == 0)
		err = orphan_add(h, inode);
	assert(err || inode->nlink || inode->orphan);	/* I5 */
	return err ? err : inode_store(h, inode, false);
}

/*
 * Locks dir and the inode its entry `name` points at, both exclusively, in order of
 * number: when the child's number is the lower one, dir is let go and the entry checked
 * again afterwards. On success *ret is referenced and the caller unlocks both.
 */
static int lock_entry(struct inode *dir, const char *name, size_t len,
		      struct inode **ret) NO_TSA
{
	for (;;) {
		struct inode *child, *pair[2];
		uint32_t ino;
		uint8_t ftype;
		int err;

		rwlock_write(&dir->lock);
		err = ops_entry_inode(dir, name, len, &child);
		if (err) {
			rwlock_write_unlock(&dir->lock);
			return err;
		}
		*ret = child;
		if (child->ino > dir->ino) {
			rwlock_write(&child->lock);
			return 0;
		}
		rwlock_write_unlock(&dir->lock);
		pair[0] = dir;
		pair[1] = child;
		inode_lock_many(pair, 2);
		if (dir_lookup(dir, name, len, &ino, &ftype) == 0 && ino == child->ino)
			return 0;
		inode_unlock_many(pair, 2);
		inode_put(child);
	}
}

static int may_unlink(struct inode *dir, struct inode *child, bool want_dir)
{
	int err;

	if (want_dir && !S_ISDIR(child->type))
		return -ENOTDIR;
	if (!want_dir && S_ISDIR(child->type))
		return -EISDIR;
	err = ops_may_remove(dir, child);
	if (err || !want_dir)
		return err;
	err = dir_is_empty(child);
	if (err < 0)
		return err;
	return err ? 0 : -ENOTEMPTY;
}

/* The removal is the last step that may fail. */
static int unlink_in(struct handle *h, struct inode *dir, struct inode *child, const char *name,
		     size_t len)
{
	int orphaned, err;

	orphaned = ops_prepare_drop(h, child);
	if (orphaned < 0)
		return orphaned;
	err = dir_remove(h, dir, name, len);
	if (err) {
		if (orphaned)
			ops_keep_link(h, child);
		return err;
	}
	err = ops_drop_link(h, child);
	if (!err && S_ISDIR(child->type)) {
		ops_dec_nlink(dir);
		err = inode_store(h, dir, false);
	}
	return err;
}

/* Both locked. */
static int unlink_locked(struct inode *dir, struct inode *child, const char *name, size_t len)
{
	struct handle h;
	int err, end;

	err = inode_begin(dir, dir_credits(dir) + ORPHAN_CREDITS + 2 * INODE_STORE_CREDITS, &h);
	if (err)
		return err;
	h.sync = inode_dir_wants_sync(dir);
	err = unlink_in(&h, dir, child, name, len);
	end = txn_stop(&h);
	return err ? err : end;
}

static int remove_name(struct fs *fs, uint32_t dir_ino, const char *name, bool want_dir)
{
	struct inode *dir, *child, *pair[2];
	size_t len;
	int err = fs_may_write(fs);

	if (!err)
		err = ops_check_new_name(name, &len);
	if (!err)
		err = ops_get_dir(fs, dir_ino, &dir);
	if (err)
		return err;
	err = lock_entry(dir, name, len, &child);
	if (err) {
		inode_put(dir);
		return err;
	}
	err = may_unlink(dir, child, want_dir);
	if (!err)
		err = unlink_locked(dir, child, name, len);
	pair[0] = dir;
	pair[1] = child;
	inode_unlock_many(pair, 2);
	inode_put(child);
	inode_put(dir);
	return err;
}

int ops_unlink(struct fs *fs, uint32_t dir, const char *name)
{
	return remove_name(fs, dir, name, false);
}

int ops_rmdir(struct fs *fs, uint32_t dir, const char *name)
{
	return remove_name(fs, dir, name, true);
}

/*
 * What may fail comes before the name: an inode that has one must not stay on the orphan list,
 * or its number goes to another file while the name stays. But one that is being cut stays an
 * orphan to the end of that (I5): with a link it is to be truncated, not deleted.
 */
static int link_in(struct handle *h, struct inode *dir, struct inode *inode, const char *name,
		   size_t len)
{
	const bool was_orphan = inode->nlink == 0 && !inode->half_cut;
	int err = inode_join(h, inode);

	if (!err && was_orphan)
		err = orphan_del(h, inode);
	if (err)
		return err;
	err = dir_insert(h, dir, name, len, inode->ino, dir_ftype(inode->mode));
	if (!err) {
		inode->nlink++;
		inode->ctime = fs_now();
		return inode_store(h, inode, false);
	}
	if (was_orphan && orphan_add(h, inode))
		fs_error(h->fs, err, inode->ino, 0, "without a name, and no orphan any more");
	return err;
}

/* Both locked. An inode with no link is a tmpfile being given a name: the kernel lets
 * no other through. */
static int link_locked(struct inode *dir, struct inode *inode, const char *name, size_t len)
{
	struct handle h;
	int err, end;

	err = ops_may_add(dir);
	if (err)
		return err;
	if (S_ISDIR(inode->type) || (inode->flags & (EXT2_IMMUTABLE_FL | EXT2_APPEND_FL)))
		return -EPERM;
	if (inode->nlink >= inode_link_max(inode))
		return -EMLINK;
	if (ops_other_project(dir, inode))
		return -EXDEV;
	err = inode_begin(dir, dir_credits(dir) + ORPHAN_CREDITS + INODE_STORE_CREDITS, &h);
	if (err)
		return err;
	h.sync = inode_dir_wants_sync(dir);
	err = link_in(&h, dir, inode, name, len);
	end = txn_stop(&h);
	return err ? err : end;
}

int ops_link(struct fs *fs, uint32_t ino, uint32_t dir_ino, const char *name, struct inode **ret)
{
	struct inode *dir, *inode, *pair[2];
	unsigned tries = 0;
	size_t len;
	int err = fs_may_write(fs);

	if (!err)
		err = ops_check_new_name(name, &len);
	if (!err)
		err = ops_get_dir(fs, dir_ino, &dir);
	if (err)
		return err;
	err = inode_get(fs, ino, &inode);
	if (err) {
		inode_put(dir);
		return err;
	}
	pair[0] = dir;
	pair[1] = inode;
	do {
		inode_lock_many(pair, 2);
		err = link_locked(dir, inode, name, len);
		inode_unlock_many(pair, 2);
	} while (group_retry(fs, err, &tries));
	inode_put(dir);
	if (err) {
		inode_put(inode);
		return err;
	}
	*ret = inode;
	return 0;
}
