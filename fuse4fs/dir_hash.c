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

#define HASH_END	0xfffffffeu

/* The kernel keeps the last hash free: its readdir marks the end with it. */
static uint32_t below_end(uint32_t major)
{
	return major == HASH_END ? major - 2 : major;
}

static void hash_batch(const struct fs *fs, uint8_t version, const struct dir_name *names,
		       unsigned n, struct dir_hash *ret)
{
	if (dir_hash_stored(version) == EXT2_HASH_HALF_MD4)
		dir_halfmd4(fs->hash_seed, version == EXT2_HASH_HALF_MD4, names, n, ret);
	for (unsigned i = 0; i < n; i++) {
		ext2_dirhash_t major = ret[i].major, minor = ret[i].minor;

		/* Fails only for versions that dir_hash_version does not let through. */
		if (dir_hash_stored(version) != EXT2_HASH_HALF_MD4)
			ext2fs_dirhash2(version, names[i].name, (int)names[i].len, NULL, 0,
					fs->hash_seed, &major, &minor);
		ret[i] = (struct dir_hash){ below_end(major & ~1u), minor };
	}
}

struct dir_hash dir_hash(const struct fs *fs, uint8_t version, const char *name, size_t len)
{
	struct dir_hash h = { 0 };

	hash_batch(fs, version, &(struct dir_name){ name, len }, 1, &h);
	return h;
}

void dir_hash_keys(const struct fs *fs, uint8_t version, const struct dir_name *names,
		   unsigned n, uint64_t *ret)
{
	struct dir_hash h[DIR_HASH_BATCH] = { { 0 } }, other[DIR_HASH_BATCH] = { { 0 } };
	/* The legacy hash has no minor part; any other of the name keeps equals apart. */
	const bool legacy = dir_hash_stored(version) == EXT2_HASH_LEGACY;

	hash_batch(fs, version, names, n, h);
	if (legacy)
		hash_batch(fs, EXT2_HASH_HALF_MD4, names, n, other);
	for (unsigned i = 0; i < n; i++)
		ret[i] = (uint64_t)(h[i].major >> 1) << 32 |
			 ((legacy ? other[i].major : h[i].minor) & ~0xffu);
}
