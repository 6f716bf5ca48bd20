/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks: reserved in core, allocated and freed in handles.
 *
 * Free blocks are accounted three times, each for its reader: fs->avail_blocks may still
 * be reserved (no lock, first gate), groups->avail[] says where, and the descriptors'
 * counts say what the disk will. A freed block joins the first two only when its
 * transaction is durable (I3).
 */
#include <errno.h>
#include <inttypes.h>

#include "balloc_internal.h"
#include "inode.h"
#include "super.h"

/* Takes up to want blocks from fs->avail_blocks; 0: there are none for this caller. */
static uint32_t take_avail(struct fs *fs, uint32_t want, bool root)
{
	int64_t keep = root ? 0 : (int64_t)fs->reserved_blocks;
	int64_t avail = atomic_load(&fs->avail_blocks);
	int64_t take;

	do {
		take = MIN(avail - keep, (int64_t)want);
		if (take <= 0)
			return 0;
	} while (!atomic_compare_exchange_weak(&fs->avail_blocks, &avail, avail - take));
	return (uint32_t)take;
}

static int reserve(struct fs *fs, uint64_t goal, uint32_t want, bool root, uint64_t *ret_pblk,
		   uint32_t *ret_len)
{
	uint32_t take = take_avail(fs, want, root), len = 0;
	int ret;

	if (!take)
		return -ENOSPC;
	ret = balloc_search(fs, goal, take, ret_pblk, &len);
	if (len < take)
		atomic_fetch_add(&fs->avail_blocks, take - len);
	if (!ret)
		*ret_len = len;
	return ret;
}

/* Freed blocks become usable with a commit; those a trim hides, when it is done. */
static int make_avail(struct fs *fs)
{
	int ret = 0;

	if (atomic_load(&fs->groups->pending_blocks) > 0)
		ret = txn_commit_now(fs);
	mutex_lock(&fs->groups->trim_lock);
	mutex_unlock(&fs->groups->trim_lock);
	return ret;
}

int balloc_reserve(struct fs *fs, uint64_t goal, uint32_t want, bool root, uint64_t *ret_pblk,
		   uint32_t *ret_len)
{
	int ret;

	ret = fs_may_write(fs);
	if (ret)
		return ret;
	ret = reserve(fs, goal, want, root, ret_pblk, ret_len);
	if (ret != -ENOSPC)
		return ret;
	ret = make_avail(fs);
	if (ret)
		return ret;
	return reserve(fs, goal, want, root, ret_pblk, ret_len);
}

/* A change of a range of blocks, done group by group. */
struct change {
	struct fs *fs;
	struct handle *h;	/* NULL: in core only */
	struct buf *gdt;	/* with h: the group's descriptor block */
};
typedef int (*change_fn)(struct change *c, struct group_map *map, uint32_t bit, uint32_t n);

/* Calls fn with the map loaded and the group's lock held. */
static int change_group(struct change *c, uint32_t g, uint32_t bit, uint32_t n, change_fn fn)
	NO_TSA
{
	struct groups *gs = c->fs->groups;
	AUTOBUF gdt = NULL;
	struct group_map *map;
	int ret;

	ret = c->h ? group_desc_buf(gs, g, &gdt) : 0;
	if (ret)
		return fs_error(c->fs, ret, 0, 0, "cannot read the descriptor of group %" PRIu32,
				g);
	c->gdt = gdt;
	ret = group_map_get(gs, g, GROUP_BLOCKS, &map);
	if (ret)
		return ret;
	ret = fn(c, map, bit, n);
	mutex_unlock(group_lock_of(gs, g));
	return ret;
}

static int change_blocks(struct fs *fs, struct handle *h, uint64_t pblk, uint64_t len,
			 change_fn fn)
{
	struct change c = { .fs = fs, .h = h };

	while (len) {
		uint32_t bit, g = group_of_block(fs, pblk, &bit);
		uint32_t n = (uint32_t)MIN(len, (uint64_t)fs->blocks_per_group - bit);
		int ret;

		ret = change_group(&c, g, bit, n, fn);
		if (ret)
			return ret;
		pblk += n;
		len -= n;
	}
	return 0;
}

static int unreserve_part(struct change *c, struct group_map *map, uint32_t bit, uint32_t n)
{
	balloc_unhold(c->fs->groups, map, bit, n);
	atomic_fetch_add(&c->fs->avail_blocks, n);
	return 0;
}

void balloc_unreserve(struct fs *fs, uint64_t pblk, uint32_t len)
{
	/* A group with held blocks keeps its map, so this cannot fail. */
	(void)change_blocks(fs, NULL, pblk, len, unreserve_part);
}

static int commit_part(struct change *c, struct group_map *map, uint32_t bit, uint32_t n)
{
	struct fs *fs = c->fs;
	struct group *group = &fs->groups->group[map->group];
	int ret;

	if (group->free_blocks < n || (map->buf && !bitmap_all_clear(map->buf->data, bit, n)))
		return fs_error(fs, -EUCLEAN, 0, group_first_block(fs, map->group) + bit,
				"allocated twice (group %" PRIu32 ")", map->group);
	ret = group_change(c->h, map->group, GROUP_BLOCKS, map, c->gdt);
	if (ret)
		return ret;
	bitmap_set(map->buf->data, bit, n);
	map->held -= n;
	group->free_blocks -= n;
	super_add_free(fs, -(int64_t)n, 0);
	return 0;
}

static int free_part(struct change *c, struct group_map *map, uint32_t bit, uint32_t n)
{
	struct fs *fs = c->fs;
	struct group *group = &fs->groups->group[map->group];
	uint64_t pblk = group_first_block(fs, map->group) + bit;
	int ret;

	if (!map->buf || !bitmap_all_set(map->buf->data, bit, n))
		return fs_error(fs, -EUCLEAN, 0, pblk, "freed although it is free (%" PRIu32
				" blocks from here, group %" PRIu32 ")", n, map->group);
	ret = group_change(c->h, map->group, GROUP_BLOCKS, map, c->gdt);
	if (ret)
		return ret;
	/* Without memory to note them they are free on disk, and held here until the unmount:
	 * nobody else's, so that a replay may write to them. */
	if (!txn_free_blocks(c->h, pblk, n))
		atomic_fetch_add(&fs->groups->pending_blocks, n);
	bitmap_clear(map->buf->data, bit, n);
	map->held += n;
	group->free_blocks += n;
	super_add_free(fs, n, 0);
	return 0;
}

static int join_part(struct change *c, struct group_map *map, uint32_t bit, uint32_t n)
{
	return map->buf ? group_change(c->h, map->group, GROUP_BLOCKS, map, c->gdt) : 0;
}

int balloc_join(struct handle *h, uint64_t pblk, uint64_t len)
{
	int ret;

	if (!fs_block_valid(h->fs, pblk, len))
		return 0;
	ret = change_blocks(h->fs, h, pblk, len, join_part);
	return ret == -EUCLEAN ? 0 : ret;
}

int balloc_commit(struct handle *h, uint64_t pblk, uint32_t len)
{
	return change_blocks(h->fs, h, pblk, len, commit_part);
}

int balloc_free(struct handle *h, uint64_t pblk, uint64_t len, bool metadata)
{
	int ret;

	if (!fs_block_valid(h->fs, pblk, len))
		return fs_error(h->fs, -EUCLEAN, 0, pblk, "freed although it belongs to the file "
				"system itself (%" PRIu64 " blocks from here)", len);
	ret = change_blocks(h->fs, h, pblk, len, free_part);
	if (ret)
		return ret;
	if (metadata)
		txn_revoke(h, pblk, len);
	return 0;
}

int balloc_new_block(struct handle *h, uint64_t goal, uint64_t *ret_pblk)
{
	uint64_t pblk;
	uint32_t len;
	int ret;

	ret = reserve(h->fs, goal, 1, true, &pblk, &len);
	if (ret)
		return ret;
	ret = balloc_commit(h, pblk, 1);
	if (ret) {
		balloc_unreserve(h->fs, pblk, 1);
		return ret;
	}
	*ret_pblk = pblk;
	return 0;
}

/*
 * The start of the inode's group. Files of one directory then fill it in the order they
 * are written, which makes neighbours of what is read together; a growing file asks for
 * the block behind its last, and far ahead. With big flexible groups, files leave the
 * first group, where all the metadata is, to directories.
 */
uint64_t balloc_goal(struct fs *fs, const struct inode *inode)
{
	uint32_t g = (inode->ino - 1) / fs->inodes_per_group;
	uint32_t log_flex = fs->e2->super->s_log_groups_per_flex;

	if (fs->has_flex_bg && log_flex >= 2 && log_flex < 31) {
		g &= ~((1U << log_flex) - 1);
		if (!S_ISDIR(inode->mode) && g + 1 < fs->ngroups)
			g++;
	}
	return group_first_block(fs, MIN(g, fs->ngroups - 1));
}
