/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The attribute block, i_file_acl.
 *
 * Kernels let inodes with equal attributes share one, counted in h_refcount. We never
 * share, but we meet shared blocks: they are never changed but for the count. An inode
 * that changes its attributes gets a block of its own, and one count goes. So a count
 * only falls, and a block seen with count 1 under the inode's lock stays private.
 *
 * A block's lock (hashed in fs->xattr_locks, a leaf) is held over every look at its
 * bytes: damaged images make inodes share a block without a count, and what was checked
 * must not change before it is used.
 */
#include <errno.h>

#include "group.h"
#include "xattr_int.h"

enum { HEADER = sizeof(struct ext2_ext_attr_header) };

static struct mutex *block_lock(struct fs *fs, const struct buf *b)
{
	return &fs->xattr_locks[b->pblk % ARRAY_LEN(fs->xattr_locks)];
}

void xattr_block_lock(struct fs *fs, const struct buf *b) NO_TSA
{
	mutex_lock(block_lock(fs, b));
}

void xattr_block_unlock(struct fs *fs, const struct buf *b) NO_TSA
{
	mutex_unlock(block_lock(fs, b));
}

static uint32_t get_refs(const struct buf *b)
{
	return get_le32(b->data + offsetof(struct ext2_ext_attr_header, h_refcount));
}

bool xattr_block_shared(struct fs *fs, const struct buf *b)
{
	bool shared;

	xattr_block_lock(fs, b);
	shared = get_refs(b) > 1;
	xattr_block_unlock(fs, b);
	return shared;
}

int xattr_block_open(struct inode *inode, struct buf **ret_buf)
{
	struct fs *fs = inode->fs;
	uint64_t pblk = inode->file_acl;
	int err;

	*ret_buf = NULL;
	if (!pblk)
		return 0;
	if (!fs_block_valid(fs, pblk, 1))
		return fs_error(fs, -EUCLEAN, inode->ino, pblk, "attribute block out of range");
	err = cache_read(fs->cache, pblk, BUF_XATTR, fs->csum_seed, ret_buf);
	if (err && err != -ENOMEM)
		fs_error(fs, err, inode->ino, pblk, "attribute block cannot be read");
	return err;
}

static const char *header_fault(const uint8_t *data)
{
	if (get_le32(data + offsetof(struct ext2_ext_attr_header, h_magic)) !=
	    EXT2_EXT_ATTR_MAGIC)
		return "bad magic";
	if (get_le32(data + offsetof(struct ext2_ext_attr_header, h_blocks)) != 1)
		return "more than one block";
	if (get_le32(data + offsetof(struct ext2_ext_attr_header, h_refcount)) == 0)
		return "no reference";
	return NULL;
}

int xattr_block_view(struct inode *inode, uint64_t pblk, uint8_t *data, struct xattr_area *ret)
{
	const char *what = header_fault(data);

	*ret = (struct xattr_area){
		.base = data, .first = HEADER, .size = inode->fs->block_size, .block = true,
	};
	if (!what && xattr_area_check(inode->fs, ret, &what) == 0)
		return 0;
	return fs_error(inode->fs, -EUCLEAN, inode->ino, pblk, "attribute block: %s", what);
}

int xattr_block_load(struct inode *inode, struct buf **ret_buf, struct xattr_area *ret)
{
	struct fs *fs = inode->fs;
	struct buf *b;
	uint8_t *data;
	int err = xattr_block_open(inode, &b);

	*ret = (struct xattr_area){ .block = true };
	if (err)
		return err;
	data = calloc(1, fs->block_size);
	if (!data) {
		cache_put(b);
		return -ENOMEM;
	}
	*ret = (struct xattr_area){
		.base = data, .first = HEADER, .size = fs->block_size, .block = true,
	};
	*ret_buf = b;
	if (!b)
		return 0;
	xattr_block_lock(fs, b);
	memcpy(data, b->data, fs->block_size);
	xattr_block_unlock(fs, b);
	return xattr_block_view(inode, b->pblk, data, ret);
}

/* -- changing -------------------------------------------------------------------- */

static int new_target(struct handle *h, struct inode *inode, struct xattr_block_change *c)
{
	struct fs *fs = h->fs;
	uint64_t pblk;
	int err = balloc_new_block(h, balloc_goal(fs, inode), &pblk);

	if (err)
		return err;
	err = cache_new(fs->cache, pblk, BUF_XATTR, fs->csum_seed, &c->target);
	if (!err)
		err = txn_dirty(h, c->target);
	if (!err)
		return 0;
	cache_put(c->target);
	c->target = NULL;
	balloc_free(h, pblk, 1, true);
	return err;
}

/* The ea_inodes that stay named by the old, shared block and are named by us too. */
static int count_shared(struct handle *h, struct inode *inode, struct xattr_block_change *c)
{
	int err = 0;

	while (!err && c->counted < c->nshared) {
		err = ea_inode_count(h, inode, c->shared[c->counted], 1);
		c->counted += !err;
	}
	return err;
}

int xattr_block_prepare(struct handle *h, struct inode *inode, struct xattr_block_change *c)
{
	bool want = !xattr_area_empty(&c->area);
	bool shared = c->old && xattr_block_shared(h->fs, c->old);
	int err = 0;

	c->target = NULL;
	c->fresh = want && (!c->old || shared);
	c->counted = 0;
	if (c->old && (want || shared))
		err = txn_dirty(h, c->old);
	else if (c->old)
		err = balloc_join(h, c->old->pblk, 1);
	if (err)
		return err;
	if (c->fresh) {
		err = new_target(h, inode, c);
	} else if (want) {
		c->target = c->old;
		cache_get(c->target);
	}
	if (!err && shared)
		err = count_shared(h, inode, c);
	if (err)
		xattr_block_undo(h, inode, c);
	return err;
}

void xattr_block_undo(struct handle *h, struct inode *inode, struct xattr_block_change *c)
{
	uint64_t pblk = c->target ? c->target->pblk : 0;

	while (c->counted)
		ea_inode_count(h, inode, c->shared[--c->counted], -1);
	cache_put(c->target);
	c->target = NULL;
	if (c->fresh && pblk)
		balloc_free(h, pblk, 1, true);
}

void xattr_block_apply_inode(struct inode *inode, const struct xattr_block_change *c)
{
	const unsigned sectors = inode->fs->block_size >> 9;

	if (c->old && inode->blocks >= sectors)
		inode->blocks -= sectors;
	if (c->target)
		inode->blocks += sectors;
	inode->file_acl = c->target ? c->target->pblk : 0;
}

static void write_target(struct fs *fs, const struct xattr_block_change *c)
{
	struct ext2_ext_attr_header *hd = (struct ext2_ext_attr_header *)(void *)c->area.base;

	memset(hd, 0, sizeof(*hd));
	hd->h_magic = htole32(EXT2_EXT_ATTR_MAGIC);
	hd->h_refcount = htole32(1);
	hd->h_blocks = htole32(1);
	hd->h_hash = htole32(xattr_hash_block(&c->area));
	xattr_block_lock(fs, c->target);
	memcpy(c->target->data, c->area.base, fs->block_size);
	xattr_block_unlock(fs, c->target);
}

/* One count less; false when ours was the last. */
static bool drop_count(struct fs *fs, struct buf *b)
{
	uint32_t refs;

	xattr_block_lock(fs, b);
	refs = get_refs(b);
	if (refs > 1)
		put_le32(b->data + offsetof(struct ext2_ext_attr_header, h_refcount), refs - 1);
	xattr_block_unlock(fs, b);
	return refs > 1;
}

/* The references that the old block held: it was shared in prepare, and is no more. */
static int uncount_shared(struct handle *h, struct inode *inode, struct xattr_block_change *c)
{
	int err = 0;

	while (c->counted) {
		int err2 = ea_inode_count(h, inode, c->shared[--c->counted], -1);

		err = err ? err : err2;
	}
	return err;
}

static int give_back_old(struct handle *h, struct inode *inode, struct xattr_block_change *c)
{
	struct buf *old = c->old;
	uint64_t pblk;
	int err, err2;

	if (!old || (c->target != old && drop_count(h->fs, old)))
		return 0;
	err = uncount_shared(h, inode, c);
	if (c->gone) {
		err2 = ea_inode_count(h, inode, c->gone, -1);
		err = err ? err : err2;
	}
	if (c->target == old)
		return err;
	pblk = old->pblk;
	c->old = NULL;
	cache_put(old);
	err2 = balloc_free(h, pblk, 1, true);
	return err ? err : err2;
}

int xattr_block_finish(struct handle *h, struct inode *inode, struct xattr_block_change *c)
{
	int err;

	if (c->target)
		write_target(h->fs, c);
	err = give_back_old(h, inode, c);
	cache_put(c->target);
	c->target = NULL;
	return err;
}
