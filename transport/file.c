/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A local regular file or block device, through the host's page cache.
 *
 * Transfers are positional system calls, never a mapping: a file that shrinks
 * under us is an error return and not a signal.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "file.h"

enum {
	FILE_IO_MIN = 4096,
	/* Linux moves at most this much in one call. */
	TRANSFER_MAX = 0x7ffff000,
};

struct file_dev {
	struct blkdev dev;
	int fd;			/* [init only] */
	bool is_block;		/* [init only] */
	uint32_t sector_len;	/* [init only] discard and zero unit of a block device */
	atomic_bool no_nowait;	/* [atomic] the host knows no RWF_NOWAIT here */
	atomic_bool no_zeros;	/* [atomic] nor a way to zero a range */
};

static struct file_dev *to_file(struct blkdev *dev)
{
	return (struct file_dev *)dev;
}

static int file_read(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	int fd = to_file(dev)->fd;

	while (len) {
		ssize_t n = pread(fd, buf, len < TRANSFER_MAX ? len : TRANSFER_MAX, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		buf = (char *)buf + n;
		len -= n;
		off += n;
	}
	return 0;
}

static int file_read_nowait(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	struct file_dev *file = to_file(dev);
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	ssize_t n;

	if (atomic_load_explicit(&file->no_nowait, memory_order_relaxed))
		return -EAGAIN;
	n = preadv2(file->fd, &iov, 1, off, RWF_NOWAIT);
	if (n >= 0)
		return (size_t)n == len ? 0 : -EAGAIN;
	if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)
		atomic_store_explicit(&file->no_nowait, true, memory_order_relaxed);
	/* A real error shows again, and is reported, in the read that follows. */
	return -EAGAIN;
}

static int file_write(struct blkdev *dev, const void *buf, size_t len, uint64_t off)
{
	int fd = to_file(dev)->fd;

	while (len) {
		ssize_t n = pwrite(fd, buf, len < TRANSFER_MAX ? len : TRANSFER_MAX, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		buf = (const char *)buf + n;
		len -= n;
		off += n;
	}
	return 0;
}

/*
 * The size and nothing else: asking for the times, too, makes file systems with multigrain
 * timestamps (kernel 6.13) hand out a fine-grained one at the next write, and through the
 * kernel's clock floor every file of ours would change its mtime with every write: a journal
 * commit for every fsync, for nothing.
 */
static int size_of(int fd, bool is_block, uint64_t *ret_size)
{
	struct statx have;

	if (is_block)
		return ioctl(fd, BLKGETSIZE64, ret_size) < 0 ? -errno : 0;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &have) < 0)
		return -errno;
	*ret_size = have.stx_size;
	return 0;
}

static int file_flush(struct blkdev *dev)
{
	struct file_dev *file = to_file(dev);
	uint64_t size = 0;
	int err;

	if (dev->info.readonly)
		return 0;
	while (fdatasync(file->fd) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	/* Bytes that somebody cut off are not durable, whatever fdatasync says. */
	err = size_of(file->fd, file->is_block, &size);
	if (err)
		return err;
	return size < dev->info.size ? -EIO : 0;
}

static int do_fallocate(int fd, int mode, uint64_t off, uint64_t len)
{
	while (fallocate(fd, mode, off, len) < 0) {
		if (errno == EINTR)
			continue;
		return errno == ENOSYS || errno == ENODEV ? -EOPNOTSUPP : -errno;
	}
	return 0;
}

static int discard_sectors(struct file_dev *file, uint64_t off, uint64_t len)
{
	uint64_t unit = file->sector_len;
	uint64_t first = (off + unit - 1) / unit * unit, end = (off + len) / unit * unit;
	uint64_t range[2] = { first, end - first };

	if (first >= end)
		return 0;
	if (ioctl(file->fd, BLKDISCARD, range) == 0)
		return 0;
	return errno == ENOTTY || errno == EINVAL ? -EOPNOTSUPP : -errno;
}

static int file_discard(struct blkdev *dev, uint64_t off, uint64_t len)
{
	struct file_dev *file = to_file(dev);

	if (file->is_block)
		return discard_sectors(file, off, len);
	return do_fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);
}

static int file_write_zeros(struct blkdev *dev, uint64_t off, uint64_t len)
{
	struct file_dev *file = to_file(dev);
	int err;

	/* On a block device the host wants whole sectors; odd ends are rare. */
	if (file->is_block && (off | len) % file->sector_len)
		return -EOPNOTSUPP;
	if (atomic_load_explicit(&file->no_zeros, memory_order_relaxed))
		return -EOPNOTSUPP;
	err = do_fallocate(file->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, off, len);
	if (err == -EOPNOTSUPP)
		atomic_store_explicit(&file->no_zeros, true, memory_order_relaxed);
	return err;
}

static void file_prefetch(struct blkdev *dev, uint64_t off, uint64_t len)
{
	posix_fadvise(to_file(dev)->fd, off, len, POSIX_FADV_WILLNEED);
}

/* Whole pages; the kernel leaves dirty ones alone. */
static void file_uncache(struct blkdev *dev, uint64_t off, uint64_t len)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t start = off / page * page, end = (off + len + page - 1) / page * page;

	posix_fadvise(to_file(dev)->fd, start, end - start, POSIX_FADV_DONTNEED);
}

static int file_close(struct blkdev *dev)
{
	struct file_dev *file = to_file(dev);
	/* Linux frees the descriptor even when close fails; EINTR is no failure. */
	int err = close(file->fd) < 0 && errno != EINTR ? -errno : 0;

	free((char *)dev->info.name);
	free(file);
	return err;
}

static const struct blkdev_ops file_ops = {
	.read = file_read,
	.read_nowait = file_read_nowait,
	.write = file_write,
	.flush = file_flush,
	.discard = file_discard,
	.write_zeros = file_write_zeros,
	.prefetch = file_prefetch,
	.uncache = file_uncache,
	.close = file_close,
};

static int check_mode(mode_t mode)
{
	if (S_ISREG(mode) || S_ISBLK(mode))
		return 0;
	return S_ISDIR(mode) ? -EISDIR : -ENOTBLK;
}

static int open_path(const char *path, bool readonly, int *ret_fd)
{
	int flags = (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY;
	struct stat st;
	int err, fd;

	/* Opening a tape or a FIFO has effects; look first. */
	if (stat(path, &st) < 0)
		return -errno;
	err = check_mode(st.st_mode);
	if (err)
		return err;
	/* It may have become a FIFO since: O_NONBLOCK until open_checked knows. */
	fd = open(path, flags | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* An inherited descriptor must allow exactly the transfers done here. */
static int check_flags(int fd, bool readonly)
{
	int flags = fcntl(fd, F_GETFL);
	int access = flags & O_ACCMODE;

	if (flags < 0)
		return -errno;
	if (flags & O_PATH)
		return -EACCES;
	if (access != O_RDWR && !(readonly && access == O_RDONLY))
		return -EACCES;
	return flags & (O_APPEND | O_DIRECT) ? -EINVAL : 0;
}

/* Takes the descriptor out of the state open_path or a parent left it in. */
static int settle_flags(int fd)
{
	int flags = fcntl(fd, F_GETFL), fdflags = fcntl(fd, F_GETFD);

	if (flags < 0 || fdflags < 0)
		return -errno;
	if ((flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return -errno;
	return fcntl(fd, F_SETFD, fdflags | FD_CLOEXEC) < 0 ? -errno : 0;
}

static bool sysfs_nonzero(dev_t rdev, const char *file)
{
	char path[128], text[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(rdev), minor(rdev), file);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	return strtoull(text, NULL, 10) != 0;
}

static int inspect_block(struct file_dev *file, dev_t rdev)
{
	int sector_len = 512, is_ro = 0;

	if (ioctl(file->fd, BLKSSZGET, &sector_len) < 0 || sector_len < 512 ||
	    sector_len & (sector_len - 1))
		sector_len = 512;
	file->sector_len = sector_len;
	file->dev.info.io_min = sector_len > FILE_IO_MIN ? sector_len : FILE_IO_MIN;
	if (file->dev.info.readonly)
		return 0;
	if (ioctl(file->fd, BLKROGET, &is_ro) == 0 && is_ro)
		return -EROFS;
	/* A partition has no queue of its own; its disk, one level up, has. */
	file->dev.info.can_discard = sysfs_nonzero(rdev, "queue/discard_max_bytes") ||
				     sysfs_nonzero(rdev, "../queue/discard_max_bytes");
	return 0;
}

static int inspect(struct file_dev *file)
{
	struct blkdev_info *info = &file->dev.info;
	struct stat st;
	int err;

	if (fstat(file->fd, &st) < 0)
		return -errno;
	err = check_mode(st.st_mode);
	if (err)
		return err;
	file->is_block = S_ISBLK(st.st_mode);
	err = size_of(file->fd, file->is_block, &info->size);
	if (err)
		return err;
	if (info->size == 0)
		return -ENODATA;
	if (file->is_block)
		return inspect_block(file, st.st_rdev);
	info->io_min = FILE_IO_MIN;
	/* A hole behind the end changes nothing and tells whether holes exist here. */
	info->can_discard = !info->readonly && info->size <= INT64_MAX - FILE_IO_MIN &&
			    do_fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					 info->size, FILE_IO_MIN) == 0;
	info->discard_zeros = info->can_discard;
	return 0;
}

static int open_checked(struct file_dev *file, bool readonly)
{
	int err;

	err = check_flags(file->fd, readonly);
	if (err)
		return err;
	err = inspect(file);
	if (err)
		return err;
	return settle_flags(file->fd);
}

int file_dev_open(const char *path, int fd, bool readonly, struct blkdev **ret)
{
	struct file_dev *file = calloc(1, sizeof(*file));
	char *name = strdup(path);
	int err = -ENOMEM;

	if (!file || !name)
		goto out;
	file->fd = fd;
	file->dev.ops = &file_ops;
	file->dev.info.name = name;
	file->dev.info.readonly = readonly;
	err = fd < 0 ? open_path(path, readonly, &file->fd) : 0;
	if (err)
		goto out;
	err = open_checked(file, readonly);
	if (err && fd < 0)
		close(file->fd);
out:
	if (err) {
		free(name);
		free(file);
		return err;
	}
	*ret = &file->dev;
	return 0;
}

int file_dev_fd(const struct blkdev *dev)
{
	return dev->ops == &file_ops ? ((const struct file_dev *)dev)->fd : -1;
}
