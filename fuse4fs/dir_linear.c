/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Directories without an index. One pass finds a duplicate and the first room. */
#include "dir_linear.h"
#include "htree.h"

static uint32_t hint_get(struct inode *dir)
{
	return __atomic_load_n(&dir->dir_hint, __ATOMIC_RELAXED);
}

static void hint_set(struct inode *dir, uint32_t lblk)
{
	__atomic_store_n(&dir->dir_hint, lblk, __ATOMIC_RELAXED);
}

int dir_linear_find(struct inode *dir, const char *name, size_t len, struct dir_slot *ret)
{
	struct dir_walk w;
	struct buf *b;
	int more, err;

	dir_walk_init(&w, dir, hint_get(dir));
	while ((more = dir_walk_next(&w, &b, &ret->lblk, &ret->area)) > 0) {
		err = dir_area_find(&ret->area, name, len, &ret->pos);
		if (!err) {
			if (w.nblks > 1)
				hint_set(dir, ret->lblk);
			ret->buf = b;
			return 0;
		}
		if (err == -EUCLEAN) {
			dir_damaged(dir, ret->lblk, b, "malformed entry");
			w.damaged++;
		}
		cache_put(b);
	}
	if (more)
		return more;
	return w.damaged ? -EUCLEAN : -ENOENT;
}

struct search {
	struct buf *room_buf;	/* NULL: none has room */
	struct dir_area area;
	uint32_t room_off;
	bool pack;
};

/* First room for e; -EEXIST; damaged blocks take nothing, and may hide a duplicate. */
static int search(struct inode *dir, const struct dir_ent *e, struct search *s)
{
	struct dir_walk w;
	struct dir_scan scan;
	struct dir_area area;
	uint32_t lblk;
	struct buf *b;
	int more;

	dir_walk_init(&w, dir, 0);
	while ((more = dir_walk_next(&w, &b, &lblk, &area)) > 0) {
		if (dir_area_scan(&area, e->name, e->len, &scan)) {
			dir_damaged(dir, lblk, b, "malformed entry");
			w.damaged++;
		} else if (scan.found) {
			more = -EEXIST;
		} else if (!s->room_buf) {
			/* Packing would move entries; only hash-ordered cookies allow it. */
			s->pack = !scan.room && dir_hash_ordered(dir) &&
				  scan.used + dir_rec_need(e->len) <= area.end;
			if (scan.room || s->pack) {
				cache_get(b);
				s->room_buf = b;
				s->room_off = scan.room_off;
				s->area = area;
			}
		}
		cache_put(b);
		if (more < 0)
			return more;
	}
	if (more)
		return more;
	return w.damaged ? -EUCLEAN : 0;
}

static int insert_in_room(struct handle *h, struct inode *dir, struct search *s,
			  const struct dir_ent *e)
{
	struct dir_scan scan;
	int err = txn_dirty(h, s->room_buf);

	if (!err)
		err = dir_store(h, dir, 0, dir->flags);
	if (err)
		return err;
	if (s->pack) {
		dir_area_pack(&s->area);
		dir_area_scan(&s->area, e->name, e->len, &scan);
		s->room_off = scan.room_off;
	}
	dir_area_insert(&s->area, s->room_off, e);
	return 0;
}

static int append(struct handle *h, struct inode *dir, const struct dir_ent *e)
{
	const enum buf_kind kind = BUF_DIR;
	struct fs *fs = dir->fs;
	struct dir_area a;
	struct buf *b;
	int err = dir_blocks_new(h, dir, 1, &kind, &b);

	if (err)
		return err;
	err = dir_store(h, dir, dir->size + fs->block_size, dir->flags);
	if (err) {
		dir_blocks_undo(h, dir, 1, &b);
		return err;
	}
	dir_block_area_init(fs, b->data, &a);
	dir_area_format(&a);
	dir_block_tail_init(fs, b->data);
	dir_area_insert(&a, 0, e);
	cache_put(b);
	return 0;
}

int dir_linear_insert(struct handle *h, struct inode *dir, const struct dir_ent *e)
{
	struct search s = { 0 };
	struct buf *b;
	int err = search(dir, e, &s);

	if (!err && s.room_buf)
		err = insert_in_room(h, dir, &s, e);
	cache_put(s.room_buf);
	if (err || s.room_buf)
		return err;
	if (!dir_hash_ordered(dir))
		return append(h, dir, e);
	err = dir_block_read(dir, 0, BUF_DIR, &b);
	if (err)
		return err;
	err = htree_convert(h, dir, b, e);
	cache_put(b);
	return err;
}
