/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * POSIX ACLs: two encodings, what they mean for the mode, inheritance, chmod.
 *
 * Linux hands ACLs over as version 2: eight bytes per entry. ext4 stores version 1, where
 * entries that name nobody take four. Both list USER_OBJ, USERs, GROUP_OBJ, GROUPs,
 * MASK (needed with any USER or GROUP), OTHER, in this order.
 *
 * Source: POSIX 1003.1e draft 17, 23.1; acl(5); linux include/uapi/linux/posix_acl_xattr.h.
 */
#include <errno.h>

#include "xattr_int.h"

enum acl_tag {
	ACL_USER_OBJ = 0x01, ACL_USER = 0x02, ACL_GROUP_OBJ = 0x04,
	ACL_GROUP = 0x08, ACL_MASK = 0x10, ACL_OTHER = 0x20,
};

enum { VERSION_LEN = 4, LINUX_VERSION = 2, DISK_VERSION = 1, LONG_LEN = 8, SHORT_LEN = 4 };

struct acl_ent {
	uint16_t tag;
	uint16_t perm;
	uint32_t id;
};

struct acl {
	size_t n;
	struct acl_ent ents[];
};

static const struct xattr_key access_key = { .index = XATTR_IDX_ACL_ACCESS, .name = "" };
static const struct xattr_key default_key = { .index = XATTR_IDX_ACL_DEFAULT, .name = "" };

/* -- encodings ------------------------------------------------------------------- */

static bool names_somebody(uint16_t tag)
{
	return tag == ACL_USER || tag == ACL_GROUP;
}

static struct acl *acl_new(size_t max)
{
	return calloc(1, sizeof(struct acl) + max * sizeof(struct acl_ent));
}

/* On disk entries have two lengths; elsewhere all are long. */
static int decode(const uint8_t *p, size_t size, uint32_t version, struct acl **ret)
{
	bool disk = version == DISK_VERSION;
	AUTOFREE struct acl *acl = NULL;
	size_t off = VERSION_LEN;

	if (size < VERSION_LEN || get_le32(p) != version)
		return -EINVAL;
	acl = acl_new(size / SHORT_LEN);
	if (!acl)
		return -ENOMEM;
	while (off < size) {
		struct acl_ent *e = &acl->ents[acl->n++];
		size_t len;

		if (size - off < SHORT_LEN)
			return -EINVAL;
		e->tag = get_le16(p + off);
		e->perm = get_le16(p + off + 2);
		len = disk && !names_somebody(e->tag) ? SHORT_LEN : LONG_LEN;
		if (len > size - off)
			return -EINVAL;
		e->id = len == LONG_LEN ? get_le32(p + off + 4) : UINT32_MAX;
		off += len;
	}
	*ret = acl;
	acl = NULL;
	return 0;
}

static size_t encoded_len(const struct acl *acl, uint32_t version)
{
	size_t len = VERSION_LEN;

	for (size_t i = 0; i < acl->n; i++)
		len += version == DISK_VERSION && !names_somebody(acl->ents[i].tag) ?
		       SHORT_LEN : LONG_LEN;
	return len;
}

static void encode(const struct acl *acl, uint32_t version, uint8_t *p)
{
	put_le32(p, version);
	p += VERSION_LEN;
	for (size_t i = 0; i < acl->n; i++) {
		const struct acl_ent *e = &acl->ents[i];
		bool named = names_somebody(e->tag);

		put_le16(p, e->tag);
		put_le16(p + 2, e->perm);
		p += SHORT_LEN;
		if (version == DISK_VERSION && !named)
			continue;
		put_le32(p, named ? e->id : UINT32_MAX);
		p += LONG_LEN - SHORT_LEN;
	}
}

static int encode_disk(const struct acl *acl, void **ret_disk, size_t *ret_size)
{
	size_t size = encoded_len(acl, DISK_VERSION);
	uint8_t *disk = malloc(size);

	if (!disk)
		return -ENOMEM;
	encode(acl, DISK_VERSION, disk);
	*ret_disk = disk;
	*ret_size = size;
	return 0;
}

/* -- meaning --------------------------------------------------------------------- */

/* Which tags may stand where: the place of each in the order, 0 for unknown ones. */
static unsigned tag_place(uint16_t tag)
{
	switch (tag) {
	case ACL_USER_OBJ: return 1;
	case ACL_USER: return 2;
	case ACL_GROUP_OBJ: return 3;
	case ACL_GROUP: return 4;
	case ACL_MASK: return 5;
	case ACL_OTHER: return 6;
	default: return 0;
	}
}

static bool acl_valid(const struct acl *acl)
{
	unsigned last = 0, seen = 0;

	for (size_t i = 0; i < acl->n; i++) {
		const struct acl_ent *e = &acl->ents[i];
		unsigned place = tag_place(e->tag);
		bool named = names_somebody(e->tag);

		if (!place || place < last || (place == last && !named))
			return false;
		if (e->perm > 7 || (named && e->id == UINT32_MAX))
			return false;
		last = place;
		seen |= e->tag;
	}
	if ((seen & (ACL_USER | ACL_GROUP)) && !(seen & ACL_MASK))
		return false;
	return (seen & ACL_USER_OBJ) && (seen & ACL_GROUP_OBJ) && (seen & ACL_OTHER);
}

static struct acl_ent *acl_find(struct acl *acl, uint16_t tag)
{
	for (size_t i = 0; i < acl->n; i++)
		if (acl->ents[i].tag == tag)
			return &acl->ents[i];
	return NULL;
}

/* The three entries that the mode's permission bits stand for. */
struct acl_classes {
	struct acl_ent *user, *group, *other;
};

/* The group bits are the mask where there is one. False in a damaged ACL. */
static bool acl_classes(struct acl *acl, struct acl_classes *ret)
{
	struct acl_ent *mask = acl_find(acl, ACL_MASK);

	ret->user = acl_find(acl, ACL_USER_OBJ);
	ret->group = mask ? mask : acl_find(acl, ACL_GROUP_OBJ);
	ret->other = acl_find(acl, ACL_OTHER);
	return ret->user && ret->group && ret->other;
}

static uint16_t classes_mode(const struct acl_classes *c)
{
	return (c->user->perm & 7) << 6 | (c->group->perm & 7) << 3 | (c->other->perm & 7);
}

/* It says no more than mode bits do. */
static bool acl_is_mode(const struct acl *acl)
{
	return acl->n == 3;
}

/* -- setting and getting --------------------------------------------------------- */

ssize_t acl_to_linux(const void *disk, size_t disk_size, void *value, size_t size)
{
	AUTOFREE struct acl *acl = NULL;
	size_t len;
	int err = decode(disk, disk_size, DISK_VERSION, &acl);

	if (err)
		return err == -EINVAL ? -EUCLEAN : err;
	if (acl->n == 0)
		return -ENODATA;
	len = encoded_len(acl, LINUX_VERSION);
	if (size && len > size)
		return -ERANGE;
	if (size)
		encode(acl, LINUX_VERSION, value);
	return len;
}

int acl_from_linux(const struct inode *inode, uint8_t index, const void *value, size_t size,
		   uint16_t *mode, void **ret_disk, size_t *ret_disk_size)
{
	AUTOFREE struct acl *acl = NULL;
	struct acl_classes c;
	int err;

	if (S_ISLNK(inode->mode))
		return -EOPNOTSUPP;
	err = decode(value, size, LINUX_VERSION, &acl);
	if (err)
		return err;
	*ret_disk = NULL;
	if (acl->n == 0)
		return 0;
	if (!acl_valid(acl) || !acl_classes(acl, &c))
		return -EINVAL;
	if (index == XATTR_IDX_ACL_DEFAULT)
		return S_ISDIR(inode->mode) ? encode_disk(acl, ret_disk, ret_disk_size) : -EACCES;
	*mode = (*mode & ~0777) | classes_mode(&c);
	return acl_is_mode(acl) ? 0 : encode_disk(acl, ret_disk, ret_disk_size);
}

size_t acl_stored_max(struct inode *inode)
{
	ssize_t access = xattr_get_key(inode, &access_key, NULL, 0);
	ssize_t dflt = xattr_get_key(inode, &default_key, NULL, 0);
	ssize_t max = MAX(access, dflt);

	return max > 0 ? MIN(max, XATTR_VALUE_MAX) : 0;
}

/* -- inheritance and chmod ------------------------------------------------------- */

/* A stored ACL of inode; -ENODATA. */
static int load_acl(struct inode *inode, const struct xattr_key *key, struct acl **ret)
{
	AUTOFREE void *disk = NULL;
	ssize_t size = xattr_get_alloc(inode, key, &disk);
	int err;

	if (size < 0)
		return size;
	err = decode(disk, size, DISK_VERSION, ret);
	if (err != -EINVAL)
		return err;
	return fs_error(inode->fs, -EUCLEAN, inode->ino, 0, "malformed ACL");
}

static int store_acl(struct handle *h, struct inode *inode, const struct xattr_key *key,
		     const struct acl *acl)
{
	AUTOFREE void *disk = NULL;
	size_t size;
	int err = encode_disk(acl, &disk, &size);

	return err ? err : xattr_set_key_locked(h, inode, key, disk, size);
}

/* The child's access ACL is the parent's default one, cut to what create asked for; the
 * mode is what both allow. */
static int inherit_access(struct handle *h, struct inode *child, struct acl *acl)
{
	struct acl_classes c;
	uint16_t mode = child->mode;

	if (!acl_classes(acl, &c))
		return fs_error(child->fs, -EUCLEAN, child->ino, 0, "inherited ACL is incomplete");
	c.user->perm &= mode >> 6 & 7;
	c.group->perm &= mode >> 3 & 7;
	c.other->perm &= mode & 7;
	child->mode = (mode & ~0777) | classes_mode(&c);
	return acl_is_mode(acl) ? 0 : store_acl(h, child, &access_key, acl);
}

int acl_inherit(struct handle *h, struct inode *parent, struct inode *child, uint16_t umask)
{
	AUTOFREE struct acl *acl = NULL;
	int err;

	if (S_ISLNK(child->mode))
		return 0;
	err = h->fs->opt.noacl ? -ENODATA : load_acl(parent, &default_key, &acl);
	if (err == -ENODATA || (!err && acl->n == 0)) {
		child->mode &= ~(umask & 0777);
		return 0;
	}
	if (!err && S_ISDIR(child->mode))
		err = store_acl(h, child, &default_key, acl);
	return err ? err : inherit_access(h, child, acl);
}

int acl_chmod_locked(struct handle *h, struct inode *inode, uint16_t mode)
{
	AUTOFREE struct acl *acl = NULL;
	struct acl_classes c;
	int err;

	if (S_ISLNK(inode->mode) || h->fs->opt.noacl)
		return 0;
	err = load_acl(inode, &access_key, &acl);
	if (err || acl->n == 0)
		return err == -ENODATA ? 0 : err;
	if (!acl_classes(acl, &c))
		return fs_error(inode->fs, -EUCLEAN, inode->ino, 0, "ACL is incomplete");
	c.user->perm = mode >> 6 & 7;
	c.group->perm = mode >> 3 & 7;
	c.other->perm = mode & 7;
	return store_acl(h, inode, &access_key, acl);
}
