/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An io_manager that lets libext2fs read and write a struct blkdev.
 *
 * No cache: libext2fs is used only while a file system is opened (superblock,
 * descriptors, the journal inode's map). The manager's open takes a name made by
 * iomgr_name(), which carries the device; so there is no global state.
 */
#ifndef FUSE4FS_IOMGR_H
#define FUSE4FS_IOMGR_H

#include <ext2fs/ext2fs.h>

struct blkdev;

enum { IOMGR_NAME_SIZE = 32 };

/* Never changed; the type of ext2fs_open2's parameter wants it writable. */
io_manager iomgr_blkdev(void);
/* The name under which iomgr_blkdev opens dev; valid while dev is open. */
void iomgr_name(struct blkdev *dev, char name[IOMGR_NAME_SIZE]);

#endif
