// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading directories and extended attributes by inode number. */
#include <errno.h>

#include "dir.h"
#include "vfs_priv.h"
#include "xattr.h"

struct read_ctx {
	struct vfs *v;
	uint32_t dir;
	vfs_emit emit;
	void *arg;
};

static mode_t type_of(uint8_t ftype)
{
	static const mode_t types[] = {
		[EXT2_FT_REG_FILE] = S_IFREG, [EXT2_FT_DIR] = S_IFDIR, [EXT2_FT_CHRDEV] = S_IFCHR,
		[EXT2_FT_BLKDEV] = S_IFBLK, [EXT2_FT_FIFO] = S_IFIFO, [EXT2_FT_SOCK] = S_IFSOCK,
		[EXT2_FT_SYMLINK] = S_IFLNK,
	};

	return ftype < ARRAY_LEN(types) ? types[ftype] : 0;
}

static bool emit_entry(void *arg, const char *name, size_t len, uint32_t ino, uint8_t ftype,
		       uint64_t next_cookie)
{
	struct read_ctx *ctx = arg;

	/* The parent of a sub-root is outside: the root is its own parent. */
	if (ctx->dir == ctx->v->ids.root && len == 2 && !memcmp(name, "..", 2))
		ino = ctx->dir;
	return ctx->emit(ctx->arg, name, len, ino, type_of(ftype), next_cookie);
}

int vfs_readdir(struct vfs *v, uint32_t dir, uint64_t cookie, vfs_emit emit, void *arg)
{
	struct read_ctx ctx = { .v = v, .dir = dir, .emit = emit, .arg = arg };
	AUTOINODE inode = NULL;
	int err = fs_may_read(v->fs);

	if (!err)
		err = inode_get(v->fs, dir, &inode);
	if (err)
		return err;
	if (!S_ISDIR(inode->type))
		return -ENOTDIR;
	rwlock_read(&inode->lock);
	err = dir_read(inode, cookie, emit_entry, &ctx);
	rwlock_read_unlock(&inode->lock);
	if (!err)
		inode_touch_atime(inode);
	return err;
}

ssize_t vfs_getxattr(struct vfs *v, uint32_t ino, const char *name, void *buf, size_t size)
{
	AUTOINODE inode = NULL;
	int err = fs_may_read(v->fs);

	if (!err)
		err = inode_get(v->fs, ino, &inode);
	return err ? err : xattr_get(inode, name, buf, size);
}

ssize_t vfs_listxattr(struct vfs *v, uint32_t ino, char *buf, size_t size, bool privileged)
{
	AUTOINODE inode = NULL;
	int err = fs_may_read(v->fs);

	if (!err)
		err = inode_get(v->fs, ino, &inode);
	return err ? err : xattr_list(inode, buf, size, privileged);
}

int vfs_setxattr(struct vfs *v, uint32_t ino, const char *name, const void *buf, size_t size,
		 int flags)
{
	AUTOINODE inode = NULL;
	int err = fs_may_write(v->fs);

	if (!err)
		err = inode_get(v->fs, ino, &inode);
	return err ? err : xattr_set(inode, name, buf, size, flags);
}

int vfs_removexattr(struct vfs *v, uint32_t ino, const char *name)
{
	AUTOINODE inode = NULL;
	int err = fs_may_write(v->fs);

	if (!err)
		err = inode_get(v->fs, ino, &inode);
	return err ? err : xattr_remove(inode, name);
}
