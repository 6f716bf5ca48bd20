/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory for passphrases, keys and what is computed from them.
 *
 * A piece lives in pages of its own: locked in memory where the process may lock that
 * much (RLIMIT_MEMLOCK, CAP_IPC_LOCK), left out of core dumps, wiped before it is given
 * back. Locks do not survive fork(): take secrets in the process that uses them. Keeping a
 * debugger and a core dump out is the program's part: PR_SET_DUMPABLE.
 */
#ifndef CRYPTO_SECRET_H
#define CRYPTO_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/*
 * secret_new - len bytes of zeros, 1 .. SIZE_MAX / 2, aligned to 64
 *
 * One mapping each: meant for few and for large pieces. NULL: no memory. When the pages
 * cannot be locked the memory is given all the same, see secret_is_locked.
 */
void *secret_new(size_t len);
/* Wipes and gives back. NULL is a no-op. */
void secret_free(void *secret);
/* What secret_new was asked for. */
size_t secret_len(const void *secret);
/* Whether the pages cannot be swapped out; false tells the user to raise `ulimit -l`. */
bool secret_is_locked(const void *secret);
/* Whether len bytes more could be locked now, touching none. */
bool secret_lockable(size_t len);
/* Overwrites len bytes anywhere in a way the compiler keeps. */
void secret_wipe(void *buf, size_t len);
/* Equal or not, in a time that depends on len alone. */
bool secret_equal(const void *a, const void *b, size_t len);

#endif
