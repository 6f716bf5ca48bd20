// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs of sectors through libgcrypt.
 *
 * IVs are made for a batch of sectors at once: ESSIV encrypts them in one call. In XTS
 * libgcrypt counts the data unit up after every call, so 512-byte sectors need one IV
 * per run; longer ones do not, because their numbers go up by more than one. The count has
 * 128 bits where the rules have 64 or 32: a run ends where they wrap.
 */
#include "cipher.h"

#include <endian.h>
#include <errno.h>
#include <gcrypt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cipher_int.h"
#include "crypto.h"
#include "hash.h"

enum {
	BATCH = 32,		/* sectors whose IVs are made together */
	BLOCK_MAX = 16,
};

struct cipher {
	struct cipher_spec spec;	/* [init only] */
	gcry_cipher_hd_t data;
	gcry_cipher_hd_t essiv;		/* NULL: no ESSIV */
};

typedef gcry_error_t (*crypt_fn)(gcry_cipher_hd_t hd, void *out, size_t out_len,
				 const void *in, size_t in_len);

static int open_keyed(int algo, int mode, const void *key, size_t key_len,
		      gcry_cipher_hd_t *ret)
{
	gcry_cipher_hd_t hd;
	int err = crypto_errno(gcry_cipher_open(&hd, algo, mode, GCRY_CIPHER_SECURE));

	if (err)
		return err;
	err = crypto_errno(gcry_cipher_setkey(hd, key, key_len));
	if (err) {
		gcry_cipher_close(hd);
		return err;
	}
	*ret = hd;
	return 0;
}

static int open_essiv(struct cipher *c, const void *key)
{
	const struct iovec piece = { (void *)(uintptr_t)key, c->spec.key_len };
	uint8_t salt[HASH_LEN_MAX];
	struct hash *hash;
	int err = hash_new(c->spec.essiv_hash, &hash);

	if (err)
		return err;
	hash_compute(hash, &piece, 1, salt);
	hash_free(hash);
	err = open_keyed(c->spec.essiv_algo, GCRY_CIPHER_MODE_ECB, salt,
			 hash_len(c->spec.essiv_hash), &c->essiv);
	explicit_bzero(salt, sizeof(salt));
	return err;
}

int cipher_new(const struct cipher_spec *spec, const void *key, struct cipher **ret)
{
	struct cipher *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->spec = *spec;
	err = open_keyed(spec->algo, spec->mode, key, spec->key_len, &c->data);
	if (!err && spec->iv == CIPHER_IV_ESSIV)
		err = open_essiv(c, key);
	if (err) {
		cipher_free(c);
		return err;
	}
	*ret = c;
	return 0;
}

void cipher_free(struct cipher *cipher)
{
	if (!cipher)
		return;
	gcry_cipher_close(cipher->data);
	gcry_cipher_close(cipher->essiv);
	free(cipher);
}

/* One IV before any ESSIV; iv is zeros. */
static void plain_iv(const struct cipher_spec *spec, uint64_t sector, uint8_t *iv)
{
	uint64_t blocks_per_unit = CIPHER_SECTOR_UNIT / spec->block_len;
	uint64_t number = htole64(sector);

	switch (spec->iv) {
	case CIPHER_IV_PLAIN:
		number = htole64(sector & UINT32_MAX);
		break;
	case CIPHER_IV_PLAIN64BE:
		number = htobe64(sector);
		break;
	case CIPHER_IV_BENBI:
		number = htobe64(sector * blocks_per_unit + 1);
		break;
	default:
		break;
	}
	if (spec->iv == CIPHER_IV_PLAIN64BE || spec->iv == CIPHER_IV_BENBI)
		iv += spec->block_len - sizeof(number);
	memcpy(iv, &number, sizeof(number));
}

int cipher_ivs(struct cipher *c, uint64_t sector, uint64_t step, size_t n, uint8_t *ivs)
{
	size_t block = c->spec.block_len;

	memset(ivs, 0, n * block);
	for (size_t i = 0; i < n; i++, sector += step)
		plain_iv(&c->spec, sector, ivs + i * block);
	if (!c->essiv)
		return 0;
	return gcry_cipher_encrypt(c->essiv, ivs, n * block, NULL, 0) ? -EIO : 0;
}

static int crypt_one(struct cipher *c, crypt_fn fn, uint8_t *dst, const uint8_t *src, size_t len)
{
	if (dst == src)
		return fn(c->data, dst, len, NULL, 0) ? -EIO : 0;
	return fn(c->data, dst, len, src, len) ? -EIO : 0;
}

/* Up to BATCH sectors, each with an IV of its own. */
static int crypt_batch(struct cipher *c, crypt_fn fn, uint8_t *dst, const uint8_t *src,
		       size_t n, uint64_t sector, size_t sector_len)
{
	uint8_t ivs[BATCH * BLOCK_MAX];
	size_t block = c->spec.block_len;
	int err = cipher_ivs(c, sector, sector_len / CIPHER_SECTOR_UNIT, n, ivs);

	for (size_t i = 0; i < n && !err; i++) {
		if (gcry_cipher_setiv(c->data, ivs + i * block, block))
			return -EIO;
		err = crypt_one(c, fn, dst + i * sector_len, src + i * sector_len, sector_len);
	}
	return err;
}

/* Sectors from this one on whose IVs are each one more than the one before. */
static uint64_t counting_run(const struct cipher *c, uint64_t sector)
{
	if (c->spec.iv == CIPHER_IV_PLAIN)
		return UINT32_MAX - (sector & UINT32_MAX) + (uint64_t)1;
	return sector ? UINT64_MAX - sector + 1 : UINT64_MAX;
}

/* XTS on sectors of 512 bytes: libgcrypt counts. */
static int crypt_counting(struct cipher *c, crypt_fn fn, uint8_t *dst, const uint8_t *src,
			  size_t n, uint64_t sector)
{
	uint8_t iv[BLOCK_MAX];
	int err = cipher_ivs(c, sector, 1, 1, iv);

	if (err)
		return err;
	if (gcry_cipher_setiv(c->data, iv, c->spec.block_len))
		return -EIO;
	for (size_t off = 0; off < n * CIPHER_SECTOR_UNIT && !err; off += CIPHER_SECTOR_UNIT)
		err = crypt_one(c, fn, dst + off, src + off, CIPHER_SECTOR_UNIT);
	return err;
}

static int crypt_run(struct cipher *c, crypt_fn fn, void *dst, const void *src, size_t len,
		     uint64_t sector, size_t sector_len)
{
	bool counting = c->spec.mode == GCRY_CIPHER_MODE_XTS &&
			sector_len == CIPHER_SECTOR_UNIT &&
			(c->spec.iv == CIPHER_IV_PLAIN || c->spec.iv == CIPHER_IV_PLAIN64);
	size_t n = len / sector_len;
	uint8_t *out = dst;
	const uint8_t *in = src;
	int err = 0;

	while (n && !err) {
		uint64_t most = counting ? counting_run(c, sector) : BATCH;
		size_t now = n < most ? n : (size_t)most;

		err = counting ? crypt_counting(c, fn, out, in, now, sector)
			       : crypt_batch(c, fn, out, in, now, sector, sector_len);
		n -= now;
		out += now * sector_len;
		in += now * sector_len;
		sector += now * (sector_len / CIPHER_SECTOR_UNIT);
	}
	return err;
}

int cipher_encrypt(struct cipher *cipher, void *dst, const void *src, size_t len,
		   uint64_t sector, size_t sector_len)
{
	return crypt_run(cipher, gcry_cipher_encrypt, dst, src, len, sector, sector_len);
}

int cipher_decrypt(struct cipher *cipher, void *dst, const void *src, size_t len,
		   uint64_t sector, size_t sector_len)
{
	return crypt_run(cipher, gcry_cipher_decrypt, dst, src, len, sector, sector_len);
}
