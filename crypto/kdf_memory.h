/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much memory a key derivation may take before the machine or its container runs out. */
#ifndef CRYPTO_KDF_MEMORY_H
#define CRYPTO_KDF_MEMORY_H

#include <stdint.h>

/* KiB that the process could take now; UINT64_MAX: nobody says. */
uint64_t kdf_memory_available(void);

/*
 * The same from files: meminfo as /proc/meminfo; cgroup as /proc/self/cgroup, whose group and those
 * around it (version 2) are looked up below root. Files that are not there limit nothing.
 */
uint64_t kdf_memory_from(const char *meminfo, const char *cgroup, const char *root);

#endif
