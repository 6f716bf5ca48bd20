/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The operations of a file system, free of FUSE: what the request layer calls and the
 * unit tests drive. Each takes its own locks and handles and returns 0 or -errno as
 * ext4 in the kernel would. Returned inodes are referenced. Permission bits are checked by the
 * kernel (default_permissions); immutable and append-only are checked here.
 */
#ifndef FUSE4FS_OPS_H
#define FUSE4FS_OPS_H

#include "inode.h"

struct cred {
	uint32_t uid, gid;	/* of the caller, for ownership of what is created */
	uint16_t umask;
	bool root;		/* may use reserved blocks */
};

int ops_lookup(struct fs *fs, uint32_t dir, const char *name, struct inode **ret);
int ops_getattr(struct fs *fs, uint32_t ino, struct stat *st);

enum {
	SET_MODE = 1, SET_UID = 2, SET_GID = 4, SET_SIZE = 8, SET_ATIME = 16, SET_MTIME = 32,
	SET_CTIME = 64, SET_ATIME_NOW = 128, SET_LATE = 256,
};
/* Fields of st named by `what`; times explicit (the caller resolved "now"). */
int ops_setattr(struct fs *fs, uint32_t ino, const struct stat *st, unsigned what,
		const struct cred *cred, struct stat *ret_st);

/* create, mkdir, mknod, symlink: `mode` has the type; rdev for devices; target for links. */
int ops_make(struct fs *fs, uint32_t dir, const char *name, uint16_t mode, dev_t rdev,
	     const char *target, const struct cred *cred, struct inode **ret);
/* O_TMPFILE: nlink 0, on the orphan list; referenced. */
int ops_tmpfile(struct fs *fs, uint32_t dir, uint16_t mode, const struct cred *cred,
		struct inode **ret);
int ops_link(struct fs *fs, uint32_t ino, uint32_t dir, const char *name, struct inode **ret);
int ops_unlink(struct fs *fs, uint32_t dir, const char *name);
int ops_rmdir(struct fs *fs, uint32_t dir, const char *name);
/* flags: RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT. */
int ops_rename(struct fs *fs, uint32_t dir, const char *name, uint32_t newdir,
	       const char *newname, unsigned flags, const struct cred *cred);
/* Directory entry "..", for handles; the fs root is its own parent. */
int ops_parent(struct fs *fs, uint32_t dir, uint32_t *ret_ino);
/* Resolves an absolute path inside the image without following symlinks: root=/path. */
int ops_resolve(struct fs *fs, const char *path, uint32_t *ret_ino);
/* FS_IOC_SETFLAGS / FSSETXATTR: user-modifiable flags only. */
int ops_get_flags(struct fs *fs, uint32_t ino, uint32_t *ret_flags, uint32_t *ret_projid);
int ops_set_flags(struct fs *fs, uint32_t ino, uint32_t flags, uint32_t mask);
int ops_set_projid(struct fs *fs, uint32_t ino, uint32_t projid);
int ops_set_generation(struct fs *fs, uint32_t ino, uint32_t gen);

#endif
