/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Block groups: descriptors from disk to core, checked. */
#include "group.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "../transport/blkdev.h"
#include "group_internal.h"

enum { MIN_MAPS = 64 };

static void decode(struct groups *gs, uint32_t g)
{
	struct group *group = &gs->group[g];
	ext2_filsys e2 = gs->fs->e2;
	const struct ext4_group_desc *gd = (void *)ext2fs_group_desc(e2, e2->group_desc, g);
	bool is64 = gs->fs->desc_size >= EXT2_MIN_DESC_SIZE_64BIT;

	group->bitmap[GROUP_BLOCKS] = ext2fs_block_bitmap_loc(e2, g);
	group->bitmap[GROUP_INODES] = ext2fs_inode_bitmap_loc(e2, g);
	group->itable = ext2fs_inode_table_loc(e2, g);
	group->free_blocks = ext2fs_bg_free_blocks_count(e2, g) << gs->fs->cluster_bits;
	group->free_inodes = ext2fs_bg_free_inodes_count(e2, g);
	group->used_dirs = ext2fs_bg_used_dirs_count(e2, g);
	group->csum[GROUP_BLOCKS] = gd->bg_block_bitmap_csum_lo;
	group->csum[GROUP_INODES] = gd->bg_inode_bitmap_csum_lo;
	if (is64) {
		group->csum[GROUP_BLOCKS] |= (uint32_t)gd->bg_block_bitmap_csum_hi << 16;
		group->csum[GROUP_INODES] |= (uint32_t)gd->bg_inode_bitmap_csum_hi << 16;
	}
	/* Without descriptor checksums nobody keeps these fields. */
	if (gs->fs->has_gdt_csum) {
		group->flags = ext2fs_bg_flags(e2, g);
		group->itable_unused = ext2fs_bg_itable_unused(e2, g);
	}
}

static bool in_range(const struct fs *fs, uint32_t g, uint64_t pblk, uint64_t len)
{
	uint64_t start = fs->first_data_block, end = fs->blocks_count;

	/* Flexible and meta groups may keep a group's metadata anywhere. */
	if (!fs->has_flex_bg && !ext2fs_has_feature_meta_bg(fs->e2->super)) {
		start = group_first_block(fs, g);
		end = start + group_nblks(fs, g);
	}
	return pblk >= start && pblk < end && len <= end - pblk && pblk > 0;
}

/* NULL, or what is wrong with the descriptor. */
static const char *check(struct groups *gs, uint32_t g)
{
	const struct fs *fs = gs->fs;
	const struct group *group = &gs->group[g];

	if (fs->has_gdt_csum && !ext2fs_group_desc_csum_verify(fs->e2, g))
		return "its checksum is wrong";
	if (!in_range(fs, g, group->bitmap[GROUP_BLOCKS], 1))
		return "its block bitmap is outside the file system";
	if (!in_range(fs, g, group->bitmap[GROUP_INODES], 1))
		return "its inode bitmap is outside the file system";
	if (!in_range(fs, g, group->itable, fs->e2->inode_blocks_per_group))
		return "its inode table is outside the file system";
	if (group->free_blocks > group_nblks(fs, g))
		return "it counts more free blocks than it has";
	if (group->free_inodes > fs->inodes_per_group ||
	    group->used_dirs > fs->inodes_per_group ||
	    group->itable_unused > fs->inodes_per_group)
		return "its inode counts are out of range";
	return NULL;
}

/* A descriptor that cannot be believed: nothing in the group is served. */
static void make_unusable(struct groups *gs, uint32_t g)
{
	struct group *group = &gs->group[g];

	group->bitmap[GROUP_BLOCKS] = group->bitmap[GROUP_INODES] = group->itable = 0;
	group->free_blocks = group->free_inodes = group->used_dirs = group->itable_unused = 0;
	group->flags = 0;
	group->state = GROUP_BAD_BLOCKS | GROUP_BAD_INODES;
}

static int load_all(struct groups *gs, char *why, size_t why_len)
{
	struct fs *fs = gs->fs;

	for (uint32_t g = 0; g < fs->ngroups; g++) {
		const char *wrong;

		list_init(&gs->group[g].dirty);
		decode(gs, g);
		wrong = check(gs, g);
		if (!wrong)
			continue;
		if (!fs->opt.readonly) {
			snprintf(why, why_len, "descriptor of block group %" PRIu32
				 ": %s; run e2fsck, or mount it read-only (-o ro)", g, wrong);
			return -EUCLEAN;
		}
		fs_error(fs, -EUCLEAN, 0, 0, "descriptor of block group %" PRIu32 ": %s", g,
			 wrong);
		make_unusable(gs, g);
	}
	return 0;
}

static void sum_up(struct groups *gs)
{
	struct fs *fs = gs->fs;

	for (uint32_t g = 0; g < fs->ngroups; g++) {
		const struct group *group = &gs->group[g];

		gs->avail[g] = group->free_blocks;
		gs->max_run[g] = group->free_blocks;
		gs->ifree[g] = group->free_inodes;
		gs->dirs[g] = group->used_dirs;
		fs->free_blocks += group->free_blocks;
		fs->free_inodes += group->free_inodes;
		gs->total_dirs += group->used_dirs;
	}
	fs->avail_blocks = fs->free_blocks;
	gs->avail_inodes = fs->free_inodes;
}

/* What no file will ever have; the superblock knows, or the kernel's sum. */
static uint64_t overhead(struct groups *gs)
{
	struct ext2_super_block *sb = gs->fs->e2->super;
	uint64_t stored = (uint64_t)sb->s_overhead_clusters << gs->fs->cluster_bits;
	uint64_t journal = 0;

	if (stored && stored < gs->fs->blocks_count)
		return stored;
	if (gs->fs->has_journal && sb->s_jnl_backup_type == EXT3_JNL_BACKUP_BLOCKS)
		journal = ((uint64_t)sb->s_jnl_blocks[15] << 32 | sb->s_jnl_blocks[16]) >>
			  gs->fs->block_bits;
	return MIN(gs->fs->first_data_block + zones_total(gs) + journal,
		   gs->fs->blocks_count);
}

static int alloc_arrays(struct groups *gs)
{
	uint32_t n = gs->fs->ngroups;

	gs->group = calloc(n, sizeof(*gs->group));
	gs->avail = calloc(n, sizeof(*gs->avail));
	gs->max_run = calloc(n, sizeof(*gs->max_run));
	gs->ifree = calloc(n, sizeof(*gs->ifree));
	gs->dirs = calloc(n, sizeof(*gs->dirs));
	return gs->group && gs->avail && gs->max_run && gs->ifree && gs->dirs ? 0 : -ENOMEM;
}

static int open_groups(struct groups *gs, char *why, size_t why_len)
{
	struct fs *fs = gs->fs;
	int ret;

	ret = alloc_arrays(gs);
	if (ret)
		return ret;
	ret = load_all(gs, why, why_len);
	if (ret)
		return ret;
	ret = zones_open(gs);
	if (ret == -EUCLEAN && fs->opt.readonly) {
		fs_log(fs, FS_LOG_WARN, "metadata of block groups overlaps");
		ret = 0;
	}
	if (ret == -EUCLEAN)
		snprintf(why, why_len, "metadata of block groups overlaps; run e2fsck, "
			 "or mount it read-only (-o ro)");
	if (ret)
		return ret;
	sum_up(gs);
	fs->overhead_blocks = overhead(gs);
	return 0;
}

int group_open(struct fs *fs, struct groups **ret_groups, char *why, size_t why_len)
{
	struct groups *gs = calloc(1, sizeof(*gs));
	size_t cache = fs->opt.cache_bytes ? fs->opt.cache_bytes : 32 << 20;
	int ret;

	if (!gs)
		return -ENOMEM;
	gs->fs = fs;
	for (int i = 0; i < GROUP_LOCKS; i++)
		mutex_init(&gs->locks[i]);
	mutex_init(&gs->dirty_lock);
	mutex_init(&gs->maps_lock);
	mutex_init(&gs->trim_lock);
	list_init(&gs->dirty);
	list_init(&gs->maps);
	gs->max_maps = (unsigned)MAX(cache / 8 / fs->block_size, (size_t)MIN_MAPS);
	ret = open_groups(gs, why, why_len);
	if (ret) {
		group_close(gs);
		return ret;
	}
	*ret_groups = gs;
	return 0;
}

int group_protect(struct fs *fs, const struct fs_run *runs, size_t n)
{
	return zones_add(fs->groups, runs, n);
}

void group_close(struct groups *gs)
{
	if (!gs)
		return;
	while (!list_empty(&gs->maps)) {
		struct group_map *map = container_of(gs->maps.next, struct group_map, node);

		list_unlink(&map->node);
		group_map_free(map);
	}
	for (int i = 0; i < GROUP_LOCKS; i++)
		mutex_fini(&gs->locks[i]);
	mutex_fini(&gs->dirty_lock);
	mutex_fini(&gs->maps_lock);
	mutex_fini(&gs->trim_lock);
	free(gs->zones);
	free(gs->group);
	free(gs->avail);
	free(gs->max_run);
	free(gs->ifree);
	free(gs->dirs);
	free(gs);
}

uint64_t group_free_blocks(struct fs *fs)
{
	int64_t free = atomic_load(&fs->avail_blocks) + atomic_load(&fs->groups->pending_blocks);

	return free > 0 ? (uint64_t)free : 0;
}

bool group_pending(struct fs *fs)
{
	return atomic_load(&fs->groups->pending_blocks) > 0 ||
	       atomic_load(&fs->groups->pending_inodes) > 0;
}

bool group_wait_pending(struct fs *fs)
{
	enum { WAIT_MS = 500, STEP_MS = 2, RECENT_SEC = 1 };

	if (fs->opt.settle)
		fs->opt.settle(fs->opt.settle_arg);
	for (int ms = 0; ms < WAIT_MS && !group_pending(fs); ms += STEP_MS) {
		if (atomic_load(&fs->doomed) <= 0 ||
		    fs_now().tv_sec - atomic_load(&fs->doomed_sec) > RECENT_SEC)
			break;
		if (ms == 0)
			blkdev_about_to_wait(fs->dev);
		nanosleep(&(struct timespec){ .tv_nsec = STEP_MS * 1000000L }, NULL);
	}
	return group_pending(fs);
}

bool group_retry(struct fs *fs, int err, unsigned *tries)
{
	enum { MAX_TRIES = 2 };

	if (err != -ENOSPC || *tries == MAX_TRIES || !group_wait_pending(fs))
		return false;
	++*tries;
	return txn_commit_now(fs) == 0;
}

int group_inode_loc(struct fs *fs, uint32_t ino, uint64_t *ret_pblk, uint32_t *ret_off)
{
	uint32_t g, index, per_block = fs->block_size / fs->inode_size;

	if (!ino || ino > fs->inodes_count)
		return -EUCLEAN;
	g = (ino - 1) / fs->inodes_per_group;
	index = (ino - 1) % fs->inodes_per_group;
	if (!fs->groups->group[g].itable)
		return -EUCLEAN;
	*ret_pblk = fs->groups->group[g].itable + index / per_block;
	*ret_off = index % per_block * fs->inode_size;
	return 0;
}
