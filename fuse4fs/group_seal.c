/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What commits ask of the groups: encode descriptors before, release freed things after. */
#include <errno.h>

#include "csum.h"
#include "group_internal.h"

/* CRC-16 with the reflected polynomial 0x8005, as uninit_bg defines it. */
static uint16_t crc16(uint16_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc & 1 ? (crc >> 1) ^ 0xa001 : crc >> 1;
	}
	return crc;
}

/* Source: linux Documentation/filesystems/ext4/checksums.rst. */
static uint16_t desc_csum(const struct fs *fs, uint32_t g, const uint8_t *desc)
{
	const size_t off = offsetof(struct ext4_group_desc, bg_checksum), end = off + 2;
	const uint8_t zero[2] = { 0 };
	uint8_t group_le[4];
	uint32_t crc;
	uint16_t crc_16;

	put_le32(group_le, g);
	if (fs->has_csum) {
		crc = csum_crc32c(fs->csum_seed, group_le, sizeof(group_le));
		crc = csum_crc32c(crc, desc, off);
		crc = csum_crc32c(crc, zero, sizeof(zero));
		if (fs->desc_size > end)
			crc = csum_crc32c(crc, desc + end, fs->desc_size - end);
		return (uint16_t)crc;
	}
	crc_16 = crc16(UINT16_MAX, fs->e2->super->s_uuid, sizeof(fs->e2->super->s_uuid));
	crc_16 = crc16(crc_16, group_le, sizeof(group_le));
	crc_16 = crc16(crc_16, desc, off);
	if (fs->has_64bit && fs->desc_size > end)
		crc_16 = crc16(crc_16, desc + end, fs->desc_size - end);
	return crc_16;
}

static void encode_high(const struct group *group, bool csum, struct ext4_group_desc *gd)
{
	put_le16(&gd->bg_free_blocks_count_hi, (uint16_t)(group->free_blocks >> 16));
	put_le16(&gd->bg_free_inodes_count_hi, (uint16_t)(group->free_inodes >> 16));
	put_le16(&gd->bg_used_dirs_count_hi, (uint16_t)(group->used_dirs >> 16));
	put_le16(&gd->bg_itable_unused_hi, (uint16_t)(group->itable_unused >> 16));
	if (!csum)
		return;
	put_le16(&gd->bg_block_bitmap_csum_hi, (uint16_t)(group->csum[GROUP_BLOCKS] >> 16));
	put_le16(&gd->bg_inode_bitmap_csum_hi, (uint16_t)(group->csum[GROUP_INODES] >> 16));
}

static void encode(const struct fs *fs, uint32_t g, const struct group *group, uint8_t *desc)
{
	struct ext4_group_desc *gd = (void *)desc;

	put_le16(&gd->bg_free_blocks_count, (uint16_t)group->free_blocks);
	put_le16(&gd->bg_free_inodes_count, (uint16_t)group->free_inodes);
	put_le16(&gd->bg_used_dirs_count, (uint16_t)group->used_dirs);
	if (fs->has_gdt_csum) {
		put_le16(&gd->bg_flags, group->flags);
		put_le16(&gd->bg_itable_unused, (uint16_t)group->itable_unused);
	}
	if (fs->has_csum) {
		put_le16(&gd->bg_block_bitmap_csum_lo, (uint16_t)group->csum[GROUP_BLOCKS]);
		put_le16(&gd->bg_inode_bitmap_csum_lo, (uint16_t)group->csum[GROUP_INODES]);
	}
	if (fs->desc_size >= EXT2_MIN_DESC_SIZE_64BIT)
		encode_high(group, fs->has_csum, gd);
	if (fs->has_gdt_csum)
		put_le16(&gd->bg_checksum, desc_csum(fs, g, desc));
}

static void seal_bitmap(const struct fs *fs, struct group *group, enum group_kind kind)
{
	uint32_t bits = kind == GROUP_BLOCKS ? fs->blocks_per_group : fs->inodes_per_group;

	group->csum[kind] = csum_crc32c(fs->csum_seed, group->map[kind]->buf->data, bits / 8);
}

/* REQUIRES the group's lock. Its bitmaps are loaded: a group on the list keeps them. */
static int seal_group(struct fs *fs, uint32_t g)
{
	struct group *group = &fs->groups->group[g];
	AUTOBUF gdt = NULL;
	int ret;

	ret = group_desc_buf(fs->groups, g, &gdt);
	if (ret)
		return ret;
	if (fs->has_csum && (group->state & GROUP_SEAL_BLOCKS))
		seal_bitmap(fs, group, GROUP_BLOCKS);
	if (fs->has_csum && (group->state & GROUP_SEAL_INODES))
		seal_bitmap(fs, group, GROUP_INODES);
	encode(fs, g, group, gdt->data + g % (fs->block_size / fs->desc_size) * fs->desc_size);
	group->state &= ~(GROUP_SEAL_BLOCKS | GROUP_SEAL_INODES | GROUP_ON_LIST);
	return 0;
}

static struct group *pop_dirty(struct groups *gs)
{
	struct group *group = NULL;

	mutex_lock(&gs->dirty_lock);
	if (!list_empty(&gs->dirty)) {
		group = container_of(gs->dirty.next, struct group, dirty);
		list_unlink(&group->dirty);
	}
	mutex_unlock(&gs->dirty_lock);
	return group;
}

int group_seal(struct fs *fs)
{
	struct groups *gs = fs->groups;
	struct group *group;
	int ret;

	while ((group = pop_dirty(gs))) {
		uint32_t g = (uint32_t)(group - gs->group);

		mutex_lock(group_lock_of(gs, g));
		ret = seal_group(fs, g);
		mutex_unlock(group_lock_of(gs, g));
		if (ret)
			return ret;
	}
	return 0;
}

static void release_in_group(struct groups *gs, uint32_t g, uint32_t bit, uint32_t n)
{
	struct group *group = &gs->group[g];
	struct group_map *map;

	mutex_lock(group_lock_of(gs, g));
	map = group->map[GROUP_BLOCKS];
	if (map && !(group->state & GROUP_BAD_BLOCKS)) {
		bitmap_clear(map->busy, bit, n);
		map->held -= n;
		map->hint = MIN(map->hint, bit);
		gs->avail[g] += n;
		gs->max_run[g] = gs->avail[g];
		atomic_fetch_add(&gs->fs->avail_blocks, n);
	}
	mutex_unlock(group_lock_of(gs, g));
	atomic_fetch_sub(&gs->pending_blocks, n);
}

void group_release_blocks(struct fs *fs, uint64_t pblk, uint64_t n)
{
	while (n) {
		uint32_t bit, g = group_of_block(fs, pblk, &bit);
		uint32_t len = (uint32_t)MIN(n, (uint64_t)fs->blocks_per_group - bit);

		release_in_group(fs->groups, g, bit, len);
		pblk += len;
		n -= len;
	}
}

void group_release_inode(struct fs *fs, uint32_t ino)
{
	struct groups *gs = fs->groups;
	uint32_t g = (ino - 1) / fs->inodes_per_group, bit = (ino - 1) % fs->inodes_per_group;
	struct group *group = &gs->group[g];
	struct group_map *map;

	mutex_lock(group_lock_of(gs, g));
	map = group->map[GROUP_INODES];
	if (map && !(group->state & GROUP_BAD_INODES)) {
		bitmap_clear(map->busy, bit, 1);
		map->held--;
		map->hint = MIN(map->hint, bit);
		gs->ifree[g]++;
		gs->avail_inodes++;
	}
	mutex_unlock(group_lock_of(gs, g));
	gs->pending_inodes--;
}
