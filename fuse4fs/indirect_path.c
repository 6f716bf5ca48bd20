// SPDX-License-Identifier: GPL-2.0-or-later
/* Block maps: from i_block to a pointer. Every pointer is checked when followed. */
#include <errno.h>

#include "indirect.h"

static uint64_t ptrs_per_block(const struct inode *inode)
{
	return inode->fs->block_size / sizeof(uint32_t);
}

uint64_t indirect_end(const struct inode *inode)
{
	uint64_t n = ptrs_per_block(inode);

	return MIN(MAP_END, INDIRECT_DIRECT + n + n * n + n * n * n);
}

void indirect_init(struct inode *inode)
{
	memset(inode_block(inode), 0, sizeof(((struct ext2_inode *)0)->i_block));
}

uint64_t indirect_span(const struct indirect_path *path, unsigned level)
{
	uint64_t span = 1;

	for (unsigned i = level; i < path->depth; i++)
		span *= ptrs_per_block(path->inode);
	return span;
}

unsigned indirect_width(const struct indirect_path *path, unsigned level)
{
	return level == 0 ? INDIRECT_DIRECT : ptrs_per_block(path->inode);
}

static uint8_t *pointer(const struct indirect_path *path, unsigned level, unsigned off)
{
	uint8_t *base = level == 0 ? inode_block(path->inode) : path->buf[level]->data;

	return base + off * sizeof(uint32_t);
}

uint32_t indirect_get(const struct indirect_path *path, unsigned level, unsigned off)
{
	return get_le32(pointer(path, level, off));
}

void indirect_put(struct indirect_path *path, unsigned level, unsigned off, uint32_t pblk)
{
	put_le32(pointer(path, level, off), pblk);
}

/* Splits lblk into an index per level. */
static int locate(struct indirect_path *path, uint32_t lblk)
{
	uint64_t n = ptrs_per_block(path->inode), rest = lblk, span = n;

	path->depth = 0;
	path->off[0] = lblk;
	path->first = 0;
	if (lblk < INDIRECT_DIRECT)
		return 0;
	rest -= INDIRECT_DIRECT;
	for (path->depth = 1; rest >= span; path->depth++) {
		if (path->depth == INDIRECT_MAX_DEPTH)
			return -EFBIG;
		rest -= span;
		span *= n;
	}
	path->off[0] = INDIRECT_DIRECT + path->depth - 1;
	path->first = lblk - rest % n;
	for (unsigned i = path->depth; i > 0; i--) {
		path->off[i] = rest % n;
		rest /= n;
	}
	return 0;
}

static int read_level(struct indirect_path *path, unsigned level, uint32_t pblk)
{
	struct inode *inode = path->inode;
	int err;

	if (!fs_block_valid(inode->fs, pblk, 1))
		return fs_error(inode->fs, -EUCLEAN, inode->ino, pblk,
				"indirect block outside the data area");
	err = cache_read(inode->fs->cache, pblk, BUF_RAW, 0, &path->buf[level]);
	if (err && err != -ENOMEM)
		return fs_error(inode->fs, err, inode->ino, pblk, "cannot read an indirect block");
	return err;
}

int indirect_path_open(struct inode *inode, uint32_t lblk, struct indirect_path *path)
{
	int err;

	path->inode = inode;
	path->have = 0;
	err = locate(path, lblk);
	if (err)
		return err;
	for (unsigned i = 1; i <= path->depth; i++) {
		uint32_t pblk = indirect_get(path, i - 1, path->off[i - 1]);

		if (pblk == 0)
			return 0;
		err = read_level(path, i, pblk);
		if (err) {
			indirect_path_close(path);
			return err;
		}
		path->have = i;
	}
	return 0;
}

void indirect_path_close(struct indirect_path *path)
{
	for (; path->have > 0; path->have--)
		cache_put(path->buf[path->have]);
}
