/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hash index of a directory (htree, "dx").
 *
 * Block 0 is the root, further blocks are nodes or leaves. Root and nodes hold entries
 * (hash, block) sorted by hash; entry 0 has no hash, its place holds limit and count.
 * A leaf covers hashes from its entry's up to the next one's. Hashes are even; bit 0 of
 * an entry's hash says that names with that very hash are in the leaf before, too.
 *
 * Needs dir->lock. Source: linux Documentation/filesystems/ext4/directory.rst, "Hash
 * Tree Directories".
 */
#ifndef FUSE4FS_HTREE_H
#define FUSE4FS_HTREE_H

#include "dir_block.h"
#include "dir_hash.h"

enum {
	HTREE_LEVELS = 3,		/* of index blocks; 2 without large_dir */
	HTREE_ROOT_INFO = 24,		/* offset of struct ext2_dx_root_info */
	HTREE_ROOT_ENTRIES = 32,
	HTREE_NODE_ENTRIES = 8,
	HTREE_CHAIN_MAX = 1 << 20,	/* leaves of one hash; more is an attack */
};

struct htree_frame {
	struct buf *buf;
	struct ext2_dx_entry *entries;
	uint32_t lblk;
	unsigned count, limit, at;
};

/* A way from the root to a leaf. Holds references: htree_close. */
struct htree_path {
	struct inode *dir;
	struct htree_frame frames[HTREE_LEVELS];
	unsigned depth;			/* frames in a complete path */
	uint8_t version;		/* of the hash */
	/* The hash of the entry after this leaf's, with its bit 0; where has_upper is
	 * false there is none. Set as far as htree_seek came, also when it fails. */
	uint32_t upper;
	bool has_upper;
	uint32_t leaf;			/* logical block */
};

/*
 * htree_open - read and check the root
 *
 * Returns 0; -EUCLEAN (logged); -EOPNOTSUPP hash version; -EIO; -ENOMEM. On failure
 * nothing is held.
 */
int htree_open(struct inode *dir, struct htree_path *p);
void htree_close(struct htree_path *p);
/* Down to the first leaf that may hold `major`. -EUCLEAN (logged), -EIO, -ENOMEM: the
 * path is still to be closed, and may be used for another seek. */
int htree_seek(struct htree_path *p, uint32_t major);
/* To the next leaf. 1; 0 there is none; -errno as htree_seek. */
int htree_next(struct htree_path *p);
/* Is a whole node in order, all its blocks inside the directory? -EUCLEAN (logged). */
int htree_check_node(struct htree_path *p, unsigned level);
/* Before a name is said not to be there. Checks the nodes of a complete path where no
 * checksum has vouched for them. -EUCLEAN (logged). */
int htree_check_miss(struct htree_path *p);
/* True when names of this hash may go on in the next leaf. */
static inline bool htree_continues(const struct htree_path *p, uint32_t major)
{
	return p->has_upper && (p->upper & ~1u) == major;
}
/* Levels of index blocks the image may have. */
static inline unsigned htree_max_levels(const struct fs *fs)
{
	return fs->has_large_dir ? HTREE_LEVELS : HTREE_LEVELS - 1;
}

/* 0 with the slot (caller puts its buf); -ENOENT; -EUCLEAN the index or the leaf is
 * damaged (logged); -EOPNOTSUPP; -EIO; -ENOMEM. */
int htree_find(struct inode *dir, const char *name, size_t len, struct dir_slot *ret);
/* As dir_insert. */
int htree_insert(struct handle *h, struct inode *dir, const struct dir_ent *e);
/* Turns the only block of a directory into an index with two leaves and inserts e,
 * which did not fit and is not there. */
int htree_convert(struct handle *h, struct inode *dir, struct buf *root, const struct dir_ent *e);
/* Blocks an insertion may add. */
unsigned htree_new_blocks(struct inode *dir);

/* For htree.c, htree_insert.c, htree_convert.c. */
static inline unsigned htree_limit(const struct ext2_dx_entry *e) { return get_le16(e); }
static inline unsigned htree_count(const struct ext2_dx_entry *e)
{
	return get_le16((const uint8_t *)e + 2);
}
static inline void htree_set_limit(struct ext2_dx_entry *e, unsigned n) { put_le16(e, n); }
static inline void htree_set_count(struct ext2_dx_entry *e, unsigned n)
{
	put_le16((uint8_t *)e + 2, n);
}
static inline uint32_t htree_entry_hash(const struct ext2_dx_entry *e) { return get_le32(&e->hash); }
static inline uint32_t htree_entry_block(const struct ext2_dx_entry *e)
{
	return get_le32(&e->block) & EXT4_DX_BLOCK_MASK;
}
unsigned htree_limit_at(const struct fs *fs, unsigned entries_off);

#endif
