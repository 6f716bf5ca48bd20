// SPDX-License-Identifier: GPL-2.0-or-later
/* Single blocks of directories and other metadata that is stored like a file. */
#include <errno.h>

#include "group.h"
#include "map.h"

int map_read_block(struct inode *inode, uint32_t lblk, enum buf_kind kind, struct buf **ret)
{
	struct run run;
	int err;

	err = map_lookup(inode, lblk, &run);
	if (err)
		return err;
	if (run.flags)
		return -ENODATA;
	return cache_read(inode->fs->cache, run.pblk, kind, inode->csum_seed, ret);
}

static uint64_t block_goal(struct inode *inode, uint32_t lblk)
{
	struct run left;

	if (lblk > 0 && map_lookup(inode, lblk - 1, &left) == 0 && !left.flags)
		return left.pblk + 1;
	return balloc_goal(inode->fs, inode);
}

static int insert_block(struct handle *h, struct inode *inode, uint32_t lblk, uint64_t pblk,
			enum buf_kind kind, struct buf **ret)
{
	struct run run = { lblk, 1, pblk, 0 };
	struct buf *buf;
	int err;

	err = cache_new(inode->fs->cache, pblk, kind, inode->csum_seed, &buf);
	if (err)
		return err;
	err = txn_dirty(h, buf);
	if (!err)
		err = map_insert(h, inode, &run);
	if (err) {
		cache_put(buf);
		return err;
	}
	*ret = buf;
	return 0;
}

int map_new_block(struct handle *h, struct inode *inode, uint32_t lblk, enum buf_kind kind,
		  struct buf **ret)
{
	uint64_t pblk;
	int err;

	err = balloc_new_block(h, block_goal(inode, lblk), &pblk);
	if (err)
		return err;
	err = insert_block(h, inode, lblk, pblk, kind, ret);
	if (err)
		balloc_free(h, pblk, 1, true);
	return err;
}
