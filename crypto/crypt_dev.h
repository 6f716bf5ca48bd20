/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A block device that decrypts and encrypts the sectors of a part of another one. */
#ifndef CRYPTO_CRYPT_DEV_H
#define CRYPTO_CRYPT_DEV_H

#include "cipher.h"
#include "transport/blkdev.h"

/* Where the sectors lie and how they are numbered. */
struct crypt_map {
	uint64_t off;		/* bytes, of the first sector in the lower device */
	uint64_t len;		/* bytes, a multiple of sector_len, > 0 */
	size_t sector_len;	/* 512, 1024, 2048, 4096 */
	uint64_t first_sector;	/* number of the first, in units of 512 bytes */
	bool allow_discards;
};

/*
 * crypt_dev_new - see luks_device_new, which it is the body of
 *
 * lower belongs to the device on success. key: spec->key_len bytes, not kept.
 * Returns 0; -EINVAL the map does not lie in lower or has no meaning; -ENOMEM.
 */
int crypt_dev_new(const struct cipher_spec *spec, const void *key, const struct crypt_map *map,
		  struct blkdev *lower, struct blkdev **ret);

#endif
