/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a commit asks of those above it that keep metadata in core.
 *
 * super.c and group_seal.c implement these; they are declared here so that transactions
 * need to know nothing of superblocks and groups.
 */
#ifndef FUSE4FS_COMMIT_HOOKS_H
#define FUSE4FS_COMMIT_HOOKS_H

#include "fs.h"

/* Marks the superblock as changed in this transaction; super_seal fills it in. */
int super_dirty(struct handle *h);
/* Called while no handle is open: counts, times, errors, checksum into the cached block. */
int super_seal(struct fs *fs);
/* The same: counts and checksums of groups changed since the last call into descriptor
 * blocks (already in txn). */
int group_seal(struct fs *fs);
/* Called when a commit is durable (and the discard done), with no lock held: what it
 * freed may be allocated again. */
void group_release_blocks(struct fs *fs, uint64_t pblk, uint64_t n);
void group_release_inode(struct fs *fs, uint32_t ino);
/*
 * needs_recovery on or off, on the device at once (written and flushed), past the
 * transactions (I4). For the journal writer, while no transaction runs or commits.
 * 0 or -errno.
 */
int super_write_recover(struct fs *fs, bool on);
/* Writes the error fields straight to the device, past the transactions: the last
 * thing that is written after an abort. Nothing on a read-only mount. */
void super_write_error(struct fs *fs);

#endif
