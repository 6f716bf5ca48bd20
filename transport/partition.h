/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a partition lies on a device that holds a GPT or MBR partition table. */
#ifndef TRANSPORT_PARTITION_H
#define TRANSPORT_PARTITION_H

#include "blkdev.h"

enum { PARTITION_LIST_MAX = 128 };

struct partition_entry {
	unsigned number;	/* as partition_find takes it */
	uint64_t off, len;	/* bytes, as the table says */
	bool extended;		/* holds only logical partitions */
	bool outside;		/* reaches beyond the device */
	char type[40];		/* MBR "0x83"; GPT the type's UUID */
	char name[128];		/* GPT; UTF-8, "" for none */
	char uuid[40];		/* "" for none */
};

struct partition_table {
	char type[8];		/* "gpt" or "dos" */
	char uuid[40];
	unsigned nentries;	/* in entries */
	unsigned nleft_out;	/* more than there is room for */
	struct partition_entry entries[PARTITION_LIST_MAX];
};

/*
 * partition_list - all of a partition table
 *
 * Reads and errors as partition_find: 0; -ENODATA no table; -EUCLEAN; -EIO; -ENOMEM.
 */
int partition_list(struct blkdev *dev, struct partition_table *ret, char *why, size_t why_len);

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
