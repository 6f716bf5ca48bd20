/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inode numbers: allocated lowest first in their group, freed, and asked about.
 *
 * The part of an inode table behind the descriptor's itable_unused has never been used
 * and may hold anything. Crossing that border here clears the blocks crossed, in the
 * same transaction, which also saves reading them.
 */
#include <errno.h>
#include <inttypes.h>

#include "blkdev.h"
#include "ialloc_internal.h"
#include "inode.h"
#include "super.h"

enum { MAX_TABLE_BLOCKS = 2 };	/* cleared through the transaction; see IALLOC_CREDITS */

/* Inode number claimed in core: busy, not yet on disk. */
struct claim {
	uint32_t g, bit;
};

static void unclaim(struct groups *gs, const struct claim *c)
{
	struct group_map *map;

	mutex_lock(group_lock_of(gs, c->g));
	map = gs->group[c->g].map[GROUP_INODES];	/* held, so still loaded */
	bitmap_clear(map->busy, c->bit, 1);
	map->held--;
	map->hint = MIN(map->hint, c->bit);
	gs->ifree[c->g]++;
	gs->avail_inodes++;
	mutex_unlock(group_lock_of(gs, c->g));
}

/* -ENOSPC: the group is full after all. */
static int claim_in_group(struct groups *gs, uint32_t g, struct claim *ret_claim) NO_TSA
{
	uint32_t nbits = gs->fs->inodes_per_group;
	struct group_map *map;
	int ret;

	ret = group_map_get(gs, g, GROUP_INODES, &map);
	if (ret)
		return ret == -ENOMEM ? ret : -ENOSPC;
	map->hint = bitmap_next_zero(map->busy, map->hint, nbits);
	if (map->hint < nbits && gs->ifree[g]) {
		*ret_claim = (struct claim){ g, map->hint };
		bitmap_set(map->busy, map->hint, 1);
		map->held++;
		gs->ifree[g]--;
		gs->avail_inodes--;
	} else {
		/* Reserved inodes count as free on some images: nothing to find here. */
		gs->avail_inodes -= gs->ifree[g];
		gs->ifree[g] = 0;
		ret = -ENOSPC;
	}
	mutex_unlock(group_lock_of(gs, g));
	return ret;
}

static int claim_inode(struct fs *fs, const struct inode *parent, bool is_dir,
		       struct claim *ret_claim)
{
	uint32_t g;
	int ret;

	for (uint32_t tried = 0; ; tried++) {
		g = ialloc_next_group(fs, parent, is_dir, tried);
		if (g == UINT32_MAX)
			return -ENOSPC;
		ret = claim_in_group(fs->groups, g, ret_claim);
		if (ret != -ENOSPC)
			return ret;
	}
}

/* Zeros for inode-table blocks [from, to) of a group. */
static int clear_table(struct handle *h, const struct group *group, uint32_t from, uint32_t to)
{
	struct fs *fs = h->fs;
	uint64_t pblk = group->itable + from;

	if (to - from > MAX_TABLE_BLOCKS) {
		/* Straight to the device: nothing refers to them until this commits. */
		cache_drop(fs->cache, pblk, to - from);
		return blkdev_write_zeros(fs->dev, fs_off(fs, pblk),
					  (uint64_t)(to - from) << fs->block_bits);
	}
	for (; from < to; from++, pblk++) {
		AUTOBUF b = NULL;
		int ret;

		ret = cache_new(fs->cache, pblk, BUF_RAW, 0, &b);
		if (ret)
			return ret;
		ret = txn_dirty(h, b);
		if (ret)
			return ret;
	}
	return 0;
}

/* Moves the border of the used part of the table behind bit. REQUIRES the group's lock. */
static int extend_table(struct handle *h, struct group *group, uint32_t bit)
{
	struct fs *fs = h->fs;
	uint32_t per_block = fs->block_size / fs->inode_size;
	uint32_t used = fs->inodes_per_group - group->itable_unused;
	int ret;

	if (!fs->has_gdt_csum || bit < used)
		return 0;
	ret = clear_table(h, group, (uint32_t)div_up(used, per_block), bit / per_block + 1);
	if (ret)
		return ret;
	group->itable_unused = fs->inodes_per_group - bit - 1;
	return 0;
}

/* Writes the claim down. REQUIRES the group's lock. */
static int mark_used(struct handle *h, const struct claim *c, bool is_dir, struct buf *gdt)
{
	struct fs *fs = h->fs;
	struct groups *gs = fs->groups;
	struct group *group = &gs->group[c->g];
	struct group_map *map = group->map[GROUP_INODES];
	int ret;

	/* As in the kernel, a group with inodes has both bitmaps on disk. */
	if (group->flags & EXT2_BG_BLOCK_UNINIT) {
		ret = group_change(h, c->g, GROUP_BLOCKS, group->map[GROUP_BLOCKS], gdt);
		if (ret)
			return ret;
	}
	ret = group_change(h, c->g, GROUP_INODES, map, gdt);
	if (ret)
		return ret;
	if (!group->free_inodes || bitmap_test(map->buf->data, c->bit))
		return fs_error(fs, -EUCLEAN, c->g * fs->inodes_per_group + c->bit + 1, 0,
				"allocated twice");
	ret = extend_table(h, group, c->bit);
	if (ret)
		return ret;
	bitmap_set(map->buf->data, c->bit, 1);
	map->held--;
	group->free_inodes--;
	group->used_dirs += is_dir;
	gs->dirs[c->g] = group->used_dirs;
	gs->total_dirs += is_dir;
	super_add_free(fs, 0, -1);
	return 0;
}

/* Loads the block bitmap that mark_used may have to write. Leaves the group locked. */
static int lock_for_marking(struct groups *gs, uint32_t g) NO_TSA
{
	struct group *group = &gs->group[g];

	for (;;) {
		struct group_map *map;
		int ret;

		mutex_lock(group_lock_of(gs, g));
		if (!(group->flags & EXT2_BG_BLOCK_UNINIT) || group->map[GROUP_BLOCKS])
			return 0;
		mutex_unlock(group_lock_of(gs, g));
		ret = group_map_get(gs, g, GROUP_BLOCKS, &map);
		if (ret)
			return ret;
		mutex_unlock(group_lock_of(gs, g));
	}
}

static int commit_claim(struct handle *h, const struct claim *c, bool is_dir) NO_TSA
{
	struct groups *gs = h->fs->groups;
	AUTOBUF gdt = NULL;
	int ret;

	ret = group_desc_buf(gs, c->g, &gdt);
	if (ret)
		return fs_error(h->fs, ret, 0, 0, "cannot read the descriptor of group %" PRIu32,
				c->g);
	ret = lock_for_marking(gs, c->g);
	if (ret)
		return ret;
	ret = mark_used(h, c, is_dir, gdt);
	mutex_unlock(group_lock_of(gs, c->g));
	return ret;
}

int ialloc_new(struct handle *h, const struct inode *parent, bool is_dir, uint32_t *ret_ino)
{
	struct fs *fs = h->fs;
	struct claim c;
	int ret;

	ret = claim_inode(fs, parent, is_dir, &c);
	if (ret)
		return ret;
	ret = commit_claim(h, &c, is_dir);
	if (ret) {
		unclaim(fs->groups, &c);
		return ret;
	}
	*ret_ino = c.g * fs->inodes_per_group + c.bit + 1;
	return 0;
}

/* REQUIRES the group's lock. */
static int mark_free(struct handle *h, uint32_t ino, uint32_t g, bool is_dir,
		     struct group_map *map, struct buf *gdt)
{
	struct fs *fs = h->fs;
	struct groups *gs = fs->groups;
	struct group *group = &gs->group[g];
	uint32_t bit = (ino - 1) % fs->inodes_per_group;
	int ret;

	if (!map->buf || !bitmap_test(map->buf->data, bit))
		return fs_error(fs, -EUCLEAN, ino, 0, "freed although it is free");
	ret = group_change(h, g, GROUP_INODES, map, gdt);
	if (ret)
		return ret;
	/* Without memory to note it, it is held until the unmount. */
	if (!txn_free_inode(h, ino))
		gs->pending_inodes++;
	bitmap_clear(map->buf->data, bit, 1);
	map->held++;
	group->free_inodes++;
	if (is_dir && group->used_dirs) {
		group->used_dirs--;
		gs->total_dirs--;
	}
	gs->dirs[g] = group->used_dirs;
	super_add_free(fs, 0, 1);
	return 0;
}

int ialloc_join(struct handle *h, uint32_t ino) NO_TSA
{
	struct fs *fs = h->fs;
	AUTOBUF gdt = NULL;
	struct group_map *map;
	uint32_t g = (ino - 1) / fs->inodes_per_group;
	int ret;

	if (ino < fs->first_ino || ino > fs->inodes_count)
		return 0;
	ret = group_desc_buf(fs->groups, g, &gdt);
	if (ret)
		return fs_error(fs, ret, ino, 0, "cannot read the descriptor of group %" PRIu32,
				g);
	ret = group_map_get(fs->groups, g, GROUP_INODES, &map);
	if (ret)
		return ret == -EUCLEAN ? 0 : ret;
	ret = map->buf ? group_change(h, g, GROUP_INODES, map, gdt) : 0;
	mutex_unlock(group_lock_of(fs->groups, g));
	return ret;
}

int ialloc_free(struct handle *h, uint32_t ino, bool is_dir) NO_TSA
{
	struct fs *fs = h->fs;
	AUTOBUF gdt = NULL;
	struct group_map *map;
	uint32_t g;
	int ret;

	if (ino < fs->first_ino || ino > fs->inodes_count)
		return fs_error(fs, -EUCLEAN, ino, 0, "a reserved inode was to be freed");
	g = (ino - 1) / fs->inodes_per_group;
	ret = group_desc_buf(fs->groups, g, &gdt);
	if (ret)
		return fs_error(fs, ret, ino, 0, "cannot read the descriptor of group %" PRIu32,
				g);
	ret = group_map_get(fs->groups, g, GROUP_INODES, &map);
	if (ret)
		return ret;
	ret = mark_free(h, ino, g, is_dir, map, gdt);
	mutex_unlock(group_lock_of(fs->groups, g));
	return ret;
}

int ialloc_in_use(struct fs *fs, uint32_t ino) NO_TSA
{
	struct group_map *map;
	uint32_t g;
	int ret;

	if (!ino || ino > fs->inodes_count)
		return -EUCLEAN;
	g = (ino - 1) / fs->inodes_per_group;
	ret = group_map_get(fs->groups, g, GROUP_INODES, &map);
	if (ret)
		return ret;
	ret = map->buf && bitmap_test(map->buf->data, (ino - 1) % fs->inodes_per_group);
	mutex_unlock(group_lock_of(fs->groups, g));
	return ret;
}
