/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding one's way in a hash index.
 *
 * Every step checks what it uses: limit and count of the node, the block number it
 * follows, that no block is met twice on the way. Disorder among the hashes of a node
 * can only lead to the wrong leaf, never out of bounds; so all of a node is checked only
 * before it is changed, and before "no such name" where there are no checksums.
 */
#include "htree.h"

unsigned htree_limit_at(const struct fs *fs, unsigned entries_off)
{
	unsigned room = fs->block_size - entries_off;

	if (fs->has_csum)
		room -= sizeof(struct ext2_dx_tail);
	return room / sizeof(struct ext2_dx_entry);
}

static int frame_load(struct htree_path *p, struct htree_frame *f, unsigned entries_off)
{
	const struct fs *fs = p->dir->fs;

	f->entries = (struct ext2_dx_entry *)(f->buf->data + entries_off);
	f->limit = htree_limit(f->entries);
	f->count = htree_count(f->entries);
	if (f->limit != htree_limit_at(fs, entries_off))
		return dir_damaged(p->dir, f->lblk, f->buf, "index node with a wrong limit");
	if (f->count == 0 || f->count > f->limit)
		return dir_damaged(p->dir, f->lblk, f->buf, "index node with a wrong count");
	return 0;
}

static int root_check(struct htree_path *p)
{
	struct htree_frame *f = &p->frames[0];
	struct ext2_dx_root_info info;
	int err;

	memcpy(&info, f->buf->data + HTREE_ROOT_INFO, sizeof(info));
	if (info.info_length != sizeof(info) || (info.unused_flags & EXT2_HASH_FLAG_INCOMPAT))
		return dir_damaged(p->dir, 0, f->buf, "index root of an unknown form");
	if (info.indirect_levels >= htree_max_levels(p->dir->fs))
		return dir_damaged(p->dir, 0, f->buf, "index of too many levels");
	err = frame_load(p, f, HTREE_ROOT_ENTRIES);
	if (err)
		return err;
	p->depth = info.indirect_levels + 1;
	return dir_hash_version(p->dir->fs, info.hash_version, &p->version);
}

int htree_open(struct inode *dir, struct htree_path *p)
{
	int err;

	p->dir = dir;
	for (unsigned i = 0; i < HTREE_LEVELS; i++)
		p->frames[i].buf = NULL;
	if (!dir->fs->has_dir_index)
		return dir_damaged(dir, 0, NULL, "indexed, but the file system has no dir_index");
	err = dir_block_read(dir, 0, BUF_DX, &p->frames[0].buf);
	if (err)
		return err;
	p->frames[0].lblk = 0;
	err = root_check(p);
	if (err)
		htree_close(p);
	return err;
}

void htree_close(struct htree_path *p)
{
	for (unsigned i = 0; i < HTREE_LEVELS; i++) {
		cache_put(p->frames[i].buf);
		p->frames[i].buf = NULL;
	}
}

/* The last entry whose hash is <= major; 0 if none is. */
static unsigned frame_search(const struct htree_frame *f, uint32_t major)
{
	unsigned lo = 0, hi = f->count;

	while (hi - lo > 1) {
		unsigned mid = lo + (hi - lo) / 2;

		if (htree_entry_hash(&f->entries[mid]) <= major)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static void note_upper(struct htree_path *p, const struct htree_frame *f)
{
	if (f->at + 1 < f->count) {
		p->upper = htree_entry_hash(&f->entries[f->at + 1]);
		p->has_upper = true;
	}
}

/* The block that frames[level] points to, checked. */
static int frame_child(struct htree_path *p, unsigned level, uint32_t *ret)
{
	const struct htree_frame *f = &p->frames[level];
	uint32_t lblk = htree_entry_block(&f->entries[f->at]);

	if (lblk == 0 || lblk >= dir_nblks(p->dir))
		return dir_damaged(p->dir, f->lblk, f->buf, "index entry beyond the directory");
	for (unsigned i = 0; i <= level; i++)
		if (p->frames[i].lblk == lblk)
			return dir_damaged(p->dir, f->lblk, f->buf, "index points back at itself");
	*ret = lblk;
	return 0;
}

static int frame_descend(struct htree_path *p, unsigned level)
{
	struct htree_frame *f = &p->frames[level + 1];
	uint32_t lblk;
	int err = frame_child(p, level, &lblk);

	if (err)
		return err;
	if (f->buf && f->lblk == lblk)
		return 0;
	cache_put(f->buf);
	f->buf = NULL;
	err = dir_block_read(p->dir, lblk, BUF_DX, &f->buf);
	if (err)
		return err;
	f->lblk = lblk;
	err = frame_load(p, f, HTREE_NODE_ENTRIES);
	if (err) {
		cache_put(f->buf);
		f->buf = NULL;
	}
	return err;
}

int htree_seek(struct htree_path *p, uint32_t major)
{
	int err;

	p->has_upper = false;
	for (unsigned i = 0;; i++) {
		p->frames[i].at = frame_search(&p->frames[i], major);
		note_upper(p, &p->frames[i]);
		if (i + 1 == p->depth)
			return frame_child(p, i, &p->leaf);
		err = frame_descend(p, i);
		if (err)
			return err;
	}
}

int htree_next(struct htree_path *p)
{
	unsigned i = p->depth;
	int err;

	while (i > 0 && p->frames[i - 1].at + 1 >= p->frames[i - 1].count)
		i--;
	if (i == 0)
		return 0;
	p->frames[i - 1].at++;
	for (; i < p->depth; i++) {
		err = frame_descend(p, i - 1);
		if (err)
			return err;
		p->frames[i].at = 0;
	}
	p->has_upper = false;
	for (i = 0; i < p->depth; i++)
		note_upper(p, &p->frames[i]);
	err = frame_child(p, p->depth - 1, &p->leaf);
	return err ? err : 1;
}

int htree_check_node(struct htree_path *p, unsigned level)
{
	const struct htree_frame *f = &p->frames[level];
	uint32_t nblks = dir_nblks(p->dir), prev = 0;

	for (unsigned i = 0; i < f->count; i++) {
		uint32_t hash = i ? htree_entry_hash(&f->entries[i]) : 0;
		uint32_t lblk = htree_entry_block(&f->entries[i]);

		if (hash < prev || lblk == 0 || lblk >= nblks)
			return dir_damaged(p->dir, f->lblk, f->buf, "index node out of order");
		prev = hash;
	}
	return 0;
}

int htree_check_miss(struct htree_path *p)
{
	int err = 0;

	for (unsigned i = 0; !err && !p->dir->fs->has_csum && i < p->depth; i++)
		err = htree_check_node(p, i);
	return err;
}

static int leaf_find(struct inode *dir, uint32_t lblk, const char *name, size_t len,
		     struct dir_slot *ret)
{
	struct buf *b;
	int err = dir_block_read(dir, lblk, BUF_DIR, &b);

	if (err)
		return err;
	err = dir_block_area(dir, lblk, b, &ret->area);
	if (!err) {
		err = dir_area_find(&ret->area, name, len, &ret->pos);
		if (err == -EUCLEAN)
			dir_damaged(dir, lblk, b, "malformed entry");
	}
	if (err) {
		cache_put(b);
		return err;
	}
	ret->buf = b;
	ret->lblk = lblk;
	return 0;
}

int htree_find(struct inode *dir, const char *name, size_t len, struct dir_slot *ret)
{
	struct htree_path p;
	struct dir_hash hash;
	unsigned steps = 0;
	int err = htree_open(dir, &p), more;

	if (err)
		return err;
	hash = dir_hash(dir->fs, p.version, name, len);
	err = htree_seek(&p, hash.major);
	while (!err) {
		err = leaf_find(dir, p.leaf, name, len, ret);
		if (err != -ENOENT || !htree_continues(&p, hash.major))
			break;
		more = ++steps > HTREE_CHAIN_MAX ? -ENOENT : htree_next(&p);
		err = more > 0 ? 0 : more ? more : -ENOENT;
	}
	if (err == -ENOENT && htree_check_miss(&p))
		err = -EUCLEAN;
	htree_close(&p);
	return err;
}

unsigned htree_new_blocks(struct inode *dir)
{
	enum { SLACK = 4 };	/* the root may fill a little until the insertion */
	struct htree_path p;
	unsigned n;

	if (htree_open(dir, &p))
		return 0;
	n = p.depth + (p.frames[0].count + SLACK >= p.frames[0].limit);
	htree_close(&p);
	return n;
}
