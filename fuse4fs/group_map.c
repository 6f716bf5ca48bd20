/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bitmaps of groups: loaded, checked or made up on first touch, dropped when there are
 * many and nothing is held in them.
 *
 * A bitmap that fails its checks takes its group out of service until e2fsck has run:
 * allocation goes elsewhere, frees in it fail.
 */
#include <errno.h>
#include <inttypes.h>

#include "csum.h"
#include "group_internal.h"
#include "super.h"

enum { EVICT_TRIES = 16 };

static const uint16_t uninit_flag[GROUP_KINDS] = { EXT2_BG_BLOCK_UNINIT, EXT2_BG_INODE_UNINIT };
static const uint8_t bad_flag[GROUP_KINDS] = { GROUP_BAD_BLOCKS, GROUP_BAD_INODES };
static const uint8_t seal_flag[GROUP_KINDS] = { GROUP_SEAL_BLOCKS, GROUP_SEAL_INODES };
static const char *const kind_name[GROUP_KINDS] = { "block bitmap", "inode bitmap" };

size_t group_map_bytes(const struct fs *fs, enum group_kind kind)
{
	uint32_t bits = kind == GROUP_BLOCKS ? fs->blocks_per_group : fs->inodes_per_group;

	return round_up(bits, 64) / 8;
}

void group_map_free(struct group_map *map)
{
	if (!map)
		return;
	cache_put(map->buf);
	free(map);
}

static bool evictable(const struct group *group, const struct group_map *map)
{
	return !map->held && !(group->state & GROUP_ON_LIST);
}

/* Drops the oldest map in which nothing is held, when there are too many. */
static void make_room(struct groups *gs)
{
	struct group_map *victim = NULL;

	mutex_lock(&gs->maps_lock);
	for (int i = 0; i < EVICT_TRIES && gs->nmaps >= gs->max_maps && !victim; i++) {
		struct group_map *map = container_of(gs->maps.next, struct group_map, node);
		struct group *group = &gs->group[map->group];

		list_unlink(&map->node);
		list_push(&gs->maps, &map->node);
		if (!mutex_trylock(group_lock_of(gs, map->group)))
			continue;
		if (evictable(group, map)) {
			list_unlink(&map->node);
			gs->nmaps--;
			group->map[map->kind] = NULL;
			victim = map;
		}
		mutex_unlock(group_lock_of(gs, map->group));
	}
	mutex_unlock(&gs->maps_lock);
	group_map_free(victim);
}

static bool csum_ok(struct groups *gs, uint32_t g, enum group_kind kind, const uint8_t *data)
{
	const struct fs *fs = gs->fs;
	uint32_t bits = kind == GROUP_BLOCKS ? fs->blocks_per_group : fs->inodes_per_group;
	uint32_t diff;

	if (!fs->has_csum)
		return true;
	diff = csum_crc32c(fs->csum_seed, data, bits / 8) ^ gs->group[g].csum[kind];
	return fs->desc_size >= EXT2_MIN_DESC_SIZE_64BIT ? !diff : !(diff & 0xffff);
}

/* Inodes the file system keeps for itself are never handed out, whatever the bits say. */
static void hide_reserved_inodes(struct groups *gs, uint32_t g, uint8_t *busy)
{
	const struct fs *fs = gs->fs;
	uint64_t first = (uint64_t)g * fs->inodes_per_group + 1;

	if (first < fs->first_ino)
		bitmap_set(busy, 0, (uint32_t)MIN(fs->first_ino - first,
						  (uint64_t)fs->inodes_per_group));
}

/* The bitmap knows better than the counts; e2fsck thinks so, too. */
static void adopt_inode_count(struct groups *gs, uint32_t g, const uint8_t *busy)
{
	struct group *group = &gs->group[g];
	uint32_t nbits = gs->fs->inodes_per_group;
	uint32_t counted = bitmap_count_zero(busy, 0, nbits);
	uint32_t last = nbits - group->itable_unused;
	int64_t delta = (int64_t)counted - group->free_inodes;

	for (uint32_t bit = last; (bit = bitmap_next_one(busy, bit, nbits)) < nbits; bit++)
		last = bit + 1;
	group->itable_unused = nbits - last;
	if (!delta)
		return;
	group->free_inodes = counted;
	gs->ifree[g] += (uint32_t)delta;
	gs->avail_inodes += delta;
	super_add_free(gs->fs, 0, delta);
	fs_log(gs->fs, FS_LOG_WARN, "group %" PRIu32 ": free inode count was off by %" PRId64,
	       g, delta);
}

/* Fills map->busy. NULL, or what is wrong. REQUIRES the group's lock. */
static const char *fill(struct groups *gs, uint32_t g, struct group_map *map)
{
	uint32_t nbits = group_nbits(gs->fs, g, map->kind);
	uint32_t total = (uint32_t)group_map_bytes(gs->fs, map->kind) * 8;

	if (map->buf && !csum_ok(gs, g, map->kind, map->buf->data))
		return "its checksum is wrong";
	if (map->buf)
		memcpy(map->busy, map->buf->data, total / 8);
	else if (map->kind == GROUP_BLOCKS)
		zones_mark(gs, g, map->busy);
	bitmap_set(map->busy, nbits, total - nbits);
	if (map->kind == GROUP_INODES) {
		adopt_inode_count(gs, g, map->busy);
		hide_reserved_inodes(gs, g, map->busy);
		return NULL;
	}
	if (!zones_all_set(gs, g, map->busy))
		return "blocks of the file system itself are marked as free";
	if (bitmap_count_zero(map->busy, 0, nbits) != gs->group[g].free_blocks)
		return "the number of free blocks is not what the group descriptor says";
	return NULL;
}

/* REQUIRES the group's lock. */
static void take_out_of_service(struct groups *gs, uint32_t g, enum group_kind kind)
{
	struct group *group = &gs->group[g];

	group->state |= bad_flag[kind];
	if (kind == GROUP_BLOCKS) {
		gs->fs->avail_blocks -= gs->avail[g];
		gs->avail[g] = gs->max_run[g] = 0;
	} else {
		gs->avail_inodes -= gs->ifree[g];
		gs->ifree[g] = 0;
	}
}

/* Without a lock: allocates, and reads the block unless the bitmap is to be made up. */
static int load(struct groups *gs, uint32_t g, enum group_kind kind, bool uninit,
		struct group_map **ret_map)
{
	struct group_map *map;
	int ret;

	make_room(gs);
	map = calloc(1, sizeof(*map) + group_map_bytes(gs->fs, kind));
	if (!map)
		return -ENOMEM;
	map->group = g;
	map->kind = kind;
	list_init(&map->node);
	if (!uninit) {
		ret = cache_read(gs->fs->cache, gs->group[g].bitmap[kind], BUF_RAW, 0, &map->buf);
		if (ret) {
			free(map);
			return ret == -ENOMEM ? ret : fs_error(gs->fs, ret, 0,
				gs->group[g].bitmap[kind], "cannot read the %s of group %" PRIu32,
				kind_name[kind], g);
		}
	}
	*ret_map = map;
	return 0;
}

static void install(struct groups *gs, struct group *group, struct group_map *map)
{
	group->map[map->kind] = map;
	mutex_lock(&gs->maps_lock);
	list_push(&gs->maps, &map->node);
	gs->nmaps++;
	mutex_unlock(&gs->maps_lock);
}

/* 1: installed, locked. 0: somebody else was faster, not locked. */
static int fill_and_install(struct groups *gs, uint32_t g, bool uninit, struct group_map *map)
	NO_TSA
{
	struct group *group = &gs->group[g];
	enum group_kind kind = map->kind;
	uint64_t pblk = group->bitmap[kind];
	const char *wrong;

	mutex_lock(group_lock_of(gs, g));
	if (group->map[kind] || (group->state & bad_flag[kind]) ||
	    uninit != !!(group->flags & uninit_flag[kind])) {
		mutex_unlock(group_lock_of(gs, g));
		group_map_free(map);
		return 0;
	}
	wrong = fill(gs, g, map);
	if (!wrong) {
		install(gs, group, map);
		return 1;
	}
	take_out_of_service(gs, g, kind);
	mutex_unlock(group_lock_of(gs, g));
	group_map_free(map);
	return fs_error(gs->fs, -EUCLEAN, 0, pblk, "%s of group %" PRIu32 ": %s",
			kind_name[kind], g, wrong);
}

int group_map_get(struct groups *gs, uint32_t g, enum group_kind kind, struct group_map **ret_map)
	NO_TSA
{
	struct group *group = &gs->group[g];
	int ret;

	do {
		struct group_map *map = NULL;
		bool uninit;

		mutex_lock(group_lock_of(gs, g));
		if (group->map[kind]) {
			*ret_map = group->map[kind];
			return 0;
		}
		uninit = group->flags & uninit_flag[kind];
		ret = group->state & bad_flag[kind] ? -EUCLEAN : 0;
		mutex_unlock(group_lock_of(gs, g));
		if (ret)
			return ret;
		ret = load(gs, g, kind, uninit, &map);
		if (ret)
			return ret;
		ret = fill_and_install(gs, g, uninit, map);
	} while (ret == 0);
	if (ret < 0)
		return ret;
	*ret_map = group->map[kind];
	return 0;
}

int group_desc_buf(struct groups *gs, uint32_t g, struct buf **ret)
{
	struct fs *fs = gs->fs;
	uint32_t per_block = fs->block_size / fs->desc_size;

	return cache_read(fs->cache, ext2fs_descriptor_block_loc2(fs->e2, fs->first_data_block,
								  g / per_block),
			  BUF_RAW, 0, ret);
}

/* Gives an uninitialised group its bitmap block: what the group itself uses, no more. */
static int init_on_disk(struct handle *h, uint32_t g, enum group_kind kind,
			struct group_map *map)
{
	struct fs *fs = h->fs;
	struct group *group = &fs->groups->group[g];
	uint32_t nbits = group_nbits(fs, g, kind);
	struct buf *buf;
	int ret;

	ret = cache_new(fs->cache, group->bitmap[kind], BUF_RAW, 0, &buf);
	if (ret)
		return ret;
	ret = txn_dirty(h, buf);
	if (ret) {
		cache_put(buf);
		return ret;
	}
	memset(buf->data, 0, fs->block_size);
	if (kind == GROUP_BLOCKS)
		zones_mark(fs->groups, g, buf->data);
	bitmap_set(buf->data, nbits, fs->block_size * 8 - nbits);
	map->buf = buf;
	group->flags &= ~uninit_flag[kind];
	return 0;
}

int group_change(struct handle *h, uint32_t g, enum group_kind kind, struct group_map *map,
		 struct buf *gdt)
{
	struct groups *gs = h->fs->groups;
	struct group *group = &gs->group[g];
	int ret;

	ret = txn_dirty(h, gdt);
	if (ret)
		return ret;
	ret = super_dirty(h);
	if (ret)
		return ret;
	ret = map->buf ? txn_dirty(h, map->buf) : init_on_disk(h, g, kind, map);
	if (ret)
		return ret;
	group->state |= seal_flag[kind];
	if (group->state & GROUP_ON_LIST)
		return 0;
	group->state |= GROUP_ON_LIST;
	mutex_lock(&gs->dirty_lock);
	list_push(&gs->dirty, &group->dirty);
	mutex_unlock(&gs->dirty_lock);
	return 0;
}
