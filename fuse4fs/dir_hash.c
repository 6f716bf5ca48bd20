/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hashes of names. Pure functions. */
#include <errno.h>

#include "dir_hash.h"

enum { UNSIGNED_SHIFT = EXT2_HASH_LEGACY_UNSIGNED - EXT2_HASH_LEGACY };

int dir_hash_version(const struct fs *fs, uint8_t stored, uint8_t *ret_version)
{
	bool is_unsigned = fs->e2->super->s_flags & EXT2_FLAGS_UNSIGNED_HASH;

	if (stored > EXT2_HASH_TEA)
		return -EOPNOTSUPP;
	*ret_version = stored + (is_unsigned ? UNSIGNED_SHIFT : 0);
	return 0;
}

uint8_t dir_hash_stored(uint8_t version)
{
	return version > EXT2_HASH_TEA ? version - UNSIGNED_SHIFT : version;
}

struct dir_hash dir_hash(const struct fs *fs, uint8_t version, const char *name, size_t len)
{
	ext2_dirhash_t major = 0, minor = 0;

	/* Fails only for versions that dir_hash_version does not let through. */
	ext2fs_dirhash2(version, name, len, NULL, 0, fs->hash_seed, &major, &minor);
	return (struct dir_hash){ major & ~1u, minor };
}

uint64_t dir_hash_key(const struct fs *fs, uint8_t version, const char *name, size_t len)
{
	struct dir_hash h = dir_hash(fs, version, name, len);

	/* The legacy hash has no minor part; any other of the name keeps equals apart. */
	if (version == EXT2_HASH_LEGACY || version == EXT2_HASH_LEGACY_UNSIGNED)
		h.minor = dir_hash(fs, EXT2_HASH_HALF_MD4, name, len).major;
	return (uint64_t)(h.major >> 1) << 32 | (h.minor & ~0xffu);
}
