/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys from passphrases: PBKDF2 (RFC 8018) and Argon2i, Argon2id (RFC 9106). */
#ifndef CRYPTO_KDF_H
#define CRYPTO_KDF_H

#include <stddef.h>
#include <stdint.h>

struct luks_limits;

enum {
	KDF_SALT_MAX = 256,	/* bytes */
	KDF_OUT_MAX = 64,	/* bytes; libgcrypt 1.10's Argon2 is wrong above */
};

enum kdf_type { KDF_PBKDF2, KDF_ARGON2I, KDF_ARGON2ID };

struct kdf {
	enum kdf_type type;
	int hash;		/* pbkdf2: algorithm of hash_find */
	uint64_t iterations;	/* pbkdf2: iterations; argon2: passes */
	uint64_t memory_kib;	/* argon2 */
	uint32_t lanes;		/* argon2 */
	uint8_t salt[KDF_SALT_MAX];
	size_t salt_len;
};

/* "pbkdf2", "argon2i", "argon2id". */
const char *kdf_name(enum kdf_type type);
/* The type of a name; -EOPNOTSUPP. */
int kdf_find(const char *name);

/*
 * kdf_check - whether deriving out_len bytes stays within limits and can work at all
 *
 * why: on failure which cost, what it is and what is allowed
 * Returns 0; -E2BIG above a limit, or more memory than the machine can give; -EINVAL costs that
 * the algorithm does not define; -EOPNOTSUPP the running libgcrypt cannot.
 */
int kdf_check(const struct kdf *kdf, const struct luks_limits *limits, size_t out_len,
	      char *why, size_t why_len);

/* What deriving out_len bytes costs, in thousandths of the limit; kdf_check has agreed. */
unsigned kdf_share(const struct kdf *kdf, const struct luks_limits *limits, size_t out_len);

/* Whether Argon2 takes an empty passphrase: libgcrypt 1.11 does. */
int kdf_takes_empty(void);

/*
 * kdf_derive - out_len bytes from a passphrase; kdf_check has agreed
 *
 * Argon2 runs on as many threads as it has lanes and the process CPUs. Blocks for as long as
 * the costs say. Its memory is locked where that is allowed, and wiped.
 * Returns 0; -ENOMEM; -EOPNOTSUPP an empty passphrase with Argon2 on libgcrypt < 1.11.
 */
int kdf_derive(const struct kdf *kdf, const void *pass, size_t pass_len, void *out,
	       size_t out_len);

#endif
