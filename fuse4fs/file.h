/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File contents. All functions take their own locks and handles; the caller holds
 * only a reference. Times (mtime, ctime) are the caller's except where said.
 */
#ifndef FUSE4FS_FILE_H
#define FUSE4FS_FILE_H

#include "inode.h"

/* Bytes read (short only at EOF; holes and unwritten read as zeros) or -errno. */
ssize_t file_read(struct inode *inode, void *buf, size_t len, uint64_t off);
/*
 * Allocates ranges, writes data, then one handle per range makes it reachable and extends
 * the size. Sets mtime/ctime unless the kernel's client does (fs->client_times). Returns the
 * bytes written, fewer than len only when the rest failed (writing that again says why), or
 * -errno when none was: -EFBIG, -ENOSPC, -EDQUOT, -EIO, -EROFS, -EPERM (immutable). root: may
 * use reserved blocks.
 */
ssize_t file_write(struct inode *inode, const void *buf, size_t len, uint64_t off, bool root);
/* The same for pages that the kernel's client writes back: overwriting blocks leaves the inode
 * alone. A file that has become immutable since the kernel took the data gets it all the same. */
ssize_t file_write_back(struct inode *inode, const void *buf, size_t len, uint64_t off, bool root);
/* Sets the size: frees blocks beyond, zeroes the tail of the last block. Long ones are
 * several transactions with the inode on the orphan list. Sets mtime/ctime; the
 * kernel's client tells its own with the call, unless the size stays. */
int file_truncate(struct inode *inode, uint64_t size);
/* Called with the inode on its way out (orphan): frees everything. */
int file_free_all(struct inode *inode);
/* mode: FALLOC_FL_*; 0, KEEP_SIZE, PUNCH_HOLE|KEEP_SIZE, ZERO_RANGE[|KEEP_SIZE];
 * others -EOPNOTSUPP. Times as file_write. */
int file_fallocate(struct inode *inode, int mode, uint64_t off, uint64_t len, bool root);
/* SEEK_DATA / SEEK_HOLE: offset or -ENXIO. */
int64_t file_seek(struct inode *inode, uint64_t off, int whence);
/* Bytes copied, or -errno. Overlap within one file: -EINVAL. Times as file_write. */
ssize_t file_copy(struct inode *src, uint64_t src_off, struct inode *dst, uint64_t dst_off,
		  size_t len, bool root);
/* bmap: physical block in units of the fs block size, 0 for a hole. */
int file_bmap(struct inode *inode, uint64_t lblk, uint64_t *ret_pblk);
/* Symlink target: create writes through here too. buf: 4096+1 bytes, NUL-terminated. */
int file_read_link(struct inode *inode, char *buf, size_t size);
/* In create's handle, inode locked: fast symlink or -- with data already in reserved
 * blocks -- a mapped one. Credits: map_credits + BALLOC_CREDITS. */
int file_write_link(struct handle *h, struct inode *inode, const char *target, size_t len);
/* The last writer closed it: give back blocks reserved ahead. */
void file_release(struct inode *inode);

#endif
