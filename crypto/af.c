// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Merging AF stripes: d = 0; for all stripes but the last d = H(d xor stripe); the key is
 * d xor the last. H works on pieces of the hash's length, each hashed behind its number
 * (big endian, 32 bits); of the last piece's digest only what the piece needs is kept.
 */
#include "af.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "hash.h"

static void diffuse(struct hash *hash, size_t digest_len, uint8_t *block, size_t len)
{
	uint8_t digest[HASH_LEN_MAX];

	for (size_t done = 0, i = 0; done < len; done += digest_len, i++) {
		size_t n = len - done < digest_len ? len - done : digest_len;
		uint32_t number = htobe32((uint32_t)i);
		const struct iovec pieces[] = {
			{ &number, sizeof(number) },
			{ block + done, n },
		};

		hash_compute(hash, pieces, 2, digest);
		memcpy(block + done, digest, n);
	}
	explicit_bzero(digest, sizeof(digest));
}

static void xor_into(uint8_t *block, const uint8_t *stripe, size_t len)
{
	for (size_t i = 0; i < len; i++)
		block[i] ^= stripe[i];
}

int af_merge(const uint8_t *split, size_t key_len, uint32_t stripes, int hash, uint8_t *key)
{
	struct hash *h;
	int err = hash_new(hash, &h);

	if (err)
		return err;
	memset(key, 0, key_len);
	for (uint32_t i = 0; i + 1 < stripes; i++) {
		xor_into(key, split + i * key_len, key_len);
		diffuse(h, hash_len(hash), key, key_len);
	}
	xor_into(key, split + (stripes - 1) * key_len, key_len);
	hash_free(h);
	return 0;
}
