/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of attributes: Linux's prefixes and ext4's index numbers. */
#include <errno.h>

#include "xattr_int.h"

enum { NAME_MAX_LEN = 255 };

struct prefix {
	const char *text;
	uint8_t index;
	bool exact;		/* the whole name: nothing is stored */
};

/* system.data (inline content) is index 7 and deliberately has no name here. */
static const struct prefix prefixes[] = {
	{ "user.", XATTR_IDX_USER, false },
	{ "system.posix_acl_access", XATTR_IDX_ACL_ACCESS, true },
	{ "system.posix_acl_default", XATTR_IDX_ACL_DEFAULT, true },
	{ "trusted.", XATTR_IDX_TRUSTED, false },
	{ "security.", XATTR_IDX_SECURITY, false },
	{ "gnu.", XATTR_IDX_HURD, false },
};

static bool enabled(const struct fs *fs, uint8_t index)
{
	switch (index) {
	case XATTR_IDX_USER:
		return !fs->opt.no_user_xattr;
	case XATTR_IDX_ACL_ACCESS:
	case XATTR_IDX_ACL_DEFAULT:
		return !fs->opt.noacl;
	case XATTR_IDX_HURD:
		return !fs->opt.no_user_xattr &&
		       fs->e2->super->s_creator_os == EXT2_OS_HURD;
	default:
		return true;
	}
}

int xattr_key_parse(const struct fs *fs, const char *name, struct xattr_key *ret_key)
{
	for (unsigned i = 0; i < ARRAY_LEN(prefixes); i++) {
		const struct prefix *p = &prefixes[i];
		size_t skip = strlen(p->text), len;

		if (strncmp(name, p->text, skip) != 0)
			continue;
		len = strlen(name + skip);
		if (p->exact && len)
			continue;
		if (!enabled(fs, p->index))
			return -EOPNOTSUPP;
		if (!p->exact && !len)
			return -EINVAL;
		if (len > NAME_MAX_LEN)
			return -ERANGE;
		*ret_key = (struct xattr_key){ .index = p->index, .len = len, .name = name + skip };
		return 0;
	}
	return -EOPNOTSUPP;
}

size_t xattr_key_print(const struct fs *fs, const struct xattr_key *key, bool privileged,
		       char *buf, size_t room)
{
	size_t skip, len;

	for (unsigned i = 0; i < ARRAY_LEN(prefixes); i++) {
		const struct prefix *p = &prefixes[i];

		if (p->index != key->index)
			continue;
		if (!enabled(fs, p->index) || (p->index == XATTR_IDX_TRUSTED && !privileged))
			return 0;
		if (p->exact ? key->len != 0 : key->len == 0)
			return 0;
		skip = strlen(p->text);
		len = skip + key->len + 1;
		if (len <= room) {
			memcpy(buf, p->text, skip);
			memcpy(buf + skip, key->name, key->len);
			buf[len - 1] = '\0';
		}
		return len;
	}
	return 0;
}
