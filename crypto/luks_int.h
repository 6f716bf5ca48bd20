/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the LUKS part share: a container as decoded, and the steps of loading.
 *
 *     luks_load.c    reads pieces of the device, chooses a copy
 *     luks1.c        bytes -> struct luks
 *     luks2_bin.c    bytes -> binary header, checksum
 *     luks2_json.c   JSON text -> struct luks       luks2_fields.c: typed members of it
 *     luks_check.c   what both must satisfy: places, ciphers, what is refused
 *     luks_unlock.c  passphrase -> key
 *     luks_dev.c     key -> device
 */
#ifndef CRYPTO_LUKS_INT_H
#define CRYPTO_LUKS_INT_H

#include "cipher.h"
#include "kdf.h"
#include "luks.h"

enum {
	LUKS_DIGESTS_MAX = 32,
	LUKS_DIGEST_LEN_MAX = KDF_OUT_MAX,
	LUKS_STRIPES_MAX = 65536,	/* bounds memory: 64 bytes of key each */
	LUKS_PASS_MAX = 8 * 1024 * 1024,
};

/* The part of a keyslot that is not told to users; beside info.keyslots[] of the same index. */
struct luks_slot {
	struct kdf kdf;
	struct cipher_spec area;
	int af_hash;
	uint32_t stripes;
	size_t key_len;		/* bytes */
	int digest;		/* index of the digest that names it, -1: none */
};

struct luks_digest {
	int number;
	struct kdf kdf;
	uint8_t value[LUKS_DIGEST_LEN_MAX];
	size_t len;
	uint32_t slots, segments;	/* bit n: number n */
	bool usable;		/* its type and hash are known */
};

/* Constant once loaded. */
struct luks {
	struct luks_info info;
	struct luks_limits limits;
	struct luks_slot slots[LUKS_KEYSLOTS_MAX];
	struct luks_digest digests[LUKS_DIGESTS_MAX];
	unsigned ndigests;
	uint64_t areas_off, areas_end;	/* where keyslot areas may lie, bytes */
	int data_digest;	/* index, -1 */
	int data_segment;	/* index in info.segments, -1 */
	struct cipher_spec data;
	int refused_err;	/* what unlocking returns when info.refused says why */
};

/* Where a header was found and what it may speak of. */
struct luks_place {
	uint64_t header_size;	/* bytes of the device the header is on */
	uint64_t data_size;	/* bytes of the device the data is on */
	bool detached;
};

/* The first reason stays. err: -EOPNOTSUPP or -EUCLEAN, what unlocking will return. */
void luks_refuse(struct luks *luks, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void luks_slot_refuse(struct luks_keyslot_info *slot, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Text of a header for users: cut, anything but printable ASCII replaced, 0 at the end. */
void luks_text(char *dst, size_t dst_len, const char *src, size_t src_len);
/* The same for a string. */
void luks_copy(char *dst, size_t dst_len, const char *src);
/* Bytes of whole sectors that the stripes of a slot take. */
uint64_t luks_slot_area_len(const struct luks_slot *slot);
/* The usable parts of a slot's names: kdf, hashes, area cipher; refuses the slot else. */
void luks_slot_resolve(struct luks *luks, unsigned index);

/*
 * LUKS1: the first 592 bytes. Fills all but what luks_check needs the device for.
 * 0; -EUCLEAN, why.
 */
int luks1_decode(const uint8_t *buf, size_t len, struct luks *luks, char *why, size_t why_len);

/* The text of a LUKS2 header's JSON area, len bytes; need not end in 0. 0; -EUCLEAN; -ENOMEM. */
int luks2_json_decode(const char *text, size_t len, struct luks *luks, char *why,
		      size_t why_len);

/*
 * luks_check - places and what can be served, after decoding
 *
 * Sets data_digest, data_segment, data, and info's summary. 0; -EUCLEAN keyslot areas outside
 * the header or on each other; what cannot be served is refused in luks.
 */
int luks_check(struct luks *luks, const struct luks_place *place, char *why, size_t why_len);

#endif
