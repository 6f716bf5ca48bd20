/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Anonymous memory as a block device. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dev_mem.h"

struct dev_mem {
	struct blkdev dev;
	uint8_t *data;	/* [init only] the mapping, info.size bytes */
	pthread_rwlock_t hold;	/* shared by those who change it */
};

static struct dev_mem *to_mem(struct blkdev *dev)
{
	return (struct dev_mem *)dev;
}

static int mem_read(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	memcpy(buf, to_mem(dev)->data + off, len);
	return 0;
}

static int mem_write(struct blkdev *dev, const void *buf, size_t len, uint64_t off)
{
	pthread_rwlock_rdlock(&to_mem(dev)->hold);
	memcpy(to_mem(dev)->data + off, buf, len);
	pthread_rwlock_unlock(&to_mem(dev)->hold);
	return 0;
}

static int mem_flush(struct blkdev *dev)
{
	return 0;
}

static int mem_discard(struct blkdev *dev, uint64_t off, uint64_t len)
{
	pthread_rwlock_rdlock(&to_mem(dev)->hold);
	memset(to_mem(dev)->data + off, 0, len);
	pthread_rwlock_unlock(&to_mem(dev)->hold);
	return 0;
}

static int mem_close(struct blkdev *dev)
{
	struct dev_mem *mem = to_mem(dev);

	munmap(mem->data, dev->info.size);
	pthread_rwlock_destroy(&mem->hold);
	free(mem);
	return 0;
}

static const struct blkdev_ops mem_ops = {
	.read = mem_read,
	.read_nowait = mem_read,
	.write = mem_write,
	.flush = mem_flush,
	.discard = mem_discard,
	.close = mem_close,
};

int dev_mem_open(uint64_t size, struct blkdev **ret)
{
	struct dev_mem *mem = calloc(1, sizeof(*mem));

	if (!mem)
		return -ENOMEM;
	mem->data = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem->data == MAP_FAILED) {
		free(mem);
		return -ENOMEM;
	}
	pthread_rwlock_init(&mem->hold, NULL);
	mem->dev.ops = &mem_ops;
	mem->dev.info.size = size;
	mem->dev.info.io_min = 512;
	mem->dev.info.can_discard = true;
	mem->dev.info.name = "memory";
	*ret = &mem->dev;
	return 0;
}

uint8_t *dev_mem_data(struct blkdev *dev)
{
	return to_mem(dev)->data;
}

void dev_mem_hold(struct blkdev *dev)
{
	pthread_rwlock_wrlock(&to_mem(dev)->hold);
}

void dev_mem_release(struct blkdev *dev)
{
	pthread_rwlock_unlock(&to_mem(dev)->hold);
}
