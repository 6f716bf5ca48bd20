/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attribute values in inodes of their own (feature ea_inode).
 *
 * Such an inode is a regular file with EA_INODE_FL that no directory names. It is
 * used by every entry with its number: the reference count is in ctime (high half)
 * and i_version (low half), the crc32c of the value in atime. When the count falls to
 * 0 the inode becomes an orphan and goes away like any unlinked inode.
 *
 * Locks: an ea_inode's lock is taken with its owner's lock held, and when changing it
 * inside a handle; nothing that waits for a commit happens under it. The value's blocks
 * are journaled metadata, as in the kernel.
 */
#ifndef FUSE4FS_EA_INODE_H
#define FUSE4FS_EA_INODE_H

#include "inode.h"
#include "xattr_area.h"

enum { EA_MAX_RUNS = 64 };

/* Blocks for a value to come: reserved in core, or allocated in a handle. */
struct ea_space {
	bool allocated;
	unsigned nruns;
	struct { uint64_t pblk; uint32_t len; } runs[EA_MAX_RUNS];
};

/* -ENOSPC, also when free space is too scattered. May wait for a commit: not in a handle. */
int ea_space_reserve(struct fs *fs, const struct inode *owner, uint32_t size,
		     struct ea_space *ret);
/* Reserved ones. */
void ea_space_release(struct fs *fs, struct ea_space *s);

/* The ea_inode of an entry of owner, referenced. -EUCLEAN (logged) when it is none. */
int ea_inode_open(struct inode *owner, uint32_t ea_ino, struct inode **ret);
/* Copies the value of ent->val.size bytes, checked against its hash and the entry's.
 * -EUCLEAN (logged), -EIO, -ENOMEM. */
int ea_inode_read(struct inode *owner, struct inode *ea, const struct xattr_ent *ent,
		  void *value);
/* A new one holding value, count 1, from reserved space (consumed, also on failure) or, if
 * that is empty, from what it allocates. Referenced, NEW and locked: ea_inode_publish or
 * ea_inode_abandon it in the same handle. */
int ea_inode_make(struct handle *h, struct inode *owner, const void *value, uint32_t size,
		  struct ea_space *space, struct inode **ret);
void ea_inode_publish(struct inode *ea);
/* Frees everything; consumes the reference. */
void ea_inode_abandon(struct handle *h, struct inode *ea);
/* Puts a value of the same size in place. ea's count is 1. */
int ea_inode_rewrite(struct handle *h, struct inode *ea, const void *value, uint32_t size);
/* Changes the count by +1 or -1. At 0: unlinked and an orphan; inode_put deletes it. */
int ea_inode_count(struct handle *h, struct inode *owner, struct inode *ea, int by);
uint64_t ea_inode_refs(struct inode *owner, struct inode *ea);
/* What owner's i_blocks counts for a value there, in 512-byte units. */
uint64_t ea_inode_sectors(struct inode *owner, struct inode *ea);
/* e_hash of key's entry with this ea_inode. */
uint32_t ea_inode_ent_hash(struct inode *ea, const struct xattr_key *key);

/* Credits of making one from that many runs, of rewriting, of changing a count. */
unsigned ea_make_credits(const struct fs *fs, const struct ea_space *s);
unsigned ea_rewrite_credits(const struct fs *fs, uint32_t size);
enum { EA_COUNT_CREDITS = 5 };	/* INODE_STORE_CREDITS + ORPHAN_CREDITS */

#endif
