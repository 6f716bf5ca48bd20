// SPDX-License-Identifier: GPL-2.0-or-later
/* Hash functions: names and digests, from libgcrypt. */
#include "hash.h"

#include <errno.h>
#include <gcrypt.h>
#include <string.h>

#include "crypto.h"

/* Names that cryptsetup and the kernel write otherwise than libgcrypt. */
static const struct alias {
	const char *name, *gcrypt;
} aliases[] = {
	{ "blake2b-160", "BLAKE2B_160" },
	{ "blake2b-256", "BLAKE2B_256" },
	{ "blake2b-384", "BLAKE2B_384" },
	{ "blake2b-512", "BLAKE2B_512" },
	{ "blake2s-128", "BLAKE2S_128" },
	{ "blake2s-160", "BLAKE2S_160" },
	{ "blake2s-224", "BLAKE2S_224" },
	{ "blake2s-256", "BLAKE2S_256" },
	{ "rmd160", "RIPEMD160" },
};

int hash_find(const char *name)
{
	int algo;

	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
		if (!strcmp(name, aliases[i].name))
			name = aliases[i].gcrypt;
	algo = gcry_md_map_name(name);
	if (!algo || gcry_md_test_algo(algo))
		return -EOPNOTSUPP;
	if (hash_len(algo) < HASH_LEN_MIN || hash_len(algo) > HASH_LEN_MAX)
		return -EOPNOTSUPP;
	/* Outputs of any length, which newer libgcrypts give one: not for HMAC. */
	if (strstr(gcry_md_algo_name(algo), "SHAKE"))
		return -EOPNOTSUPP;
	return algo;
}

size_t hash_len(int algo)
{
	return gcry_md_get_algo_dlen(algo);
}

int hash_new(int algo, struct hash **ret)
{
	gcry_md_hd_t md;
	int err = crypto_errno(gcry_md_open(&md, algo, GCRY_MD_FLAG_SECURE));

	if (!err)
		*ret = (struct hash *)md;
	return err;
}

void hash_free(struct hash *hash)
{
	gcry_md_close((gcry_md_hd_t)hash);
}

void hash_compute(struct hash *hash, const struct iovec *pieces, int npieces, void *out)
{
	gcry_md_hd_t md = (gcry_md_hd_t)hash;
	int algo = gcry_md_get_algo(md);

	gcry_md_reset(md);
	for (int i = 0; i < npieces; i++)
		gcry_md_write(md, pieces[i].iov_base, pieces[i].iov_len);
	memcpy(out, gcry_md_read(md, algo), hash_len(algo));
}
