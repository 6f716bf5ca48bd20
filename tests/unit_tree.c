/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operations by path over the engine's interface. */
#include <errno.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>

#include "dir.h"
#include "file.h"
#include "ops.h"
#include "unit_tree.h"
#include "xattr.h"

enum { READ_MAX = 64 << 20, READ_STEP = 128 << 10 };

static const struct cred root_cred = { .umask = 022, .root = true };

/* A function of the position that differs between neighbouring blocks. */
static uint8_t pattern_byte(uint64_t off)
{
	return (uint8_t)(off * 31 + (off >> 8) * 7 + (off >> 16));
}

void unit_pattern(void *buf, size_t len, uint64_t off)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = pattern_byte(off + i);
}

int unit_get(struct fs *fs, const char *path, struct inode **ret)
{
	uint32_t ino;
	int err = ops_resolve(fs, path, &ino);

	return err ? err : inode_get(fs, ino, ret);
}

/* As the request layer does: contents only of regular files. */
static int get_file(struct fs *fs, const char *path, struct inode **ret)
{
	int err = unit_get(fs, path, ret);

	return err ? err : S_ISREG((*ret)->type) ? 0 : -EINVAL;
}

/* Number of the directory that holds the last component, which starts at *ret_name. */
static int parent_of(struct fs *fs, const char *path, uint32_t *ret_dir, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];

	*ret_name = slash + 1;
	if (slash == path) {
		*ret_dir = EXT2_ROOT_INO;
		return 0;
	}
	memcpy(dir, path, (size_t)(slash - path));
	dir[slash - path] = '\0';
	return ops_resolve(fs, dir, ret_dir);
}

int unit_make(struct fs *fs, const char *path, uint16_t mode, const char *target)
{
	AUTOINODE inode = NULL;
	const char *name;
	uint32_t dir;
	int err = parent_of(fs, path, &dir, &name);

	return err ? err : ops_make(fs, dir, name, mode, 0, target, &root_cred, &inode);
}

int unit_link(struct fs *fs, const char *from, const char *to)
{
	AUTOINODE inode = NULL;
	uint32_t ino, dir;
	const char *name;
	int err = ops_resolve(fs, from, &ino);

	if (!err)
		err = parent_of(fs, to, &dir, &name);
	return err ? err : ops_link(fs, ino, dir, name, &inode);
}

int unit_unlink(struct fs *fs, const char *path)
{
	const char *name;
	uint32_t dir;
	int err = parent_of(fs, path, &dir, &name);

	return err ? err : ops_unlink(fs, dir, name);
}

int unit_rmdir(struct fs *fs, const char *path)
{
	const char *name;
	uint32_t dir;
	int err = parent_of(fs, path, &dir, &name);

	return err ? err : ops_rmdir(fs, dir, name);
}

int unit_rename(struct fs *fs, const char *from, const char *to, unsigned flags)
{
	const char *name, *newname;
	uint32_t dir, newdir;
	int err = parent_of(fs, from, &dir, &name);

	if (!err)
		err = parent_of(fs, to, &newdir, &newname);
	return err ? err : ops_rename(fs, dir, name, newdir, newname, flags, &root_cred);
}

int unit_write(struct fs *fs, const char *path, uint64_t off, size_t len, uint8_t salt)
{
	AUTOFREE uint8_t *buf = malloc(len);
	AUTOINODE inode = NULL;
	bool is_short = false;
	size_t done = 0;
	ssize_t n;
	int err;

	if (!buf)
		return -ENOMEM;
	unit_pattern(buf, len, off);
	for (size_t i = 0; i < len; i++)
		buf[i] ^= salt;
	err = get_file(fs, path, &inode);
	if (err)
		return err;
	while (done < len) {
		n = file_write(inode, buf + done, len - done, off + done, true);
		if (n <= 0)
			return n ? (int)n : -EILSEQ;
		is_short |= (size_t)n < len - done;
		done += (size_t)n;
	}
	return is_short ? -EIO : 0;
}

int unit_verify(struct fs *fs, const char *path, uint64_t off, size_t len, uint8_t salt)
{
	AUTOFREE uint8_t *buf = malloc(len);
	AUTOINODE inode = NULL;
	ssize_t n;
	int err;

	if (!buf)
		return -ENOMEM;
	err = get_file(fs, path, &inode);
	if (err)
		return err;
	n = file_read(inode, buf, len, off);
	if (n < 0)
		return (int)n;
	if ((size_t)n != len)
		return -EILSEQ;
	for (size_t i = 0; i < len; i++)
		if (buf[i] != (pattern_byte(off + i) ^ salt))
			return -EILSEQ;
	return 0;
}

int unit_read(struct fs *fs, const char *path)
{
	AUTOFREE uint8_t *buf = malloc(READ_STEP);
	AUTOINODE inode = NULL;
	uint64_t off = 0;
	ssize_t n;
	int err;

	if (!buf)
		return -ENOMEM;
	err = get_file(fs, path, &inode);
	if (err)
		return err;
	do {
		n = file_read(inode, buf, READ_STEP, off);
		if (n > 0)
			off += (uint64_t)n;
	} while (n > 0 && off < READ_MAX);
	return n < 0 ? (int)n : 0;
}

int unit_truncate(struct fs *fs, const char *path, uint64_t size)
{
	AUTOINODE inode = NULL;
	int err = get_file(fs, path, &inode);

	return err ? err : file_truncate(inode, size);
}

int unit_fallocate(struct fs *fs, const char *path, int mode, uint64_t off, uint64_t len)
{
	AUTOINODE inode = NULL;
	int err = get_file(fs, path, &inode);

	return err ? err : file_fallocate(inode, mode, off, len, true);
}

int unit_setxattr(struct fs *fs, const char *path, const char *name, size_t len)
{
	AUTOFREE uint8_t *value = malloc(len + 1);
	AUTOINODE inode = NULL;
	int err;

	if (!value)
		return -ENOMEM;
	unit_pattern(value, len, len);
	err = unit_get(fs, path, &inode);
	return err ? err : xattr_set(inode, name, value, len, 0);
}

int unit_getxattr(struct fs *fs, const char *path, const char *name)
{
	AUTOFREE uint8_t *value = malloc(65536);
	AUTOINODE inode = NULL;
	ssize_t n;
	int err;

	if (!value)
		return -ENOMEM;
	err = unit_get(fs, path, &inode);
	if (err)
		return err;
	n = xattr_get(inode, name, value, 65536);
	return n < 0 ? (int)n : 0;
}

int unit_removexattr(struct fs *fs, const char *path, const char *name)
{
	AUTOINODE inode = NULL;
	int err = unit_get(fs, path, &inode);

	return err ? err : xattr_remove(inode, name);
}

int unit_listxattr(struct fs *fs, const char *path)
{
	AUTOFREE char *list = malloc(65536);
	AUTOINODE inode = NULL;
	ssize_t n;
	int err;

	if (!list)
		return -ENOMEM;
	err = unit_get(fs, path, &inode);
	if (err)
		return err;
	n = xattr_list(inode, list, 65536, true);
	return n < 0 ? (int)n : 0;
}

static bool count_entry(void *arg, const char *name, size_t len, uint32_t ino, uint8_t ftype,
			uint64_t next_cookie)
{
	++*(int *)arg;
	return true;
}

int unit_readdir(struct fs *fs, const char *path)
{
	AUTOINODE inode = NULL;
	int err = unit_get(fs, path, &inode), n = 0;

	if (err)
		return err;
	if (!S_ISDIR(inode->type))
		return -ENOTDIR;
	rwlock_read(&inode->lock);
	err = dir_read(inode, 0, count_entry, &n);
	rwlock_read_unlock(&inode->lock);
	return err ? err : n;
}

int unit_readlink(struct fs *fs, const char *path)
{
	AUTOINODE inode = NULL;
	char target[PATH_MAX + 1];
	int err = unit_get(fs, path, &inode);

	if (err)
		return err;
	return !S_ISLNK(inode->type) ? -EINVAL : file_read_link(inode, target, sizeof(target));
}

int unit_fsync(struct fs *fs, const char *path)
{
	AUTOINODE inode = NULL;
	int err = unit_get(fs, path, &inode);

	return err ? err : inode_sync(inode, false);
}
