// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A small file's map in the other format, for FS_IOC_SETFLAGS: what i_block alone holds,
 * and can hold in the other one. Nothing is allocated or freed.
 */
#include <errno.h>
#include <string.h>

#include "extent.h"
#include "indirect.h"

enum { BLOCK_BYTES = sizeof(((struct ext2_inode *)0)->i_block) };

/* No block of the map's own. 1, 0, -errno. */
static int is_flat(struct inode *inode)
{
	uint32_t roots[INDIRECT_MAX_DEPTH];

	if (inode->flags & EXT4_EXTENTS_FL) {
		AUTOPATH path;
		int err = extent_path_open(inode, 0, &path);

		return err ? err : path.depth == 0;
	}
	memcpy(roots, inode_block(inode) + INDIRECT_DIRECT * sizeof(roots[0]), sizeof(roots));
	return !(roots[0] | roots[1] | roots[2]);
}

/* The runs of the first INDIRECT_DIRECT blocks; -EOPNOTSUPP when there is more. */
static int collect(struct inode *inode, struct run *runs, unsigned *ret_n)
{
	uint64_t beyond;
	unsigned n = 0;
	struct run run;
	int err = is_flat(inode);

	if (err <= 0)
		return err ? err : -EOPNOTSUPP;
	err = map_next_mapped(inode, INDIRECT_DIRECT, &beyond);
	if (err)
		return err;
	if (beyond != UINT64_MAX)
		return -EOPNOTSUPP;
	for (uint32_t lblk = 0; lblk < INDIRECT_DIRECT; lblk += run.len) {
		err = map_lookup(inode, lblk, &run);
		if (err)
			return err;
		if (run.flags & RUN_UNWRITTEN)
			return -EOPNOTSUPP;
		if (!(run.flags & RUN_HOLE))
			runs[n++] = run;
	}
	*ret_n = n;
	return 0;
}

static int refill(struct handle *h, struct inode *inode, const struct run *runs, unsigned n)
{
	int err = 0;

	map_init(inode);
	for (unsigned i = 0; i < n && !err; i++) {
		map_account(inode, -(int64_t)runs[i].len);
		err = map_insert(h, inode, &runs[i]);
	}
	return err;
}

int map_migrate(struct handle *h, struct inode *inode, bool extents)
{
	struct run runs[INDIRECT_DIRECT];
	const uint32_t flags = inode->flags;
	const uint64_t blocks = inode->blocks;
	uint8_t before[BLOCK_BYTES];
	unsigned n;
	int err = collect(inode, runs, &n);

	if (err)
		return err;
	if (extents && (n > EXTENT_ROOT_ENTRIES || !inode->fs->has_extents))
		return -EOPNOTSUPP;
	for (unsigned i = 0; i < n && !extents; i++)
		if (runs[i].pblk + runs[i].len > UINT32_MAX)
			return -EOPNOTSUPP;
	memcpy(before, inode_block(inode), BLOCK_BYTES);
	inode->flags = extents ? flags | EXT4_EXTENTS_FL : flags & ~EXT4_EXTENTS_FL;
	err = refill(h, inode, runs, n);
	if (err) {
		memcpy(inode_block(inode), before, BLOCK_BYTES);
		inode->flags = flags;
		inode->blocks = blocks;
		map_cache_drop(inode);
	}
	return err;
}
