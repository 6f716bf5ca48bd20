// SPDX-License-Identifier: GPL-2.0-or-later
/* Attributes by inode number: stat, chattr's flags, project, generation. */
#include <errno.h>
#include <linux/fs.h>

#include "vfs_priv.h"

_Static_assert((int)VFS_SET_MODE == (int)SET_MODE && (int)VFS_SET_UID == (int)SET_UID &&
	       (int)VFS_SET_GID == (int)SET_GID && (int)VFS_SET_SIZE == (int)SET_SIZE &&
	       (int)VFS_SET_ATIME == (int)SET_ATIME && (int)VFS_SET_MTIME == (int)SET_MTIME &&
	       (int)VFS_SET_CTIME == (int)SET_CTIME &&
	       (int)VFS_SET_ATIME_NOW == (int)SET_ATIME_NOW &&
	       (int)VFS_SET_LATE == (int)SET_LATE, "setattr bits");

int vfs_getattr(struct vfs *v, uint32_t ino, struct stat *st)
{
	AUTOINODE inode = NULL;
	int err = fs_may_read(v->fs);

	if (!err)
		err = inode_get(v->fs, ino, &inode);
	if (!err)
		vfs_fill_stat(v, inode, st);
	return err;
}

int vfs_birth_time(struct vfs *v, uint32_t ino, struct timespec *ret, uint32_t *ret_flags)
{
	AUTOINODE inode = NULL;
	int err = inode_get(v->fs, ino, &inode);

	if (err)
		return err;
	rwlock_read(&inode->lock);
	*ret = inode->crtime;
	*ret_flags = inode->flags & EXT2_FL_USER_VISIBLE;
	rwlock_read_unlock(&inode->lock);
	return 0;
}

/* chown under uid= / gid=: the owner on disk is not shown and does not change. */
static int squash_owner(const struct vfs *v, const struct stat *st, unsigned *what)
{
	if (v->squash_uid && (*what & SET_UID)) {
		if (st->st_uid != v->uid)
			return -EPERM;
		*what &= ~(unsigned)SET_UID;
	}
	if (v->squash_gid && (*what & SET_GID)) {
		if (st->st_gid != v->gid)
			return -EPERM;
		*what &= ~(unsigned)SET_GID;
	}
	return 0;
}

/* set-user-ID, and set-group-ID where it is not a lock mark, go with a change of owner or
 * of content. Adds the mode to what is set. */
static int strip_suid(struct vfs *v, uint32_t ino, struct stat *st, unsigned *what)
{
	struct stat old;
	int err;

	if (*what & SET_MODE)
		return 0;	/* the caller says what it is to be */
	err = ops_getattr(v->fs, ino, &old);
	if (err)
		return err;
	if (S_ISDIR(old.st_mode))
		return 0;
	st->st_mode = old.st_mode & ~(mode_t)S_ISUID;
	if (old.st_mode & S_IXGRP)
		st->st_mode &= ~(mode_t)S_ISGID;
	if (st->st_mode != old.st_mode)
		*what |= SET_MODE;
	return 0;
}

int vfs_setattr(struct vfs *v, uint32_t ino, const struct stat *st, unsigned what,
		bool kill_suid, const struct vfs_cred *cred, struct stat *ret)
{
	struct cred c = { .uid = cred->uid, .gid = cred->gid, .root = cred->root };
	struct stat want = *st;
	int err = squash_owner(v, st, &what);

	if (!err && (kill_suid || (what & (SET_UID | SET_GID))))
		err = strip_suid(v, ino, &want, &what);
	if (!err && what)
		err = ops_setattr(v->fs, ino, &want, what, &c, NULL);
	return err ? err : vfs_getattr(v, ino, ret);
}

int vfs_kill_sgid(struct vfs *v, uint32_t ino)
{
	struct stat st;
	int err = ops_getattr(v->fs, ino, &st);

	if (err || !(st.st_mode & S_ISGID))
		return err;
	st.st_mode &= ~(mode_t)S_ISGID;
	return ops_setattr(v->fs, ino, &st, SET_MODE, NULL, NULL);
}

/* The flags chattr(1) and FS_IOC_FSSETXATTR share, under both names. */
static const struct { uint32_t fl, xfl; } flag_names[] = {
	{ FS_IMMUTABLE_FL, FS_XFLAG_IMMUTABLE }, { FS_APPEND_FL, FS_XFLAG_APPEND },
	{ FS_SYNC_FL, FS_XFLAG_SYNC }, { FS_NOATIME_FL, FS_XFLAG_NOATIME },
	{ FS_NODUMP_FL, FS_XFLAG_NODUMP }, { FS_PROJINHERIT_FL, FS_XFLAG_PROJINHERIT },
};

int vfs_get_flags(struct vfs *v, uint32_t ino, uint32_t *ret_flags)
{
	uint32_t projid;

	return ops_get_flags(v->fs, ino, ret_flags, &projid);
}

/* Flags that chattr(1) may have read and writes back unchanged, but cannot set. */
static int set_flags(struct vfs *v, uint32_t ino, uint32_t flags, uint32_t mask, bool privileged)
{
	uint32_t old, projid;
	int err = ops_get_flags(v->fs, ino, &old, &projid);

	if (err)
		return err;
	if (((old ^ flags) & mask & (FS_IMMUTABLE_FL | FS_APPEND_FL)) && !privileged)
		return -EPERM;
	return ops_set_flags(v->fs, ino, flags, mask);
}

int vfs_set_flags(struct vfs *v, uint32_t ino, uint32_t flags, bool privileged)
{
	if (flags & ~(uint32_t)EXT2_FL_USER_VISIBLE)
		return -EOPNOTSUPP;
	return set_flags(v, ino, flags, EXT2_FL_USER_VISIBLE, privileged);
}

int vfs_get_xflags(struct vfs *v, uint32_t ino, struct vfs_xattr *ret)
{
	uint32_t flags, projid;
	int err = ops_get_flags(v->fs, ino, &flags, &projid);

	if (err)
		return err;
	*ret = (struct vfs_xattr){ .projid = projid };
	for (size_t i = 0; i < ARRAY_LEN(flag_names); i++)
		if (flags & flag_names[i].fl)
			ret->xflags |= flag_names[i].xfl;
	return 0;
}

int vfs_set_xflags(struct vfs *v, uint32_t ino, const struct vfs_xattr *x, bool privileged)
{
	uint32_t flags = 0, mask = 0, known = 0, old, projid;
	int err = ops_get_flags(v->fs, ino, &old, &projid);

	if (err)
		return err;
	for (size_t i = 0; i < ARRAY_LEN(flag_names); i++) {
		mask |= flag_names[i].fl;
		known |= flag_names[i].xfl;
		if (x->xflags & flag_names[i].xfl)
			flags |= flag_names[i].fl;
	}
	if (x->xflags & ~known)
		return -EOPNOTSUPP;
	if (x->projid != projid)
		err = ops_set_projid(v->fs, ino, x->projid);
	if (!err && ((flags ^ old) & mask))
		err = set_flags(v, ino, flags, mask, privileged);
	return err;
}

int vfs_get_generation(struct vfs *v, uint32_t ino, uint32_t *ret_gen)
{
	AUTOINODE inode = NULL;
	int err = inode_get(v->fs, ino, &inode);

	if (!err)
		*ret_gen = inode->gen;
	return err;
}

int vfs_set_generation(struct vfs *v, uint32_t ino, uint32_t gen)
{
	return ops_set_generation(v->fs, ino, gen);
}
