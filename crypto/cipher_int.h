/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of cipher.c see beside its interface. */
#ifndef CRYPTO_CIPHER_INT_H
#define CRYPTO_CIPHER_INT_H

#include "cipher.h"

/* The IVs of n sectors, step numbers apart, block_len bytes each. 0 or -EIO. */
int cipher_ivs(struct cipher *c, uint64_t sector, uint64_t step, size_t n, uint8_t *ivs);

#endif
