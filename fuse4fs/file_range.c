// SPDX-License-Identifier: GPL-2.0-or-later
/* Who may touch which data, and small things the file operations share. */
#include <errno.h>

#include "../transport/blkdev.h"
#include "file_internal.h"

bool file_is_mapped(struct inode *inode)
{
	if (inode_is_inline(inode))
		return false;
	return S_ISREG(inode->mode) || S_ISDIR(inode->mode) ||
	       (S_ISLNK(inode->mode) && !inode_is_fast_symlink(inode));
}

void file_share(struct inode *inode) NO_TSA
{
	struct map_cache *mc = map_cache_of(inode);

	if (mc && atomic_load(&mc->cutters)) {
		mutex_lock(&mc->lock);
		while (atomic_load(&mc->cutters))
			cond_wait(&mc->unclaimed, &mc->lock);
		mutex_unlock(&mc->lock);
	}
	rwlock_read(&inode->io);
}

void file_unshare(struct inode *inode) NO_TSA
{
	rwlock_read_unlock(&inode->io);
}

void file_exclude(struct inode *inode) NO_TSA
{
	struct map_cache *mc = map_cache_of(inode);

	if (mc)
		atomic_fetch_add(&mc->cutters, 1);
	rwlock_write(&inode->io);
	if (!mc)
		return;
	/* Those held back now wait for the lock itself. */
	mutex_lock(&mc->lock);
	atomic_fetch_sub(&mc->cutters, 1);
	cond_broadcast(&mc->unclaimed);
	mutex_unlock(&mc->lock);
}

void file_unexclude(struct inode *inode) NO_TSA
{
	rwlock_write_unlock(&inode->io);
}

static bool is_claimed(const struct map_cache *mc, uint64_t lblk, uint64_t end)
{
	for (struct list *l = mc->claims.next; l != &mc->claims; l = l->next) {
		const struct file_claim *c = container_of(l, struct file_claim, node);

		if (c->lblk < end && lblk < c->end)
			return true;
	}
	return false;
}

int file_claim(struct inode *inode, struct file_claim *c, uint64_t lblk, uint64_t end)
{
	struct map_cache *mc = map_cache_of(inode);

	if (!mc)
		return -ENOMEM;
	*c = (struct file_claim) { .mc = mc, .lblk = lblk, .end = end };
	mutex_lock(&mc->lock);
	while (is_claimed(mc, lblk, end))
		cond_wait(&mc->unclaimed, &mc->lock);
	list_push(&mc->claims, &c->node);
	mutex_unlock(&mc->lock);
	return 0;
}

void file_unclaim(struct file_claim *c)
{
	mutex_lock(&c->mc->lock);
	list_unlink(&c->node);
	cond_broadcast(&c->mc->unclaimed);
	mutex_unlock(&c->mc->lock);
}

unsigned file_insert_credits(struct inode *inode, uint64_t pblk, uint32_t len)
{
	const struct fs *fs = inode->fs;
	uint64_t first = (pblk - fs->first_data_block) / fs->blocks_per_group;
	uint64_t last = (pblk + len - 1 - fs->first_data_block) / fs->blocks_per_group;

	return (last - first + 1) * BALLOC_CREDITS + map_credits(inode) + INODE_STORE_CREDITS;
}

int file_insert(struct handle *h, struct inode *inode, const struct run *run)
{
	int err;

	err = balloc_commit(h, run->pblk, run->len);
	if (err) {
		balloc_unreserve(inode->fs, run->pblk, run->len);
		return err;
	}
	err = map_insert(h, inode, run);
	if (err)
		balloc_free(h, run->pblk, run->len, false);
	return err;
}

int file_zero_part(struct inode *inode, uint64_t off, uint64_t end)
{
	struct fs *fs = inode->fs;
	struct run run;
	int err;

	if (off >= end)
		return 0;
	rwlock_read(&inode->lock);
	err = map_lookup(inode, file_lblk(inode, off), &run);
	rwlock_read_unlock(&inode->lock);
	if (err || run.flags)
		return err;
	return blkdev_write_zeros(fs->dev, fs_off(fs, run.pblk) + fs_block_off(fs, off), end - off);
}

/* One handle of file_unmap. */
static int unmap_some(struct inode *inode, uint64_t *lblk, uint64_t end,
		      const struct timespec *now)
{
	struct handle h;
	int err, err2;

	err = inode_begin(inode, map_remove_credits(inode) + INODE_STORE_CREDITS, &h);
	if (err)
		return err;
	err = map_remove(&h, inode, *lblk, end, lblk);
	if (now)
		file_touch(inode, now, false);
	err2 = inode_store(&h, inode, true);
	txn_stop(&h);
	return err ? err : err2;
}

int file_unmap(struct inode *inode, uint64_t lblk, uint64_t end, const struct timespec *now)
{
	int err = 0;

	while (lblk < end && !err) {
		rwlock_write(&inode->lock);
		err = unmap_some(inode, &lblk, end, now);
		rwlock_write_unlock(&inode->lock);
	}
	return err;
}
