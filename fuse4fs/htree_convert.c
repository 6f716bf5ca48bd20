/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From one block to an index: block 0 becomes the root, its entries go to two leaves.
 */
#include "htree.h"
#include "htree_split.h"
#include "txn.h"

enum { LEFT_LBLK = 1, RIGHT_LBLK = 2, N_LEAVES = 2 };

/* Root with "." and "..", hash information and two entries. */
static void root_build(const struct inode *dir, struct buf *root, uint32_t parent,
		       uint32_t bound)
{
	const struct fs *fs = dir->fs;
	struct ext2_dx_root_info info = {
		.hash_version = dir_hash_stored(fs->def_hash_version),
		.info_length = sizeof(info),
	};
	struct ext2_dx_entry *e = (struct ext2_dx_entry *)(root->data + HTREE_ROOT_ENTRIES);
	struct dir_area a;

	dir_block_area_init(fs, root->data, &a);
	memset(root->data, 0, fs->block_size);
	dir_block_dots_init(dir, &a, parent, fs->block_size - DIR_REC_MIN);
	memcpy(root->data + HTREE_ROOT_INFO, &info, sizeof(info));
	htree_set_limit(e, htree_limit_at(fs, HTREE_ROOT_ENTRIES));
	htree_set_count(e, N_LEAVES);
	e[0].block = htole32(LEFT_LBLK);
	e[1].hash = htole32(bound);
	e[1].block = htole32(RIGHT_LBLK);
}

static void convert_apply(struct inode *dir, struct buf *root, uint32_t parent,
			  const struct split_plan *s, struct buf **leaves)
{
	for (unsigned i = 0; i < N_LEAVES; i++) {
		struct dir_area a;

		dir_block_area_init(dir->fs, leaves[i]->data, &a);
		split_build(s, i, &a);
		dir_block_tail_init(dir->fs, leaves[i]->data);
		cache_put(leaves[i]);
	}
	buf_set_kind(root, BUF_DX, dir->csum_seed);
	root_build(dir, root, parent, s->bound);
}

static int convert_alloc(struct handle *h, struct inode *dir, struct buf *root,
			 struct buf **leaves)
{
	static const enum buf_kind kinds[N_LEAVES] = { BUF_DIR, BUF_DIR };
	uint64_t size = (uint64_t)(1 + N_LEAVES) << dir->fs->block_bits;
	int err = dir_blocks_new(h, dir, N_LEAVES, kinds, leaves);

	if (err)
		return err;
	err = txn_dirty(h, root);
	if (!err)
		err = dir_store(h, dir, size, dir->flags | EXT2_INDEX_FL);
	if (err)
		dir_blocks_undo(h, dir, N_LEAVES, leaves);
	return err;
}

int htree_convert(struct handle *h, struct inode *dir, struct buf *root, const struct dir_ent *e)
{
	struct fs *fs = dir->fs;
	struct buf *leaves[N_LEAVES];
	struct split_plan s;
	struct dir_area src;
	struct dir_rec dotdot;
	uint32_t off, room;
	int err = dir_block_dotdot(dir, root, &off);

	if (err)
		return err;
	dir_block_area_init(fs, root->data, &src);
	room = src.end;
	if (!dir_rec_get(&src, off, &dotdot))
		return dir_damaged(dir, 0, root, "malformed \"..\"");
	src.start = off + dotdot.len;
	err = split_plan_init(&s, fs, fs->def_hash_version, &src, e, room);
	if (err == -EUCLEAN)
		return dir_damaged(dir, 0, root, "entries that cannot be indexed");
	if (err)
		return err;
	err = convert_alloc(h, dir, root, leaves);
	if (!err)
		convert_apply(dir, root, dotdot.ino, &s, leaves);
	split_plan_fini(&s);
	return err;
}
