// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fallocate: reserving, punching and zeroing ranges.
 *
 * All of it excludes readers and writers (inode->io). Edges that cover part of a block
 * are zeroed on the device; whole blocks change state in the map, one run and one handle
 * at a time, so a failure leaves a part of the range done and the size as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

#include "file_internal.h"

/* Blocks of [lblk, end) that are holes. */
static int count_holes(struct inode *inode, uint64_t lblk, uint64_t end, uint64_t *ret_nblks)
{
	uint64_t n = 0;

	while (lblk < end) {
		struct run run;
		int err = map_lookup(inode, lblk, &run);

		if (err)
			return err;
		if (run.flags & RUN_HOLE)
			n += MIN(end, file_run_end(&run)) - lblk;
		lblk = file_run_end(&run);
	}
	*ret_nblks = n;
	return 0;
}

/* Unwritten blocks for the start of a hole; *lblk moves on. */
static int fill_hole(struct inode *inode, uint64_t *lblk, uint64_t end, bool root)
{
	struct run run = { .lblk = *lblk, .flags = RUN_UNWRITTEN };
	uint32_t want = MIN(end - *lblk, (uint64_t)map_max_insert(inode));
	struct handle h;
	int err;

	err = map_reserve(inode, *lblk, want, 0, root, &run.pblk, &run.len);
	if (err)
		return err;
	err = inode_begin(inode, file_insert_credits(inode, run.pblk, run.len), &h);
	if (err) {
		balloc_unreserve(inode->fs, run.pblk, run.len);
		return err;
	}
	err = file_insert(&h, inode, &run);
	if (!err) {
		*lblk += run.len;
		err = inode_store(&h, inode, true);
	}
	txn_stop(&h);
	return err;
}

/* Written blocks to unwritten ones; *lblk moves on. */
static int make_unwritten(struct inode *inode, uint64_t *lblk, uint64_t end)
{
	uint32_t len = MIN(end - *lblk, (uint64_t)map_max_insert(inode));
	struct handle h;
	int err, err2;

	err = inode_begin(inode, 2 * map_credits(inode) + INODE_STORE_CREDITS, &h);
	if (err)
		return err;
	err = map_convert(&h, inode, *lblk, len, true);
	err2 = inode_store(&h, inode, true);
	txn_stop(&h);
	*lblk += err ? 0 : len;
	return err ? err : err2;
}

/* One run of allocate's range. */
static int unwritten_step(struct inode *inode, uint64_t *lblk, uint64_t end, bool zero, bool root)
{
	struct run run;
	int err;

	err = map_lookup(inode, *lblk, &run);
	if (err)
		return err;
	end = MIN(end, file_run_end(&run));
	if (run.flags & RUN_HOLE)
		return fill_hole(inode, lblk, end, root);
	if (run.flags == 0 && zero)
		return make_unwritten(inode, lblk, end);
	*lblk = end;
	return 0;
}

static uint64_t free_blocks(struct fs *fs)
{
	int64_t n;

	mutex_lock(&fs->super_lock);
	n = fs->free_blocks;
	mutex_unlock(&fs->super_lock);
	return MAX(n, 0);
}

/* Makes [lblk, end) allocated; with zero, also unwritten. */
static int allocate(struct inode *inode, uint64_t lblk, uint64_t end, bool zero, bool root)
{
	unsigned tries = 0;
	uint64_t holes;
	int err;

	rwlock_read(&inode->lock);
	err = count_holes(inode, lblk, end, &holes);
	rwlock_read_unlock(&inode->lock);
	if (err)
		return err;
	/* Do not fill the file system only to fail. */
	while (holes > free_blocks(inode->fs))
		if (!group_retry(inode->fs, -ENOSPC, &tries))
			return -ENOSPC;
	while (lblk < end && !err) {
		rwlock_write(&inode->lock);
		err = unwritten_step(inode, &lblk, end, zero, root);
		rwlock_write_unlock(&inode->lock);
		if (group_retry(inode->fs, err, &tries))
			err = 0;
	}
	return err;
}

/* The end of a successful call: times, and the size where it grows. */
static int set_size(struct inode *inode, uint64_t size)
{
	const struct timespec now = fs_now();
	struct handle h;
	int err;

	rwlock_write(&inode->lock);
	err = inode_begin(inode, INODE_STORE_CREDITS, &h);
	if (!err) {
		inode->size = MAX(inode->size, size);
		file_touch(inode, &now, false);
		err = inode_store(&h, inode, true);
		txn_stop(&h);
	}
	rwlock_write_unlock(&inode->lock);
	return err;
}

/* Zeroes the parts of blocks at both ends of [off, end); what is between is whole. */
static int zero_edges(struct inode *inode, uint64_t off, uint64_t end)
{
	uint64_t bs = inode->fs->block_size;
	uint64_t first_end = MIN(end, round_up(off, bs)), last_start = round_down(end, bs);
	int err;

	err = file_zero_part(inode, off, first_end);
	return err ? err : file_zero_part(inode, MAX(last_start, first_end), end);
}

static uint64_t current_size(struct inode *inode)
{
	uint64_t size;

	rwlock_read(&inode->lock);
	size = inode->size;
	rwlock_read_unlock(&inode->lock);
	return size;
}

static uint32_t current_flags(struct inode *inode)
{
	uint32_t flags;

	rwlock_read(&inode->lock);
	flags = inode->flags;
	rwlock_read_unlock(&inode->lock);
	return flags;
}

static int punch(struct inode *inode, uint64_t off, uint64_t end)
{
	uint64_t from = file_lblk_up(inode, off), to, size = current_size(inode);
	struct timespec now = fs_now();
	int err;

	/* The last block goes as a whole: behind the end there are only zeros. */
	if (end >= size)
		end = MAX(end, round_up(size, inode->fs->block_size));
	to = file_lblk(inode, end);
	err = zero_edges(inode, off, end);
	if (!err && from < to)
		err = file_unmap(inode, from, to, &now);
	return err ? err : set_size(inode, 0);
}

static int zero_range(struct inode *inode, uint64_t off, uint64_t end, uint64_t size, bool root)
{
	uint64_t from = file_lblk_up(inode, off), to = file_lblk(inode, end);
	int err;

	err = allocate(inode, file_lblk(inode, off), file_lblk_up(inode, end), false, root);
	if (!err)
		err = zero_edges(inode, off, end);
	if (!err && from < to)
		err = allocate(inode, from, to, true, root);
	return err ? err : set_size(inode, size);
}

/* Bytes behind the old end that become part of the file must be zeros. */
static int clean_tail(struct inode *inode, uint64_t size)
{
	uint64_t old = current_size(inode);

	if (size <= old)
		return 0;
	return file_zero_part(inode, old, round_up(old, inode->fs->block_size));
}

static int falloc_locked(struct inode *inode, int mode, uint64_t off, uint64_t end, bool root)
{
	uint64_t size = mode & FALLOC_FL_KEEP_SIZE ? 0 : end;
	int err;

	if (mode & FALLOC_FL_PUNCH_HOLE) {
		err = file_inline_zero(inode, off, end);
		return err ? MIN(err, 0) : punch(inode, off, end);
	}
	if (!inode->fs->has_extents)
		return -EOPNOTSUPP;
	err = file_inline_to_blocks(inode, root);
	if (err)
		return err;
	if (!(current_flags(inode) & EXT4_EXTENTS_FL))
		return -EOPNOTSUPP;
	err = clean_tail(inode, size);
	if (err)
		return err;
	if (mode & FALLOC_FL_ZERO_RANGE)
		return zero_range(inode, off, end, size, root);
	err = allocate(inode, file_lblk(inode, off), file_lblk_up(inode, end), false, root);
	return err ? err : set_size(inode, size);
}

static bool mode_supported(int mode)
{
	return mode == 0 || mode == FALLOC_FL_KEEP_SIZE ||
	       mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) ||
	       (mode & ~FALLOC_FL_KEEP_SIZE) == FALLOC_FL_ZERO_RANGE;
}

/* Space may be added to an append-only file, not content taken away. */
static int flags_allow(struct inode *inode, int mode)
{
	uint32_t flags = current_flags(inode);

	if (flags & EXT2_IMMUTABLE_FL)
		return -EPERM;
	return (flags & EXT2_APPEND_FL) && (mode & ~FALLOC_FL_KEEP_SIZE) ? -EPERM : 0;
}

int file_fallocate(struct inode *inode, int mode, uint64_t off, uint64_t len, bool root)
{
	bool has_extents;
	uint64_t max;
	int err = fs_may_write(inode->fs);

	if (err)
		return err;
	if (!mode_supported(mode))
		return -EOPNOTSUPP;
	if (len == 0)
		return -EINVAL;
	rwlock_read(&inode->lock);
	max = inode_max_size(inode);
	has_extents = inode->flags & EXT4_EXTENTS_FL;
	rwlock_read_unlock(&inode->lock);
	if (off > max || len > max - off) {
		/* Of a block map more may be asked for than it can hold. */
		if (!(mode & FALLOC_FL_PUNCH_HOLE) || has_extents)
			return -EFBIG;
		off = MIN(off, max);
		len = max - off;
	}
	file_exclude(inode);
	err = flags_allow(inode, mode);
	if (!err)
		err = falloc_locked(inode, mode, off, off + len, root);
	file_unexclude(inode);
	if (!err)
		err = inode_sync_if_wanted(inode);
	return err;
}
