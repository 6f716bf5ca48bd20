/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The binary header of LUKS2: decoding and its checksum. */
#ifndef CRYPTO_LUKS2_BIN_H
#define CRYPTO_LUKS2_BIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "luks2_format.h"

struct luks2_bin {
	bool secondary;		/* by its magic */
	uint64_t hdr_len;	/* bytes of this copy, binary header and JSON area */
	uint64_t seqid;
	char label[48], subsystem[48], uuid[40];	/* printable, ending in 0 */
	char csum_alg[32];
};

/*
 * luks2_bin_decode - LUKS2_BIN_LEN bytes that were read at off of the device
 *
 * Returns 0; -EINVAL no magic of LUKS2 or another version; -EUCLEAN a field has no meaning, why.
 */
int luks2_bin_decode(const uint8_t *buf, uint64_t off, struct luks2_bin *ret, char *why,
		     size_t why_len);

/*
 * luks2_csum_check - whether bin->hdr_len bytes of a copy match the checksum in them
 *
 * Returns 0; -EUCLEAN it does not, or the algorithm is unknown, why; -ENOMEM.
 */
int luks2_csum_check(const struct luks2_bin *bin, const uint8_t *buf, char *why,
		     size_t why_len);

#endif
