/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a partition lies on a device that holds a GPT or MBR partition table. */
#ifndef TRANSPORT_PARTITION_H
#define TRANSPORT_PARTITION_H

#include "blkdev.h"

/*
 * partition_find - the range of partition `number`
 *
 * dev      stays the caller's; about 2 MiB of it are read. GPT with sectors of 512 or
 *          4096 bytes, MBR with sectors of 512 bytes
 * number   from 1, as the kernel counts: logical ones of an MBR from 5
 * why      on failure a sentence part for the user that follows the image's name, as
 *          "has no partition 7: ...", at most why_len bytes
 * ret_off, ret_len  bytes, inside the device
 *
 * Returns 0; -ENODATA no table; -EUCLEAN a damaged one; -ENOENT no such partition or
 * one that can hold no file system; -ERANGE it reaches beyond the device; -EIO;
 * -ENOMEM.
 */
int partition_find(struct blkdev *dev, unsigned number, char *why, size_t why_len,
		   uint64_t *ret_off, uint64_t *ret_len);

#endif
