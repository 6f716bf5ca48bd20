/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hash functions by the names that LUKS headers use. */
#ifndef CRYPTO_HASH_H
#define CRYPTO_HASH_H

#include <stddef.h>
#include <sys/uio.h>

struct hash;

enum {
	HASH_LEN_MAX = 64,	/* bytes; a longer digest is refused */
	HASH_LEN_MIN = 16,	/* shorter ones are no hash functions but checksums */
};

/*
 * hash_find - libgcrypt's number for a name such as "sha256", "ripemd160", "blake2b-512"
 *
 * Returns it, > 0; -EOPNOTSUPP unknown here, or no hash that LUKS can use.
 */
int hash_find(const char *name);
/* Bytes of its digest. */
size_t hash_len(int algo);

/* A context in secret memory for one thread at a time. 0 or -ENOMEM, -EOPNOTSUPP. */
int hash_new(int algo, struct hash **ret);
void hash_free(struct hash *hash);
/* The digest of the pieces one after the other into out, hash_len bytes. */
void hash_compute(struct hash *hash, const struct iovec *pieces, int npieces, void *out);

#endif
