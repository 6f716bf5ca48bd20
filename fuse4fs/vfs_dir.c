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

static int get_dir(struct vfs *v, uint32_t dir, struct inode **ret)
{
	int err = fs_may_read(v->fs);

	if (!err)
		err = inode_get(v->fs, dir, ret);
	return !err && !S_ISDIR((*ret)->type) ? -ENOTDIR : err;
}

static int read_dir(struct inode *dir, uint64_t cookie, struct read_ctx *ctx, uint64_t *ret_listing)
{
	int err;

	rwlock_read(&dir->lock);
	err = dir_read(dir, cookie, emit_entry, ctx);
	*ret_listing = dir->listing;
	rwlock_read_unlock(&dir->lock);
	return err;
}

int vfs_readdir(struct vfs *v, uint32_t dir, uint64_t cookie, vfs_emit emit, void *arg)
{
	struct read_ctx ctx = { .v = v, .dir = dir, .emit = emit, .arg = arg };
	AUTOINODE inode = NULL;
	uint64_t listing;
	int err = get_dir(v, dir, &inode);

	if (!err)
		err = read_dir(inode, cookie, &ctx, &listing);
	if (!err)
		inode_touch_atime(inode);
	return err;
}

int vfs_readdir_ahead(struct vfs *v, uint32_t dir, uint64_t cookie, vfs_emit emit, void *arg,
		      uint64_t *ret_listing)
{
	struct read_ctx ctx = { .v = v, .dir = dir, .emit = emit, .arg = arg };
	AUTOINODE inode = NULL;
	int err = get_dir(v, dir, &inode);

	return err ? err : read_dir(inode, cookie, &ctx, ret_listing);
}

bool vfs_readdir_stands(struct vfs *v, uint32_t dir, uint64_t listing)
{
	AUTOINODE inode = NULL;
	bool same;

	if (get_dir(v, dir, &inode))
		return false;
	rwlock_read(&inode->lock);
	same = inode->listing == listing;
	rwlock_read_unlock(&inode->lock);
	if (same)
		inode_touch_atime(inode);
	return same;
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
