/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inline content: the 60 bytes of i_block, then the value of system.data.
 *
 * An inline inode always has system.data, with an empty value when i_block is enough.
 * What system.data may take is what the inode's other attributes leave; they can go to
 * a block when they grow, it cannot.
 *
 * Source: linux Documentation/filesystems/ext4/inlinedata.rst.
 */
#include <errno.h>

#include "inline.h"
#include "map.h"
#include "xattr_int.h"

enum { HEAD = EXT4_MIN_INLINE_DATA_SIZE };

/* system.data's value in place; none counts as empty, as it does for e2fsck. */
static ssize_t tail_view(struct inode *inode, const void **ret_data)
{
	ssize_t len = xattr_ibody_data_view(inode, ret_data);

	return len == -ENODATA ? 0 : len;
}

int inline_init(struct inode *inode)
{
	int err = xattr_ibody_data_set(inode, NULL, 0, false);

	if (err)
		return err;
	memset(inode_block(inode), 0, HEAD);
	inode->flags = (inode->flags & ~EXT4_EXTENTS_FL) | EXT4_INLINE_DATA_FL;
	return 0;
}

int inline_capacity(struct inode *inode, size_t *ret_used, size_t *ret_max)
{
	const void *data;
	ssize_t tail = tail_view(inode, &data);
	size_t room;
	int err;

	if (tail < 0)
		return tail;
	err = xattr_ibody_data_max(inode, &room);
	if (err && err != -ENOSPC)
		return err;
	*ret_used = HEAD + tail;
	*ret_max = err ? 0 : HEAD + room;
	return 0;
}

ssize_t inline_read(struct inode *inode, void *buf, size_t len, size_t off)
{
	const void *tail;
	ssize_t tail_len = tail_view(inode, &tail);
	size_t head, used;

	if (tail_len < 0)
		return tail_len;
	used = HEAD + tail_len;
	if (off >= used)
		return 0;
	len = MIN(len, used - off);
	head = off < HEAD ? MIN(len, HEAD - off) : 0;
	if (head)
		memcpy(buf, inode_block(inode) + off, head);
	if (len > head)
		memcpy((uint8_t *)buf + head, (const uint8_t *)tail + (off + head - HEAD),
		       len - head);
	return len;
}

int inline_write(struct handle *h, struct inode *inode, const void *buf, size_t len)
{
	size_t head = MIN(len, (size_t)HEAD);
	int err = xattr_ibody_data_set(inode, (const uint8_t *)buf + head, len - head, false);

	if (err)
		return err;
	memcpy(inode_block(inode), buf, head);
	memset(inode_block(inode) + head, 0, HEAD - head);
	return inode_store(h, inode, true);
}

int inline_clear(struct handle *h, struct inode *inode)
{
	int err = xattr_ibody_data_set(inode, NULL, 0, true);

	if (err)
		return err;
	inode->flags &= ~EXT4_INLINE_DATA_FL;
	if (inode->fs->has_extents)
		inode->flags |= EXT4_EXTENTS_FL;
	memset(inode_block(inode), 0, HEAD);
	map_init(inode);
	return inode_store(h, inode, true);
}
