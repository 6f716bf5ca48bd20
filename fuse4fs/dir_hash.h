/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hashes of names: for the index, and for the order in which names are listed. */
#ifndef FUSE4FS_DIR_HASH_H
#define FUSE4FS_DIR_HASH_H

#include "fs.h"

struct dir_hash {
	uint32_t major;		/* even; what the index stores */
	uint32_t minor;
};

/* The version in an index root, with the image's signedness. -EOPNOTSUPP unknown. */
int dir_hash_version(const struct fs *fs, uint8_t stored, uint8_t *ret_version);
/* What to store for fs->def_hash_version. */
uint8_t dir_hash_stored(uint8_t version);
/* name: 1 to 255 bytes. */
struct dir_hash dir_hash(const struct fs *fs, uint8_t version, const char *name, size_t len);

enum { DIR_HASH_BATCH = 16 };	/* names hashed together */

struct dir_name {
	const char *name;
	size_t len;		/* 1 to 255 */
};

/* Half-MD4 of n names, at most DIR_HASH_BATCH; seed all zeros: MD4's own start. */
void dir_halfmd4(const uint32_t seed[4], bool is_signed, const struct dir_name *names,
		 unsigned n, struct dir_hash *ret);

/*
 * Keys that list names in hash order: 31 bits major, 24 bits minor, 8 bits free for a
 * rank among equals. Always below DIR_KEY_END, which leaves room for two cookies.
 */
#define DIR_KEY_END	((uint64_t)0x7fffffff << 32)

/* n up to DIR_HASH_BATCH; several at once cost less each. */
void dir_hash_keys(const struct fs *fs, uint8_t version, const struct dir_name *names,
		   unsigned n, uint64_t *ret);

#endif
