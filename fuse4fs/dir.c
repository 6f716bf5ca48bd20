/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directories: the public operations. Each picks the form the directory has (inline,
 * linear, indexed) and leaves the work to it. A directory whose index is damaged or of an
 * unknown hash can still be searched and shrunk block by block; only insertion needs it.
 */
#include "dir_inline.h"
#include "dir_linear.h"
#include "group.h"
#include "htree.h"
#include "txn.h"

static int check_name(const struct inode *dir, const char *name, size_t len)
{
	if (len > DIR_NAME_MAX)
		return -ENAMETOOLONG;
	if (len == 0 || memchr(name, 0, len) || memchr(name, '/', len))
		return -EINVAL;
	return dir_is_foreign(dir) ? -EOPNOTSUPP : 0;
}

static uint8_t ftype_load(const struct fs *fs, uint8_t stored)
{
	return fs->has_filetype && stored < EXT2_FT_MAX ? stored : EXT2_FT_UNKNOWN;
}

static struct dir_ent make_ent(const struct inode *dir, const char *name, size_t len,
			       uint32_t ino, uint8_t ftype)
{
	return (struct dir_ent){ name, ino, len, dir->fs->has_filetype ? ftype : 0 };
}

uint8_t dir_ftype(uint16_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return EXT2_FT_REG_FILE;
	case S_IFDIR: return EXT2_FT_DIR;
	case S_IFCHR: return EXT2_FT_CHRDEV;
	case S_IFBLK: return EXT2_FT_BLKDEV;
	case S_IFIFO: return EXT2_FT_FIFO;
	case S_IFSOCK: return EXT2_FT_SOCK;
	case S_IFLNK: return EXT2_FT_SYMLINK;
	default: return EXT2_FT_UNKNOWN;
	}
}

/* A name in a directory of blocks; the caller puts the slot's buf. */
static int find(struct inode *dir, const char *name, size_t len, struct dir_slot *ret)
{
	int err;

	if (dir_is_indexed(dir)) {
		err = htree_find(dir, name, len, ret);
		if (err != -EUCLEAN && err != -EOPNOTSUPP)
			return err;
	}
	return dir_linear_find(dir, name, len, ret);
}

static int lookup_dots(struct inode *dir, size_t len, uint32_t *ret_ino, uint8_t *ret_ftype)
{
	*ret_ftype = ftype_load(dir->fs, EXT2_FT_DIR);
	if (len == 2)
		return dir_get_parent(dir, ret_ino);
	*ret_ino = dir->ino;
	return 0;
}

int dir_lookup(struct inode *dir, const char *name, size_t len, uint32_t *ret_ino,
	       uint8_t *ret_ftype)
{
	struct dir_slot slot = { 0 };
	uint32_t ino;
	uint8_t ftype;
	int err = check_name(dir, name, len);

	if (err)
		return err;
	if (dir_name_is_dots(name, len))
		return lookup_dots(dir, len, ret_ino, ret_ftype);
	if (inode_is_inline(dir)) {
		err = dir_inline_lookup(dir, name, len, &ino, &ftype);
	} else {
		err = find(dir, name, len, &slot);
		if (!err) {
			ino = get_le32(slot.buf->data + slot.pos.off);
			ftype = slot.buf->data[slot.pos.off + 7];
		}
	}
	if (!err)
		err = dir_check_child(dir, slot.lblk, slot.buf, ino);
	cache_put(slot.buf);
	if (err)
		return err;
	*ret_ino = ino;
	*ret_ftype = ftype_load(dir->fs, ftype);
	return 0;
}

int dir_insert(struct handle *h, struct inode *dir, const char *name, size_t len,
	       uint32_t ino, uint8_t ftype)
{
	struct dir_ent e = make_ent(dir, name, len, ino, ftype);
	int err = check_name(dir, name, len);

	if (err)
		return err;
	if (dir_name_is_dots(name, len))
		return -EEXIST;
	dir->listing++;
	if (inode_is_inline(dir)) {
		err = dir_inline_insert(h, dir, &e);
		if (err != -ENOSPC)
			return err;
		err = dir_inline_convert(h, dir);
		if (err)
			return err;
	}
	if (dir_nblks(dir) == 0)
		return dir_damaged(dir, 0, NULL, "no blocks");
	return dir_is_indexed(dir) ? htree_insert(h, dir, &e) : dir_linear_insert(h, dir, &e);
}

/* Finds the entry, marks its block dirty and stores the inode: only bytes are left. */
static int change_begin(struct handle *h, struct inode *dir, const char *name, size_t len,
			struct dir_slot *ret)
{
	int err = find(dir, name, len, ret);

	if (err)
		return err;
	err = txn_dirty(h, ret->buf);
	if (!err)
		err = dir_store(h, dir, 0, dir->flags);
	if (err)
		cache_put(ret->buf);
	return err;
}

int dir_remove(struct handle *h, struct inode *dir, const char *name, size_t len)
{
	struct dir_slot slot;
	int err = check_name(dir, name, len);

	if (err)
		return err;
	if (dir_name_is_dots(name, len))
		return -EINVAL;
	dir->listing++;
	if (inode_is_inline(dir))
		return dir_inline_remove(h, dir, name, len);
	err = change_begin(h, dir, name, len, &slot);
	if (err)
		return err;
	dir_area_delete(&slot.area, slot.pos);
	cache_put(slot.buf);
	return 0;
}

int dir_replace(struct handle *h, struct inode *dir, const char *name, size_t len,
		uint32_t ino, uint8_t ftype)
{
	struct dir_ent e = make_ent(dir, name, len, ino, ftype);
	struct dir_slot slot;
	int err = check_name(dir, name, len);

	if (err)
		return err;
	if (dir_name_is_dots(name, len))
		return -EINVAL;
	dir->listing++;
	if (inode_is_inline(dir))
		return dir_inline_replace(h, dir, &e);
	err = change_begin(h, dir, name, len, &slot);
	if (err)
		return err;
	put_le32(slot.buf->data + slot.pos.off, e.ino);
	slot.buf->data[slot.pos.off + 7] = e.ftype;
	cache_put(slot.buf);
	return 0;
}

/* Blocks that one insertion may add at most. */
static unsigned new_blocks(struct inode *dir)
{
	if (inode_is_inline(dir))
		return 3;
	if (dir_is_indexed(dir))
		return htree_new_blocks(dir);
	return dir_hash_ordered(dir) ? 2 : 1;
}

unsigned dir_credits(struct inode *dir)
{
	unsigned n = new_blocks(dir), levels = dir_is_indexed(dir) ? HTREE_LEVELS : 0;

	/* The inode, the leaf, the index nodes; each new block with its allocation. */
	return INODE_STORE_CREDITS + 1 + levels + n * (1 + BALLOC_CREDITS + map_credits(dir));
}
