/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading extended attributes: first in the inode, then in the block. */
#include <errno.h>

#include "xattr_int.h"

/* A value found: copied out, or ent.val.ea_ino tells where it is. */
static ssize_t copy_value(const struct xattr_ent *e, void *value, size_t size)
{
	if (size && e->val.size > size)
		return -ERANGE;
	if (size && e->val.data)
		memcpy(value, e->val.data, e->val.size);
	return e->val.size;
}

static ssize_t get_in_ibody(struct inode *inode, const struct xattr_key *key, void *value,
			    size_t size, struct xattr_ent *ent)
{
	struct xattr_area a;
	int err = xattr_ibody_view(inode, &a);

	if (err)
		return err;
	return xattr_area_find(&a, key, ent) ? copy_value(ent, value, size) : -ENODATA;
}

static ssize_t get_in_block(struct inode *inode, const struct xattr_key *key, void *value,
			    size_t size, struct xattr_ent *ent)
{
	struct xattr_area a;
	AUTOBUF b = NULL;
	ssize_t ret = xattr_block_open(inode, &b);

	if (ret)
		return ret;
	if (!b)
		return -ENODATA;
	xattr_block_lock(inode->fs, b);
	ret = xattr_block_view(inode, b->pblk, b->data, &a);
	if (!ret)
		ret = xattr_area_find(&a, key, ent) ? copy_value(ent, value, size) : -ENODATA;
	xattr_block_unlock(inode->fs, b);
	return ret;
}

static ssize_t get_in_ea_inode(struct inode *inode, const struct xattr_key *key,
			       struct xattr_ent *ent, void *value)
{
	struct inode *ea;
	int err = ea_inode_open(inode, ent->val.ea_ino, &ea);

	if (err)
		return err;
	ent->key = *key;	/* the block may have changed since */
	err = ea_inode_read(inode, ea, ent, value);
	inode_put(ea);
	return err ? err : (ssize_t)ent->val.size;
}

ssize_t xattr_get_key(struct inode *inode, const struct xattr_key *key, void *value, size_t size)
{
	struct xattr_ent ent = { .val.ea_ino = 0 };
	ssize_t ret = get_in_ibody(inode, key, value, size, &ent);

	if (ret == -ENODATA)
		ret = get_in_block(inode, key, value, size, &ent);
	if (ret <= 0 || size == 0 || !ent.val.ea_ino)
		return ret;
	return get_in_ea_inode(inode, key, &ent, value);
}

ssize_t xattr_get_alloc(struct inode *inode, const struct xattr_key *key, void **ret_value)
{
	ssize_t size = xattr_get_key(inode, key, NULL, 0);
	void *value;

	if (size < 0)
		return size;
	if (size > XATTR_VALUE_MAX)
		return -E2BIG;
	value = malloc(MAX(size, 1));
	if (!value)
		return -ENOMEM;
	if (size)
		size = xattr_get_key(inode, key, value, size);
	if (size < 0)
		free(value);
	else
		*ret_value = value;
	return size;
}

static ssize_t get_acl(struct inode *inode, const struct xattr_key *key, void *value, size_t size)
{
	AUTOFREE void *disk = NULL;
	ssize_t len = xattr_get_alloc(inode, key, &disk);

	if (len < 0)
		return len;
	len = acl_to_linux(disk, len, value, size);
	if (len == -EUCLEAN)
		return fs_error(inode->fs, len, inode->ino, 0, "malformed ACL");
	return len;
}

ssize_t xattr_get_locked(struct inode *inode, const char *name, void *value, size_t size)
{
	struct xattr_key key;
	int err = xattr_key_parse(inode->fs, name, &key);

	if (err)
		return err;
	return xattr_is_acl(&key) ? get_acl(inode, &key, value, size) :
				    xattr_get_key(inode, &key, value, size);
}

ssize_t xattr_get(struct inode *inode, const char *name, void *value, size_t size)
{
	ssize_t ret = fs_may_read(inode->fs);

	if (ret)
		return ret;
	rwlock_read(&inode->lock);
	ret = xattr_get_locked(inode, name, value, size);
	rwlock_read_unlock(&inode->lock);
	return ret;
}

/* -- listing --------------------------------------------------------------------- */

struct lister {
	struct fs *fs;
	char *list;
	size_t size, used;
	bool privileged;
};

static void list_area(struct lister *l, const struct xattr_area *a)
{
	struct xattr_ent e = { .next = 0 };

	while (xattr_area_next(a, &e)) {
		size_t room = l->size > l->used ? l->size - l->used : 0;

		l->used += xattr_key_print(l->fs, &e.key, l->privileged,
					   room ? l->list + l->used : NULL, room);
	}
}

static int list_block(struct lister *l, struct inode *inode)
{
	struct xattr_area a;
	AUTOBUF b = NULL;
	int err = xattr_block_open(inode, &b);

	if (err || !b)
		return err;
	xattr_block_lock(l->fs, b);
	err = xattr_block_view(inode, b->pblk, b->data, &a);
	if (!err)
		list_area(l, &a);
	xattr_block_unlock(l->fs, b);
	return err;
}

static int list_locked(struct lister *l, struct inode *inode)
{
	struct xattr_area a;
	int err = xattr_ibody_view(inode, &a);

	if (err)
		return err;
	list_area(l, &a);
	return list_block(l, inode);
}

ssize_t xattr_list(struct inode *inode, char *list, size_t size, bool privileged)
{
	struct lister l = {
		.fs = inode->fs, .list = list, .size = size, .privileged = privileged,
	};
	int err = fs_may_read(inode->fs);

	if (err)
		return err;
	rwlock_read(&inode->lock);
	err = list_locked(&l, inode);
	rwlock_read_unlock(&inode->lock);
	if (err)
		return err;
	return size && l.used > size ? -ERANGE : (ssize_t)l.used;
}
