/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inserting into a hash index.
 *
 * Read and check the way down, plan the split of the leaf and of every full node above
 * it, allocate the blocks, mark all of it dirty, store the inode; only then change bytes,
 * from the root down, with nothing left that can fail.
 */
#include "htree.h"
#include "htree_split.h"
#include "txn.h"

struct insertion {
	struct handle *h;
	struct inode *dir;
	const struct dir_ent *e;
	struct htree_path path;
	struct dir_hash hash;
	struct buf *leaf;
	struct dir_area area;
	struct dir_scan scan;
	struct split_plan split;
	bool planned;
	/* New blocks: [0] the leaf, then one per index block, from the top down. */
	struct buf *new_bufs[DIR_NEW_MAX];
	unsigned n_new;
};

static void insertion_fini(struct insertion *in)
{
	if (in->planned)
		split_plan_fini(&in->split);
	cache_put(in->leaf);
	htree_close(&in->path);
}

/* Is the name in one of the leaves that continue the first? */
static int chain_check(struct insertion *in)
{
	struct dir_slot slot;
	int err;

	if (!htree_continues(&in->path, in->hash.major))
		return 0;
	err = htree_find(in->dir, in->e->name, in->e->len, &slot);
	if (err)
		return err == -ENOENT ? 0 : err;
	cache_put(slot.buf);
	return -EEXIST;
}

static int insertion_load(struct insertion *in)
{
	struct inode *dir = in->dir;
	int err = htree_open(dir, &in->path);

	if (err)
		return err;
	in->hash = dir_hash(dir->fs, in->path.version, in->e->name, in->e->len);
	err = htree_seek(&in->path, in->hash.major);
	if (!err)
		err = htree_check_miss(&in->path);
	if (err)
		return err;
	err = dir_block_read(dir, in->path.leaf, BUF_DIR, &in->leaf);
	if (err)
		return err;
	err = dir_block_area(dir, in->path.leaf, in->leaf, &in->area);
	if (err)
		return err;
	err = dir_area_scan(&in->area, in->e->name, in->e->len, &in->scan);
	if (err)
		return dir_damaged(dir, in->path.leaf, in->leaf, "malformed entry");
	return in->scan.found ? -EEXIST : chain_check(in);
}

/* The leaf has room, as it is or packed. */
static int insert_in_place(struct insertion *in)
{
	int err = txn_dirty(in->h, in->leaf);

	if (!err)
		err = dir_store(in->h, in->dir, 0, in->dir->flags);
	if (err)
		return err;
	if (!in->scan.room) {
		dir_area_pack(&in->area);
		dir_area_scan(&in->area, in->e->name, in->e->len, &in->scan);
	}
	dir_area_insert(&in->area, in->scan.room_off, in->e);
	return 0;
}

/* Between its neighbours; equal to one only as part of a chain (bit 0). */
static int bound_check(struct insertion *in)
{
	const struct htree_frame *f = &in->path.frames[in->path.depth - 1];
	uint32_t low = f->at ? htree_entry_hash(&f->entries[f->at]) : 0;
	uint32_t bound = in->split.bound, slack = bound & 1;

	if ((f->at && bound + slack <= low) ||
	    (in->path.has_upper && bound >= in->path.upper + slack))
		return dir_damaged(in->dir, in->path.leaf, in->leaf,
				   "entries outside the range of their leaf");
	return 0;
}

/* The lowest index level with room for one more entry, -1 if there is none. */
static int level_with_room(const struct htree_path *p)
{
	int i = p->depth - 1;

	while (i >= 0 && p->frames[i].count == p->frames[i].limit)
		i--;
	return i;
}

static int split_prepare(struct insertion *in, int level)
{
	static const enum buf_kind kinds[DIR_NEW_MAX] = {
		BUF_DIR, BUF_DX, BUF_DX, BUF_DX,
	};
	struct htree_path *p = &in->path;
	struct inode *dir = in->dir;
	int err;

	for (unsigned i = MAX(level, 0); i < p->depth; i++) {
		err = htree_check_node(p, i);
		if (err)
			return err;
	}
	err = split_plan_init(&in->split, dir->fs, p->version, &in->area, in->e,
			      in->area.end);
	if (err == -EUCLEAN)
		return dir_damaged(dir, p->leaf, in->leaf, "leaf that cannot be split");
	if (err)
		return err;
	in->planned = true;
	err = bound_check(in);
	if (err)
		return err;
	in->n_new = 1 + (p->depth - 1 - level);
	return dir_blocks_new(in->h, dir, in->n_new, kinds, in->new_bufs);
}

static int split_dirty(struct insertion *in, int level)
{
	struct inode *dir = in->dir;
	int err = txn_dirty(in->h, in->leaf);

	for (unsigned i = MAX(level, 0); !err && i < in->path.depth; i++)
		err = txn_dirty(in->h, in->path.frames[i].buf);
	if (err)
		return err;
	return dir_store(in->h, dir, dir->size + ((uint64_t)in->n_new << dir->fs->block_bits),
			 dir->flags);
}

static void frame_add(struct htree_frame *f, unsigned at, uint32_t hash, uint32_t lblk)
{
	memmove(&f->entries[at + 1], &f->entries[at], (f->count - at) * sizeof(f->entries[0]));
	f->entries[at].hash = htole32(hash);
	f->entries[at].block = htole32(lblk);
	htree_set_count(f->entries, ++f->count);
}

/* An empty node in b, held by f. */
static void frame_new(const struct fs *fs, struct htree_frame *f, struct buf *b, uint32_t lblk)
{
	struct dir_area a;

	dir_block_area_init(fs, b->data, &a);
	dir_rec_set_len(&a, b->data, fs->block_size);
	f->buf = b;
	f->lblk = lblk;
	f->entries = (struct ext2_dx_entry *)(b->data + HTREE_NODE_ENTRIES);
	f->limit = htree_limit_at(fs, HTREE_NODE_ENTRIES);
	f->count = 0;
	f->at = 0;
	htree_set_limit(f->entries, f->limit);
}

static void frame_copy(struct htree_frame *to, const struct htree_frame *from, unsigned first)
{
	to->count = from->count - first;
	memcpy(to->entries, from->entries + first, to->count * sizeof(to->entries[0]));
	htree_set_limit(to->entries, to->limit);
	htree_set_count(to->entries, to->count);
}

/* The root's entries move into a new node below it. Consumes b. */
static void root_grow(struct insertion *in, struct buf *b, uint32_t lblk)
{
	struct htree_path *p = &in->path;
	struct htree_frame *root = &p->frames[0];

	memmove(&p->frames[2], &p->frames[1], (p->depth - 1) * sizeof(p->frames[0]));
	frame_new(in->dir->fs, &p->frames[1], b, lblk);
	frame_copy(&p->frames[1], root, 0);
	p->frames[1].at = root->at;
	root->at = 0;
	root->count = 1;
	htree_set_count(root->entries, 1);
	root->entries[0].block = htole32(lblk);
	root->buf->data[HTREE_ROOT_INFO + offsetof(struct ext2_dx_root_info, indirect_levels)]++;
	p->depth++;
}

/* The upper half of frames[level] moves into a new node beside it. Consumes b. */
static void node_split(struct insertion *in, unsigned level, struct buf *b, uint32_t lblk)
{
	struct htree_frame *f = &in->path.frames[level], *up = f - 1, right;
	unsigned half = f->count / 2;
	uint32_t hash = htree_entry_hash(&f->entries[half]);

	frame_new(in->dir->fs, &right, b, lblk);
	frame_copy(&right, f, half);
	f->count = half;
	htree_set_count(f->entries, half);
	frame_add(up, up->at + 1, hash, lblk);
	if (f->at < half) {
		cache_put(b);
		return;
	}
	right.at = f->at - half;
	cache_put(f->buf);
	*f = right;
	up->at++;
}

static void split_apply(struct insertion *in, int level)
{
	const struct fs *fs = in->dir->fs;
	struct htree_path *p = &in->path;
	uint32_t lblk = dir_nblks(in->dir) - in->n_new;
	unsigned used = 1;
	struct htree_frame *f;
	struct dir_area right;

	if (level < 0) {
		root_grow(in, in->new_bufs[used], lblk + used);
		used++;
		level = 1;
	}
	for (unsigned i = level + 1; i < p->depth; i++, used++)
		node_split(in, i, in->new_bufs[used], lblk + used);
	dir_block_area_init(fs, in->new_bufs[0]->data, &right);
	split_build(&in->split, true, &right);
	dir_block_tail_init(fs, in->new_bufs[0]->data);
	split_build(&in->split, false, &in->area);
	f = &p->frames[p->depth - 1];
	frame_add(f, f->at + 1, in->split.bound, lblk);
	cache_put(in->new_bufs[0]);
}

static int insert_by_split(struct insertion *in)
{
	const struct fs *fs = in->dir->fs;
	int level = level_with_room(&in->path), err;

	if (level < 0 && in->path.depth >= htree_max_levels(fs)) {
		fs_log(in->dir->fs, FS_LOG_WARN, "directory inode %u: directory index full%s",
		       in->dir->ino, fs->has_large_dir ? "" : " (large_dir would allow more)");
		return -ENOSPC;
	}
	err = split_prepare(in, level);
	if (err)
		return err;
	err = split_dirty(in, level);
	if (err) {
		dir_blocks_undo(in->h, in->dir, in->n_new, in->new_bufs);
		return err;
	}
	split_apply(in, level);
	return 0;
}

int htree_insert(struct handle *h, struct inode *dir, const struct dir_ent *e)
{
	struct insertion in = { .h = h, .dir = dir, .e = e };
	uint32_t need = dir_rec_need(e->len);
	int err = insertion_load(&in);

	if (!err && (in.scan.room || in.scan.used + need <= in.area.end))
		err = insert_in_place(&in);
	else if (!err)
		err = insert_by_split(&in);
	insertion_fini(&in);
	return err;
}
