/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Multi-mount protection: the block in which whoever writes to a file system says that it
 * does, every few seconds, so that nobody on another machine begins to.
 */
#ifndef FUSE4FS_MMP_H
#define FUSE4FS_MMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fs;
struct mmp;

/*
 * mmp_open - make sure that nobody else writes, say that we do, and go on saying it
 *
 * why  on failure a sentence for the user; unchanged for -ENOMEM and -EAGAIN
 *
 * Blocks: when the block says that the file system is in use, for twice the time in which its
 * owner would have changed it (at least 22 s), as the kernel does; FS_LOG_INFO says so before.
 * With fs->opt.dry_run it looks once, warns instead of waiting, and claims nothing.
 * Starts a thread: fork before. When that finds somebody else in the block, the file system
 * is shut down: nothing more is written, not even the error.
 * Returns 0; -EBUSY somebody else has it, or e2fsck does; -EUCLEAN no such block; what the
 * device says; -ENOMEM; -EAGAIN no thread.
 * Crash: the block stays as it is; the next mount waits, sees no change, and goes on.
 * Source: linux Documentation/filesystems/ext4/mmp.rst; the comment above struct mmp_struct
 * in ext2_fs.h.
 */
int mmp_open(struct fs *fs, struct mmp **ret, char *why, size_t why_len);

/*
 * Whether there are transactions, which are aborted when somebody else is found in the block:
 * true when they have been opened, false before they are closed. NULL is a no-op. 0; -EBUSY
 * that has happened.
 */
int mmp_serve(struct mmp *mmp, bool serving);

/*
 * Ends the thread and says that nobody writes any more; after the last write and its flush.
 * Not when somebody else has the block. NULL is a no-op. 0; -EBUSY; what the device says.
 */
int mmp_close(struct mmp *mmp);

#endif
