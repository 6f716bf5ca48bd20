/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ciphers for threads: a key's schedules cannot be shared between threads, so each transfer
 * borrows a worker (a cipher and a buffer) and gives it back.
 *
 * Borrowing takes no lock: idle workers stand in slots that are exchanged atomically, and a
 * thread looks first where it left its last one. As many workers come into being as
 * transfers run at once; POOL_SLOTS of them are kept.
 */
#ifndef CRYPTO_CIPHER_POOL_H
#define CRYPTO_CIPHER_POOL_H

#include "cipher.h"

enum { WORKER_BUF_LEN = 128 * 1024 };	/* bytes; a multiple of every sector length */

struct worker {
	struct cipher *cipher;
	uint8_t *buf;		/* WORKER_BUF_LEN bytes for ciphertext or partial sectors */
};

struct cipher_pool;

/* key: spec->key_len bytes, copied into secret memory. 0; -ENOMEM; -EOPNOTSUPP. */
int cipher_pool_new(const struct cipher_spec *spec, const void *key, struct cipher_pool **ret);
/* No worker is out. NULL is a no-op. */
void cipher_pool_free(struct cipher_pool *pool);

/* NULL: no memory. */
struct worker *cipher_pool_get(struct cipher_pool *pool);
void cipher_pool_put(struct cipher_pool *pool, struct worker *worker);

#endif
