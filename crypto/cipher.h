/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sector ciphers: a block cipher in a mode with a rule for IVs, as dm-crypt names them.
 *
 * aes, serpent, twofish, camellia, cast5 in xts-plain64, xts-plain, cbc-essiv:HASH, cbc-plain64,
 * cbc-plain; and what cryptsetup accepts beside them: plain64be and benbi with both, and
 * xts-essiv:HASH. Sectors are numbered in units of 512 bytes whatever their length.
 *
 * Source of the IV rules: linux Documentation/admin-guide/device-mapper/dm-crypt.rst; LUKS1
 * specification 1.2.3, section 7 "Constants", cipher and mode names.
 */
#ifndef CRYPTO_CIPHER_H
#define CRYPTO_CIPHER_H

#include <stddef.h>
#include <stdint.h>

enum {
	CIPHER_KEY_MAX = 64,		/* bytes */
	CIPHER_SECTOR_UNIT = 512,	/* bytes that one sector number stands for */
	CIPHER_SECTOR_MAX = 4096,	/* bytes */
};

enum cipher_iv {
	CIPHER_IV_PLAIN,	/* the number's low 32 bits, little endian */
	CIPHER_IV_PLAIN64,	/* the number, little endian */
	CIPHER_IV_PLAIN64BE,	/* the number, big endian, at the end */
	CIPHER_IV_BENBI,	/* number of the sector's first cipher block, from 1; as plain64be */
	CIPHER_IV_ESSIV,	/* as plain64, encrypted with the hash of the key */
};

/* A specification that libgcrypt can serve. Plain data. */
struct cipher_spec {
	int algo, mode;		/* libgcrypt's numbers */
	enum cipher_iv iv;
	int essiv_hash, essiv_algo;
	size_t key_len;		/* bytes; xts: both keys */
	size_t block_len;	/* bytes, of the cipher and of an IV */
};

/*
 * cipher_find - what a name such as "aes-xts-plain64" with a key of key_len bytes means
 *
 * why: on failure what is not served, by its name
 * Returns 0; -EOPNOTSUPP.
 */
int cipher_find(const char *name, size_t key_len, struct cipher_spec *ret, char *why,
		size_t why_len);

struct cipher;

/*
 * cipher_new - key schedules in secret memory, for one thread at a time
 *
 * key: spec->key_len bytes, not kept.
 * Returns 0; -ENOMEM; -EOPNOTSUPP the cipher refuses this key.
 */
int cipher_new(const struct cipher_spec *spec, const void *key, struct cipher **ret);
void cipher_free(struct cipher *cipher);

/*
 * cipher_encrypt, cipher_decrypt - a run of sectors
 *
 * dst, src    the same or apart, of any alignment
 * len         bytes, a multiple of sector_len
 * sector      number of the first, in units of 512 bytes; numbers wrap at 2^64
 * sector_len  512, 1024, 2048, 4096 bytes
 *
 * Returns 0; -EIO libgcrypt failed.
 */
int cipher_encrypt(struct cipher *cipher, void *dst, const void *src, size_t len,
		   uint64_t sector, size_t sector_len);
int cipher_decrypt(struct cipher *cipher, void *dst, const void *src, size_t len,
		   uint64_t sector, size_t sector_len);

#endif
