/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images for unit tests: made by mke2fs and debugfs, kept in memory, judged by e2fsck.
 *
 * The tools see an unnamed file in memory, so nothing is left behind however a test ends.
 * What cannot go wrong unless the machine is broken (a tool is missing, no memory) prints
 * a message and aborts the program.
 */
#ifndef TESTS_UNIT_IMAGE_H
#define TESTS_UNIT_IMAGE_H

#include "dev_mem.h"
#include "fs.h"
#include "no_commits.h"

/* An empty file system on a dev_mem device; args: options of mke2fs, without quotes. */
struct blkdev *unit_mkfs(uint64_t size, const char *args);
/* The same with a tree that has everything the operations of unit_ops.h ask for. */
struct blkdev *unit_mkfs_populated(uint64_t size, const char *args);
/* Its primary superblock as it is on the disk. */
static inline struct ext2_super_block *unit_super(struct blkdev *dev)
{
	return (struct ext2_super_block *)(void *)(dev_mem_data(dev) + SUPERBLOCK_OFFSET);
}
/* What a crash would leave of it after some synced changes: with a journal, one to replay. */
struct blkdev *unit_crashed(struct blkdev *dev);
/* A copy of the first size bytes, of one instant. */
struct blkdev *unit_copy(struct blkdev *dev, uint64_t size);

/* Runs `debugfs -w` with one command a line. Its exit status says nothing. */
void unit_debugfs(struct blkdev *dev, const char *commands);
/* Runs `debugfs -R command` and returns its output, to be freed. */
char *unit_debugfs_ask(struct blkdev *dev, const char *command);
/*
 * unit_fsck - e2fsck with these flags
 *
 * The device gets what e2fsck changed. Prints e2fsck's output when its exit status has a
 * bit outside `allowed`. Returns the exit status (1: corrected, 4: left uncorrected).
 */
int unit_fsck(struct blkdev *dev, const char *flags, int allowed);
/* `e2fsck -fn` finds nothing. */
static inline bool unit_is_clean(struct blkdev *dev) { return unit_fsck(dev, "-fn", 0) == 0; }
/* The same, when the next mount has deleted the orphans that could not be deleted. */
bool unit_is_clean_once_mounted(struct blkdev *dev);

/* Opens with messages dropped (UNIT_VERBOSE set: to stderr). opt may be NULL. */
int unit_fs_open(struct blkdev *dev, const struct fs_options *opt, struct fs **ret);
/* unit_fs_open, of an image that must open: aborts with the reason. */
struct fs *unit_fs_must_open(struct blkdev *dev, const struct fs_options *opt);

/* Prints to stderr and aborts. */
void unit_die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
