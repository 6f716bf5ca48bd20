// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Open files and their contents.
 *
 * A handle is the address of the referenced in-core inode, with the lowest bit set when its
 * opener was root: no table, no lookup per request.
 */
#include <errno.h>
#include <fcntl.h>

#include "file.h"
#include "nodes.h"
#include "vfs_priv.h"

enum { FH_ROOT = 1 };

/* Who may use reserved blocks. Other groups than the first one are not looked at. */
static bool may_fill(const struct vfs *v, const struct vfs_cred *cred)
{
	const struct fs *fs = v->fs;

	return cred->root || cred->uid == fs->reserve_uid ||
	       (fs->reserve_gid && cred->gid == fs->reserve_gid);
}

static struct inode *fh_inode(uint64_t fh)
{
	return (struct inode *)(uintptr_t)(fh & ~(uint64_t)FH_ROOT);
}

static bool wants_write(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

/* What the kernel's client does not know: flags of the inode, state of the system. */
static int may_open(struct vfs *v, struct inode *inode, int flags)
{
	uint32_t iflags;
	int err = wants_write(flags) ? fs_may_write(v->fs) : fs_may_read(v->fs);

	if (err)
		return err;
	if (!wants_write(flags) && !(flags & O_TRUNC))
		return 0;
	rwlock_read(&inode->lock);
	iflags = inode->flags;
	rwlock_read_unlock(&inode->lock);
	if (iflags & EXT2_IMMUTABLE_FL)
		return -EPERM;
	if ((iflags & EXT2_APPEND_FL) && (!(flags & O_APPEND) || (flags & O_TRUNC)))
		return -EPERM;
	return 0;
}

/* Takes over the caller's reference on success. */
static int make_handle(struct vfs *v, struct inode *inode, int flags, bool root, uint64_t *ret_fh)
{
	int err = nodes_get(v->opens, inode->ino);

	if (err)
		return err;
	if (wants_write(flags))
		atomic_fetch_add(&inode->opens, 1);
	*ret_fh = (uint64_t)(uintptr_t)inode | (root ? FH_ROOT : 0);
	return 0;
}

static void count_as_read(struct vfs *v, struct inode *inode, int flags, struct vfs_opened *ret)
{
	if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_NOATIME))
		return;
	ret->uncached = v->fs->opt.atime == FS_STRICTATIME;
	ret->touched = !ret->uncached && inode_touch_atime(inode) > 0;
}

int vfs_open_file(struct vfs *v, uint32_t ino, int flags, const struct vfs_cred *cred,
		  struct vfs_opened *ret)
{
	struct vfs_opened o = { .fh = 0 };
	struct inode *inode;
	int err = inode_get(v->fs, ino, &inode);

	if (err)
		return err;
	err = may_open(v, inode, flags);
	if (!err)
		err = make_handle(v, inode, flags, may_fill(v, cred), &o.fh);
	if (err) {
		inode_put(inode);
		return err;
	}
	count_as_read(v, inode, flags, &o);
	*ret = o;
	return 0;
}

/* Entry and handle of an inode just made; takes over the reference on success. */
static int finish_create(struct vfs *v, struct inode *inode, int flags, bool root,
			 struct vfs_entry *ret, uint64_t *ret_fh)
{
	int err = vfs_fill_entry(v, inode, ret);

	if (err)
		return err;
	err = make_handle(v, inode, flags, root, ret_fh);
	if (err)
		nodes_put(v->nodes, inode->ino, 1);	/* our reference keeps it alive */
	return err;
}

int vfs_create(struct vfs *v, uint32_t dir, const char *name, mode_t mode, int flags,
	       const struct vfs_cred *cred, struct vfs_entry *ret, uint64_t *ret_fh)
{
	struct inode *inode;
	struct cred creator;
	int err = vfs_creator(v, dir, cred, &creator);

	if (!err)
		err = ops_make(v->fs, dir, name, (uint16_t)(S_IFREG | (mode & 07777)), 0, NULL,
			       &creator, &inode);
	if (err)
		return err;
	err = finish_create(v, inode, flags, may_fill(v, cred), ret, ret_fh);
	if (err)
		inode_put(inode);
	return err;
}

int vfs_tmpfile(struct vfs *v, uint32_t dir, mode_t mode, int flags,
		const struct vfs_cred *cred, struct vfs_entry *ret, uint64_t *ret_fh)
{
	struct inode *inode;
	struct cred creator;
	int err = vfs_creator(v, dir, cred, &creator);

	if (!err)
		err = ops_tmpfile(v->fs, dir, (uint16_t)(S_IFREG | (mode & 07777)), &creator,
				  &inode);
	if (err)
		return err;
	err = finish_create(v, inode, flags, may_fill(v, cred), ret, ret_fh);
	if (err)
		inode_put(inode);
	return err;
}

bool vfs_writes_through(uint64_t fh)
{
	struct inode *inode = fh_inode(fh);
	bool is_set;

	rwlock_read(&inode->lock);
	is_set = inode->flags & EXT2_SYNC_FL;
	rwlock_read_unlock(&inode->lock);
	return is_set;
}

bool vfs_release(struct vfs *v, uint64_t fh, int flags)
{
	struct inode *inode = fh_inode(fh);
	bool last;

	if (!inode)
		return false;
	last = wants_write(flags) && atomic_fetch_sub(&inode->opens, 1) == 1;
	if (last)
		file_release(inode);
	nodes_put(v->opens, inode->ino, 1);
	inode_put(inode);
	return last;
}

int vfs_file_get(struct vfs *v, uint32_t ino, uint64_t fh, struct vfs_file *ret)
{
	int err = fs_may_read(v->fs);

	if (err)
		return err;
	ret->inode = fh_inode(fh);
	ret->root = fh & FH_ROOT;
	ret->owned = !ret->inode;
	return ret->owned ? inode_get(v->fs, ino, &ret->inode) : 0;
}

void vfs_file_put(struct vfs_file *f)
{
	if (f->owned)
		inode_put(f->inode);
}

ssize_t vfs_read(struct vfs_file *f, void *buf, size_t len, uint64_t off)
{
	ssize_t n;

	if (!S_ISREG(f->inode->type))
		return S_ISDIR(f->inode->type) ? -EISDIR : -EINVAL;
	n = file_read(f->inode, buf, len, off);
	if (n >= 0)
		inode_touch_atime(f->inode);
	return n;
}

/* What a write-back could not write in the first go: an error says why. */
static ssize_t write_rest(struct vfs_file *f, const uint8_t *buf, size_t len, uint64_t off,
			  ssize_t n)
{
	size_t done = n > 0 ? (size_t)n : 0;

	while (n > 0 && done < len) {
		n = file_write_back(f->inode, buf + done, len - done, off + done, f->root);
		done += n > 0 ? (size_t)n : 0;
	}
	if (done == len)
		return (ssize_t)len;
	/* One line for all that is lost until somebody hears of it. */
	if (atomic_exchange(&f->inode->lost, true))
		return n ? n : -EIO;
	fs_log(f->inode->fs, FS_LOG_ERR, "inode %u: %zu bytes at %llu could not be written: %s",
	       f->inode->ino, len - done, (unsigned long long)off + done, strerror((int)-n));
	return n ? n : -EIO;
}

ssize_t vfs_write(struct vfs_file *f, const void *buf, size_t len, uint64_t off, bool cached)
{
	ssize_t n;

	if (!S_ISREG(f->inode->type))
		return -EINVAL;
	n = cached ? file_write_back(f->inode, buf, len, off, f->root) :
		     file_write(f->inode, buf, len, off, f->root);
	return cached && n < (ssize_t)len ? write_rest(f, buf, len, off, n) : n;
}

int vfs_fsync(struct vfs_file *f, bool datasync)
{
	atomic_store(&f->inode->lost, false);
	return inode_sync(f->inode, datasync);
}

int vfs_fallocate(struct vfs_file *f, int mode, uint64_t off, uint64_t len)
{
	if (!S_ISREG(f->inode->type))
		return -ENODEV;
	return file_fallocate(f->inode, mode, off, len, f->root);
}

int64_t vfs_seek(struct vfs_file *f, uint64_t off, int whence)
{
	return S_ISREG(f->inode->type) ? file_seek(f->inode, off, whence) : -EINVAL;
}

ssize_t vfs_copy(struct vfs_file *src, uint64_t src_off, struct vfs_file *dst, uint64_t dst_off,
		 size_t len)
{
	if (!S_ISREG(src->inode->type) || !S_ISREG(dst->inode->type))
		return -EINVAL;
	return file_copy(src->inode, src_off, dst->inode, dst_off, len, dst->root);
}

bool vfs_has_writers(struct vfs_file *f)
{
	return atomic_load(&f->inode->opens) != 0;
}

int vfs_kill_suid(struct vfs_file *f)
{
	struct inode *inode = f->inode;
	struct stat st;
	int err;

	rwlock_read(&inode->lock);
	st.st_mode = inode->mode;
	rwlock_read_unlock(&inode->lock);
	if (!(st.st_mode & S_ISUID) && !((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP)))
		return 0;
	st.st_mode &= ~(mode_t)S_ISUID;
	if (st.st_mode & S_IXGRP)
		st.st_mode &= ~(mode_t)S_ISGID;
	err = ops_setattr(inode->fs, inode->ino, &st, SET_MODE, NULL, NULL);
	return err ? err : 1;
}

int vfs_bmap(struct vfs *v, uint32_t ino, uint32_t block_size, uint64_t *block)
{
	AUTOINODE inode = NULL;
	uint64_t pblk, ratio;
	int err = inode_get(v->fs, ino, &inode);

	if (err)
		return err;
	if (!S_ISREG(inode->type) || !block_size || block_size > v->fs->block_size ||
	    v->fs->block_size % block_size)
		return -EINVAL;
	ratio = v->fs->block_size / block_size;
	err = file_bmap(inode, *block / ratio, &pblk);
	if (err)
		return err;
	*block = pblk ? pblk * ratio + *block % ratio : 0;
	return 0;
}
