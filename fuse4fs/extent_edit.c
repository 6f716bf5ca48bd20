// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One change of an extent tree: entries of a leaf are replaced, and every node
 * above follows.
 *
 * A change of a node turns into one of four things for its parent: nothing, a new
 * key for the entry that leads to it, a second entry behind that one (the node was
 * split), or the removal of that entry (the node became empty). The same step is
 * therefore repeated upward until it ends in nothing or at the root. A root that
 * overflows moves into a new block and becomes an index of one entry.
 *
 * edit_size walks these steps without changing anything, to learn how high they
 * reach and how many blocks they need; extent_edit_apply does them.
 */
#include <errno.h>

#include "extent.h"

/* The change of one node: entries [pos, pos + del) become add[0 .. n). */
struct change {
	unsigned pos, del, n;
	const void *add;
};

enum { ENTRY_SIZE = sizeof(struct ext3_extent) };
_Static_assert(sizeof(struct ext3_extent_idx) == ENTRY_SIZE, "entries have one size");
_Static_assert(sizeof(struct ext3_extent_header) == ENTRY_SIZE, "the header too");

static uint8_t *entry_at(struct ext3_extent_header *eh, unsigned pos)
{
	return (uint8_t *)(eh + 1) + pos * ENTRY_SIZE;
}

static unsigned size_after(const struct extent_level *lv, unsigned del, unsigned n)
{
	return extent_entries(lv) - del + n;
}

/* First key of the leaf once the edit is done; it will not be empty. */
static uint32_t leaf_first_key(const struct extent_edit *e)
{
	const struct extent_level *leaf = &e->path->level[e->path->depth];

	if (e->pos > 0)
		return extent_key(leaf, 0);
	if (e->n > 0)
		return le32toh(e->add[0].ee_block);
	return e->del < extent_entries(leaf) ? extent_key(leaf, e->del) : 0;
}

static void edit_size(struct extent_edit *e)
{
	const struct extent_path *path = e->path;
	unsigned level = path->depth, del = e->del, n = e->n;
	uint32_t first = leaf_first_key(e);

	e->nnew = e->nfree = 0;
	for (;; level--) {
		const struct extent_level *lv = &path->level[level], *up = lv - 1;
		unsigned total = size_after(lv, del, n);
		bool split = total > extent_capacity(path->inode, level);

		e->top = level;
		e->nnew += split;
		if (level == 0)
			return;
		e->nfree += total == 0;
		if (!split && total > 0 && first == extent_key(up, up->pos))
			return;
		del = total == 0;
		n = split;
		if (up->pos > 0)
			first = extent_key(up, 0);
		else if (total == 0 && extent_entries(up) > 1)
			first = extent_key(up, 1);
	}
}

/* The start of the inode's group: tree blocks of a small file. */
static uint64_t tree_goal(const struct extent_path *path)
{
	const struct inode *inode = path->inode;
	const struct fs *fs = inode->fs;

	if (path->depth > 0)
		return path->level[path->depth].buf->pblk + 1;
	return fs->first_data_block + (uint64_t)((inode->ino - 1) / fs->inodes_per_group) *
	       fs->blocks_per_group;
}

static int new_node(struct extent_edit *e, uint64_t goal, struct buf **ret_buf)
{
	struct inode *inode = e->path->inode;
	struct buf *buf;
	uint64_t pblk;
	int err;

	err = balloc_new_block(e->h, goal, &pblk);
	if (err)
		return err;
	err = cache_new(inode->fs->cache, pblk, BUF_EXTENT, inode->csum_seed, &buf);
	if (!err) {
		err = txn_dirty(e->h, buf);
		if (err)
			cache_put(buf);
	}
	if (err) {
		balloc_free(e->h, pblk, 1, true);
		return err;
	}
	*ret_buf = buf;
	return 0;
}

static void drop_new_nodes(struct extent_edit *e, unsigned n)
{
	while (n-- > 0) {
		uint64_t pblk = e->new_buf[n]->pblk;

		cache_put(e->new_buf[n]);
		balloc_free(e->h, pblk, 1, true);
	}
}

int extent_edit_prepare(struct extent_edit *e)
{
	struct extent_path *path = e->path;
	uint64_t goal = tree_goal(path);
	unsigned got = 0;
	int err = 0;

	edit_size(e);
	if (e->nnew > path->depth && path->depth == EXTENT_MAX_DEPTH)
		return -EFBIG;
	for (unsigned i = MAX(e->top, 1u); i <= path->depth && !err; i++)
		err = txn_dirty(e->h, path->level[i].buf);
	for (unsigned i = 0; i < e->nfree && !err; i++)
		err = balloc_join(e->h, path->level[path->depth - i].buf->pblk, 1);
	while (!err && got < e->nnew) {
		err = new_node(e, goal, &e->new_buf[got]);
		if (!err)
			goal = e->new_buf[got++]->pblk + 1;
	}
	if (err)
		drop_new_nodes(e, got);
	return err;
}

static void replace(struct ext3_extent_header *eh, unsigned cap, struct change c)
{
	unsigned old = le16toh(eh->eh_entries);

	memmove(entry_at(eh, c.pos + c.n), entry_at(eh, c.pos + c.del),
		(old - c.pos - c.del) * ENTRY_SIZE);
	if (c.n)
		memcpy(entry_at(eh, c.pos), c.add, c.n * ENTRY_SIZE);
	eh->eh_entries = htole16(old - c.del + c.n);
	eh->eh_max = htole16(cap);
}

/* An empty node in a new block, of the depth of `like`. */
static struct buf *take_node(struct extent_edit *e, const struct ext3_extent_header *like)
{
	struct inode *inode = e->path->inode;
	struct buf *buf = e->new_buf[--e->nnew];
	struct ext3_extent_header *eh = (void *)buf->data;

	*eh = (struct ext3_extent_header) {
		.eh_magic = htole16(EXT3_EXT_MAGIC),
		.eh_max = htole16(extent_capacity(inode, 1)),
		.eh_depth = like->eh_depth,
	};
	map_account(inode, 1);
	return buf;
}

static struct ext3_extent_idx index_to(const struct buf *buf)
{
	const struct ext3_extent_header *eh = (const void *)buf->data;

	return (struct ext3_extent_idx) {
		.ei_block = EXT_FIRST_INDEX(eh)->ei_block,
		.ei_leaf = htole32((uint32_t)buf->pblk),
		.ei_leaf_hi = htole16((uint16_t)(buf->pblk >> 32)),
	};
}

static void grow_root(struct extent_edit *e, struct change c)
{
	struct inode *inode = e->path->inode;
	struct ext3_extent_header *root = e->path->level[0].eh;
	struct buf *buf = take_node(e, root);
	struct ext3_extent_header *eh = (void *)buf->data;
	struct ext3_extent_idx ix;

	memcpy(entry_at(eh, 0), entry_at(root, 0), le16toh(root->eh_entries) * ENTRY_SIZE);
	eh->eh_entries = root->eh_entries;
	replace(eh, extent_capacity(inode, 1), c);
	ix = index_to(buf);
	memset(root + 1, 0, EXTENT_ROOT_ENTRIES * ENTRY_SIZE);
	memcpy(root + 1, &ix, sizeof(ix));
	root->eh_entries = htole16(1);
	root->eh_max = htole16(EXTENT_ROOT_ENTRIES);
	root->eh_depth = htole16(le16toh(root->eh_depth) + 1);
	cache_put(buf);
}

/*
 * Moves the upper part of a full node to a new one and makes the change in the part
 * it belongs to. A change at the end moves only what it replaces, so that files
 * written in order have full nodes.
 */
static struct ext3_extent_idx split(struct extent_edit *e, struct extent_level *lv,
				    struct change c)
{
	unsigned cap = extent_capacity(e->path->inode, 1), old = extent_entries(lv), at = old / 2;
	struct buf *buf = take_node(e, lv->eh);
	struct ext3_extent_header *eh = (void *)buf->data;
	struct ext3_extent_idx ix;

	if (c.pos + c.del >= old || (c.pos < at && at < c.pos + c.del))
		at = c.pos;
	memcpy(entry_at(eh, 0), entry_at(lv->eh, at), (old - at) * ENTRY_SIZE);
	eh->eh_entries = htole16(old - at);
	lv->eh->eh_entries = htole16(at);
	if (c.pos >= at) {
		c.pos -= at;
		replace(eh, cap, c);
	} else {
		replace(lv->eh, cap, c);
	}
	ix = index_to(buf);
	cache_put(buf);
	return ix;
}

static void free_node(struct extent_edit *e, struct extent_level *lv)
{
	uint64_t pblk = lv->buf->pblk;

	cache_put(lv->buf);
	lv->buf = NULL;
	/* A failure has been logged; the block is lost until e2fsck. */
	balloc_free(e->h, pblk, 1, true);
	map_account(e->path->inode, -1);
}

void extent_edit_apply(struct extent_edit *e)
{
	struct extent_path *path = e->path;
	struct change c = { e->pos, e->del, e->n, e->add };
	struct ext3_extent_idx ix;

	for (unsigned level = path->depth;; level--) {
		struct extent_level *lv = &path->level[level], *up = lv - 1;
		unsigned cap = extent_capacity(path->inode, level);
		unsigned total = size_after(lv, c.del, c.n);

		if (level == 0 && total > cap) {
			grow_root(e, c);
			break;
		}
		if (total > cap)
			ix = split(e, lv, c);
		else
			replace(lv->eh, cap, c);
		if (level == 0 && total == 0)
			lv->eh->eh_depth = 0;
		if (level == e->top)
			break;
		if (total == 0) {
			free_node(e, lv);
			c = (struct change) { .pos = up->pos, .del = 1 };
			continue;
		}
		extent_index(up, up->pos)->ei_block = htole32(extent_key(lv, 0));
		c = (struct change) { .pos = up->pos + 1, .n = total > cap, .add = &ix };
	}
	extent_path_close(path);
}

/* True when the root's only child was taken back. */
static bool collapse_once(struct handle *h, struct inode *inode)
{
	struct extent_path path;
	struct extent_edit e = { .h = h, .path = &path };
	struct extent_level *root = &path.level[0], *child = &path.level[1];
	bool fits;

	if (extent_path_open(inode, 0, &path))
		return false;
	fits = path.depth > 0 && extent_entries(root) == 1 &&
	       extent_entries(child) <= EXTENT_ROOT_ENTRIES &&
	       !balloc_join(h, child->buf->pblk, 1);
	if (fits) {
		memcpy(root->eh + 1, child->eh + 1, EXTENT_ROOT_ENTRIES * ENTRY_SIZE);
		root->eh->eh_entries = child->eh->eh_entries;
		root->eh->eh_depth = child->eh->eh_depth;
		free_node(&e, child);
	}
	extent_path_close(&path);
	return fits;
}

void extent_collapse(struct handle *h, struct inode *inode)
{
	while (h->credits >= BALLOC_CREDITS && collapse_once(h, inode))
		;
}
