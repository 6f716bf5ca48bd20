// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Cutting and growing files.
 *
 * The tail of the last block is cleared on the device before the handle that sets the
 * size stops, so it is clean whenever the new size is durable; a crash in between may
 * clear bytes that were about to be cut. Blocks are removed in the same handle if they
 * fit; if not, the inode goes on the orphan list in it, and the rest follows.
 */
#include <errno.h>

#include "file_internal.h"
#include "orphan.h"

static int grow(struct inode *inode, uint64_t size)
{
	struct handle h;
	int err;

	err = inode_begin(inode, INODE_STORE_CREDITS, &h);
	if (err)
		return err;
	inode->size = size;
	inode->mtime = inode->ctime = fs_now();
	err = inode_store(&h, inode, true);
	txn_stop(&h);
	return err;
}

/* One handle: sets the size and removes what it can from *lblk on. What is left is an
 * orphan's; if it cannot become one, the old size stays. */
static int cut_some(struct inode *inode, uint64_t size, uint64_t *lblk)
{
	struct handle h;
	int err, err2;

	err = inode_begin(inode, map_remove_credits(inode) + INODE_STORE_CREDITS + ORPHAN_CREDITS,
			&h);
	if (err)
		return err;
	inode->mtime = inode->ctime = fs_now();
	err = map_remove(&h, inode, *lblk, MAP_END, lblk);
	inode->half_cut = err || *lblk < MAP_END;
	if (inode->half_cut)
		err2 = orphan_add(&h, inode);
	else
		err2 = inode->nlink && inode->orphan ? orphan_del(&h, inode) : 0;
	if (!err2 || (!err && *lblk == MAP_END))
		inode->size = size;
	err = err ? err : err2;
	err2 = inode_store(&h, inode, true);
	txn_stop(&h);
	return err ? err : err2;
}

static int cut(struct inode *inode, uint64_t size)
{
	uint64_t lblk = file_lblk_up(inode, size);
	int err = 0;

	do {
		rwlock_write(&inode->lock);
		map_discard_prealloc(inode);
		err = cut_some(inode, size, &lblk);
		rwlock_write_unlock(&inode->lock);
	} while (!err && lblk < MAP_END);
	return err;
}

static int truncate_mapped(struct inode *inode, uint64_t size)
{
	uint64_t old, tail = round_up(size, inode->fs->block_size);
	int err;

	rwlock_read(&inode->lock);
	old = inode->size;
	rwlock_read_unlock(&inode->lock);
	if (size <= old) {
		err = file_zero_part(inode, size, tail);
		return err ? err : cut(inode, size);
	}
	/* What is to become visible behind the old end must be zeros. */
	err = file_zero_part(inode, old, round_up(old, inode->fs->block_size));
	if (err)
		return err;
	rwlock_write(&inode->lock);
	err = grow(inode, size);
	rwlock_write_unlock(&inode->lock);
	return err;
}

static bool is_too_big(struct inode *inode, uint64_t size)
{
	uint64_t max;

	rwlock_read(&inode->lock);
	max = inode_max_size(inode);
	rwlock_read_unlock(&inode->lock);
	return size > max;
}

int file_truncate(struct inode *inode, uint64_t size)
{
	int err = fs_may_write(inode->fs);

	if (err)
		return err;
	if (is_too_big(inode, size))
		return -EFBIG;
	file_exclude(inode);
	err = file_inline_truncate(inode, size);
	if (!err)
		err = truncate_mapped(inode, size);
	file_unexclude(inode);
	if (err < 0)
		return err;
	return inode_sync_if_wanted(inode);
}

/* The inode stores its size with the first handle, so that a crash finds it empty. */
int file_free_all(struct inode *inode)
{
	int err = fs_may_write(inode->fs);

	if (err)
		return err;
	file_exclude(inode);
	rwlock_write(&inode->lock);
	map_discard_prealloc(inode);
	if (file_is_mapped(inode))
		inode->size = 0;
	rwlock_write_unlock(&inode->lock);
	if (file_is_mapped(inode))
		err = file_unmap(inode, 0, MAP_END, NULL);
	file_unexclude(inode);
	return err;
}

void file_release(struct inode *inode)
{
	rwlock_write(&inode->lock);
	map_discard_prealloc(inode);
	rwlock_write_unlock(&inode->lock);
}
