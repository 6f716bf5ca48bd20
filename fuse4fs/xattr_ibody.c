/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attributes in the inode: what lies behind the fields that i_extra_isize covers.
 *
 * A magic number, then an area. Without the magic the bytes mean nothing, so an area
 * is begun from zeros, and an area that loses its last attribute loses its magic.
 */
#include <errno.h>

#include "xattr_int.h"

enum { MAGIC_LEN = 4, AREA_MIN = 8 };

static const struct xattr_key data_key = { .index = XATTR_IDX_SYSTEM, .len = 4, .name = "data" };

/* Where the area (without its magic) is in raw; size 0 when there is no room for one. */
static uint32_t area_place(const struct inode *inode, uint32_t *ret_size)
{
	uint32_t extra, off;

	*ret_size = 0;
	if (inode->fs->inode_size <= EXT2_GOOD_OLD_INODE_SIZE)
		return 0;
	extra = get_le16(inode->raw + offsetof(struct ext2_inode_large, i_extra_isize));
	off = EXT2_GOOD_OLD_INODE_SIZE + extra + MAGIC_LEN;
	if (extra == 0 || extra % 4 != 0 || off + AREA_MIN > inode->fs->inode_size)
		return 0;
	*ret_size = inode->fs->inode_size - off;
	return off;
}

int xattr_ibody_view(struct inode *inode, struct xattr_area *ret)
{
	const char *what = "";
	uint32_t size, off = area_place(inode, &size);

	*ret = (struct xattr_area){ .base = inode->raw + off };
	if (!size || get_le32(inode->raw + off - MAGIC_LEN) != EXT2_EXT_ATTR_MAGIC)
		return 0;
	ret->size = size;
	if (xattr_area_check(inode->fs, ret, &what) == 0)
		return 0;
	return fs_error(inode->fs, -EUCLEAN, inode->ino, 0, "attributes in the inode: %s", what);
}

int xattr_ibody_load(struct inode *inode, struct xattr_area *ret)
{
	struct xattr_area view;
	uint32_t size;
	int err = xattr_ibody_view(inode, &view);

	*ret = (struct xattr_area){ .base = NULL };
	if (err)
		return err;
	area_place(inode, &size);
	if (!size)
		return 0;
	ret->base = calloc(1, size);
	if (!ret->base)
		return -ENOMEM;
	ret->size = size;
	if (view.size)
		memcpy(ret->base, view.base, size);
	return 0;
}

void xattr_ibody_swap(struct inode *inode, struct xattr_area *a)
{
	uint32_t size, off = area_place(inode, &size);
	uint8_t *area = inode->raw + off, *magic = area - MAGIC_LEN;

	if (!size || a->size != size)
		return;
	if (get_le32(magic) != EXT2_EXT_ATTR_MAGIC)
		memset(area, 0, size);
	put_le32(magic, xattr_area_empty(a) ? 0 : EXT2_EXT_ATTR_MAGIC);
	for (uint32_t i = 0; i < size; i++) {
		uint8_t byte = area[i];

		area[i] = a->base[i];
		a->base[i] = byte;
	}
}

ssize_t xattr_ibody_data_view(struct inode *inode, const void **ret_data)
{
	struct xattr_area a;
	struct xattr_ent e;
	int err = xattr_ibody_view(inode, &a);

	if (err)
		return err;
	if (!xattr_area_find(&a, &data_key, &e))
		return -ENODATA;
	if (e.val.ea_ino)
		return fs_error(inode->fs, -EUCLEAN, inode->ino, 0,
				"inline content outside the inode");
	*ret_data = e.val.data;
	return e.val.size;
}

ssize_t xattr_ibody_data_get(struct inode *inode, void *value, size_t size)
{
	const void *data;
	ssize_t len = xattr_ibody_data_view(inode, &data);

	if (len <= 0 || size == 0)
		return len;
	if ((size_t)len > size)
		return -ERANGE;
	memcpy(value, data, len);
	return len;
}

int xattr_ibody_data_set(struct inode *inode, const void *value, size_t size, bool remove)
{
	struct xattr_val val = { .data = size ? value : NULL, .size = size };
	struct xattr_area a;
	int err;

	if (size > inode->fs->inode_size)
		return -ENOSPC;
	err = xattr_ibody_load(inode, &a);
	if (!err && remove)
		err = xattr_area_remove(&a, &data_key);
	else if (!err)
		err = xattr_area_set(&a, &data_key, &val);
	if (!err)
		xattr_ibody_swap(inode, &a);
	free(a.base);
	return err;
}

int xattr_ibody_data_max(struct inode *inode, size_t *ret_max)
{
	struct xattr_area a;
	uint32_t size, values;
	int64_t left;
	int err = xattr_ibody_view(inode, &a);

	if (err)
		return err;
	if (!a.size) {
		area_place(inode, &size);
		left = (int64_t)size - XATTR_TERMINATOR;
	} else {
		left = xattr_area_free(&a, &data_key, &values);
	}
	left -= xattr_ent_len(&data_key);
	if (left < 0)
		return -ENOSPC;
	*ret_max = round_down(left, 4);
	return 0;
}

size_t xattr_ibody_data_room(struct inode *inode)
{
	size_t max = 0;

	return xattr_ibody_data_max(inode, &max) ? 0 : max;
}
