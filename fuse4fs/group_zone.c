/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System blocks: superblocks, descriptors (with those reserved for growth), bitmaps,
 * inode tables and the journal, as a sorted array of disjoint runs. With flex_bg neighbours melt into
 * one run, so a 1 TiB file system has some hundreds.
 */
#include <errno.h>

#include "group_internal.h"

enum { ZONES_PER_GROUP = 6 };

static void zone_add(struct groups *gs, uint64_t start, uint64_t len)
{
	struct zone *last = gs->nzones ? &gs->zones[gs->nzones - 1] : NULL;

	if (!len)
		return;
	if (last && last->start + last->len == start)
		last->len += len;
	else
		gs->zones[gs->nzones++] = (struct zone){ start, len };
}

static void add_group(struct groups *gs, uint32_t g)
{
	struct fs *fs = gs->fs;
	const struct group *group = &gs->group[g];
	struct ext2_super_block *sb = fs->e2->super;
	uint64_t end = group_first_block(fs, g) + group_nblks(fs, g);
	blk64_t super, old_desc, new_desc;
	uint64_t ndesc = fs->e2->desc_blocks + sb->s_reserved_gdt_blocks;
	blk_t used;

	if (ext2fs_has_feature_meta_bg(sb))
		ndesc = sb->s_first_meta_bg;
	ext2fs_super_and_bgd_loc2(fs->e2, g, &super, &old_desc, &new_desc, &used);
	if (super || g == 0)
		zone_add(gs, super, 1);
	if (old_desc)
		zone_add(gs, old_desc, old_desc < end ? MIN(ndesc, end - old_desc) : 0);
	if (new_desc)
		zone_add(gs, new_desc, 1);
	if (!group->itable)
		return;		/* its descriptor was not believed */
	zone_add(gs, group->bitmap[GROUP_BLOCKS], 1);
	zone_add(gs, group->bitmap[GROUP_INODES], 1);
	zone_add(gs, group->itable, fs->e2->inode_blocks_per_group);
}

static int compare(const void *a, const void *b)
{
	const struct zone *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Merges sorted runs; true when some overlapped. */
static bool merge(struct groups *gs)
{
	bool overlap = false;
	size_t n = 0;

	for (size_t i = 1; i < gs->nzones; i++) {
		struct zone *last = &gs->zones[n], *z = &gs->zones[i];
		uint64_t end = last->start + last->len;

		if (z->start > end) {
			gs->zones[++n] = *z;
			continue;
		}
		overlap |= z->start < end;
		last->len = MAX(end, z->start + z->len) - last->start;
	}
	gs->nzones = n + 1;
	return overlap;
}

int zones_open(struct groups *gs)
{
	struct zone *shrunk;
	bool overlap;

	gs->zones = calloc((size_t)gs->fs->ngroups * ZONES_PER_GROUP, sizeof(*gs->zones));
	if (!gs->zones)
		return -ENOMEM;
	for (uint32_t g = 0; g < gs->fs->ngroups; g++)
		add_group(gs, g);
	qsort(gs->zones, gs->nzones, sizeof(*gs->zones), compare);
	overlap = merge(gs);
	shrunk = realloc(gs->zones, gs->nzones * sizeof(*gs->zones));
	if (shrunk)
		gs->zones = shrunk;
	return overlap ? -EUCLEAN : 0;
}

int zones_add(struct groups *gs, const struct fs_run *runs, size_t n)
{
	struct zone *more;

	if (!n)
		return 0;
	more = reallocarray(gs->zones, gs->nzones + n, sizeof(*gs->zones));
	if (!more)
		return -ENOMEM;
	gs->zones = more;
	for (size_t i = 0; i < n; i++)
		gs->zones[gs->nzones++] = (struct zone){ runs[i].pblk, runs[i].len };
	qsort(gs->zones, gs->nzones, sizeof(*gs->zones), compare);
	return merge(gs) ? -EUCLEAN : 0;
}

/* Index of the first zone that ends after pblk. */
static size_t zone_after(const struct groups *gs, uint64_t pblk)
{
	size_t lo = 0, hi = gs->nzones;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (gs->zones[mid].start + gs->zones[mid].len <= pblk)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The part of zone i in group g as bits; false when there is none. */
static bool zone_in_group(const struct groups *gs, size_t i, uint32_t g, uint32_t *ret_bit,
			  uint32_t *ret_n)
{
	uint64_t first = group_first_block(gs->fs, g);
	uint64_t end = first + group_nblks(gs->fs, g);
	uint64_t from, to;

	if (i >= gs->nzones || gs->zones[i].start >= end)
		return false;
	from = MAX(gs->zones[i].start, first);
	to = MIN(gs->zones[i].start + gs->zones[i].len, end);
	*ret_bit = (uint32_t)(from - first);
	*ret_n = (uint32_t)(to - from);
	return true;
}

void zones_mark(struct groups *gs, uint32_t g, uint8_t *busy)
{
	uint32_t bit, n;

	for (size_t i = zone_after(gs, group_first_block(gs->fs, g));
	     zone_in_group(gs, i, g, &bit, &n); i++)
		bitmap_set(busy, bit, n);
}

bool zones_all_set(struct groups *gs, uint32_t g, const uint8_t *map)
{
	uint32_t bit, n;

	for (size_t i = zone_after(gs, group_first_block(gs->fs, g));
	     zone_in_group(gs, i, g, &bit, &n); i++)
		if (!bitmap_all_set(map, bit, n))
			return false;
	return true;
}

uint64_t zones_total(const struct groups *gs)
{
	uint64_t total = 0;

	for (size_t i = 0; i < gs->nzones; i++)
		total += gs->zones[i].len;
	return total;
}

bool fs_block_valid(struct fs *fs, uint64_t pblk, uint64_t len)
{
	struct groups *gs = fs->groups;
	size_t i;

	if (pblk < fs->first_data_block || pblk >= fs->blocks_count || !len ||
	    len > fs->blocks_count - pblk || pblk == 0)
		return false;
	i = zone_after(gs, pblk);
	return i >= gs->nzones || pblk + len <= gs->zones[i].start;
}
