/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The frame of a directory: a new one, "..", emptiness. */
#include "dir_inline.h"
#include "inline.h"
#include "txn.h"

static int init_block(struct handle *h, struct inode *dir, uint32_t parent_ino)
{
	struct fs *fs = dir->fs;
	struct dir_area a;
	struct buf *b;
	int err = map_new_block(h, dir, 0, BUF_DIR, &b);

	if (err)
		return err;
	dir_block_area_init(fs, b->data, &a);
	dir_block_dots_init(dir, &a, parent_ino, a.end - DIR_REC_MIN);
	dir_block_tail_init(fs, b->data);
	cache_put(b);
	dir->size = fs->block_size;
	return 0;
}

int dir_init(struct handle *h, struct inode *dir, uint32_t parent_ino)
{
	int err;

	dir->dir_hint = 0;
	if (!inode_is_inline(dir))
		return init_block(h, dir, parent_ino);
	err = dir_inline_init(h, dir, parent_ino);
	if (err != -ENOSPC)
		return err;
	err = inline_clear(h, dir);
	return err ? err : init_block(h, dir, parent_ino);
}

/* Block 0 and where ".." is in it. The caller puts the buf. */
static int dotdot_find(struct inode *dir, struct buf **ret_buf, uint32_t *ret_off)
{
	struct buf *b;
	int err;

	if (dir_nblks(dir) == 0)
		return dir_damaged(dir, 0, NULL, "no blocks");
	err = dir_block_read(dir, 0, dir_is_indexed(dir) ? BUF_DX : BUF_DIR, &b);
	if (err)
		return err;
	err = dir_block_dotdot(dir, b, ret_off);
	if (err)
		cache_put(b);
	else
		*ret_buf = b;
	return err;
}

int dir_get_parent(struct inode *dir, uint32_t *ret_ino)
{
	struct buf *b = NULL;
	uint32_t off, ino;
	int err = 0;

	if (inode_is_inline(dir)) {
		ino = get_le32(inode_block(dir));
	} else {
		err = dotdot_find(dir, &b, &off);
		if (err)
			return err;
		ino = get_le32(b->data + off);
	}
	err = dir_check_ino(dir, 0, b, ino);
	cache_put(b);
	if (!err)
		*ret_ino = ino;
	return err;
}

int dir_set_parent(struct handle *h, struct inode *dir, uint32_t parent_ino)
{
	struct buf *b;
	uint32_t off;
	int err;

	dir->listing++;
	if (inode_is_inline(dir))
		return dir_inline_set_parent(h, dir, parent_ino);
	err = dotdot_find(dir, &b, &off);
	if (err)
		return err;
	err = txn_dirty(h, b);
	if (!err)
		put_le32(b->data + off, parent_ino);
	cache_put(b);
	return err;
}

/* 1: nothing but dots; 0; -EUCLEAN (logged). */
static int area_is_empty(struct inode *dir, uint32_t lblk, struct buf *b,
			 const struct dir_area *a)
{
	struct dir_rec rec;

	for (uint32_t off = a->start; off < a->end; off += rec.len) {
		if (!dir_rec_get(a, off, &rec))
			return dir_damaged(dir, lblk, b, "malformed entry");
		if (rec.ino && (lblk || !rec.name_len || !dir_name_is_dots(rec.name, rec.name_len)))
			return 0;
	}
	return 1;
}

int dir_is_empty(struct inode *dir)
{
	struct dir_walk w;
	struct dir_area a;
	struct buf *b;
	uint32_t lblk;
	int more, empty;

	if (inode_is_inline(dir))
		return dir_inline_is_empty(dir);
	dir_walk_init(&w, dir, 0);
	while ((more = dir_walk_next(&w, &b, &lblk, &a)) > 0) {
		empty = area_is_empty(dir, lblk, b, &a);
		cache_put(b);
		if (!empty)
			return 0;
		w.damaged += empty < 0;
	}
	if (more)
		return more;
	return w.damaged ? -EUCLEAN : 1;
}
