/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LUKS2's binary header on disk, in front of the JSON area; two copies, the second at the length of
 * the first. Source: LUKS2 On-Disk Format Specification 1.1.3, section 2. Big endian.
 */
#ifndef CRYPTO_LUKS2_FORMAT_H
#define CRYPTO_LUKS2_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "luks1_format.h"

enum {
	LUKS2_BIN_LEN = 4096,
	LUKS2_HDR_MIN = 16 * 1024,		/* of one copy, a power of 2 */
	LUKS2_HDR_MAX = 4 * 1024 * 1024,
	LUKS2_CSUM_LEN = 64,
};

struct luks2_disk {
	uint8_t magic[LUKS_MAGIC_LEN];
	uint16_t version_be16;
	uint64_t hdr_len_be64;
	uint64_t seqid_be64;
	char label[48];
	char csum_alg[32];
	uint8_t salt[64];
	char uuid[40];
	char subsystem[48];
	uint64_t hdr_off_be64;
	uint8_t padding[184];
	uint8_t csum[LUKS2_CSUM_LEN];
	uint8_t padding4096[7 * 512];
} __attribute__((packed));

_Static_assert(sizeof(struct luks2_disk) == LUKS2_BIN_LEN, "as on disk");
_Static_assert(offsetof(struct luks2_disk, csum) == 448, "as on disk");

#endif
