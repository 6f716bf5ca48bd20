/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The anti-forensic splitter: a key spread over stripes, all of which are needed. */
#ifndef CRYPTO_AF_H
#define CRYPTO_AF_H

#include <stddef.h>
#include <stdint.h>

/*
 * af_merge - get a key back from its stripes
 *
 * split    key_len * stripes bytes
 * hash     algorithm of hash_find
 * key      key_len bytes, in secret memory; all of it is written
 *
 * Returns 0; -ENOMEM.
 * Source: LUKS1 specification 1.2.3, section 2.4 "AF Splitter"; C. Fruhwirth.
 */
int af_merge(const uint8_t *split, size_t key_len, uint32_t stripes, int hash, uint8_t *key);

#endif
