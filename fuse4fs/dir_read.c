/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listing a directory, from a cookie that needs no state here.
 *
 * Cookies: 0 start, 1 after ".", 2 after "..", then
 *   in hash order   KEY_BASE + key + 1, key with the rank among equals (dir_sort.h);
 *   in block order  1 + byte offset of the entry (inline: as if it were in a block).
 * Neither moves when other entries come and go: in hash order an entry's key depends on
 * its name, in block order entries do not move. So every entry that stays is met once.
 *
 * In hash order the leaf that covers the cookie, with the leaves that continue it, is
 * sorted in memory, and what was emitted before is left out. All in bounded memory.
 */
#include "../transport/blkdev.h"
#include "dir_inline.h"
#include "dir_sort.h"
#include "htree.h"

enum { COOKIE_DOT = 1, COOKIE_DOTDOT = 2, KEY_BASE = 3 };

struct reader {
	struct inode *dir;
	dir_emit emit;
	void *arg;
	uint64_t cookie;	/* only entries with cookies above this */
	bool stopped;		/* emit had enough */
	bool emitted;
	uint8_t version;	/* of the hash */
	struct dir_sort sort;
};

static bool emit(struct reader *r, const char *name, size_t len, uint32_t ino, uint8_t ftype,
		 uint64_t next)
{
	const struct fs *fs = r->dir->fs;

	if (!fs->has_filetype || ftype >= EXT2_FT_MAX)
		ftype = EXT2_FT_UNKNOWN;
	if (!r->emit(r->arg, name, len, ino, ftype, next)) {
		r->stopped = true;
		return false;
	}
	r->emitted = true;
	r->cookie = next;
	return true;
}

static int read_dots(struct reader *r)
{
	uint32_t parent;
	int err;

	if (r->cookie < COOKIE_DOT && !emit(r, ".", 1, r->dir->ino, EXT2_FT_DIR, COOKIE_DOT))
		return 0;
	if (r->cookie >= COOKIE_DOTDOT)
		return 0;
	err = dir_get_parent(r->dir, &parent);
	if (err && err != -EUCLEAN)
		return err;
	if (err)
		r->cookie = COOKIE_DOTDOT;
	else
		emit(r, "..", 2, parent, EXT2_FT_DIR, COOKIE_DOTDOT);
	return 0;
}

/* Not empty, no NUL, no slash. */
static bool name_possible(const char *name, size_t len)
{
	bool bad = len == 0;

	for (size_t i = 0; i < len; i++)
		bad |= !name[i] || name[i] == '/';
	return !bad;
}

/* An entry to be listed? What cannot be is logged. */
static bool rec_listable(struct reader *r, const struct dir_rec *rec, uint32_t lblk,
			 const struct buf *b)
{
	if (!rec->ino)
		return false;
	if (!name_possible(rec->name, rec->name_len)) {
		dir_damaged(r->dir, lblk, b, "entry with an impossible name");
		return false;
	}
	if (dir_name_is_dots(rec->name, rec->name_len))
		return false;
	return dir_check_child(r->dir, lblk, b, rec->ino) == 0;
}

/*
 * Block order.
 */

/* Emits what lies above the cookie; `base` makes offsets positions in the directory. */
static int linear_area(struct reader *r, const struct dir_area *a, uint64_t base,
		       uint32_t lblk, const struct buf *b)
{
	struct dir_rec rec;

	for (uint32_t off = a->start; off < a->end; off += rec.len) {
		if (!dir_rec_get(a, off, &rec))
			return dir_damaged(r->dir, lblk, b, "malformed entry");
		if (base + off + 1 <= r->cookie || !rec_listable(r, &rec, lblk, b))
			continue;
		if (!emit(r, rec.name, rec.name_len, rec.ino, rec.ftype, base + off + 1))
			break;
	}
	return 0;
}

static int read_linear(struct reader *r)
{
	unsigned bits = r->dir->fs->block_bits;
	uint64_t first = r->cookie >> bits;
	struct dir_walk w;
	struct dir_area a;
	struct buf *b;
	uint32_t lblk;
	int more = 0;

	dir_walk_init(&w, r->dir, 0);
	if (first >= w.nblks)
		return 0;
	w.next = first;
	w.left = w.nblks - first;
	while (!r->stopped && (more = dir_walk_next(&w, &b, &lblk, &a)) > 0) {
		linear_area(r, &a, (uint64_t)lblk << bits, lblk, b);
		cache_put(b);
	}
	return more < 0 ? more : 0;
}

static void inline_linear(struct reader *r, const struct dir_inline *in)
{
	struct dir_area a;

	for (unsigned i = 0; i < DIR_INLINE_AREAS && !r->stopped; i++)
		if (dir_inline_area(in, i, &a))
			linear_area(r, &a, DIR_INLINE_SHIFT, 0, NULL);
}

/*
 * Hash order.
 */

/* Entries on their way into the sort: their names are hashed together. */
struct batch {
	struct dir_name names[DIR_HASH_BATCH];
	uint32_t offs[DIR_HASH_BATCH];
	unsigned n;
};

/* Those with a key of `below` or more are not where a search would find them. */
static void sort_batch(struct reader *r, struct batch *batch, uint32_t lblk, const struct buf *b,
		       uint64_t below)
{
	uint64_t keys[DIR_HASH_BATCH];

	dir_hash_keys(r->dir->fs, r->version, batch->names, batch->n, keys);
	for (unsigned i = 0; i < batch->n; i++) {
		if (keys[i] < below)
			dir_sort_add(&r->sort, keys[i], lblk, batch->offs[i]);
		else
			dir_damaged(r->dir, lblk, b, "entry outside the range of its leaf");
	}
	batch->n = 0;
}

/* Puts an area's entries into the sort. */
static void collect(struct reader *r, const struct dir_area *a, uint32_t lblk,
		    const struct buf *b, uint64_t below)
{
	struct batch batch = { .n = 0 };
	struct dir_rec rec;

	for (uint32_t off = a->start; off < a->end; off += rec.len) {
		if (!dir_rec_get(a, off, &rec)) {
			dir_damaged(r->dir, lblk, b, "malformed entry");
			break;
		}
		if (!rec.ino || !rec.name_len || dir_name_is_dots(rec.name, rec.name_len))
			continue;
		batch.names[batch.n] = (struct dir_name){ rec.name, rec.name_len };
		batch.offs[batch.n++] = off;
		if (batch.n == DIR_HASH_BATCH)
			sort_batch(r, &batch, lblk, b, below);
	}
	sort_batch(r, &batch, lblk, b, below);
}

/* The records that sort entries point at: an inline copy, or blocks, one held at a time. */
struct rec_source {
	const struct dir_inline *in;
	struct buf *buf;
	uint32_t lblk;
	struct dir_area area;
};

static int source_get(struct reader *r, struct rec_source *src, const struct sort_ent *e,
		      struct dir_rec *ret)
{
	int err;

	if (src->in) {
		src->area = (struct dir_area){ .data = src->in->buf, .end = src->in->used };
	} else if (!src->buf || src->lblk != e->lblk) {
		cache_put(src->buf);
		src->buf = NULL;
		err = dir_block_read(r->dir, e->lblk, BUF_DIR, &src->buf);
		if (err)
			return err;
		src->lblk = e->lblk;
		dir_block_area_init(r->dir->fs, src->buf->data, &src->area);
	}
	return dir_rec_get(&src->area, e->off, ret) ? 0 : -EUCLEAN;
}

static int emit_sorted(struct reader *r, struct rec_source *src)
{
	struct dir_rec rec;
	int err;

	dir_sort_finish(&r->sort);
	if (r->sort.overrun)
		dir_damaged(r->dir, 0, NULL, "too many names with one hash, some are not listed");
	for (unsigned i = 0; i < r->sort.n && !r->stopped; i++) {
		const struct sort_ent *e = &r->sort.v[i];

		if (e->key + KEY_BASE < r->cookie)
			continue;
		err = source_get(r, src, e, &rec);
		if (err && err != -EUCLEAN)
			return err;
		if (!err && rec_listable(r, &rec, e->lblk, src->buf))
			emit(r, rec.name, rec.name_len, rec.ino, rec.ftype, e->key + KEY_BASE + 1);
	}
	return 0;
}

static uint64_t first_key(const struct reader *r)
{
	return r->cookie > KEY_BASE ? r->cookie - KEY_BASE : 0;
}

/* All entries are in one place: inline, or the only block. Goes over it again while
 * some did not fit into the sort. */
static int read_one(struct reader *r, struct rec_source *src, const struct dir_area *areas,
		    unsigned n)
{
	uint64_t from = first_key(r);
	int err = 0;

	while (!err && !r->stopped && from != UINT64_MAX) {
		dir_sort_reset(&r->sort, from);
		for (unsigned i = 0; i < n; i++)
			collect(r, &areas[i], 0, src->buf, DIR_KEY_END);
		err = emit_sorted(r, src);
		from = r->sort.limit;
	}
	return err;
}

static int read_single(struct reader *r)
{
	struct rec_source src = { .lblk = 0 };
	int err = dir_block_read(r->dir, 0, BUF_DIR, &src.buf);

	if (err)
		return err == -EUCLEAN ? 0 : err;
	err = dir_block_area(r->dir, 0, src.buf, &src.area);
	if (!err)
		err = read_one(r, &src, &src.area, 1);
	cache_put(src.buf);
	return err == -EUCLEAN ? 0 : err;
}

static int read_inline(struct reader *r)
{
	struct dir_area areas[DIR_INLINE_AREAS];
	struct dir_inline in;
	struct rec_source src = { .in = &in };
	unsigned n = 0;
	int err = dir_inline_load(r->dir, &in);

	if (err)
		return err == -EUCLEAN ? 0 : err;
	for (unsigned i = 0; i < DIR_INLINE_AREAS; i++)
		n += dir_inline_area(&in, i, &areas[n]);
	if (dir_hash_ordered(r->dir))
		err = read_one(r, &src, areas, n);
	else
		inline_linear(r, &in);
	dir_inline_drop(&in);
	return err;
}

/* Will the whole directory stay in the cache until it has been listed? */
static bool fits_cache(const struct inode *dir)
{
	enum { CACHE_DEFAULT = 32 << 20, SHARE = 2 };
	size_t cache = dir->fs->opt.cache_bytes;

	return dir->size <= (cache ? cache : CACHE_DEFAULT) / SHARE;
}

/*
 * Reads ahead when the path's leaf is not cached: whole windows of a directory that
 * fits the cache, as all of it will be used; else only the leaves that come next.
 */
static void prefetch_leaves(struct htree_path *p)
{
	struct fs *fs = p->dir->fs;
	const struct htree_frame *f = &p->frames[p->depth - 1];
	struct run run;
	struct buf *b;

	if (map_lookup(p->dir, p->leaf, &run) || (run.flags & RUN_HOLE))
		return;
	b = cache_peek(fs->cache, run.pblk);
	cache_put(b);
	if (b)
		return;
	if (fits_cache(p->dir)) {
		dir_block_prefetch(p->dir, p->leaf);
		return;
	}
	for (unsigned i = f->at; i < f->count && i < f->at + DIR_PREFETCH; i++)
		if (!map_lookup(p->dir, htree_entry_block(&f->entries[i]), &run) &&
		    !(run.flags & RUN_HOLE))
			blkdev_prefetch(fs->dev, fs_off(fs, run.pblk), fs->block_size);
}

/* First key that is not in the path's leaf. */
static uint64_t leaf_end(const struct htree_path *p)
{
	if (!p->has_upper)
		return DIR_KEY_END;
	/* With bit 0 set the leaf holds names of the next one's hash, too. */
	return ((uint64_t)(p->upper >> 1) + (p->upper & 1)) << 32;
}

static int collect_leaf(struct reader *r, struct htree_path *p)
{
	struct dir_area a;
	struct buf *b;
	int err;

	prefetch_leaves(p);
	err = dir_block_read(r->dir, p->leaf, BUF_DIR, &b);
	if (err)
		return err;
	err = dir_block_area(r->dir, p->leaf, b, &a);
	if (!err)
		collect(r, &a, p->leaf, b, leaf_end(p));
	cache_put(b);
	return err;
}

/*
 * The leaf at `from` and those that continue it. *ret_end: the key after them. Damage
 * costs what it hits; the path tells where to go on.
 */
static int collect_group(struct reader *r, struct htree_path *p, uint64_t from,
			 uint64_t *ret_end)
{
	unsigned steps = 0;
	int err, more = 1;

	dir_sort_reset(&r->sort, from);
	err = htree_seek(p, (uint32_t)(from >> 32) << 1);
	if (err && err != -EUCLEAN)
		return err;
	while (!err && more > 0) {
		err = collect_leaf(r, p);
		if (err && err != -EUCLEAN)
			return err;
		err = 0;
		if (!p->has_upper || !(p->upper & 1) || ++steps > HTREE_CHAIN_MAX)
			break;
		more = htree_next(p);
		if (more < 0 && more != -EUCLEAN)
			return more;
	}
	*ret_end = leaf_end(p);
	return 0;
}

static int read_groups(struct reader *r, struct htree_path *p)
{
	struct rec_source src = { 0 };
	uint64_t from = first_key(r), end;
	int err = 0;

	while (!r->stopped && from < DIR_KEY_END) {
		err = collect_group(r, p, from, &end);
		if (!err)
			err = emit_sorted(r, &src);
		if (err)
			break;
		if (r->sort.limit != UINT64_MAX)
			end = MIN(end, r->sort.limit);
		if (end <= from) {
			dir_damaged(r->dir, p->leaf, NULL, "index out of order");
			break;
		}
		from = end;
	}
	cache_put(src.buf);
	return err;
}

static int read_indexed(struct reader *r)
{
	struct htree_path p;
	int err = htree_open(r->dir, &p);

	if (err == -EUCLEAN || err == -EOPNOTSUPP)
		return read_linear(r);
	if (err)
		return err;
	r->version = p.version;
	err = read_groups(r, &p);
	htree_close(&p);
	return err;
}

static int read_entries(struct reader *r)
{
	if (inode_is_inline(r->dir))
		return read_inline(r);
	if (dir_is_indexed(r->dir) && dir_hash_ordered(r->dir))
		return read_indexed(r);
	return dir_hash_ordered(r->dir) ? read_single(r) : read_linear(r);
}

int dir_read(struct inode *dir, uint64_t cookie, dir_emit emit_entry, void *arg)
{
	const struct fs *fs = dir->fs;
	struct reader r = {
		.dir = dir, .emit = emit_entry, .arg = arg, .cookie = cookie,
		.version = fs->def_hash_version,
	};
	int err;

	if (dir_is_foreign(dir))
		return -EOPNOTSUPP;
	err = read_dots(&r);
	if (err || r.stopped)
		return r.emitted ? 0 : err;
	err = dir_sort_init(&r.sort, 2 * fs->block_size / DIR_REC_MIN);
	if (!err)
		err = read_entries(&r);
	dir_sort_fini(&r.sort);
	return r.emitted ? 0 : err;
}
