// SPDX-License-Identifier: GPL-2.0-or-later
/* Targets of symbolic links: in i_block, in the inline area, or in one block. */
#include <errno.h>

#include "file_internal.h"
#include "inline.h"

enum { I_BLOCK_BYTES = sizeof(((struct ext2_inode *)0)->i_block), LINK_MAX_BYTES = 4096 };

static int read_block_target(struct inode *inode, char *buf)
{
	struct buf *b;
	int err;

	if (inode->size >= inode->fs->block_size)
		return -EUCLEAN;
	err = map_read_block(inode, 0, BUF_RAW, &b);
	if (err)
		return err == -ENODATA ? -EUCLEAN : err;
	memcpy(buf, b->data, inode->size);
	cache_put(b);
	return 0;
}

static int read_target(struct inode *inode, char *buf)
{
	ssize_t n;

	if (inode_is_inline(inode)) {
		n = inline_read(inode, buf, inode->size, 0);
		return n < 0 ? n : (uint64_t)n == inode->size ? 0 : -EUCLEAN;
	}
	if (!inode_is_fast_symlink(inode))
		return read_block_target(inode, buf);
	if (inode->size >= I_BLOCK_BYTES)
		return -EUCLEAN;
	memcpy(buf, inode_block(inode), inode->size);
	return 0;
}

static int read_link_locked(struct inode *inode, char *buf, size_t size)
{
	uint64_t len = inode->size;
	int err = -EUCLEAN;

	if (len > 0 && len < size && len < LINK_MAX_BYTES)
		err = read_target(inode, buf);
	if (!err && memchr(buf, 0, len))
		err = -EUCLEAN;
	if (err == -EUCLEAN)
		return fs_error(inode->fs, err, inode->ino, 0, "bad symbolic link");
	if (!err)
		buf[len] = 0;
	return err;
}

int file_read_link(struct inode *inode, char *buf, size_t size)
{
	int err = fs_may_read(inode->fs);

	if (err)
		return err;
	rwlock_read(&inode->lock);
	err = read_link_locked(inode, buf, size);
	rwlock_read_unlock(&inode->lock);
	return err;
}

int file_write_link(struct handle *h, struct inode *inode, const char *target, size_t len)
{
	struct buf *b;
	int err;

	if (len == 0)
		return -ENOENT;
	if (len >= LINK_MAX_BYTES || len >= inode->fs->block_size)
		return -ENAMETOOLONG;
	if (len < I_BLOCK_BYTES) {
		inode->flags &= ~EXT4_EXTENTS_FL;
		map_init(inode);
		memcpy(inode_block(inode), target, len);
		inode->size = len;
		return 0;
	}
	err = map_new_block(h, inode, 0, BUF_RAW, &b);
	if (err)
		return err;
	memcpy(b->data, target, len);
	cache_put(b);
	inode->size = len;
	return 0;
}
