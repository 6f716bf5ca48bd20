/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which group a new inode goes to.
 *
 * Orlov's idea: directories right below the root (or marked TOPDIR) are unrelated and
 * are spread, deeper ones stay near their parent while its neighbourhood has room;
 * files go where their directory is. The neighbourhood is a flexible group when there
 * are any, because its inode tables lie side by side.
 */
#include "ialloc_internal.h"
#include "inode.h"

enum { MAX_FLEX_BITS = 16 };

/* Free inodes and blocks, and directories, of one neighbourhood. */
struct stat_sum {
	uint64_t ifree, avail, dirs;
};

static uint32_t flex_groups(const struct fs *fs)
{
	uint32_t log_flex = fs->e2->super->s_log_groups_per_flex;

	if (!fs->has_flex_bg || !log_flex)
		return 1;
	return 1U << MIN(log_flex, (uint32_t)MAX_FLEX_BITS);
}

static struct stat_sum sum_flex(struct fs *fs, uint32_t flex)
{
	uint32_t per = flex_groups(fs);
	uint64_t end = MIN((uint64_t)(flex + 1) * per, (uint64_t)fs->ngroups);
	struct stat_sum sum = { 0 };

	for (uint32_t g = flex * per; g < end; g++) {
		sum.ifree += fs->groups->ifree[g];
		sum.avail += fs->groups->avail[g];
		sum.dirs += fs->groups->dirs[g];
	}
	return sum;
}

/* First group with free inodes in [from, end), or UINT32_MAX. */
static uint32_t first_free(struct fs *fs, uint32_t from, uint32_t end)
{
	for (uint32_t g = from; g < end; g++)
		if (fs->groups->ifree[g])
			return g;
	return UINT32_MAX;
}

static uint32_t group_in_flex(struct fs *fs, uint32_t flex)
{
	uint32_t per = flex_groups(fs);

	return first_free(fs, flex * per, (uint32_t)MIN((uint64_t)(flex + 1) * per,
							(uint64_t)fs->ngroups));
}

/* The neighbourhood with the fewest directories that has average room. */
static uint32_t place_top_dir(struct fs *fs, uint32_t start)
{
	uint32_t nflex = (uint32_t)div_up(fs->ngroups, flex_groups(fs)), best = UINT32_MAX;
	uint64_t min_inodes = (uint64_t)MAX(fs->groups->avail_inodes, 0) / nflex;
	uint64_t min_blocks = (uint64_t)MAX(fs->avail_blocks, 0) / nflex;
	uint64_t best_dirs = UINT64_MAX;

	for (uint32_t i = 0; i < nflex; i++) {
		uint32_t flex = (start + i) % nflex;
		struct stat_sum sum = sum_flex(fs, flex);

		if (!sum.ifree || sum.ifree < min_inodes || sum.avail < min_blocks ||
		    sum.dirs >= best_dirs)
			continue;
		best = flex;
		best_dirs = sum.dirs;
		if (!best_dirs)
			break;
	}
	return best == UINT32_MAX ? UINT32_MAX : group_in_flex(fs, best);
}

/* The parent's neighbourhood or the nearest after it that is not crowded. */
static uint32_t place_sub_dir(struct fs *fs, uint32_t parent_group)
{
	struct groups *gs = fs->groups;
	uint32_t per = flex_groups(fs), nflex = (uint32_t)div_up(fs->ngroups, per);
	int64_t inodes = (int64_t)fs->inodes_per_group * per;
	int64_t blocks = (int64_t)fs->blocks_per_group * per;
	int64_t max_dirs = gs->total_dirs / nflex + inodes / 16;
	int64_t min_inodes = gs->avail_inodes / nflex - inodes / 4;
	int64_t min_blocks = fs->avail_blocks / nflex - blocks / 4;

	for (uint32_t i = 0; i < nflex; i++) {
		uint32_t flex = (parent_group / per + i) % nflex;
		struct stat_sum sum = sum_flex(fs, flex);

		if (sum.ifree && (int64_t)sum.dirs < max_dirs &&
		    (int64_t)sum.ifree >= min_inodes && (int64_t)sum.avail >= min_blocks)
			return group_in_flex(fs, flex);
	}
	return UINT32_MAX;
}

/* The directory's group, then its neighbourhood. */
static uint32_t place_file(struct fs *fs, uint32_t parent_group)
{
	if (fs->groups->ifree[parent_group] && fs->groups->avail[parent_group])
		return parent_group;
	if (flex_groups(fs) > 1)
		return group_in_flex(fs, parent_group / flex_groups(fs));
	/* Steps that double keep the overflow of different directories apart. */
	for (uint64_t step = 1; step < fs->ngroups; step <<= 1) {
		parent_group = (uint32_t)((parent_group + step) % fs->ngroups);
		if (fs->groups->ifree[parent_group] && fs->groups->avail[parent_group])
			return parent_group;
	}
	return UINT32_MAX;
}

static bool is_top(const struct inode *parent)
{
	return parent->ino == EXT2_ROOT_INO || (parent->flags & EXT2_TOPDIR_FL);
}

uint32_t ialloc_next_group(struct fs *fs, const struct inode *parent, bool is_dir,
			   uint32_t tried)
{
	uint32_t parent_group = parent ? (parent->ino - 1) / fs->inodes_per_group : 0;
	uint32_t g = UINT32_MAX;

	if (!tried && is_dir && parent && is_top(parent))
		/* Spread by what is there already: a multiplicative hash of the count. */
		g = place_top_dir(fs, (uint32_t)fs->groups->total_dirs * 2654435761U %
				      fs->ngroups);
	else if (!tried && is_dir)
		g = place_sub_dir(fs, parent_group);
	else if (!tried)
		g = place_file(fs, parent_group);
	if (g != UINT32_MAX || tried > fs->ngroups)
		return g;
	g = first_free(fs, parent_group, fs->ngroups);
	return g != UINT32_MAX ? g : first_free(fs, 0, parent_group);
}
