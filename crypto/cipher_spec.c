// SPDX-License-Identifier: GPL-2.0-or-later
/* What "CIPHER-MODE-IV" means: tables of what is served, refusals by name of the rest. */
#include <errno.h>
#include <gcrypt.h>
#include <stdio.h>
#include <string.h>

#include "cipher.h"
#include "hash.h"

/* A block cipher with one length of key. */
static const struct algo {
	const char *name;
	size_t key_len;		/* bytes */
	int algo;
} algos[] = {
	{ "aes", 16, GCRY_CIPHER_AES128 },
	{ "aes", 24, GCRY_CIPHER_AES192 },
	{ "aes", 32, GCRY_CIPHER_AES256 },
	{ "camellia", 16, GCRY_CIPHER_CAMELLIA128 },
	{ "camellia", 24, GCRY_CIPHER_CAMELLIA192 },
	{ "camellia", 32, GCRY_CIPHER_CAMELLIA256 },
	{ "cast5", 16, GCRY_CIPHER_CAST5 },
	{ "serpent", 16, GCRY_CIPHER_SERPENT128 },
	{ "serpent", 24, GCRY_CIPHER_SERPENT192 },
	{ "serpent", 32, GCRY_CIPHER_SERPENT256 },
	{ "twofish", 16, GCRY_CIPHER_TWOFISH128 },
	{ "twofish", 32, GCRY_CIPHER_TWOFISH },
};

static const struct mode {
	const char *name;	/* what follows the cipher's name and a dash */
	int mode;
	enum cipher_iv iv;
} modes[] = {
	{ "xts-plain64", GCRY_CIPHER_MODE_XTS, CIPHER_IV_PLAIN64 },
	{ "xts-plain", GCRY_CIPHER_MODE_XTS, CIPHER_IV_PLAIN },
	{ "cbc-plain64", GCRY_CIPHER_MODE_CBC, CIPHER_IV_PLAIN64 },
	{ "cbc-plain", GCRY_CIPHER_MODE_CBC, CIPHER_IV_PLAIN },
	{ "xts-plain64be", GCRY_CIPHER_MODE_XTS, CIPHER_IV_PLAIN64BE },
	{ "cbc-plain64be", GCRY_CIPHER_MODE_CBC, CIPHER_IV_PLAIN64BE },
	{ "xts-benbi", GCRY_CIPHER_MODE_XTS, CIPHER_IV_BENBI },
	{ "cbc-benbi", GCRY_CIPHER_MODE_CBC, CIPHER_IV_BENBI },
};

/* What a hash's name follows. */
static const struct mode essiv_modes[] = {
	{ "xts-essiv:", GCRY_CIPHER_MODE_XTS, CIPHER_IV_ESSIV },
	{ "cbc-essiv:", GCRY_CIPHER_MODE_CBC, CIPHER_IV_ESSIV },
};

/* libgcrypt's number; 0: no such cipher with such a key. */
static int find_algo(const char *name, size_t name_len, size_t key_len)
{
	for (size_t i = 0; i < sizeof(algos) / sizeof(algos[0]); i++)
		if (algos[i].key_len == key_len && strlen(algos[i].name) == name_len &&
		    !memcmp(algos[i].name, name, name_len))
			return gcry_cipher_test_algo(algos[i].algo) ? 0 : algos[i].algo;
	return 0;
}

static int find_mode(const char *mode, struct cipher_spec *spec)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(mode, modes[i].name) != 0)
			continue;
		spec->mode = modes[i].mode;
		spec->iv = modes[i].iv;
		return 0;
	}
	for (size_t i = 0; i < sizeof(essiv_modes) / sizeof(essiv_modes[0]); i++) {
		size_t len = strlen(essiv_modes[i].name);

		if (strncmp(mode, essiv_modes[i].name, len) != 0)
			continue;
		spec->mode = essiv_modes[i].mode;
		spec->iv = CIPHER_IV_ESSIV;
		spec->essiv_hash = hash_find(mode + len);
		return spec->essiv_hash < 0 ? -EOPNOTSUPP : 0;
	}
	return -EOPNOTSUPP;
}

static int refuse(const char *name, const char *what, char *why, size_t why_len)
{
	snprintf(why, why_len, "cipher %.60s: %s", name, what);
	return -EOPNOTSUPP;
}

/* A key of ESSIV is a hash; the cipher must take one that long. */
static int find_essiv(const char *name, size_t name_len, struct cipher_spec *spec)
{
	if (spec->iv != CIPHER_IV_ESSIV)
		return 0;
	spec->essiv_algo = find_algo(name, name_len, hash_len(spec->essiv_hash));
	return spec->essiv_algo ? 0 : -EOPNOTSUPP;
}

int cipher_find(const char *name, size_t key_len, struct cipher_spec *ret, char *why,
		size_t why_len)
{
	struct cipher_spec spec = { .key_len = key_len };
	const char *dash = strchr(name, '-');
	size_t name_len, one_key;
	char what[64];

	if (!dash || find_mode(dash + 1, &spec))
		return refuse(name, "this mode or IV is not supported", why, why_len);
	name_len = (size_t)(dash - name);
	one_key = spec.mode == GCRY_CIPHER_MODE_XTS ? key_len / 2 : key_len;
	if (key_len > CIPHER_KEY_MAX || (spec.mode == GCRY_CIPHER_MODE_XTS && key_len % 2))
		spec.algo = 0;
	else
		spec.algo = find_algo(name, name_len, one_key);
	if (!spec.algo) {
		snprintf(what, sizeof(what), "not supported with a key of %zu bits",
			 key_len * 8);
		return refuse(name, what, why, why_len);
	}
	if (find_essiv(name, name_len, &spec))
		return refuse(name, "the hash is no key for the cipher", why, why_len);
	spec.block_len = gcry_cipher_get_algo_blklen(spec.algo);
	if (spec.mode == GCRY_CIPHER_MODE_XTS && spec.block_len != 16)
		return refuse(name, "xts needs blocks of 16 bytes", why, why_len);
	*ret = spec;
	return 0;
}
