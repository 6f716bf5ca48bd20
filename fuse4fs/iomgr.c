/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libext2fs's view of a struct blkdev. Errors pass as errno values, which errcode_t
 * contains; nothing here aborts or retries. */
#include "iomgr.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blkdev.h"

static struct blkdev *dev_of(io_channel channel)
{
	return channel->private_data;
}

static errcode_t to_errcode(int err)
{
	return err < 0 ? -err : 0;
}

/* count > 0: blocks; count < 0: bytes. */
static bool byte_range(io_channel channel, unsigned long long block, int count,
		       uint64_t *ret_off, size_t *ret_len)
{
	uint64_t bs = (uint64_t)channel->block_size;

	if (block > UINT64_MAX / bs || count == 0)
		return false;
	*ret_off = block * bs;
	*ret_len = count < 0 ? (size_t)-(int64_t)count : (size_t)count * bs;
	return true;
}

static errcode_t io_read64(io_channel channel, unsigned long long block, int count, void *data)
{
	uint64_t off;
	size_t len;

	if (!byte_range(channel, block, count, &off, &len))
		return EINVAL;
	return to_errcode(blkdev_read(dev_of(channel), data, len, off));
}

static errcode_t io_write64(io_channel channel, unsigned long long block, int count,
			    const void *data)
{
	uint64_t off;
	size_t len;

	if (!byte_range(channel, block, count, &off, &len))
		return EINVAL;
	return to_errcode(blkdev_write(dev_of(channel), data, len, off));
}

static errcode_t io_read(io_channel channel, unsigned long block, int count, void *data)
{
	return io_read64(channel, block, count, data);
}

static errcode_t io_write(io_channel channel, unsigned long block, int count, const void *data)
{
	return io_write64(channel, block, count, data);
}

static errcode_t io_write_byte(io_channel channel, unsigned long off, int count,
			       const void *data)
{
	if (count < 0)
		return EINVAL;
	return to_errcode(blkdev_write(dev_of(channel), data, (size_t)count, off));
}

static errcode_t io_set_blksize(io_channel channel, int blksize)
{
	if (blksize <= 0)
		return EINVAL;
	channel->block_size = blksize;
	return 0;
}

static errcode_t io_flush(io_channel channel)
{
	return to_errcode(blkdev_flush(dev_of(channel)));
}

static errcode_t io_readahead(io_channel channel, unsigned long long block,
			      unsigned long long count)
{
	uint64_t bs = (uint64_t)channel->block_size;

	if (block < UINT64_MAX / bs && count < UINT64_MAX / bs)
		blkdev_prefetch(dev_of(channel), block * bs, count * bs);
	return 0;
}

static errcode_t io_zeroout(io_channel channel, unsigned long long block,
			    unsigned long long count)
{
	uint64_t bs = (uint64_t)channel->block_size;

	if (block > UINT64_MAX / bs || count > UINT64_MAX / bs)
		return EINVAL;
	return to_errcode(blkdev_write_zeros(dev_of(channel), block * bs, count * bs));
}

static errcode_t io_set_option(io_channel channel, const char *option, const char *arg)
{
	(void)channel;
	(void)option;
	(void)arg;
	return EXT2_ET_INVALID_ARGUMENT;
}

static errcode_t io_close(io_channel channel)
{
	if (--channel->refcount > 0)
		return 0;
	free(channel->name);
	free(channel);
	return 0;
}

static errcode_t io_open(const char *name, int flags, io_channel *ret);

static const struct struct_io_manager blkdev_manager = {
	.magic = EXT2_ET_MAGIC_IO_MANAGER,
	.name = "blkdev",
	.open = io_open,
	.close = io_close,
	.set_blksize = io_set_blksize,
	.read_blk = io_read,
	.write_blk = io_write,
	.flush = io_flush,
	.write_byte = io_write_byte,
	.set_option = io_set_option,
	.read_blk64 = io_read64,
	.write_blk64 = io_write64,
	.cache_readahead = io_readahead,
	.zeroout = io_zeroout,
};

static errcode_t io_open(const char *name, int flags, io_channel *ret)
{
	static const char prefix[] = "blkdev:";
	uintptr_t dev = 0;
	io_channel channel;

	(void)flags;
	if (strncmp(name, prefix, strlen(prefix)) == 0)
		dev = (uintptr_t)strtoumax(name + strlen(prefix), NULL, 16);
	if (!dev)
		return EXT2_ET_BAD_DEVICE_NAME;
	channel = calloc(1, sizeof(*channel));
	if (!channel)
		return EXT2_ET_NO_MEMORY;
	channel->name = strdup(name);
	if (!channel->name) {
		free(channel);
		return EXT2_ET_NO_MEMORY;
	}
	channel->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	channel->manager = iomgr_blkdev();
	channel->block_size = 1024;
	channel->refcount = 1;
	channel->private_data = (void *)dev;
	*ret = channel;
	return 0;
}

io_manager iomgr_blkdev(void)
{
	return (io_manager)&blkdev_manager;
}

void iomgr_name(struct blkdev *dev, char name[IOMGR_NAME_SIZE])
{
	snprintf(name, IOMGR_NAME_SIZE, "blkdev:%" PRIxPTR, (uintptr_t)dev);
}
