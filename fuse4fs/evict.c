/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The end of an inode.
 *
 * Content and attributes go first, in as many transactions as they need; the inode is an
 * orphan all the while. Then one handle takes it off the orphans, writes its dtime and
 * frees its number. It leaves the inode table inside that handle: after the commit the
 * number may be given out again, and until then a stale handle reads from the disk's
 * image of it that it has no links.
 */
#include <errno.h>

#include "file.h"
#include "group.h"
#include "inode_int.h"
#include "orphan.h"
#include "xattr.h"

static bool has_content(const struct inode *inode)
{
	if (inode->blocks == 0 || inode_is_inline(inode) || inode_is_fast_symlink(inode))
		return false;
	return S_ISREG(inode->mode) || S_ISDIR(inode->mode) || S_ISLNK(inode->mode);
}

/* As the kernel leaves it: the mode stays, dtime says when. */
static int bury(struct handle *h, struct inode *inode)
{
	int err = ialloc_join(h, inode->ino);

	if (!err)
		err = orphan_del(h, inode);
	if (err)
		return err;
	inode->size = 0;
	inode->dtime = fs_now().tv_sec;
	err = inode_store(h, inode, false);
	if (err)
		return err;
	inode_unhash(inode);
	return ialloc_free(h, inode->ino, S_ISDIR(inode->mode));
}

static int free_number(struct inode *inode)
{
	struct handle h;
	int err, end;

	rwlock_write(&inode->lock);
	err = inode_begin(inode, ORPHAN_CREDITS + INODE_STORE_CREDITS + IALLOC_CREDITS, &h);
	if (err) {
		rwlock_write_unlock(&inode->lock);
		return err;
	}
	err = bury(&h, inode);
	end = txn_stop(&h);
	rwlock_write_unlock(&inode->lock);
	return err ? err : end;
}

int inode_evict(struct inode *inode)
{
	int err = fs_may_write(inode->fs);

	if (!err && has_content(inode))
		err = file_free_all(inode);
	if (!err)
		err = xattr_free_all(inode);
	if (!err)
		err = free_number(inode);
	if (err && err != -EROFS)
		fs_log(inode->fs, FS_LOG_ERR, "inode %u was not deleted: error %d", inode->ino,
		       -err);
	return err;
}
