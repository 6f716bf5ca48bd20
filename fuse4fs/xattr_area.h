/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of attributes as it lies in an inode and in an attribute block.
 *
 *     first                                                     size
 *     | entry | entry | ... | 0 0 0 0 |   free   | value | value |
 *
 * Entries (struct ext2_ext_attr_entry, then the name, padded to 4) grow up, values
 * (padded to 4) grow down; four zero bytes end the entries. A value in an ea_inode
 * takes no room. Value offsets count from `base`: the first entry in an inode, the
 * start of the block in a block. Pure functions on memory; no device, no lock.
 *
 * Source: linux Documentation/filesystems/ext4/attributes.rst.
 */
#ifndef FUSE4FS_XATTR_AREA_H
#define FUSE4FS_XATTR_AREA_H

#include "fs.h"

#include <ext2fs/ext2_ext_attr.h>

/* e_name_index: the part of a name that is not stored. */
enum xattr_index {
	XATTR_IDX_USER = 1,
	XATTR_IDX_ACL_ACCESS = 2,
	XATTR_IDX_ACL_DEFAULT = 3,
	XATTR_IDX_TRUSTED = 4,
	XATTR_IDX_SECURITY = 6,
	XATTR_IDX_SYSTEM = 7,
	XATTR_IDX_HURD = 10,
};

enum { XATTR_TERMINATOR = 4 };

struct xattr_area {
	uint8_t *base;
	uint32_t first;		/* offset of the first entry */
	uint32_t size;		/* offset of the end; 0: there is no area */
	bool block;		/* sorted and hashed, as blocks are */
};

struct xattr_key {
	uint8_t index;		/* enum xattr_index */
	uint8_t len;		/* bytes of the stored part of the name */
	const char *name;	/* not NUL-terminated */
};

struct xattr_val {
	const void *data;	/* size bytes; NULL: in ea_ino, or size 0 */
	uint32_t size;
	uint32_t ea_ino;	/* 0: the value is data */
	uint32_t ea_hash;	/* e_hash to store with ea_ino */
};

/* An entry, decoded; everything points into the area. Start a walk with { 0 }. */
struct xattr_ent {
	struct xattr_key key;
	struct xattr_val val;
	uint32_t off;		/* of the entry */
	uint32_t next;		/* of the next one; 0: the first */
};

/* 0 or -EUCLEAN; *ret_what says what is wrong. All functions below need it to be 0. */
int xattr_area_check(const struct fs *fs, const struct xattr_area *a, const char **ret_what);
/* Next entry into *e, false at the end. The area must not change meanwhile. */
bool xattr_area_next(const struct xattr_area *a, struct xattr_ent *e);
bool xattr_area_find(const struct xattr_area *a, const struct xattr_key *key,
		     struct xattr_ent *ret_ent);
bool xattr_area_empty(const struct xattr_area *a);
/* Adds or replaces, packing the area. -ENOSPC, -ENOMEM: nothing changed. key and
 * val->data must not point into the area. */
int xattr_area_set(struct xattr_area *a, const struct xattr_key *key,
		   const struct xattr_val *val);
/* Removes if there, packing the area. 0, -ENOMEM, or -ENOSPC where values overlap. */
int xattr_area_remove(struct xattr_area *a, const struct xattr_key *key);
/* Points the entry at an ea_inode that has been made since. */
void xattr_area_set_ea(struct xattr_area *a, const struct xattr_key *key, uint32_t ea_ino,
		       uint32_t ea_hash);

/* What is left for key's entry and value together, its old ones not counted; negative
 * where values overlap. ret_values: bytes that the values of all others take. */
int64_t xattr_area_free(const struct xattr_area *a, const struct xattr_key *key,
			uint32_t *ret_values);
static inline uint32_t xattr_pad(uint32_t n) { return (n + 3) & ~3U; }
/* Bytes an entry takes, and an entry with its value. */
static inline uint32_t xattr_ent_len(const struct xattr_key *key)
{
	return EXT2_EXT_ATTR_LEN(key->len);
}
static inline uint32_t xattr_need(const struct xattr_key *key, const struct xattr_val *val)
{
	return xattr_ent_len(key) + (val->ea_ino ? 0 : xattr_pad(val->size));
}

/* <0, 0, >0: the order of entries in a block. */
int xattr_key_cmp(const struct xattr_key *a, const struct xattr_key *b);
/* e_hash: of the name and, in 32-bit words, the value (zero padded) or the crc of an
 * ea_inode. sign: names hashed as signed char, which old big-machine kernels did. */
uint32_t xattr_hash_name(const struct xattr_key *key, bool sign);
uint32_t xattr_hash_value(uint32_t hash, const void *data, uint32_t size);
/* h_hash of a block from its entries. */
uint32_t xattr_hash_block(const struct xattr_area *a);

#endif
