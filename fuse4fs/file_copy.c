// SPDX-License-Identifier: GPL-2.0-or-later
/* Where data lies in a file (SEEK_DATA, SEEK_HOLE, bmap), and copying it. */
#include <errno.h>
#include <unistd.h>

#include "file_internal.h"

enum { COPY_BYTES = 256 << 10 };

/* First byte at or behind off that is (data) or is not (hole) in a written block. */
static int64_t seek_mapped(struct inode *inode, uint64_t off, bool data)
{
	struct fs *fs = inode->fs;
	uint64_t seen = 0;

	for (uint64_t at = off; at < inode->size;) {
		struct run run;
		int err = map_lookup(inode, file_lblk(inode, at), &run);

		if (err)
			return err;
		if (data == (run.flags == 0))
			return at;
		/* A damaged map may name the same blocks again and again. */
		seen += run.flags ? 0 : run.len;
		if (seen > fs->blocks_count)
			return fs_error(fs, -EUCLEAN, inode->ino, 0,
					"maps more blocks than there are");
		at = fs_off(fs, file_run_end(&run));
	}
	return data ? -ENXIO : (int64_t)inode->size;
}

int64_t file_seek(struct inode *inode, uint64_t off, int whence)
{
	int64_t ret = fs_may_read(inode->fs);
	bool data = whence == SEEK_DATA;

	if (ret)
		return ret;
	if (!data && whence != SEEK_HOLE)
		return -EINVAL;
	rwlock_read(&inode->lock);
	if (off >= inode->size)
		ret = -ENXIO;
	else if (inode_is_inline(inode))
		ret = data ? off : inode->size;
	else
		ret = seek_mapped(inode, off, data);
	rwlock_read_unlock(&inode->lock);
	return ret;
}

int file_bmap(struct inode *inode, uint64_t lblk, uint64_t *ret_pblk)
{
	struct run run = { .pblk = 0 };
	int err = fs_may_read(inode->fs);

	if (err)
		return err;
	rwlock_read(&inode->lock);
	if (lblk < MAP_END && file_is_mapped(inode))
		err = map_lookup(inode, lblk, &run);
	rwlock_read_unlock(&inode->lock);
	if (!err)
		*ret_pblk = run.flags ? 0 : run.pblk;
	return err;
}

static bool overlaps(uint64_t a, uint64_t b, size_t len)
{
	return a < b + len && b < a + len;
}

ssize_t file_copy(struct inode *src, uint64_t src_off, struct inode *dst, uint64_t dst_off,
		  size_t len, bool root)
{
	AUTOFREE uint8_t *buf = NULL;
	size_t done = 0;

	if (src_off > INT64_MAX || dst_off > INT64_MAX)
		return -EINVAL;
	len = MIN(len, (size_t)INT64_MAX - MAX(src_off, dst_off));
	if (src == dst && overlaps(src_off, dst_off, len))
		return -EINVAL;
	buf = malloc(MIN(len, (size_t)COPY_BYTES) + 1);
	if (!buf)
		return -ENOMEM;
	while (done < len) {
		ssize_t n, wrote;

		n = file_read(src, buf, MIN(len - done, (size_t)COPY_BYTES), src_off + done);
		if (n < 0)
			return done ? (ssize_t)done : n;
		if (n == 0)
			break;
		wrote = file_write(dst, buf, n, dst_off + done, root);
		if (wrote < 0)
			return done ? (ssize_t)done : wrote;
		done += wrote;
		if (wrote < n)
			break;
	}
	return done;
}
