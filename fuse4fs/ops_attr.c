/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Attributes: getattr, setattr, inode flags, project id, generation. */
#include <errno.h>

#include "file.h"
#include "ops_internal.h"
#include "xattr.h"

int ops_getattr(struct fs *fs, uint32_t ino, struct stat *st)
{
	struct inode *inode;
	int err = fs_may_read(fs);

	if (!err)
		err = inode_get(fs, ino, &inode);
	if (err)
		return err;
	rwlock_read(&inode->lock);
	inode_fill_stat(inode, st);
	rwlock_read_unlock(&inode->lock);
	inode_put(inode);
	return 0;
}

/*
 * The kernel's client hands on, late, the times of writes that succeeded before the flag was set,
 * and ctime alone where it has changed something else. All times may be set to the present
 * as long as the file can be appended to.
 */
static int may_set(const struct inode *inode, unsigned what)
{
	unsigned allowed = SET_CTIME | SET_LATE;

	if (what & SET_LATE)
		allowed |= SET_MTIME;
	if ((what & SET_ATIME_NOW) && (what & SET_MTIME) && !(inode->flags & EXT2_IMMUTABLE_FL))
		allowed |= SET_ATIME | SET_ATIME_NOW | SET_MTIME;
	if ((what & ~allowed) && (inode->flags & (EXT2_IMMUTABLE_FL | EXT2_APPEND_FL)))
		return -EPERM;
	return 0;
}

static int apply_attr(struct handle *h, struct inode *inode, const struct stat *st,
		      unsigned what)
{
	/* The list first: nothing has changed when that fails. */
	if (what & SET_MODE) {
		uint16_t mode = (inode->mode & S_IFMT) | (st->st_mode & 07777);
		int err = acl_chmod_locked(h, inode, mode);

		if (err)
			return err;
		inode->mode = mode;
	}
	if (what & SET_UID)
		inode->uid = st->st_uid;
	if (what & SET_GID)
		inode->gid = st->st_gid;
	if (what & SET_ATIME)
		inode->atime = st->st_atim;
	if (what & SET_MTIME)
		inode->mtime = st->st_mtim;
	inode->ctime = what & SET_CTIME ? st->st_ctim : fs_now();
	return inode_store(h, inode, false);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Times alone, and as they are: the kernel's client repeats them with every write-back, and
 * an fsync behind that need not commit what did not change. */
static bool is_repeat(const struct inode *inode, const struct stat *st, unsigned what)
{
	if ((what & ~(unsigned)(SET_ATIME | SET_MTIME | SET_LATE)) != SET_CTIME)
		return false;
	return same_time(&st->st_ctim, &inode->ctime) &&
	       (!(what & SET_MTIME) || same_time(&st->st_mtim, &inode->mtime)) &&
	       (!(what & SET_ATIME) || same_time(&st->st_atim, &inode->atime));
}

/* Everything but the size, in one handle. */
static int set_others(struct inode *inode, const struct stat *st, unsigned what)
{
	unsigned credits = INODE_STORE_CREDITS;
	struct handle h;
	int err, end;

	rwlock_write(&inode->lock);
	if (is_repeat(inode, st, what)) {
		rwlock_write_unlock(&inode->lock);
		return 0;
	}
	err = may_set(inode, what);
	if (!err && (what & SET_MODE))
		credits += xattr_credits(inode, 4096);
	if (!err)
		err = inode_begin(inode, credits, &h);
	if (!err) {
		h.sync = inode_wants_sync(inode);
		err = apply_attr(&h, inode, st, what);
		end = txn_stop(&h);
		err = err ? err : end;
	}
	rwlock_write_unlock(&inode->lock);
	return err;
}

static int set_size(struct inode *inode, uint64_t size)
{
	int err;

	if (S_ISDIR(inode->mode))
		return -EISDIR;
	if (!S_ISREG(inode->mode))
		return -EINVAL;
	rwlock_read(&inode->lock);
	err = may_set(inode, SET_SIZE);
	rwlock_read_unlock(&inode->lock);
	return err ? err : file_truncate(inode, size);
}

int ops_setattr(struct fs *fs, uint32_t ino, const struct stat *st, unsigned what,
		const struct cred *cred, struct stat *ret_st)
{
	struct inode *inode;
	int err = fs_may_write(fs);

	(void)cred;
	if (!err)
		err = inode_get(fs, ino, &inode);
	if (err)
		return err;
	if (what & SET_SIZE)
		err = set_size(inode, (uint64_t)st->st_size);
	what &= ~(unsigned)SET_SIZE;
	if (!err && (what & ~(unsigned)SET_LATE))
		err = set_others(inode, st, what);
	if (!err && ret_st) {
		rwlock_read(&inode->lock);
		inode_fill_stat(inode, ret_st);
		rwlock_read_unlock(&inode->lock);
	}
	inode_put(inode);
	return err;
}

int ops_get_flags(struct fs *fs, uint32_t ino, uint32_t *ret_flags, uint32_t *ret_projid)
{
	struct inode *inode;
	int err = fs_may_read(fs);

	if (!err)
		err = inode_get(fs, ino, &inode);
	if (err)
		return err;
	rwlock_read(&inode->lock);
	*ret_flags = inode->flags & EXT2_FL_USER_VISIBLE;
	*ret_projid = inode->projid;
	rwlock_read_unlock(&inode->lock);
	inode_put(inode);
	return 0;
}

/* A referenced inode, locked exclusively, in a handle of one store; end_change undoes it. */
static int begin_change(struct fs *fs, uint32_t ino, struct handle *h,
			struct inode **ret) NO_TSA
{
	struct inode *inode;
	int err = fs_may_write(fs);

	if (!err)
		err = inode_get(fs, ino, &inode);
	if (err)
		return err;
	rwlock_write(&inode->lock);
	err = inode_begin(inode, INODE_STORE_CREDITS, h);
	if (err) {
		rwlock_write_unlock(&inode->lock);
		inode_put(inode);
		return err;
	}
	*ret = inode;
	return 0;
}

static int end_change(struct handle *h, struct inode *inode, int err) NO_TSA
{
	int end;

	h->sync = inode_wants_sync(inode);

	if (!err) {
		inode->ctime = fs_now();
		err = inode_store(h, inode, false);
	}
	end = txn_stop(h);
	rwlock_write_unlock(&inode->lock);
	inode_put(inode);
	return err ? err : end;
}

/* What a user sees but cannot set is ignored, as the kernel does: chattr(1) writes back what
 * it read, or nothing of it. */
enum {
	SETTABLE = EXT2_SECRM_FL | EXT2_UNRM_FL | EXT2_COMPR_FL | EXT2_SYNC_FL |
		EXT2_IMMUTABLE_FL | EXT2_APPEND_FL | EXT2_NODUMP_FL | EXT2_NOATIME_FL |
		EXT2_NOTAIL_FL | EXT2_DIRSYNC_FL | EXT2_TOPDIR_FL | EXT4_PROJINHERIT_FL,
	/* How content is stored: only small maps are converted (map_migrate). */
	STORAGE = EXT4_EXTENTS_FL | EXT3_JOURNAL_DATA_FL | EXT4_CASEFOLD_FL,
};

static int change_flags(struct handle *h, struct inode *inode, uint32_t changed)
{
	uint32_t set = changed & ~inode->flags;
	bool has_map = S_ISREG(inode->mode) || S_ISDIR(inode->mode);
	int err = 0;

	if (changed && (inode->flags & ~changed & EXT2_IMMUTABLE_FL))
		return -EPERM;
	if (changed & STORAGE & ~(uint32_t)EXT4_EXTENTS_FL)
		return -EOPNOTSUPP;
	if ((set & EXT4_PROJINHERIT_FL) && !inode->fs->has_project)
		return -EOPNOTSUPP;
	if (!S_ISDIR(inode->mode) && (set & (EXT2_DIRSYNC_FL | EXT2_TOPDIR_FL)))
		return -EOPNOTSUPP;
	if (changed & EXT4_EXTENTS_FL)
		err = has_map && !inode_is_inline(inode) ?
			map_migrate(h, inode, set & EXT4_EXTENTS_FL) : -EOPNOTSUPP;
	if (!err)
		inode->flags ^= changed & SETTABLE;
	return err;
}

int ops_set_flags(struct fs *fs, uint32_t ino, uint32_t flags, uint32_t mask)
{
	struct inode *inode;
	struct handle h;
	int err = begin_change(fs, ino, &h, &inode);

	if (err)
		return err;
	err = change_flags(&h, inode, (flags ^ inode->flags) & mask & (SETTABLE | STORAGE));
	return end_change(&h, inode, err);
}

int ops_set_projid(struct fs *fs, uint32_t ino, uint32_t projid)
{
	struct inode *inode;
	struct handle h;
	int err = begin_change(fs, ino, &h, &inode);

	if (err)
		return err;
	if (projid != inode->projid && !fs->has_project)
		err = -EOPNOTSUPP;
	else
		inode->projid = projid;
	return end_change(&h, inode, err);
}

int ops_set_generation(struct fs *fs, uint32_t ino, uint32_t gen)
{
	struct inode *inode;
	struct handle h;
	int err;

	/* With checksums every block of the inode is sealed with the generation. */
	if (fs->has_csum)
		return -ENOTTY;
	err = begin_change(fs, ino, &h, &inode);
	if (err)
		return err;
	inode->gen = gen;
	return end_change(&h, inode, 0);
}
