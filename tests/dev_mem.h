/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A block device in memory: zeros at first, pages taken as they are written. */
#ifndef TESTS_DEV_MEM_H
#define TESTS_DEV_MEM_H

#include "transport/blkdev.h"

/* size: bytes, > 0, may exceed the machine's memory. Returns 0; -ENOMEM. */
int dev_mem_open(uint64_t size, struct blkdev **ret);

/* Its bytes, for a test to look at or damage; gone with the device. */
uint8_t *dev_mem_data(struct blkdev *dev);
/* Nobody changes them between the two: a copy is of one instant. */
void dev_mem_hold(struct blkdev *dev);
void dev_mem_release(struct blkdev *dev);

#endif
