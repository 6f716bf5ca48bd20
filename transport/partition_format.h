/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is looked at of partition tables before libblkid parses them.
 * Source: UEFI Specification 2.10, section 5.2 (MBR) and 5.3 (GPT).
 */
#ifndef TRANSPORT_PARTITION_FORMAT_H
#define TRANSPORT_PARTITION_FORMAT_H

#include <stddef.h>
#include <stdint.h>

enum {
	MBR_SECTOR_LEN = 512,
	MBR_TYPE_GPT = 0xee,	/* protective MBR */
	GPT_ENTRY_LEN = 128,
};

struct mbr_entry {
	uint8_t status;
	uint8_t chs_first[3];
	uint8_t type;
	uint8_t chs_last[3];
	uint8_t start_sec_le32[4];	/* of a link in an extended partition: relative to it */
	uint8_t nsecs_le32[4];
};
_Static_assert(sizeof(struct mbr_entry) == 16, "MBR entry");

/* Master boot record, and each link of the chain in an extended partition. */
struct mbr_sector {
	uint8_t code[446];
	struct mbr_entry entries[4];
	uint8_t magic[2];		/* 0x55 0xaa */
};
_Static_assert(sizeof(struct mbr_sector) == MBR_SECTOR_LEN, "MBR sector");

struct gpt_header {
	uint8_t magic[8];		/* "EFI PART" */
	uint8_t revision_le32[4], header_len_le32[4], crc_le32[4], reserved[4];
	uint8_t this_sec_le64[8], other_sec_le64[8];
	uint8_t first_usable_sec_le64[8], last_usable_sec_le64[8];
	uint8_t disk_guid[16];
	uint8_t entries_sec_le64[8];
	uint8_t nentries_le32[4], entry_len_le32[4], entries_crc_le32[4];
};
_Static_assert(sizeof(struct gpt_header) == 92, "GPT header");
_Static_assert(offsetof(struct gpt_header, nentries_le32) == 80, "GPT header");

#endif
