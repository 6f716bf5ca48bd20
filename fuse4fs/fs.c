/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What can be asked of an open file system as a whole. */
#include "fs.h"

#include <errno.h>
#include <sys/statvfs.h>

#include "group.h"
#include "super.h"
#include "txn.h"

int fs_may_write(struct fs *fs)
{
	switch (atomic_load(&fs->state)) {
	case FS_RW: return 0;
	case FS_RO: return -EROFS;
	default: return -EIO;
	}
}

int fs_may_read(struct fs *fs)
{
	return atomic_load(&fs->state) == FS_SHUTDOWN ? -EIO : 0;
}

int fs_sync(struct fs *fs)
{
	int ret;

	ret = fs_may_write(fs);
	if (ret)
		return ret == -EROFS && fs->opt.readonly ? 0 : ret;
	return txn_force(fs, txn_current(fs), true);
}

int fs_shutdown(struct fs *fs, bool flush)
{
	int ret = 0;

	if (flush && !fs_may_write(fs))
		ret = fs_sync(fs);
	if (atomic_exchange(&fs->state, FS_SHUTDOWN) == FS_SHUTDOWN)
		return ret;
	txn_abort(fs, -ESHUTDOWN);
	fs_log(fs, FS_LOG_WARN, "shut down on request");
	return ret;
}

/* The UUID folded to 64 bits, as the kernel does. */
static uint64_t fsid(const struct fs *fs)
{
	const uint8_t *uuid = fs->e2->super->s_uuid;

	return get_le64(uuid) ^ get_le64(uuid + 8);
}

int fs_statfs(struct fs *fs, struct statvfs *st)
{
	uint64_t free, reserved = fs->reserved_blocks;
	int64_t free_inodes;
	int ret;

	ret = fs_may_read(fs);
	if (ret)
		return ret;
	free = group_free_blocks(fs);
	mutex_lock(&fs->super_lock);
	free_inodes = fs->free_inodes;
	mutex_unlock(&fs->super_lock);
	memset(st, 0, sizeof(*st));
	st->f_bsize = fs->block_size;
	st->f_frsize = fs->block_size;
	st->f_blocks = fs->blocks_count - (fs->opt.minixdf ? 0 : fs->overhead_blocks);
	st->f_bfree = free;
	st->f_bavail = free > reserved ? free - reserved : 0;
	st->f_files = fs->inodes_count;
	st->f_ffree = free_inodes > 0 ? (uint64_t)free_inodes : 0;
	st->f_favail = st->f_ffree;
	st->f_fsid = fsid(fs);
	st->f_flag = atomic_load(&fs->state) == FS_RW ? 0 : ST_RDONLY;
	st->f_namemax = EXT2_NAME_LEN;
	return 0;
}

int fs_get_label(struct fs *fs, char label[17])
{
	int ret;

	ret = fs_may_read(fs);
	if (ret)
		return ret;
	super_label(fs, label);
	label[16] = '\0';
	return 0;
}

int fs_set_label(struct fs *fs, const char *label)
{
	char padded[16] = { 0 };
	size_t len = strnlen(label, sizeof(padded) + 1);
	struct handle h;
	int ret, err;

	if (len > sizeof(padded))
		return -EINVAL;
	memcpy(padded, label, len);
	ret = fs_may_write(fs);
	if (ret)
		return ret;
	ret = txn_begin(fs, 1, &h);
	if (ret)
		return ret;
	ret = super_set_label(&h, padded);
	h.sync = !ret;
	err = txn_stop(&h);
	return ret ? ret : err;
}

struct timespec fs_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now;
}

int fs_errno(errcode_t err)
{
	static const struct { errcode_t code; int err; } codes[] = {
		{ EXT2_ET_NO_MEMORY, -ENOMEM }, { EXT2_ET_SHORT_READ, -EIO },
		{ EXT2_ET_SHORT_WRITE, -EIO }, { EXT2_ET_BAD_MAGIC, -EINVAL },
		{ EXT2_ET_RO_FILSYS, -EROFS }, { EXT2_ET_BLOCK_ALLOC_FAIL, -ENOSPC },
		{ EXT2_ET_INODE_ALLOC_FAIL, -ENOSPC }, { EXT2_ET_FILE_NOT_FOUND, -ENOENT },
		{ EXT2_ET_FILE_TOO_BIG, -EFBIG }, { EXT2_ET_INVALID_ARGUMENT, -EINVAL },
		{ EXT2_ET_UNSUPP_FEATURE, -EOPNOTSUPP },
		{ EXT2_ET_RO_UNSUPP_FEATURE, -EOPNOTSUPP }, { EXT2_ET_REV_TOO_HIGH, -EOPNOTSUPP },
		{ EXT2_ET_OP_NOT_SUPPORTED, -EOPNOTSUPP },
	};

	if (!err)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (codes[i].code == err)
			return codes[i].err;
	/* Below the first table of com_err an errcode_t is an errno. What is left speaks
	 * of structures that do not make sense. */
	return err > 0 && err < 256 ? (int)-err : -EUCLEAN;
}
