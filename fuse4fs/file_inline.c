// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files whose content is in the inode. They are small: every change loads the content,
 * changes it and stores all of it, in one handle. What no longer fits moves to a block
 * that was written before the handle began, so the content is never only in memory.
 */
#include <errno.h>

#include "../transport/blkdev.h"
#include "file_internal.h"
#include "inline.h"

int file_inline_read_locked(struct inode *inode, void *buf, size_t len, uint64_t off)
{
	ssize_t n = inline_read(inode, buf, len, off);

	if (n < 0)
		return n;
	memset((uint8_t *)buf + n, 0, len - n);
	return 0;
}

/* The first len bytes of the content, with zeros behind its end. The caller frees. */
static int load(struct inode *inode, size_t len, uint8_t **ret_data)
{
	uint8_t *data = calloc(1, len + 1);
	ssize_t n;

	if (!data)
		return -ENOMEM;
	n = inline_read(inode, data, MIN(len, inode->size), 0);
	if (n < 0) {
		free(data);
		return n;
	}
	*ret_data = data;
	return 0;
}

/* sets_times: mtime and ctime. */
static int store(struct inode *inode, const uint8_t *data, size_t len, bool sets_times)
{
	uint64_t old = inode->size;
	struct handle h;
	int err;

	err = inode_begin(inode, 2 * INODE_STORE_CREDITS, &h);
	if (err)
		return err;
	inode->size = len;
	if (sets_times)
		inode->mtime = inode->ctime = fs_now();
	err = inline_write(&h, inode, data, len);
	if (err)
		inode->size = old;
	txn_stop(&h);
	return err;
}

/* Clears the inline area and maps `run` in its place; len 0 maps nothing. */
static int to_blocks(struct inode *inode, const struct run *run)
{
	struct handle h;
	int err;

	err = inode_begin(inode, BALLOC_CREDITS + map_credits(inode) + 2 * INODE_STORE_CREDITS,
			&h);
	if (err) {
		if (run->len)
			balloc_unreserve(inode->fs, run->pblk, run->len);
		return err;
	}
	/* First what may fail; an insertion into an empty map does not. */
	err = run->len ? balloc_commit(&h, run->pblk, run->len) : 0;
	if (err) {
		balloc_unreserve(inode->fs, run->pblk, run->len);
	} else {
		err = inline_clear(&h, inode);
		if (!err && run->len)
			err = map_insert(&h, inode, run);
		if (err && run->len)
			balloc_free(&h, run->pblk, run->len, false);
		if (!err)
			err = inode_store(&h, inode, true);
	}
	txn_stop(&h);
	return err;
}

/* Content to a reserved block. */
static int write_block(struct inode *inode, size_t len, uint64_t pblk)
{
	struct fs *fs = inode->fs;
	AUTOFREE uint8_t *block = calloc(1, fs->block_size);
	ssize_t n;

	if (!block)
		return -ENOMEM;
	n = inline_read(inode, block, len, 0);
	if (n < 0)
		return n;
	return blkdev_write(fs->dev, block, fs->block_size, fs_off(fs, pblk));
}

static int to_blocks_locked(struct inode *inode, bool root)
{
	struct run run = { .len = 0 };
	size_t used, max;
	int err;

	err = inline_capacity(inode, &used, &max);
	if (err)
		return err;
	used = MIN(used, inode->size);
	if (used > inode->fs->block_size)
		return fs_error(inode->fs, -EUCLEAN, inode->ino, 0,
				"inline content is longer than a block");
	if (used) {
		err = map_reserve(inode, 0, 1, 0, root, &run.pblk, &run.len);
		if (!err)
			err = write_block(inode, used, run.pblk);
		if (err && run.len)
			balloc_unreserve(inode->fs, run.pblk, run.len);
	}
	return err ? err : to_blocks(inode, &run);
}

int file_inline_to_blocks(struct inode *inode, bool root)
{
	int err = 0;

	rwlock_write(&inode->lock);
	if (inode_is_inline(inode))
		err = to_blocks_locked(inode, root);
	rwlock_write_unlock(&inode->lock);
	return err;
}

/* A copy of the content, at least `end` bytes long; left NULL if that does not fit inline. */
static int load_fitting(struct inode *inode, uint64_t end, uint8_t **ret_data)
{
	size_t used, max;
	int err;

	err = inline_capacity(inode, &used, &max);
	if (err)
		return err;
	if (MAX(end, inode->size) > max)
		return 0;
	return load(inode, MAX(end, inode->size), ret_data);
}

static int write_locked(struct inode *inode, const void *buf, size_t len, uint64_t off, bool root,
			bool past_cache)
{
	uint64_t end = MAX(off + len, inode->size);
	AUTOFREE uint8_t *data = NULL;
	int err;

	err = load_fitting(inode, end, &data);
	if (err)
		return err;
	if (data) {
		memcpy(data + off, buf, len);
		err = store(inode, data, end, file_sets_times(inode, past_cache));
		if (err != -ENOSPC)
			return err ? err : 1;
	}
	return to_blocks_locked(inode, root);
}

int file_inline_write(struct inode *inode, const void *buf, size_t len, uint64_t off, bool root,
		      bool past_cache)
{
	int ret = 0;

	rwlock_write(&inode->lock);
	if (inode_is_inline(inode))
		ret = write_locked(inode, buf, len, off, root, past_cache);
	rwlock_write_unlock(&inode->lock);
	return ret;
}

static int zero_locked(struct inode *inode, uint64_t off, uint64_t end)
{
	AUTOFREE uint8_t *data = NULL;
	int ret;

	ret = load_fitting(inode, inode->size, &data);
	if (ret)
		return ret;
	if (!data)
		return to_blocks_locked(inode, true);
	end = MIN(end, inode->size);
	if (off < end)
		memset(data + off, 0, end - off);
	ret = store(inode, data, inode->size, file_sets_times(inode, false));
	return ret ? ret : 1;
}

int file_inline_zero(struct inode *inode, uint64_t off, uint64_t end)
{
	int ret = 0;

	rwlock_write(&inode->lock);
	if (inode_is_inline(inode))
		ret = zero_locked(inode, off, end);
	rwlock_write_unlock(&inode->lock);
	return ret;
}

static int truncate_locked(struct inode *inode, uint64_t size)
{
	AUTOFREE uint8_t *data = NULL;
	int ret;

	if (size > inode->size)
		ret = load_fitting(inode, size, &data);
	else
		ret = load(inode, size, &data);
	if (ret)
		return ret;
	if (!data)
		return to_blocks_locked(inode, true);
	ret = store(inode, data, size, true);
	return ret ? ret : 1;
}

int file_inline_truncate(struct inode *inode, uint64_t size)
{
	int ret = 0;

	rwlock_write(&inode->lock);
	if (inode_is_inline(inode))
		ret = truncate_locked(inode, size);
	rwlock_write_unlock(&inode->lock);
	return ret;
}
