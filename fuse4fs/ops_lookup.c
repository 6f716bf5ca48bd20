/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names to inodes, and the checks that all operations on names share. */
#include <errno.h>

#include "ops_internal.h"

int ops_check_name(const char *name, size_t *ret_len)
{
	size_t len = strnlen(name, EXT2_NAME_LEN + 1);

	if (len == 0)
		return -ENOENT;
	if (len > EXT2_NAME_LEN)
		return -ENAMETOOLONG;
	if (memchr(name, '/', len))
		return -EINVAL;
	*ret_len = len;
	return 0;
}

static bool is_dot_name(const char *name, size_t len)
{
	return name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'));
}

int ops_check_new_name(const char *name, size_t *ret_len)
{
	int err = ops_check_name(name, ret_len);

	if (err)
		return err;
	return is_dot_name(name, *ret_len) ? -EINVAL : 0;
}

int ops_get_dir(struct fs *fs, uint32_t ino, struct inode **ret)
{
	struct inode *dir;
	int err = inode_get(fs, ino, &dir);

	if (err)
		return err;
	if (!S_ISDIR(dir->type)) {
		inode_put(dir);
		return -ENOTDIR;
	}
	*ret = dir;
	return 0;
}

int ops_entry_inode(struct inode *dir, const char *name, size_t len, struct inode **ret)
{
	uint32_t ino;
	uint8_t ftype;
	int err = dir_lookup(dir, name, len, &ino, &ftype);

	if (err)
		return err;
	/* A directory that holds itself would be locked twice. */
	if (ino == dir->ino)
		return fs_error(dir->fs, -EUCLEAN, dir->ino, 0,
				"entry '%.*s' points to its own directory", (int)len, name);
	err = inode_get(dir->fs, ino, ret);
	if (err == -ESTALE)
		return fs_error(dir->fs, -EUCLEAN, dir->ino, 0,
				"entry '%.*s' points to unused inode %u", (int)len, name, ino);
	return err;
}

int ops_lookup(struct fs *fs, uint32_t dir_ino, const char *name, struct inode **ret)
{
	struct inode *dir;
	size_t len;
	int err = fs_may_read(fs);

	if (!err)
		err = ops_check_name(name, &len);
	if (!err)
		err = ops_get_dir(fs, dir_ino, &dir);
	if (err)
		return err;
	rwlock_read(&dir->lock);
	err = ops_entry_inode(dir, name, len, ret);
	rwlock_read_unlock(&dir->lock);
	inode_put(dir);
	return err;
}

int ops_parent(struct fs *fs, uint32_t dir_ino, uint32_t *ret_ino)
{
	struct inode *dir;
	int err = ops_get_dir(fs, dir_ino, &dir);

	if (err)
		return err;
	rwlock_read(&dir->lock);
	err = dir_get_parent(dir, ret_ino);
	rwlock_read_unlock(&dir->lock);
	inode_put(dir);
	return err;
}

int ops_resolve(struct fs *fs, const char *path, uint32_t *ret_ino)
{
	uint32_t ino = EXT2_ROOT_INO;

	while (*path) {
		char name[EXT2_NAME_LEN + 1];
		struct inode *inode;
		size_t len = strcspn(path, "/");
		int err;

		if (len > EXT2_NAME_LEN)
			return -ENAMETOOLONG;
		memcpy(name, path, len);
		name[len] = '\0';
		path += len;
		path += strspn(path, "/");
		if (len == 0 || strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0)
			return -EINVAL;
		err = ops_lookup(fs, ino, name, &inode);
		if (err)
			return err;
		ino = inode->ino;
		inode_put(inode);
	}
	*ret_ino = ino;
	return 0;
}

int ops_may_add(struct inode *dir)
{
	if (dir->nlink == 0)
		return -ENOENT;
	return dir->flags & EXT2_IMMUTABLE_FL ? -EPERM : 0;
}

int ops_may_remove(struct inode *dir, struct inode *child)
{
	const uint32_t fixed = EXT2_IMMUTABLE_FL | EXT2_APPEND_FL;

	return (dir->flags | child->flags) & fixed ? -EPERM : 0;
}

bool ops_other_project(const struct inode *dir, const struct inode *inode)
{
	return dir->fs->has_project && (dir->flags & EXT4_PROJINHERIT_FL) &&
	       dir->projid != inode->projid;
}

static bool is_indexed(const struct inode *dir)
{
	return dir->fs->has_dir_index && (dir->flags & EXT2_INDEX_FL);
}

int ops_may_add_subdir(struct inode *dir)
{
	if (dir->nlink < inode_link_max(dir))
		return 0;
	return dir->fs->has_dir_nlink && is_indexed(dir) ? 0 : -EMLINK;
}

void ops_inc_nlink(struct inode *dir)
{
	if (dir->nlink == 1)
		return;
	dir->nlink++;
	if (dir->nlink > inode_link_max(dir) && is_indexed(dir))
		dir->nlink = 1;
}

void ops_dec_nlink(struct inode *dir)
{
	if (dir->nlink > 2)
		dir->nlink--;
}
