/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an inode tells about itself: stat, limits, the rules for access times. */
#include <errno.h>
#include <sys/sysmacros.h>

#include "inode_int.h"

/* Two encodings share i_block: 8+8 bits in the first word, else 12+20 in the second. */
static dev_t decode_rdev(struct inode *inode)
{
	uint32_t old = get_le32(inode_block(inode));
	uint32_t new = get_le32(inode_block(inode) + 4);

	if (!S_ISCHR(inode->mode) && !S_ISBLK(inode->mode))
		return 0;
	if (old)
		return makedev(old >> 8 & 0xff, old & 0xff);
	return makedev(new >> 8 & 0xfff, (new & 0xff) | (new >> 12 & 0xfff00));
}

void inode_fill_stat(struct inode *inode, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = inode->ino;
	st->st_mode = inode->mode;
	st->st_nlink = inode->nlink;
	st->st_uid = inode->uid;
	st->st_gid = inode->gid;
	st->st_rdev = decode_rdev(inode);
	st->st_size = inode->size;
	st->st_blksize = inode->fs->block_size;
	st->st_blocks = inode->blocks;
	/* Tools take a file with a size and no blocks for one big hole. */
	if (inode_is_inline(inode))
		st->st_blocks += div_up(inode->size, 512);
	st->st_atim = inode->atime;
	st->st_mtim = inode->mtime;
	st->st_ctim = inode->ctime;
}

bool inode_is_fast_symlink(const struct inode *inode)
{
	const struct fs *fs = inode->fs;
	uint64_t ea_blocks = inode->file_acl ?
		(fs->block_size << fs->e2->cluster_ratio_bits) >> 9 : 0;

	if (!S_ISLNK(inode->mode) || inode_is_inline(inode))
		return false;
	/* The blocks of attribute inodes count too: with them only the size can tell. */
	if (fs->has_ea_inode)
		return inode->size && inode->size < sizeof(((struct ext2_inode *)0)->i_block);
	return inode->blocks == ea_blocks;
}

/* i_blocks counts 512-byte units in 32 bits without huge_file, blocks in 48 with it. */
static uint64_t max_counted_blocks(const struct fs *fs)
{
	if (fs->has_huge_file)
		return (UINT64_C(1) << 48) - 1;
	return ((UINT64_C(1) << 32) - 1) >> (fs->block_bits - 9);
}

/* Blocks of data when `total` may be used and each level's tree blocks count too. */
static uint64_t max_mapped_blocks(const struct fs *fs)
{
	uint64_t n = fs->block_size / 4;
	uint64_t total = max_counted_blocks(fs);
	uint64_t reach = EXT2_NDIR_BLOCKS + n + n * n + n * n * n;
	uint64_t tree = 1 + (1 + n) + (1 + n + n * n);
	uint64_t left;

	if (reach + tree <= total)
		return reach;
	left = total - EXT2_NDIR_BLOCKS - n;
	if (left < n * n)
		return total - 1 - (1 + div_up(left, n));
	left -= n * n;
	return total - 1 - (1 + n) - (1 + div_up(left, n) + div_up(left, n * n));
}

uint64_t inode_max_size(const struct inode *inode)
{
	const struct fs *fs = inode->fs;
	bool extents = (inode->flags & EXT4_EXTENTS_FL) ||
		       (inode_is_inline(inode) && fs->has_extents);
	uint64_t blocks = extents ? MIN((UINT64_C(1) << 32) - 1, max_counted_blocks(fs)) :
				    max_mapped_blocks(fs);

	/* One less than 2^32: block numbers must not wrap either. */
	return MIN(blocks, (UINT64_C(1) << 32) - 1) << fs->block_bits;
}

bool inode_wants_sync(const struct inode *inode)
{
	return inode->fs->opt.sync || (inode->flags & EXT2_SYNC_FL);
}

bool inode_dir_wants_sync(const struct inode *dir)
{
	return inode_wants_sync(dir) || dir->fs->opt.dirsync || (dir->flags & EXT2_DIRSYNC_FL);
}

uint32_t inode_link_max(const struct inode *inode)
{
	return 65000;
}

static bool time_before_or_same(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec <= b->tv_nsec);
}

bool inode_atime_due(struct inode *inode, const struct timespec *now)
{
	enum { DAY_SEC = 24 * 60 * 60 };
	const struct fs *fs = inode->fs;
	const struct timespec *atime = &inode->atime;

	if (fs->opt.readonly || fs->opt.atime == FS_NOATIME || (inode->flags & EXT2_NOATIME_FL))
		return false;
	if (fs->opt.nodiratime && S_ISDIR(inode->mode))
		return false;
	if (atime->tv_sec == now->tv_sec && atime->tv_nsec == now->tv_nsec)
		return false;
	if (fs->opt.atime == FS_STRICTATIME)
		return true;
	return time_before_or_same(atime, &inode->mtime) ||
	       time_before_or_same(atime, &inode->ctime) ||
	       now->tv_sec - atime->tv_sec >= DAY_SEC;
}

static int touch_atime_locked(struct inode *inode, const struct timespec *now)
{
	struct timespec old = inode->atime;
	struct handle h;
	int err, end;

	if (!inode_atime_due(inode, now))
		return 0;
	err = inode_begin(inode, INODE_STORE_CREDITS, &h);
	if (err)
		return err;
	inode->atime = *now;
	err = inode_store(&h, inode, false);
	if (err)
		inode->atime = old;
	end = txn_stop(&h);
	return err ? err : end;
}

int inode_touch_atime(struct inode *inode)
{
	struct timespec now = fs_now();
	bool due;
	int err;

	if (atomic_load(&inode->fs->state) != FS_RW)
		return 0;
	rwlock_read(&inode->lock);
	due = inode_atime_due(inode, &now);
	rwlock_read_unlock(&inode->lock);
	if (!due)
		return 0;
	rwlock_write(&inode->lock);
	err = touch_atime_locked(inode, &now);
	rwlock_write_unlock(&inode->lock);
	/* The read has succeeded; a device that fails is for the journal to report. */
	return err == -EROFS || err == -EIO ? 0 : err ? err : 1;
}
