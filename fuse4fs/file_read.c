// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading: the runs are looked up a few at a time under the shared lock, then the
 * device is read without it. What is being cut away waits for inode->io.
 */
#include <errno.h>

#include "../transport/blkdev.h"
#include "file_internal.h"

enum {
	RUNS = 8,				/* looked up at a time */
	AHEAD_BYTES = 4 << 20,			/* how far sequential reads are prefetched */
	AHEAD_STEP = 1 << 20,			/* ... and in what pieces */
};

/* Bytes of the file and where they are. */
struct chunk {
	uint64_t dev_off;
	size_t len;
	bool zero;
};

/* Fills up to RUNS chunks for the beginning of [off, off + len). */
static int find_chunks(struct inode *inode, uint64_t off, size_t len, struct chunk *chunks,
		       unsigned *ret_n, size_t *ret_len)
{
	struct fs *fs = inode->fs;
	size_t done = 0;
	unsigned n = 0;

	while (done < len) {
		uint64_t at = off + done, skip = fs_block_off(fs, at);
		struct chunk c, *last = n ? &chunks[n - 1] : NULL;
		struct run run;
		int err = map_lookup(inode, file_lblk(inode, at), &run);

		if (err)
			return err;
		c.len = MIN(len - done, fs_off(fs, run.len) - skip);
		c.zero = run.flags;
		c.dev_off = fs_off(fs, run.pblk) + skip;
		if (last && last->zero == c.zero &&
		    (c.zero || last->dev_off + last->len == c.dev_off))
			last->len += c.len;
		else if (n == RUNS)
			break;
		else
			chunks[n++] = c;
		done += c.len;
	}
	*ret_n = n;
	*ret_len = done;
	return 0;
}

static int read_chunks(struct fs *fs, uint8_t *buf, const struct chunk *chunks,
		       unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct chunk *c = &chunks[i];
		int err = 0;

		if (c->zero)
			memset(buf, 0, c->len);
		else
			err = blkdev_read(fs->dev, buf, c->len, c->dev_off);
		if (err)
			return err;
		buf += c->len;
	}
	return 0;
}

/* [off, *end): what of the next stretch a sequential reader should have prefetched. */
static bool ahead_due(struct inode *inode, uint64_t off, size_t len, uint64_t size,
		      uint64_t *ret_from, uint64_t *ret_to)
{
	struct map_cache *mc = map_cache_of(inode);
	uint64_t end = off + len, to = MIN(size, end + AHEAD_BYTES);
	bool due;

	if (!mc)
		return false;
	mutex_lock(&mc->lock);
	due = off == mc->read_end && off > 0;
	if (!due || mc->prefetch_end < end || mc->prefetch_end > to)
		mc->prefetch_end = end;
	mc->read_end = end;
	due = due && (to >= mc->prefetch_end + AHEAD_STEP || to == size) && to > mc->prefetch_end;
	if (due) {
		*ret_from = mc->prefetch_end;
		*ret_to = mc->prefetch_end = to;
	}
	mutex_unlock(&mc->lock);
	return due;
}

static void read_ahead(struct inode *inode, uint64_t off, size_t len, uint64_t size)
{
	struct fs *fs = inode->fs;
	struct chunk chunks[RUNS];
	uint64_t from, to;
	unsigned n = 0;
	size_t found;

	if (!fs->dev->ops->prefetch || !ahead_due(inode, off, len, size, &from, &to))
		return;
	rwlock_read(&inode->lock);
	find_chunks(inode, from, to - from, chunks, &n, &found);
	rwlock_read_unlock(&inode->lock);
	for (unsigned i = 0; i < n; i++)
		if (!chunks[i].zero)
			blkdev_prefetch(fs->dev, chunks[i].dev_off, chunks[i].len);
}

/* One batch of runs, at most len bytes from off. Bytes read, 0 at EOF, -errno. */
static ssize_t read_some(struct inode *inode, uint8_t *buf, size_t len, uint64_t off,
			 uint64_t *ret_size)
{
	struct chunk chunks[RUNS];
	size_t found = 0;
	unsigned n = 0;
	int err = 0;

	rwlock_read(&inode->lock);
	*ret_size = inode->size;
	len = off < inode->size ? MIN(len, inode->size - off) : 0;
	if (len && inode_is_inline(inode)) {
		err = file_inline_read_locked(inode, buf, len, off);
		rwlock_read_unlock(&inode->lock);
		return err < 0 ? err : (ssize_t)len;
	}
	if (len)
		err = find_chunks(inode, off, len, chunks, &n, &found);
	rwlock_read_unlock(&inode->lock);
	if (!err)
		err = read_chunks(inode->fs, buf, chunks, n);
	return err ? err : (ssize_t)found;
}

ssize_t file_read(struct inode *inode, void *buf, size_t len, uint64_t off)
{
	int err = fs_may_read(inode->fs);
	uint64_t size = 0;
	ssize_t n = 0;
	size_t done = 0;

	if (err)
		return err;
	if (off > INT64_MAX || len > INT64_MAX - off)
		return -EINVAL;
	file_share(inode);
	while (done < len) {
		n = read_some(inode, (uint8_t *)buf + done, len - done, off + done, &size);
		if (n <= 0)
			break;
		done += n;
	}
	if (n >= 0 && done > 0)
		read_ahead(inode, off, done, size);
	file_unshare(inode);
	return n < 0 && done == 0 ? n : (ssize_t)done;
}
