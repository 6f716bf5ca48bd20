// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Names: looking up, making, removing; the lookup counts that go with them.
 *
 * A found inode is counted while its reference is still held, so that a forget that comes
 * in between cannot delete it.
 */
#include <errno.h>

#include "file.h"
#include "nodes.h"
#include "vfs_priv.h"

/* Directories nest at most this deep below a sub-root that handles are checked against;
 * a damaged ".." chain ends here, too. */
enum { DEPTH_MAX = 4096 };

void vfs_fill_stat(struct vfs *v, struct inode *inode, struct stat *st)
{
	rwlock_read(&inode->lock);
	inode_fill_stat(inode, st);
	rwlock_read_unlock(&inode->lock);
	if (v->squash_uid)
		st->st_uid = v->uid;
	if (v->squash_gid)
		st->st_gid = v->gid;
}

int vfs_fill_entry(struct vfs *v, struct inode *inode, struct vfs_entry *ret)
{
	int err = nodes_get(v->nodes, inode->ino);

	if (err)
		return err;
	ret->ino = inode->ino;
	ret->gen = inode->gen;
	vfs_fill_stat(v, inode, &ret->st);
	return 0;
}

int vfs_lookup(struct vfs *v, uint32_t dir, const char *name, struct vfs_entry *ret)
{
	AUTOINODE inode = NULL;
	int err = ops_lookup(v->fs, dir, name, &inode);

	return err ? err : vfs_fill_entry(v, inode, ret);
}

int vfs_entry_ino(struct vfs *v, uint32_t ino, struct vfs_entry *ret)
{
	AUTOINODE inode = NULL;
	int err = inode_get(v->fs, ino, &inode);

	return err ? err : vfs_fill_entry(v, inode, ret);
}

/* 0 when dir lies below the configured root, -ESTALE when it does not. */
static int check_below_root(struct vfs *v, uint32_t dir)
{
	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		uint32_t parent;
		int err;

		if (dir == v->ids.root)
			return 0;
		err = ops_parent(v->fs, dir, &parent);
		if (err)
			return err;
		if (parent == dir)
			break;		/* the image's root */
		dir = parent;
	}
	return -ESTALE;
}

static int check_handle(struct vfs *v, struct inode *inode)
{
	if (v->ids.root == INO_EXT4_ROOT || nodes_known(v->nodes, inode->ino))
		return 0;
	return S_ISDIR(inode->type) ? check_below_root(v, inode->ino) : -ESTALE;
}

int vfs_lookup_ino(struct vfs *v, uint32_t ino, struct vfs_entry *ret)
{
	AUTOINODE inode = NULL;
	int err = fs_may_read(v->fs);

	if (!err)
		err = inode_get(v->fs, ino, &inode);
	if (!err)
		err = check_handle(v, inode);
	return err ? err : vfs_fill_entry(v, inode, ret);
}

int vfs_lookup_parent(struct vfs *v, uint32_t dir, struct vfs_entry *ret)
{
	uint32_t parent = dir;
	int err = 0;

	if (dir != v->ids.root)
		err = ops_parent(v->fs, dir, &parent);
	return err ? err : vfs_lookup_ino(v, parent, ret);
}

void vfs_forget(struct vfs *v, uint32_t ino, uint64_t count)
{
	if (nodes_put(v->nodes, ino, count))
		inode_forgotten(v->fs, ino);
}

int vfs_creator(struct vfs *v, uint32_t dir, const struct vfs_cred *cred, struct cred *ret)
{
	struct stat st;
	int err;

	*ret = (struct cred){ .uid = cred->uid, .gid = cred->gid, .umask = cred->umask,
			      .root = cred->root };
	if (!v->squash_uid && !v->squash_gid)
		return 0;
	err = ops_getattr(v->fs, dir, &st);
	if (err)
		return err;
	if (v->squash_uid)
		ret->uid = st.st_uid;
	if (v->squash_gid)
		ret->gid = st.st_gid;
	return 0;
}

int vfs_make(struct vfs *v, uint32_t dir, const char *name, mode_t mode, dev_t rdev,
	     const char *target, const struct vfs_cred *cred, struct vfs_entry *ret)
{
	AUTOINODE inode = NULL;
	struct cred creator;
	int err = vfs_creator(v, dir, cred, &creator);

	if (!err)
		err = ops_make(v->fs, dir, name, (uint16_t)mode, rdev, target, &creator, &inode);
	return err ? err : vfs_fill_entry(v, inode, ret);
}

int vfs_link(struct vfs *v, uint32_t ino, uint32_t dir, const char *name, struct vfs_entry *ret)
{
	AUTOINODE inode = NULL;
	int err = ops_link(v->fs, ino, dir, name, &inode);

	return err ? err : vfs_fill_entry(v, inode, ret);
}

int vfs_unlink(struct vfs *v, uint32_t dir, const char *name)
{
	return ops_unlink(v->fs, dir, name);
}

int vfs_rmdir(struct vfs *v, uint32_t dir, const char *name)
{
	return ops_rmdir(v->fs, dir, name);
}

int vfs_rename(struct vfs *v, uint32_t dir, const char *name, uint32_t newdir,
	       const char *newname, unsigned flags, const struct vfs_cred *cred)
{
	struct cred creator;	/* of a whiteout */
	int err = vfs_creator(v, dir, cred, &creator);

	return err ? err : ops_rename(v->fs, dir, name, newdir, newname, flags, &creator);
}

int vfs_readlink(struct vfs *v, uint32_t ino, char *buf, size_t size)
{
	AUTOINODE inode = NULL;
	int err = fs_may_read(v->fs);

	if (!err)
		err = inode_get(v->fs, ino, &inode);
	if (!err)
		err = S_ISLNK(inode->type) ? file_read_link(inode, buf, size) : -EINVAL;
	if (err < 0)
		return err;
	inode_touch_atime(inode);
	return 0;
}
