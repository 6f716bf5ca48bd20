/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an ext2, ext3 or ext4 file system is and how it would be mounted. No libext2fs types. */
#ifndef FUSE4FS_FS_PROBE_H
#define FUSE4FS_FS_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blkdev;

enum { FS_PROBE_NOTES = 8, FS_PROBE_TEXT = 256, FS_PROBE_FEATURES = 64 };

struct fs_probe {
	bool found;		/* the magic is there; the rest is unset otherwise */
	const char *type;	/* "ext2", "ext3", "ext4", as the features say */
	char uuid[37], label[17];
	char last_mounted[65];	/* where; "" for nowhere */
	unsigned nfeatures;
	char features[FS_PROBE_FEATURES][32];	/* as mke2fs spells them; unknown ones as bits */
	uint32_t block_size, inode_size;	/* bytes, as the superblock says */
	uint64_t blocks, free_blocks;
	uint32_t inodes, free_inodes;
	bool unmounted;		/* cleanly, after its last mount */
	bool errors;		/* were found and e2fsck has not run since */
	uint32_t error_count;
	const char *journal;	/* "none", "clean", "needs recovery", "external" */
	uint64_t written_sec, mounted_sec, checked_sec;	/* seconds since 1970; 0: never */

	const char *mount;	/* "rw", "ro" or "refused" */
	char why[FS_PROBE_TEXT];	/* why not rw; "" */
	unsigned nnotes;	/* what a mount would say */
	char notes[FS_PROBE_NOTES][FS_PROBE_TEXT];
};

/*
 * fs_probe - look at dev, and try to mount it on memory
 *
 * dev  only read. Journal recovery and what else mounting changes happen on an overlay
 *      of at most 256 MiB, which is thrown away: what is reported is what a mount does.
 * Returns 0, also when nothing is found or it is damaged; -ENOMEM; what reading the
 * superblock returns.
 */
int fs_probe(struct blkdev *dev, struct fs_probe *ret);

#endif
