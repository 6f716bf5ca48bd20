// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libgcrypt's start, memory and errors.
 *
 * It takes memory from the functions below. What it calls secure, and every piece of
 * SECRET_LEN or more (the work area of Argon2, which it takes for ordinary memory), comes from
 * secret.c. A head in front of each piece says where it came from, so there is no
 * table and no lock. All of it is lost to nobody: libgcrypt wipes its contexts, secret.c
 * wipes the rest.
 */
#include "crypto.h"

#include <errno.h>
#include <gcrypt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "secret.h"

#define GCRYPT_NEEDED "1.10.1"

enum {
	SECRET_LEN = 1024 * 1024,
	POOL_STEP = 64 * 1024,
};

/* In front of what libgcrypt gets; 16 bytes keep malloc's alignment. */
union head {
	struct {
		size_t len;
		bool secret;
	};
	char align[16];
};

static void *mem_new(size_t len, bool secret)
{
	union head *h;

	if (len > SIZE_MAX / 4) {
		errno = ENOMEM;
		return NULL;
	}
	h = secret ? secret_new(sizeof(*h) + len) : malloc(sizeof(*h) + len);
	if (!h) {
		errno = ENOMEM;
		return NULL;
	}
	h->len = len;
	h->secret = secret;
	return h + 1;
}

static void *mem_alloc(size_t len)
{
	return mem_new(len, len >= SECRET_LEN);
}

static void *mem_alloc_secure(size_t len)
{
	return mem_new(len, true);
}

/* Asked of any pointer, ours or not: taking each for a secret makes libgcrypt careful. */
static int mem_is_secure(const void *mem)
{
	return 1;
}

static void mem_free(void *mem)
{
	union head *h = mem;

	if (!h)
		return;
	h--;
	if (h->secret)
		secret_free(h);
	else
		free(h);
}

static void *mem_realloc(void *mem, size_t len)
{
	const union head *h = mem;
	void *grown;

	if (!mem)
		return mem_alloc(len);
	h--;
	grown = mem_new(len, h->secret || len >= SECRET_LEN);
	if (!grown)
		return NULL;
	memcpy(grown, mem, h->len < len ? h->len : len);
	secret_wipe(mem, h->len);
	mem_free(mem);
	return grown;
}

int crypto_init(char *why, size_t why_len)
{
	if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P))
		return 0;
	if (!gcry_control(GCRYCTL_ANY_INITIALIZATION_P))
		gcry_set_allocation_handler(mem_alloc, mem_alloc_secure, mem_is_secure,
					    mem_realloc, mem_free);
	if (!gcry_check_version(GCRYPT_NEEDED)) {
		snprintf(why, why_len, "libgcrypt %s is too old: %s or newer is needed",
			 gcry_check_version(NULL), GCRYPT_NEEDED);
		return -EOPNOTSUPP;
	}
	gcry_control(GCRYCTL_DISABLE_SECMEM_WARN);
	/* Where its own pool is in use (another library was first, FIPS mode) it has to hold a
	 * key schedule per thread. */
	gcry_control(GCRYCTL_AUTO_EXPAND_SECMEM, POOL_STEP);
	gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
	return 0;
}

int crypto_errno(unsigned int gcry_error)
{
	int err;

	switch (gcry_err_code(gcry_error)) {
	case GPG_ERR_NO_ERROR:
		return 0;
	case GPG_ERR_ENOMEM:
	case GPG_ERR_RESOURCE_LIMIT:
		return -ENOMEM;
	case GPG_ERR_CIPHER_ALGO:
	case GPG_ERR_DIGEST_ALGO:
	case GPG_ERR_INV_CIPHER_MODE:
	case GPG_ERR_UNKNOWN_ALGORITHM:
	case GPG_ERR_NOT_SUPPORTED:
	case GPG_ERR_WEAK_KEY:
		return -EOPNOTSUPP;
	case GPG_ERR_INV_KEYLEN:
	case GPG_ERR_INV_ARG:
	case GPG_ERR_INV_VALUE:
	case GPG_ERR_INV_LENGTH:
	case GPG_ERR_INV_DATA:
		return -EINVAL;
	default:
		err = gpg_err_code_to_errno(gcry_err_code(gcry_error));
		return err ? -err : -EIO;
	}
}

int crypto_version_at_least(int major, int minor, int micro)
{
	char wanted[48];

	snprintf(wanted, sizeof(wanted), "%d.%d.%d", major, minor, micro);
	return gcry_check_version(wanted) != NULL;
}
