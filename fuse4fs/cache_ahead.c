/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading ahead into the block cache.
 *
 * Blocks are claimed (FILLING) before the device is asked, so that nobody can change
 * one between our reading it and its getting into the cache. What it holds is verified
 * by the first cache_read, which knows its kind.
 */
#include <errno.h>

#include "blkdev.h"
#include "cache_priv.h"

enum { AHEAD_BLOCKS = 32, AHEAD_BYTES = 512 << 10 };

static void fill_run(struct cache *c, struct buf **run, unsigned n)
{
	size_t bs = c->fs->block_size;
	AUTOFREE uint8_t *mem = NULL;
	uint8_t *to = run[0]->data;
	int err = -ENOMEM;

	if (n > 1)
		to = mem = malloc(n * bs);
	if (to)
		err = blkdev_read(c->fs->dev, to, n * bs, fs_off(c->fs, run[0]->pblk));
	for (unsigned i = 0; i < n; i++) {
		if (!err && n > 1)
			memcpy(run[i]->data, mem + i * bs, bs);
		cache_claim_done(run[i], err);
	}
}

void cache_prefetch(struct cache *c, uint64_t pblk, unsigned n)
{
	struct fs *fs = c->fs;
	struct buf *run[AHEAD_BLOCKS];
	unsigned max = MIN(AHEAD_BLOCKS, AHEAD_BYTES >> fs->block_bits);
	unsigned len = 0;

	if (pblk >= fs->blocks_count)
		return;
	n = MIN(n, fs->blocks_count - pblk);
	if (n > max) {
		blkdev_prefetch(fs->dev, fs_off(fs, pblk + max),
				(uint64_t)(n - max) << fs->block_bits);
		n = max;
	}
	for (unsigned i = 0; i < n; i++) {
		run[len] = cache_claim(c, pblk + i);
		if (run[len]) {
			len++;
			continue;
		}
		if (len)
			fill_run(c, run, len);
		len = 0;
	}
	if (len)
		fill_run(c, run, len);
}
