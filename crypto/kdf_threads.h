/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads for the lanes of Argon2, in the form libgcrypt asks for them. */
#ifndef CRYPTO_KDF_THREADS_H
#define CRYPTO_KDF_THREADS_H

#include <stdint.h>

struct kdf_threads;
struct gcry_kdf_thread_ops;

/* For up to lanes jobs at once. 0 or -ENOMEM. */
int kdf_threads_new(uint32_t lanes, struct kdf_threads **ret);
/* Lives as long as threads. */
const struct gcry_kdf_thread_ops *kdf_threads_ops(const struct kdf_threads *threads);
void kdf_threads_free(struct kdf_threads *threads);

#endif
