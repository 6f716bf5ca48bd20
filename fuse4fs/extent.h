/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Extent trees: lookup, insertion, conversion, removal. Called by map.c only.
 *
 * Invariants of a tree as it is left behind by every function here:
 *  - the key of an index entry equals the first key of the node below it;
 *  - no node below the root is empty; an empty tree has depth 0;
 *  - extents do not overlap, and all blocks are below MAP_END.
 * A tree read from disk may break the first (only downwards) and is repaired
 * where it is edited; any other violation is -EUCLEAN before anything changes.
 *
 * A change is planned first: the nodes are read, checked and joined to the
 * transaction, new tree blocks are allocated. Only then are entries touched, by
 * code that cannot fail, so an error always means "nothing changed".
 *
 * Source: linux Documentation/filesystems/ext4/ifork.rst, "Extent Tree".
 */
#ifndef FUSE4FS_EXTENT_H
#define FUSE4FS_EXTENT_H

#include "group.h"
#include "map.h"

enum {
	EXTENT_MAX_DEPTH = 5,
	EXTENT_MAX_LEN = 32768,			/* blocks in a written extent */
	EXTENT_MAX_UNWRITTEN_LEN = 32767,
	EXTENT_ROOT_ENTRIES = 4,		/* i_block holds a header and these */
};

/* Same contracts as the map_* functions of these names. */
int extent_lookup(struct inode *inode, uint32_t lblk, struct run *ret_run);
int extent_insert(struct handle *h, struct inode *inode, const struct run *run);
int extent_convert(struct handle *h, struct inode *inode, uint32_t lblk, uint32_t len,
		   bool to_unwritten);
int extent_remove(struct handle *h, struct inode *inode, uint32_t lblk, uint64_t end,
		  uint64_t *ret_next);
unsigned extent_credits(struct inode *inode);
unsigned extent_remove_credits(struct inode *inode);
void extent_init(struct inode *inode);

/*
 * The way from the root to one leaf (extent_node.c).
 */
struct extent_level {
	struct buf *buf;			/* NULL: the root, in i_block */
	struct ext3_extent_header *eh;
	unsigned pos;				/* index entry followed; unused in the leaf */
	uint64_t lo, hi;			/* logical blocks this node may hold: [lo, hi) */
};

struct extent_path {
	struct inode *inode;
	unsigned depth;				/* level[depth] is the leaf */
	struct extent_level level[EXTENT_MAX_DEPTH + 1];
};

/*
 * extent_path_open - read and check the nodes that lead to lblk
 *
 * Returns 0; -EUCLEAN (logged), -EIO, -ENOMEM. On failure path holds nothing.
 * REQUIRES inode->lock (shared is enough).
 */
int extent_path_open(struct inode *inode, uint32_t lblk, struct extent_path *path);
void extent_path_close(struct extent_path *path);	/* twice is fine */
#define AUTOPATH __attribute__((cleanup(extent_path_close))) struct extent_path

/* First entry of the leaf that ends after lblk; the number of entries if none. */
unsigned extent_leaf_search(const struct extent_path *path, uint32_t lblk);
/* Entry pos of the leaf. */
struct run extent_leaf_run(const struct extent_path *path, unsigned pos);
struct ext3_extent extent_encode(const struct run *run);

/* Most entries that a node of this level may hold. */
unsigned extent_capacity(const struct inode *inode, unsigned level);

static inline struct ext3_extent *extent_leaf_entry(const struct extent_level *lv, unsigned pos)
{
	return EXT_FIRST_EXTENT(lv->eh) + pos;
}
static inline struct ext3_extent_idx *extent_index(const struct extent_level *lv, unsigned pos)
{
	return EXT_FIRST_INDEX(lv->eh) + pos;
}
static inline unsigned extent_entries(const struct extent_level *lv)
{
	return le16toh(lv->eh->eh_entries);
}
/* ee_block and ei_block share their place. */
static inline uint32_t extent_key(const struct extent_level *lv, unsigned pos)
{
	return le32toh(extent_index(lv, pos)->ei_block);
}
static inline uint64_t extent_child(const struct extent_level *lv, unsigned pos)
{
	const struct ext3_extent_idx *ix = extent_index(lv, pos);

	return le32toh(ix->ei_leaf) | (uint64_t)le16toh(ix->ei_leaf_hi) << 32;
}

/*
 * One change of a leaf and what follows from it above (extent_edit.c): entries
 * [pos, pos + del) are replaced by add[0 .. n).
 */
enum { EXTENT_EDIT_ADD = 4 };

struct extent_edit {
	struct handle *h;
	struct extent_path *path;
	unsigned pos, del, n;
	struct ext3_extent add[EXTENT_EDIT_ADD];
	/* The plan. */
	unsigned top;				/* highest level that changes */
	unsigned nnew;				/* tree blocks to add */
	unsigned nfree;				/* nodes that become empty, from the leaf up */
	struct buf *new_buf[EXTENT_MAX_DEPTH + 1];
};

/*
 * extent_edit_prepare - everything about an edit that may fail
 *
 * Joins the nodes to the transaction and allocates new ones. Returns 0; -ENOSPC,
 * -EIO, -ENOMEM, -EFBIG (tree too deep): nothing has changed.
 * A prepared edit must be applied.
 */
int extent_edit_prepare(struct extent_edit *e);
/* Does it; the path is closed. Frees nodes that became empty. inode->blocks
 * follows the tree blocks. */
void extent_edit_apply(struct extent_edit *e);
/* Brings the only child of the root back into the root where it fits. */
void extent_collapse(struct handle *h, struct inode *inode);

#endif
