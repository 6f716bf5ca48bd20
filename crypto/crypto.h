/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bringing libgcrypt up; the one place that translates its errors. */
#ifndef CRYPTO_CRYPTO_H
#define CRYPTO_CRYPTO_H

#include <stddef.h>

/*
 * crypto_init - make libgcrypt ready; before the first use of anything in crypto/
 *
 * Call once, from main, in the process that stays (after fork) and before it has threads.
 * libgcrypt then takes its memory from us: key schedules and the work area of Argon2 are
 * locked and kept out of dumps like secrets (secret.h). Where another library has brought
 * libgcrypt up before, its own memory stays in use and Argon2's area is not locked.
 * Calling it again is harmless.
 *
 * why: on failure a sentence for the user.
 * Returns 0; -EOPNOTSUPP libgcrypt is older than 1.10.1.
 */
int crypto_init(char *why, size_t why_len);

/* gpg_error_t to -errno; 0 to 0. The argument is libgcrypt's gcry_error_t. */
int crypto_errno(unsigned int gcry_error);

/* Whether the running libgcrypt is at least major.minor.micro. */
int crypto_version_at_least(int major, int minor, int micro);

#endif
