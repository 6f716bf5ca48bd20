/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commits of an image without a journal: blocks go straight home, in an order that
 * leaves e2fsck the least to guess.
 *
 * 1. flush: file data is there before anything points to it (I2).
 * 2. all but directories and the superblock: inodes before the names that lead to
 *    them, so that no name leads to an inode of an earlier life;
 * 3. flush, directories, the superblock, flush.
 *
 * A crash in between leaves inodes without a name or wrong counts, which e2fsck mends,
 * but nobody's blocks in somebody else's file: what was freed is not reused yet.
 */
#include <errno.h>

#include "blkdev.h"
#include "commit.h"

/* Names and the superblock follow what they refer to. */
static bool is_late(const struct fs *fs, const struct copy *k)
{
	return k->kind == BUF_DIR || k->kind == BUF_DX ||
	       k->pblk == (uint64_t)SUPERBLOCK_OFFSET >> fs->block_bits;
}

static size_t count_late(const struct commit *c, const struct fs *fs)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		n += is_late(fs, &c->copies[i]);
	return n;
}

/* Writes one half, neighbours at once: their copies are neighbours too. */
static int write_half(struct commit *c, struct fs *fs, bool late)
{
	size_t i = 0;

	while (i < c->n) {
		const struct copy *first = &c->copies[i];
		size_t n = 1;
		int err;

		if (is_late(fs, first) != late) {
			i++;
			continue;
		}
		while (i + n < c->n && first[n].pblk == first->pblk + n &&
		       is_late(fs, &first[n]) == late)
			n++;
		if (commit_aborted(c->mgr))
			return -EIO;
		err = blkdev_write(fs->dev, first->data, n << fs->block_bits,
				   fs_off(fs, first->pblk));
		commit_wrote_home(c->mgr, first->pblk, n);
		if (err)
			return err;
		i += n;
	}
	return 0;
}

static int home_write(struct commit_writer *w, struct commit *c)
{
	size_t nlate = count_late(c, w->fs);
	int err = commit_flush(c->mgr);

	if (!err)
		err = write_half(c, w->fs, false);
	if (!err && nlate && nlate < c->n)
		err = commit_flush(c->mgr);
	if (!err)
		err = write_half(c, w->fs, true);
	if (!err && c->n)
		err = commit_flush(c->mgr);
	return err;
}

static int home_close(struct commit_writer *w, bool aborted)
{
	(void)aborted;
	free(w);
	return 0;
}

static const struct commit_writer_ops home_ops = {
	.write = home_write,
	.close = home_close,
};

int commit_home_open(struct fs *fs, struct commit_writer **ret)
{
	struct commit_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	*w = (struct commit_writer){ .ops = &home_ops, .fs = fs, .first_tid = 1 };
	*ret = w;
	return 0;
}
