/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file system as the request layer sees it: inode numbers, struct stat, buffers.
 *
 * op_*.c know FUSE, everything below knows ext4 through libext2fs, and no file may see both
 * headers (ARCHITECTURE.md, "Layers"). These functions are the thin seam: they pair each
 * operation with its inode reference, keep the kernel's lookup counts and apply uid= / gid=.
 *
 * All return 0 (or a count) or -errno and may be called from any thread. None replies, and
 * none holds an inode reference when it returns, except those that return a struct inode.
 */
#ifndef FUSE4FS_VFS_H
#define FUSE4FS_VFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <time.h>

#include "ino.h"
#include "vfs_forget.h"

struct blkdev;
struct fs;
struct inode;
struct nodes;
struct options;

struct vfs {
	struct fs *fs;		/* [init only] */
	struct nodes *nodes;	/* [init only] lookup counts */
	struct nodes *opens;	/* [init only] open handles by inode: an unmount may lose the
				 * kernel's RELEASE requests */
	struct forgets forgets;	/* [own lock] */
	struct ino_map ids;	/* [init only] */
	/* uid=, gid=: every file appears to have this owner. A new file is stored with the
	 * owner of its directory, chown to the shown owner does nothing and to any other is
	 * -EPERM: what is on disk stays what its own system expects. [init only] */
	bool squash_uid, squash_gid;
	uint32_t uid, gid;
	void (*log)(void *arg, int level, const char *line);	/* [init only] */
	void *log_arg;
};

enum vfs_log { VFS_LOG_ERR, VFS_LOG_WARN, VFS_LOG_INFO };
typedef void (*vfs_log_fn)(void *arg, int level, const char *line);

/*
 * vfs_open - open the file system on dev as the options say
 *
 * dev  stays the caller's. log gets one line at a time, from any thread.
 * Returns 0; what fs_open says; -ENOENT, -ENOTDIR, -EUCLEAN, -EIO for the root directory,
 * root= or its own. Each with a sentence in why.
 */
int vfs_open(const struct options *opt, struct blkdev *dev, vfs_log_fn log, void *log_arg,
	     struct vfs *v, char *why, size_t why_len);
/* No request may be under way. Closes every handle, forgets every lookup, which deletes
 * what was unlinked; commits and closes. First error. */
int vfs_close(struct vfs *v);

/* Who asks. */
struct vfs_cred {
	uint32_t uid, gid;
	uint16_t umask;
	bool root;
};

/* A name that has been found or made. It has been counted as one lookup: the caller replies
 * with it or gives it back with vfs_forget. */
struct vfs_entry {
	uint32_t ino, gen;
	struct stat st;
};
/* Does the kernel hold a reference to ino? A snapshot: it may change at once. */
bool vfs_is_known(struct vfs *v, uint32_t ino);

/* Nanoseconds that a time stamp can tell apart; the kernel must not remember finer ones. */
unsigned vfs_time_gran(struct vfs *v);
/* The kernel's client writes back: times of regular files are those that it tells, and a
 * change of their data sets none. Before the first request. */
void vfs_client_keeps_times(struct vfs *v);
/* Files with chattr +S are written past its cache, and it does not date that. Before, too. */
void vfs_sync_files_bypass_cache(struct vfs *v);
/* Does the kernel hold a descriptor of it, whatever for? A snapshot, too. */
bool vfs_is_open(struct vfs *v, uint32_t ino);

int vfs_lookup(struct vfs *v, uint32_t dir, const char *name, struct vfs_entry *ret);
/*
 * An inode by number alone, for file handles. -ESTALE unless it is in use and, below a
 * sub-root, a directory inside it or known to the kernel already: a file's parents cannot
 * be found from its number.
 */
int vfs_lookup_ino(struct vfs *v, uint32_t ino, struct vfs_entry *ret);
int vfs_lookup_parent(struct vfs *v, uint32_t dir, struct vfs_entry *ret);
/* One entry of a directory just read: no subtree check. */
int vfs_entry_ino(struct vfs *v, uint32_t ino, struct vfs_entry *ret);
void vfs_forget(struct vfs *v, uint32_t ino, uint64_t count);

int vfs_getattr(struct vfs *v, uint32_t ino, struct stat *st);
int vfs_birth_time(struct vfs *v, uint32_t ino, struct timespec *ret, uint32_t *ret_flags);
enum {
	VFS_SET_MODE = 1, VFS_SET_UID = 2, VFS_SET_GID = 4, VFS_SET_SIZE = 8, VFS_SET_ATIME = 16,
	VFS_SET_MTIME = 32, VFS_SET_CTIME = 64, VFS_SET_ATIME_NOW = 128,
	VFS_SET_LATE = 256,	/* the kernel hands on times of writes it had taken */
};
/* kill_suid: the kernel asks that a truncation clears set-user-ID and set-group-ID; a
 * change of owner always does. */
int vfs_setattr(struct vfs *v, uint32_t ino, const struct stat *st, unsigned what,
		bool kill_suid, const struct vfs_cred *cred, struct stat *ret);
int vfs_statfs(struct vfs *v, struct statvfs *ret);
int vfs_readlink(struct vfs *v, uint32_t ino, char *buf, size_t size);

/* Names. mode has the type. */
int vfs_make(struct vfs *v, uint32_t dir, const char *name, mode_t mode, dev_t rdev,
	     const char *target, const struct vfs_cred *cred, struct vfs_entry *ret);
int vfs_link(struct vfs *v, uint32_t ino, uint32_t dir, const char *name, struct vfs_entry *ret);
int vfs_unlink(struct vfs *v, uint32_t dir, const char *name);
int vfs_rmdir(struct vfs *v, uint32_t dir, const char *name);
int vfs_rename(struct vfs *v, uint32_t dir, const char *name, uint32_t newdir,
	       const char *newname, unsigned flags, const struct vfs_cred *cred);

/*
 * Open files. The handle is a number for the kernel to keep; it holds a reference and
 * remembers whether its opener may use reserved blocks, because a write-back from the page
 * cache does not say on whose behalf it is. 0 is "no handle".
 */
struct vfs_opened {
	uint64_t fh;
	bool uncached;	/* each read counts (strictatime): pages must not be kept */
	bool touched;	/* the access time has changed */
};
/* Reads that the page cache answers are not seen: opening counts as reading. */
int vfs_open_file(struct vfs *v, uint32_t ino, int flags, const struct vfs_cred *cred,
		  struct vfs_opened *ret);
int vfs_create(struct vfs *v, uint32_t dir, const char *name, mode_t mode, int flags,
	       const struct vfs_cred *cred, struct vfs_entry *ret, uint64_t *ret_fh);
/* O_TMPFILE: no name. */
int vfs_tmpfile(struct vfs *v, uint32_t dir, mode_t mode, int flags,
		const struct vfs_cred *cred, struct vfs_entry *ret, uint64_t *ret_fh);
/* Its writes shall be durable when they return (chattr +S), so the page cache must not take them.
 * What -o sync asks for the kernel does itself. */
bool vfs_writes_through(uint64_t fh);
/* True: no writer is left. */
bool vfs_release(struct vfs *v, uint64_t fh, int flags);

/* What a request works on: the handle's inode, or without one (NO_OPEN) ino's. */
struct vfs_file {
	struct inode *inode;
	bool owned;	/* vfs_file_put drops a reference */
	bool root;
};
int vfs_file_get(struct vfs *v, uint32_t ino, uint64_t fh, struct vfs_file *ret);
void vfs_file_put(struct vfs_file *f);

ssize_t vfs_read(struct vfs_file *f, void *buf, size_t len, uint64_t off);
/* cached: written back from the page cache; nobody looks at the count of such a write, so it
 * is all or an error, of which the first until an fsync is logged too (P3). */
ssize_t vfs_write(struct vfs_file *f, const void *buf, size_t len, uint64_t off, bool cached);
int vfs_fsync(struct vfs_file *f, bool datasync);
int vfs_fallocate(struct vfs_file *f, int mode, uint64_t off, uint64_t len);
int64_t vfs_seek(struct vfs_file *f, uint64_t off, int whence);
ssize_t vfs_copy(struct vfs_file *src, uint64_t src_off, struct vfs_file *dst, uint64_t dst_off,
		 size_t len);
/* Clears set-user-ID and set-group-ID as a write by another user must. 1 when it did. */
int vfs_kill_suid(struct vfs_file *f);
bool vfs_has_writers(struct vfs_file *f);
int vfs_bmap(struct vfs *v, uint32_t ino, uint32_t block_size, uint64_t *block);

/* type: S_IFMT bits, 0 where unknown. False: no room, stop before this entry. */
typedef bool (*vfs_emit)(void *arg, const char *name, size_t len, uint32_t ino, mode_t type,
			 uint64_t next_cookie);
int vfs_readdir(struct vfs *v, uint32_t dir, uint64_t cookie, vfs_emit emit, void *arg);
/* The same before it is asked for, so without a trace in the access time. *ret_listing names
 * what the directory held; for vfs_readdir_stands. */
int vfs_readdir_ahead(struct vfs *v, uint32_t dir, uint64_t cookie, vfs_emit emit, void *arg,
		      uint64_t *ret_listing);
/* Would vfs_readdir give the same now? Then the directory counts as read. */
bool vfs_readdir_stands(struct vfs *v, uint32_t dir, uint64_t listing);

ssize_t vfs_getxattr(struct vfs *v, uint32_t ino, const char *name, void *buf, size_t size);
ssize_t vfs_listxattr(struct vfs *v, uint32_t ino, char *buf, size_t size, bool privileged);
int vfs_setxattr(struct vfs *v, uint32_t ino, const char *name, const void *buf, size_t size,
		 int flags);
/* Clears set-group-ID: its setter is not in the group. */
int vfs_kill_sgid(struct vfs *v, uint32_t ino);
int vfs_removexattr(struct vfs *v, uint32_t ino, const char *name);

/* Flags as chattr(1) names them (FS_*_FL); xflags as struct fsxattr has them. */
int vfs_get_flags(struct vfs *v, uint32_t ino, uint32_t *ret_flags);
int vfs_set_flags(struct vfs *v, uint32_t ino, uint32_t flags, bool privileged);
struct vfs_xattr { uint32_t xflags, nextents, projid; };
int vfs_get_xflags(struct vfs *v, uint32_t ino, struct vfs_xattr *ret);
int vfs_set_xflags(struct vfs *v, uint32_t ino, const struct vfs_xattr *x, bool privileged);
int vfs_get_generation(struct vfs *v, uint32_t ino, uint32_t *ret_gen);
int vfs_set_generation(struct vfs *v, uint32_t ino, uint32_t gen);
enum { VFS_LABEL_MAX = 16 };
int vfs_get_label(struct vfs *v, char label[VFS_LABEL_MAX + 1]);
int vfs_set_label(struct vfs *v, const char *label);
int vfs_get_uuid(struct vfs *v, uint8_t uuid[16]);
int vfs_trim(struct vfs *v, uint64_t start, uint64_t len, uint64_t minlen, uint64_t *ret_trimmed);
int vfs_sync(struct vfs *v);
int vfs_shutdown(struct vfs *v, bool flush);

/* Numbers for --status. */
struct vfs_stats {
	const char *state;	/* "rw", "ro", "shutdown" */
	uint64_t errors;
	uint64_t cache_hits, cache_misses, cache_bytes, cache_limit, cache_dirty;
	uint64_t commits, commit_blocks, last_commit_us, running_blocks;
	/* Of the journal, 0 without one; see struct txn_stats. */
	uint64_t log_blocks, log_free, checkpoints, checkpoint_blocks, checkpoint_lag;
	uint64_t inodes_cached, inode_hits, inode_misses;
	uint64_t nodes_known;
	bool journal_aborted, has_journal;
	uint32_t block_size;
	uint64_t blocks, free_blocks;
	char label[VFS_LABEL_MAX + 1];
	char uuid[37];
};
void vfs_get_stats(struct vfs *v, struct vfs_stats *ret);

#endif
