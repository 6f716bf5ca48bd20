// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Key derivation by libgcrypt, behind limits.
 *
 * Costs come from a header that anybody may have written; kdf_check therefore comes before every
 * kdf_derive. libgcrypt before 1.11.1 computes Argon2's size in 32 bits and overruns
 * its memory from 4 GiB on.
 */
#include "kdf.h"

#include <errno.h>
#include <gcrypt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "crypto.h"
#include "hash.h"
#include "kdf_memory.h"
#include "kdf_threads.h"
#include "luks.h"

enum {
	ARGON2_LANES_MAX = 0xffffff,
	ARGON2_SAFE_KIB = 4 * 1024 * 1024,	/* on libgcrypt before 1.11.1: less than this */
};

static const char *const names[] = {
	[KDF_PBKDF2] = "pbkdf2",
	[KDF_ARGON2I] = "argon2i",
	[KDF_ARGON2ID] = "argon2id",
};

const char *kdf_name(enum kdf_type type)
{
	return names[type];
}

int kdf_find(const char *name)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]))
			return (int)i;
	return -EOPNOTSUPP;
}

/* Every block of output takes all iterations. */
static uint64_t pbkdf2_total(const struct kdf *kdf, size_t out_len)
{
	size_t digest_len = hash_len(kdf->hash);

	return kdf->iterations * ((out_len + digest_len - 1) / digest_len);
}

static int check_pbkdf2(const struct kdf *kdf, const struct luks_limits *limits,
			size_t out_len, char *why, size_t why_len)
{
	uint64_t total;

	if (!kdf->iterations || kdf->iterations > UINT32_MAX) {
		snprintf(why, why_len, "pbkdf2 with %llu iterations is not defined",
			 (unsigned long long)kdf->iterations);
		return -EINVAL;
	}
	total = pbkdf2_total(kdf, out_len);
	if (total > limits->pbkdf2_iterations) {
		snprintf(why, why_len, "pbkdf2 wants %llu iterations, the limit is %llu",
			 (unsigned long long)total,
			 (unsigned long long)limits->pbkdf2_iterations);
		return -E2BIG;
	}
	return 0;
}

static int check_memory(const struct kdf *kdf, const struct luks_limits *limits, char *why,
			size_t why_len)
{
	unsigned long long want = kdf->memory_kib, have = kdf_memory_available();

	if (want > limits->kdf_memory_kib) {
		snprintf(why, why_len, "%s wants %llu KiB of memory, the limit is %llu",
			 kdf_name(kdf->type), want,
			 (unsigned long long)limits->kdf_memory_kib);
		return -E2BIG;
	}
	if (want >= ARGON2_SAFE_KIB && !crypto_version_at_least(1, 11, 1)) {
		snprintf(why, why_len, "%s wants %llu KiB of memory; libgcrypt %s crashes from "
			 "%d on, 1.11.1 would do", kdf_name(kdf->type), want,
			 gcry_check_version(NULL), ARGON2_SAFE_KIB);
		return -EOPNOTSUPP;
	}
	if (want > have) {
		snprintf(why, why_len, "%s wants %llu KiB of memory, %llu are available",
			 kdf_name(kdf->type), want, have);
		return -E2BIG;
	}
	return 0;
}

static int check_argon2(const struct kdf *kdf, const struct luks_limits *limits, char *why,
			size_t why_len)
{
	unsigned long long t = kdf->iterations, m = kdf->memory_kib;

	if (!t || t > UINT32_MAX || !kdf->lanes || kdf->lanes > ARGON2_LANES_MAX ||
	    m < 8 * (uint64_t)kdf->lanes || m > UINT32_MAX) {
		snprintf(why, why_len, "%s with %llu passes, %llu KiB and %u lanes is not defined",
			 kdf_name(kdf->type), t, m, kdf->lanes);
		return -EINVAL;
	}
	if (kdf->lanes > limits->kdf_lanes) {
		snprintf(why, why_len, "%s wants %u lanes, the limit is %u", kdf_name(kdf->type),
			 kdf->lanes, limits->kdf_lanes);
		return -E2BIG;
	}
	if (t * m > limits->argon2_cost_kib) {
		snprintf(why, why_len, "%s wants %llu passes over %llu KiB, the limit of their "
			 "product is %llu", kdf_name(kdf->type), t, m,
			 (unsigned long long)limits->argon2_cost_kib);
		return -E2BIG;
	}
	return check_memory(kdf, limits, why, why_len);
}

int kdf_check(const struct kdf *kdf, const struct luks_limits *limits, size_t out_len,
	      char *why, size_t why_len)
{
	if (!out_len || out_len > KDF_OUT_MAX || !kdf->salt_len) {
		snprintf(why, why_len, "%s with %zu bytes of key and %zu of salt is not defined",
			 kdf_name(kdf->type), out_len, kdf->salt_len);
		return -EINVAL;
	}
	if (kdf->type == KDF_PBKDF2)
		return check_pbkdf2(kdf, limits, out_len, why, why_len);
	return check_argon2(kdf, limits, why, why_len);
}

unsigned kdf_share(const struct kdf *kdf, const struct luks_limits *limits, size_t out_len)
{
	if (kdf->type == KDF_PBKDF2)
		return (unsigned)(pbkdf2_total(kdf, out_len) / (limits->pbkdf2_iterations / 1000 + 1));
	return (unsigned)(kdf->iterations * kdf->memory_kib / (limits->argon2_cost_kib / 1000 + 1));
}

/* HMAC pads its key with zeros: the empty one, which libgcrypt may refuse, equals one zero. */
static int derive_pbkdf2(const struct kdf *kdf, const void *pass, size_t pass_len, void *out,
			 size_t out_len)
{
	if (!pass_len) {
		pass = "";
		pass_len = 1;
	}
	return crypto_errno(gcry_kdf_derive(pass, pass_len, GCRY_KDF_PBKDF2, kdf->hash, kdf->salt,
					    kdf->salt_len, (unsigned long)kdf->iterations,
					    out_len, out));
}

int kdf_takes_empty(void)
{
	return crypto_version_at_least(1, 11, 0);
}

static int derive_argon2(const struct kdf *kdf, const void *pass, size_t pass_len, void *out,
			 size_t out_len)
{
	const unsigned long costs[] = { out_len, (unsigned long)kdf->iterations,
					(unsigned long)kdf->memory_kib, kdf->lanes };
	int variant = kdf->type == KDF_ARGON2I ? GCRY_KDF_ARGON2I : GCRY_KDF_ARGON2ID;
	struct kdf_threads *threads;
	gcry_kdf_hd_t hd;
	int err;

	if (!pass_len && !kdf_takes_empty())
		return -EOPNOTSUPP;
	err = kdf_threads_new(kdf->lanes, &threads);
	if (err)
		return err;
	err = crypto_errno(gcry_kdf_open(&hd, GCRY_KDF_ARGON2, variant, costs, 4,
					 pass_len ? pass : "", pass_len, kdf->salt, kdf->salt_len,
					 NULL, 0, NULL, 0));
	if (!err) {
		err = crypto_errno(gcry_kdf_compute(hd, kdf_threads_ops(threads)));
		if (!err)
			err = crypto_errno(gcry_kdf_final(hd, out_len, out));
		gcry_kdf_close(hd);
	}
	kdf_threads_free(threads);
	return err;
}

int kdf_derive(const struct kdf *kdf, const void *pass, size_t pass_len, void *out,
	       size_t out_len)
{
	if (kdf->type == KDF_PBKDF2)
		return derive_pbkdf2(kdf, pass, pass_len, out, out_len);
	return derive_argon2(kdf, pass, pass_len, out, out_len);
}
