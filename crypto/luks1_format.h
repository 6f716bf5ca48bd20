/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LUKS1 on disk. Source: LUKS1 On-Disk Format Specification 1.2.3, section 2. Big endian. */
#ifndef CRYPTO_LUKS1_FORMAT_H
#define CRYPTO_LUKS1_FORMAT_H

#include <stdint.h>

enum {
	LUKS_MAGIC_LEN = 6,
	LUKS1_KEYSLOTS = 8,
	LUKS1_DIGEST_LEN = 20,
	LUKS1_SALT_LEN = 32,
	LUKS1_SLOT_ACTIVE = 0x00ac71f3,
	LUKS1_SLOT_INACTIVE = 0x0000dead,
	LUKS1_SECTOR = 512,
};

struct luks1_slot_disk {
	uint32_t active_be32;
	uint32_t iterations_be32;
	uint8_t salt[LUKS1_SALT_LEN];
	uint32_t area_sec_be32;		/* sectors from the start of the header */
	uint32_t stripes_be32;
};

struct luks1_disk {
	uint8_t magic[LUKS_MAGIC_LEN];
	uint16_t version_be16;
	char cipher[32], mode[32], hash[32];
	uint32_t data_sec_be32;
	uint32_t key_len_be32;
	uint8_t digest[LUKS1_DIGEST_LEN];
	uint8_t digest_salt[LUKS1_SALT_LEN];
	uint32_t digest_iterations_be32;
	char uuid[40];
	struct luks1_slot_disk slots[LUKS1_KEYSLOTS];
};

_Static_assert(sizeof(struct luks1_slot_disk) == 48, "as on disk");
_Static_assert(sizeof(struct luks1_disk) == 592, "as on disk");

/* What LUKS1 and the primary header of LUKS2 start with; LUKS2's secondary; and LUKS1
 * while cryptsetup-reencrypt had it locked. */
#define LUKS_MAGIC "LUKS\xba\xbe"
#define LUKS2_MAGIC_SECONDARY "SKUL\xba\xbe"
#define LUKS1_MAGIC_REENCRYPT "LUKS\xde\xad"

#endif
