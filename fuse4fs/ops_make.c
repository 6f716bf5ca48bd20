/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making inodes: files, directories, devices, symbolic links, O_TMPFILE.
 *
 * The new inode is complete before its name is inserted, all in one handle. When a
 * later step fails the inode is turned into an orphan in that same handle, so what
 * it had been given is freed by the one path that frees inodes.
 */
#include <errno.h>
#include <sys/sysmacros.h>

#include "file.h"
#include "ops_internal.h"
#include "orphan.h"
#include "group.h"
#include "xattr.h"

/* Device numbers as the kernel's old_encode_dev and new_encode_dev put them. */
static void encode_rdev(struct inode *inode, dev_t rdev)
{
	uint32_t maj = major(rdev), min = minor(rdev);
	uint8_t *b = inode_block(inode);

	memset(b, 0, 8);
	if (maj < 256 && min < 256)
		put_le32(b, maj << 8 | min);
	else
		put_le32(b + 4, (min & 0xff) | maj << 8 | (min & ~0xffU) << 12);
}

static int fill_content(struct handle *h, struct inode *dir, struct inode *inode, dev_t rdev,
			const char *target)
{
	if (S_ISDIR(inode->mode))
		return dir_init(h, inode, dir->ino);
	if (S_ISLNK(inode->mode))
		return target ? file_write_link(h, inode, target, strlen(target)) : -EINVAL;
	if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode))
		encode_rdev(inode, rdev);
	return 0;
}

unsigned ops_new_inode_credits(struct inode *dir)
{
	enum { ACL_MAX = 4096 };

	return INODE_NEW_CREDITS + INODE_STORE_CREDITS + ORPHAN_CREDITS + BALLOC_CREDITS +
	       map_credits(dir) + 2 * xattr_credits(dir, ACL_MAX);
}

void ops_discard_inode(struct handle *h, struct inode *inode)
{
	int err;

	inode->nlink = 0;
	err = orphan_add(h, inode);
	if (!err)
		err = inode_store(h, inode, false);
	inode_unlock_new(inode);
	if (err)
		fs_error(h->fs, err, inode->ino, 0, "cannot undo the creation of an inode");
}

int ops_new_inode(struct handle *h, struct inode *dir, uint16_t mode, dev_t rdev,
		  const char *target, const struct cred *cred, struct inode **ret)
{
	bool inherit_gid = h->fs->opt.grpid || (dir->mode & S_ISGID);
	uint32_t gid = inherit_gid ? dir->gid : cred->gid;
	struct inode *inode;
	int err;

	*ret = NULL;
	if (S_ISDIR(mode) && (dir->mode & S_ISGID))
		mode |= S_ISGID;
	err = inode_new(h, dir, mode, cred->uid, gid, &inode);
	if (err)
		return err;
	if (dir->flags & EXT4_PROJINHERIT_FL)
		inode->projid = dir->projid;
	/* The ACL first: what is left of the inode may then hold inline content. */
	if (!S_ISLNK(mode))
		err = acl_inherit(h, dir, inode, cred->umask);
	if (!err)
		err = fill_content(h, dir, inode, rdev, target);
	inode->nlink = S_ISDIR(mode) ? 2 : 1;
	if (err)
		ops_discard_inode(h, inode);
	*ret = inode;
	return err;
}

/* Inode, its name, the parent's count: one handle. dir->lock held exclusively. */
static int make_locked(struct handle *h, struct inode *dir, const char *name, size_t len,
		       uint16_t mode, dev_t rdev, const char *target,
		       const struct cred *cred, struct inode **ret)
{
	struct inode *inode;
	int err = ops_new_inode(h, dir, mode, rdev, target, cred, &inode);

	*ret = inode;
	if (err)
		return err;
	err = inode_store(h, inode, true);
	if (!err)
		err = dir_insert(h, dir, name, len, inode->ino, dir_ftype(mode));
	if (err) {
		ops_discard_inode(h, inode);
		return err;
	}
	if (S_ISDIR(mode)) {
		ops_inc_nlink(dir);
		err = inode_store(h, dir, false);
	}
	inode_unlock_new(inode);
	return err;
}

static int make_in_dir(struct inode *dir, const char *name, size_t len, uint16_t mode,
		       dev_t rdev, const char *target, const struct cred *cred,
		       struct inode **ret)
{
	struct handle h;
	uint32_t ino;
	uint8_t ftype;
	int err, end;

	err = ops_may_add(dir);
	if (err)
		return err;
	err = dir_lookup(dir, name, len, &ino, &ftype);
	if (err != -ENOENT)
		return err ? err : -EEXIST;
	err = S_ISDIR(mode) ? ops_may_add_subdir(dir) : 0;
	if (err)
		return err;
	err = inode_begin(dir, ops_new_inode_credits(dir) + dir_credits(dir), &h);
	if (err)
		return err;
	h.sync = inode_dir_wants_sync(dir);
	err = make_locked(&h, dir, name, len, mode, rdev, target, cred, ret);
	end = txn_stop(&h);
	return err ? err : end;
}

static int check_target(struct fs *fs, uint16_t mode, const char *target)
{
	if (!S_ISLNK(mode))
		return 0;
	if (target[0] == '\0')
		return -ENOENT;
	return strlen(target) >= MIN(fs->block_size, 4096u) ? -ENAMETOOLONG : 0;
}

int ops_make(struct fs *fs, uint32_t dir_ino, const char *name, uint16_t mode, dev_t rdev,
	     const char *target, const struct cred *cred, struct inode **ret)
{
	struct inode *dir, *inode = NULL;
	unsigned tries = 0;
	size_t len;
	int err = fs_may_write(fs);

	if (!err)
		err = ops_check_new_name(name, &len);
	if (!err)
		err = check_target(fs, mode, target);
	if (!err)
		err = ops_get_dir(fs, dir_ino, &dir);
	if (err)
		return err;
	do {
		inode_put(inode);
		inode = NULL;
		rwlock_write(&dir->lock);
		err = make_in_dir(dir, name, len, mode, rdev, target, cred, &inode);
		rwlock_write_unlock(&dir->lock);
	} while (group_retry(fs, err, &tries));
	inode_put(dir);
	if (err) {
		inode_put(inode);
		return err;
	}
	*ret = inode;
	return 0;
}

/* dir->lock held exclusively (the ACL is read from it). */
static int tmpfile_in_dir(struct inode *dir, uint16_t mode, const struct cred *cred,
			  struct inode **ret)
{
	struct handle h;
	int err, end;

	err = ops_may_add(dir);
	if (err)
		return err;
	err = txn_begin(dir->fs, ops_new_inode_credits(dir), &h);
	if (err)
		return err;
	err = ops_new_inode(&h, dir, mode, 0, NULL, cred, ret);
	if (!err) {
		(*ret)->nlink = 0;
		err = orphan_add(&h, *ret);
		if (!err)
			err = inode_store(&h, *ret, true);
		inode_unlock_new(*ret);
	}
	end = txn_stop(&h);
	return err ? err : end;
}

int ops_tmpfile(struct fs *fs, uint32_t dir_ino, uint16_t mode, const struct cred *cred,
		struct inode **ret)
{
	struct inode *dir, *inode = NULL;
	unsigned tries = 0;
	int err = fs_may_write(fs);

	if (!err)
		err = ops_get_dir(fs, dir_ino, &dir);
	if (err)
		return err;
	do {
		inode_put(inode);
		inode = NULL;
		rwlock_write(&dir->lock);
		err = tmpfile_in_dir(dir, mode, cred, &inode);
		rwlock_write_unlock(&dir->lock);
	} while (group_retry(fs, err, &tries));
	inode_put(dir);
	if (err) {
		inode_put(inode);
		return err;
	}
	*ret = inode;
	return 0;
}
