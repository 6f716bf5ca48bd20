/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the journal's blocks are.
 *
 * Reads the journal inode's extent tree or block map itself: it runs before journal
 * recovery, when no cache exists yet, on a device that may be far away and a tree that
 * may be hostile. The map must be whole, in order, inside the file system and without
 * overlaps; this bounds everything that follows by the size of the image.
 */
#include <errno.h>

#include "blkdev.h"
#include "csum.h"
#include "recover_int.h"

/* MAX_BLOCKS is mke2fs's limit. */
enum { WINDOW_BYTES = 128 << 10, MAX_DEPTH = 5, MAX_BLOCKS = 10240000 };

static int damaged(struct log *log, const char *what)
{
	return log_fail(log, -EUCLEAN, "the journal inode is damaged (%s); run e2fsck -f", what);
}

/* Blocks that a journal may consist of: not those at the start of the file system. */
static bool in_range(const struct log *log, uint64_t pblk, uint64_t len)
{
	uint64_t first = log->e2->super->s_first_data_block + 1;

	return pblk >= first && pblk < log->fs_blocks && len <= log->fs_blocks - pblk;
}

/* Appends; what comes after the journal's size is left out. */
static int add_run(struct log *log, uint64_t lblk, uint32_t len, uint64_t pblk, uint32_t size)
{
	struct log_run *last = log->nruns ? &log->runs[log->nruns - 1] : NULL;

	if (log->nblocks >= size)
		return 0;
	if (lblk != log->nblocks)
		return damaged(log, "a hole, or blocks out of order");
	if (!in_range(log, pblk, len))
		return damaged(log, "a block out of range");
	len = MIN(len, size - log->nblocks);
	log->nblocks += len;
	if (last && last->pblk + last->len == pblk) {
		last->len += len;
		return 0;
	}
	if (!log->runs || log->nruns == log->runs_size) {
		size_t n = log->runs_size ? log->runs_size * 2 : 16;
		struct log_run *runs = realloc(log->runs, n * sizeof(*runs));

		if (!runs)
			return -ENOMEM;
		log->runs = runs;
		log->runs_size = n;
	}
	log->runs[log->nruns++] = (struct log_run){ lblk, len, pblk };
	return 0;
}

static int read_block(struct log *log, uint64_t pblk, uint8_t *block)
{
	int err = blkdev_read(log->src, block, log->block_size, pblk * log->block_size);

	return err ? log_fail(log, err, "cannot read the map of the journal") : 0;
}

static bool extent_csum_ok(const struct log *log, uint32_t seed, const uint8_t *block)
{
	const struct ext3_extent_header *eh = (const void *)block;
	uint32_t tail = sizeof(*eh) + get_le16(&eh->eh_max) * sizeof(struct ext3_extent);

	if (!ext2fs_has_feature_metadata_csum(log->e2->super))
		return true;
	return tail + 4 <= log->block_size &&
	       csum_crc32c(seed, block, tail) == get_le32(block + tail);
}

/* size: bytes the node has; depth: what its header must say. */
static bool node_ok(const uint8_t *node, uint32_t size, uint32_t depth)
{
	const struct ext3_extent_header *eh = (const void *)node;
	uint32_t entries = get_le16(&eh->eh_entries), max = get_le16(&eh->eh_max);

	return get_le16(&eh->eh_magic) == EXT3_EXT_MAGIC && get_le16(&eh->eh_depth) == depth &&
	       entries > 0 && entries <= max &&
	       sizeof(*eh) + max * sizeof(struct ext3_extent) <= size;
}

static int read_leaf(struct log *log, const uint8_t *node, uint32_t size_blks)
{
	uint32_t entries = get_le16(node + 2);
	const struct ext3_extent *ex = (const void *)(node + sizeof(struct ext3_extent_header));

	for (uint32_t i = 0; i < entries; i++, ex++) {
		uint32_t len = get_le16(&ex->ee_len);
		uint64_t pblk = get_le32(&ex->ee_start) |
				(uint64_t)get_le16(&ex->ee_start_hi) << 32;
		int err;

		if (len == 0 || len > EXT_INIT_MAX_LEN)
			return damaged(log, "an extent without data");
		err = add_run(log, get_le32(&ex->ee_block), len, pblk, size_blks);
		if (err)
			return err;
	}
	return 0;
}

/* Depth is at most MAX_DEPTH; every node below must add blocks, so the walk ends. */
static int read_node(struct log *log, const uint8_t *node, uint32_t depth, uint32_t seed,
		     uint32_t size_blks)
{
	uint32_t entries = get_le16(node + 2);
	const struct ext3_extent_idx *ix;
	AUTOFREE uint8_t *block = NULL;

	if (depth == 0)
		return read_leaf(log, node, size_blks);
	block = malloc(log->block_size);
	if (!block)
		return -ENOMEM;
	ix = (const void *)(node + sizeof(struct ext3_extent_header));
	for (uint32_t i = 0; i < entries && log->nblocks < size_blks; i++, ix++) {
		uint64_t pblk = get_le32(&ix->ei_leaf) |
				(uint64_t)get_le16(&ix->ei_leaf_hi) << 32;
		uint32_t before = log->nblocks;
		int err;

		if (!in_range(log, pblk, 1))
			return damaged(log, "an index block out of range");
		err = read_block(log, pblk, block);
		if (err)
			return err;
		if (!node_ok(block, log->block_size, depth - 1) ||
		    !extent_csum_ok(log, seed, block))
			return damaged(log, "a bad extent block");
		err = read_node(log, block, depth - 1, seed, size_blks);
		if (err)
			return err;
		if (log->nblocks == before)
			return damaged(log, "an empty extent block");
	}
	return 0;
}

static int read_extents(struct log *log, const struct ext2_inode *inode, uint32_t ino,
			uint32_t size_blks)
{
	/* i_block was swapped to host order with the inode; extents have their own. */
	const uint8_t *root = (const uint8_t *)inode->i_block;
	uint32_t depth = get_le16(root + offsetof(struct ext3_extent_header, eh_depth));
	uint8_t le[8];

	if (depth > MAX_DEPTH || !node_ok(root, sizeof(inode->i_block), depth))
		return damaged(log, "a bad extent root");
	put_le32(le, ino);
	put_le32(le + 4, inode->i_generation);
	return read_node(log, root, depth, csum_crc32c(log->e2->csum_seed, le, sizeof(le)),
			 size_blks);
}

/* level 0: pblk holds data. */
static int read_mapped(struct log *log, uint64_t pblk, unsigned level, uint32_t size_blks)
{
	AUTOFREE uint8_t *block = NULL;
	int err;

	if (log->nblocks >= size_blks)
		return 0;
	if (!in_range(log, pblk, 1))
		return damaged(log, "a hole or a block out of range");
	if (level == 0)
		return add_run(log, log->nblocks, 1, pblk, size_blks);
	block = malloc(log->block_size);
	if (!block)
		return -ENOMEM;
	err = read_block(log, pblk, block);
	for (uint32_t i = 0; i < log->block_size / 4 && !err; i++)
		err = read_mapped(log, get_le32(block + 4 * i), level - 1, size_blks);
	return err;
}

static int read_block_map(struct log *log, const struct ext2_inode *inode, uint32_t size_blks)
{
	int err = 0;

	for (unsigned i = 0; i < EXT2_N_BLOCKS && !err; i++) {
		unsigned level = i < EXT2_NDIR_BLOCKS ? 0 : i - EXT2_NDIR_BLOCKS + 1;

		err = read_mapped(log, inode->i_block[i], level, size_blks);
	}
	return err;
}

static int by_pblk(const void *a, const void *b)
{
	const struct log_run *x = a, *y = b;

	return (x->pblk > y->pblk) - (x->pblk < y->pblk);
}

static int check_overlaps(struct log *log)
{
	size_t bytes = log->nruns * sizeof(*log->runs);

	log->runs_by_pblk = malloc(bytes);
	if (!log->runs_by_pblk)
		return -ENOMEM;
	memcpy(log->runs_by_pblk, log->runs, bytes);
	qsort(log->runs_by_pblk, log->nruns, sizeof(*log->runs), by_pblk);
	for (size_t i = 1; i < log->nruns; i++) {
		const struct log_run *run = &log->runs_by_pblk[i - 1];

		if (run->pblk + run->len > log->runs_by_pblk[i].pblk)
			return damaged(log, "blocks used twice");
	}
	return 0;
}

int log_map(struct log *log)
{
	uint32_t ino = log->e2->super->s_journal_inum;
	struct ext2_inode inode;
	uint64_t blocks;
	errcode_t code = ext2fs_read_inode(log->e2, ino, &inode);
	int err;

	if (code)
		return log_fail(log, fs_errno(code), "cannot read the journal inode (%u)", ino);
	blocks = EXT2_I_SIZE(&inode) / log->block_size;
	if (!LINUX_S_ISREG(inode.i_mode) || !inode.i_links_count ||
	    (inode.i_flags & EXT4_INLINE_DATA_FL))
		return damaged(log, "not a plain file");
	if (blocks < JBD2_MIN_BLOCKS || blocks > log->fs_blocks || blocks > MAX_BLOCKS)
		return damaged(log, "impossible size");
	if (inode.i_flags & EXT4_EXTENTS_FL)
		err = read_extents(log, &inode, ino, blocks);
	else
		err = read_block_map(log, &inode, blocks);
	if (err)
		return err;
	if (log->nblocks < blocks)
		return damaged(log, "fewer blocks than its size says");
	return check_overlaps(log);
}

uint64_t log_pblk(const struct log *log, uint32_t lblk, uint32_t *ret_len)
{
	size_t lo = 0, hi = log->nruns;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (log->runs[mid].lblk <= lblk)
			lo = mid;
		else
			hi = mid;
	}
	*ret_len = log->runs[lo].len - (lblk - log->runs[lo].lblk);
	return log->runs[lo].pblk + (lblk - log->runs[lo].lblk);
}

int log_read(struct log *log, uint32_t lblk, const uint8_t **ret_data)
{
	uint32_t len;
	uint64_t pblk;
	int err;

	if (lblk - log->win_lblk >= log->win_len) {
		pblk = log_pblk(log, lblk, &len);
		len = MIN(len, MAX(1u, (uint32_t)WINDOW_BYTES / log->block_size));
		if (!log->window)
			log->window = malloc(MAX((uint32_t)WINDOW_BYTES, log->block_size));
		if (!log->window)
			return -ENOMEM;
		log->win_len = 0;
		err = blkdev_read(log->src, log->window, (size_t)len * log->block_size,
				  pblk * log->block_size);
		if (err)
			return log_fail(log, err, "cannot read the journal");
		log->win_lblk = lblk;
		log->win_len = len;
	}
	*ret_data = log->window + (size_t)(lblk - log->win_lblk) * log->block_size;
	return 0;
}

bool log_owns(const struct log *log, uint64_t pblk)
{
	size_t lo = 0, hi = log->nruns;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (log->runs_by_pblk[mid].pblk <= pblk)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && pblk - log->runs_by_pblk[lo - 1].pblk < log->runs_by_pblk[lo - 1].len;
}
