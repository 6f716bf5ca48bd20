/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Directories inside their inode. */
#include "dir_inline.h"
#include "inline.h"
#include "txn.h"

static int load_bytes(struct inode *dir, struct dir_inline *in)
{
	ssize_t n = inline_read(dir, in->buf, in->size, 0);

	if (n < 0)
		return n;
	if (n < DIR_INLINE_HEAD)
		return dir_damaged(dir, 0, NULL, "inline content too short");
	in->used = n;
	return 0;
}

int dir_inline_load(struct inode *dir, struct dir_inline *in)
{
	int err;

	in->heap = NULL;
	in->buf = in->small;
	in->size = sizeof(in->small);
	if (dir->fs->inode_size > in->size) {
		in->size = dir->fs->inode_size;
		in->buf = in->heap = malloc(in->size);
		if (!in->heap)
			return -ENOMEM;
	}
	err = load_bytes(dir, in);
	if (err)
		dir_inline_drop(in);
	return err;
}

void dir_inline_drop(struct dir_inline *in)
{
	free(in->heap);
	in->heap = NULL;
}

bool dir_inline_area(const struct dir_inline *in, unsigned i, struct dir_area *ret)
{
	static const uint32_t starts[DIR_INLINE_AREAS] = { DIR_INLINE_PARENT, DIR_INLINE_HEAD };

	*ret = (struct dir_area){
		.data = in->buf, .start = starts[i], .end = i ? in->used : DIR_INLINE_HEAD,
	};
	return ret->start < ret->end;
}

static int find(struct inode *dir, const struct dir_inline *in, const char *name, size_t len,
		struct dir_area *ret_area, struct dir_pos *ret_pos)
{
	bool damaged = false;

	for (unsigned i = 0; i < DIR_INLINE_AREAS; i++) {
		int err;

		if (!dir_inline_area(in, i, ret_area))
			continue;
		err = dir_area_find(ret_area, name, len, ret_pos);
		if (!err)
			return 0;
		damaged |= err == -EUCLEAN;
	}
	return damaged ? dir_damaged(dir, 0, NULL, "malformed inline entry") : -ENOENT;
}

int dir_inline_lookup(struct inode *dir, const char *name, size_t len, uint32_t *ret_ino,
		      uint8_t *ret_ftype)
{
	struct dir_inline in;
	struct dir_area a;
	struct dir_pos pos;
	int err = dir_inline_load(dir, &in);

	if (err)
		return err;
	err = find(dir, &in, name, len, &a, &pos);
	if (!err) {
		*ret_ino = get_le32(in.buf + pos.off);
		*ret_ftype = in.buf[pos.off + 7];
	}
	dir_inline_drop(&in);
	return err;
}

/* What a change in place may touch, to put it back when the inode cannot be stored. */
struct saved {
	uint8_t *raw;
	uint64_t size, blocks, version;
	uint32_t flags;
	struct timespec mtime, ctime;
};

static int save(struct inode *dir, struct saved *s)
{
	*s = (struct saved){
		.raw = malloc(dir->fs->inode_size), .size = dir->size, .blocks = dir->blocks,
		.version = dir->version, .flags = dir->flags, .mtime = dir->mtime,
		.ctime = dir->ctime,
	};
	if (!s->raw)
		return -ENOMEM;
	memcpy(s->raw, dir->raw, dir->fs->inode_size);
	return 0;
}

static void restore(struct inode *dir, const struct saved *s)
{
	memcpy(dir->raw, s->raw, dir->fs->inode_size);
	dir->size = s->size;
	dir->blocks = s->blocks;
	dir->version = s->version;
	dir->flags = s->flags;
	dir->mtime = s->mtime;
	dir->ctime = s->ctime;
}

/* Writes the copy back. Times and version change if `touch`. */
static int store(struct handle *h, struct inode *dir, const struct dir_inline *in, bool touch)
{
	struct saved old;
	int err = save(dir, &old);

	if (err)
		return err;
	dir->size = in->used;
	if (touch) {
		dir->mtime = dir->ctime = fs_now();
		dir->version++;
	}
	err = inline_write(h, dir, in->buf, in->used);
	if (err)
		restore(dir, &old);
	free(old.raw);
	return err;
}

/* Lengthens system.data by one unused record of `need` bytes. */
static int grow(struct inode *dir, struct dir_inline *in, uint32_t need, struct dir_area *ret)
{
	size_t used, max;
	int err = inline_capacity(dir, &used, &max);

	if (err)
		return err;
	if (in->used % 4 || in->used + need > max || in->used + need > in->size)
		return -ENOSPC;
	*ret = (struct dir_area){ in->buf, in->used, in->used + need, 0 };
	dir_area_format(ret);
	in->used += need;
	return 0;
}

/* Where e goes: a record with room in *ret_area at *ret_off. */
static int make_room(struct inode *dir, struct dir_inline *in, const struct dir_ent *e,
		     struct dir_area *ret_area, uint32_t *ret_off)
{
	uint32_t need = dir_rec_need(e->len);
	struct dir_area a, room = { 0 };
	struct dir_scan s;

	for (unsigned i = 0; i < DIR_INLINE_AREAS; i++) {
		if (!dir_inline_area(in, i, &a))
			continue;
		if (dir_area_scan(&a, e->name, e->len, &s))
			return dir_damaged(dir, 0, NULL, "malformed inline entry");
		if (s.found)
			return -EEXIST;
		if (room.data)
			continue;
		if (!s.room && dir_hash_ordered(dir) && s.used + need <= a.end - a.start) {
			dir_area_pack(&a);
			dir_area_scan(&a, e->name, e->len, &s);
		}
		if (s.room) {
			room = a;
			*ret_off = s.room_off;
		}
	}
	if (!room.data) {
		int err = grow(dir, in, need, &room);

		if (err)
			return err;
		*ret_off = room.start;
	}
	*ret_area = room;
	return 0;
}

int dir_inline_insert(struct handle *h, struct inode *dir, const struct dir_ent *e)
{
	struct dir_inline in;
	struct dir_area a;
	uint32_t off = 0;
	int err = dir_inline_load(dir, &in);

	if (err)
		return err;
	err = make_room(dir, &in, e, &a, &off);
	if (!err) {
		dir_area_insert(&a, off, e);
		err = store(h, dir, &in, true);
	}
	dir_inline_drop(&in);
	return err;
}

int dir_inline_remove(struct handle *h, struct inode *dir, const char *name, size_t len)
{
	struct dir_inline in;
	struct dir_area a;
	struct dir_pos pos;
	int err = dir_inline_load(dir, &in);

	if (err)
		return err;
	err = find(dir, &in, name, len, &a, &pos);
	if (!err) {
		dir_area_delete(&a, pos);
		err = store(h, dir, &in, true);
	}
	dir_inline_drop(&in);
	return err;
}

int dir_inline_replace(struct handle *h, struct inode *dir, const struct dir_ent *e)
{
	struct dir_inline in;
	struct dir_area a;
	struct dir_pos pos;
	int err = dir_inline_load(dir, &in);

	if (err)
		return err;
	err = find(dir, &in, e->name, e->len, &a, &pos);
	if (!err) {
		put_le32(in.buf + pos.off, e->ino);
		in.buf[pos.off + 7] = e->ftype;
		err = store(h, dir, &in, true);
	}
	dir_inline_drop(&in);
	return err;
}

int dir_inline_init(struct handle *h, struct inode *dir, uint32_t parent_ino)
{
	struct dir_inline in = { .buf = in.small, .used = DIR_INLINE_HEAD };
	struct dir_area a;

	put_le32(in.buf, parent_ino);
	dir_inline_area(&in, 0, &a);
	dir_area_format(&a);
	return store(h, dir, &in, false);
}

int dir_inline_set_parent(struct handle *h, struct inode *dir, uint32_t parent_ino)
{
	struct dir_inline in;
	int err = dir_inline_load(dir, &in);

	if (err)
		return err;
	put_le32(in.buf, parent_ino);
	err = store(h, dir, &in, false);
	dir_inline_drop(&in);
	return err;
}

static int area_is_empty(struct inode *dir, const struct dir_area *a)
{
	struct dir_rec rec;

	for (uint32_t off = a->start; off < a->end; off += rec.len) {
		if (!dir_rec_get(a, off, &rec))
			return dir_damaged(dir, 0, NULL, "malformed inline entry");
		if (rec.ino)
			return 0;
	}
	return 1;
}

int dir_inline_is_empty(struct inode *dir)
{
	struct dir_inline in;
	struct dir_area a;
	int ret = dir_inline_load(dir, &in);

	if (ret)
		return ret;
	ret = 1;
	for (unsigned i = 0; ret == 1 && i < DIR_INLINE_AREAS; i++)
		if (dir_inline_area(&in, i, &a))
			ret = area_is_empty(dir, &a);
	dir_inline_drop(&in);
	return ret;
}

/* Dots, then both parts as they are; the last record takes the rest of the block. */
static int block_build(struct inode *dir, const struct dir_inline *in, uint8_t *data)
{
	struct dir_area to, from;
	uint32_t off = 2 * DIR_REC_MIN, last = DIR_REC_MIN;
	struct dir_rec rec;

	dir_block_area_init(dir->fs, data, &to);
	if (in->used + DIR_INLINE_SHIFT > to.end)
		return -ENOSPC;
	dir_block_dots_init(dir, &to, get_le32(in->buf), DIR_REC_MIN);
	for (unsigned i = 0; i < DIR_INLINE_AREAS; i++) {
		if (!dir_inline_area(in, i, &from))
			continue;
		for (uint32_t at = from.start; at < from.end; at += rec.len) {
			if (!dir_rec_get(&from, at, &rec))
				return dir_damaged(dir, 0, NULL, "malformed inline entry");
			memcpy(data + off, in->buf + at, rec.len);
			dir_rec_set_len(&to, data + off, rec.len);
			last = off;
			off += rec.len;
		}
	}
	memset(data + off, 0, to.end - off);
	dir_rec_set_len(&to, data + last, to.end - last);
	dir_block_tail_init(dir->fs, data);
	return 0;
}

/* Drops the inline content and gets a block; the caller undoes it all on failure. */
static int convert_apply(struct handle *h, struct inode *dir, const uint8_t *image)
{
	struct fs *fs = dir->fs;
	struct buf *b;
	int err = inline_clear(h, dir);

	if (err)
		return err;
	err = map_new_block(h, dir, 0, BUF_DIR, &b);
	if (err)
		return err;
	memcpy(b->data, image, fs->block_size);
	cache_put(b);
	dir->size = fs->block_size;
	return inode_store(h, dir, true);
}

/* The inode holds everything, so its old bytes bring everything back. */
static int convert(struct handle *h, struct inode *dir, const uint8_t *image)
{
	struct saved old;
	int err = save(dir, &old);

	if (err)
		return err;
	err = convert_apply(h, dir, image);
	if (err) {
		restore(dir, &old);
		map_cache_drop(dir);
		if (inode_store(h, dir, true))
			fs_log(dir->fs, FS_LOG_WARN, "directory inode %u: not restored", dir->ino);
	}
	free(old.raw);
	return err;
}

int dir_inline_convert(struct handle *h, struct inode *dir)
{
	AUTOFREE uint8_t *image = NULL;
	struct dir_inline in;
	int err;

	err = dir_inline_load(dir, &in);
	if (err)
		return err;
	image = malloc(dir->fs->block_size);
	err = image ? block_build(dir, &in, image) : -ENOMEM;
	dir_inline_drop(&in);
	return err ? err : convert(h, dir, image);
}
