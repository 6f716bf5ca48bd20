// SPDX-License-Identifier: GPL-2.0-or-later
/* Binary headers of LUKS2. A copy tells its own place, so a stray one is not believed. */
#include "luks2_bin.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hash.h"
#include "luks_int.h"

static int damaged(char *why, size_t why_len, const char *what)
{
	snprintf(why, why_len, "%s", what);
	return -EUCLEAN;
}

static bool len_ok(uint64_t len)
{
	return len >= LUKS2_HDR_MIN && len <= LUKS2_HDR_MAX && !(len & (len - 1));
}

int luks2_bin_decode(const uint8_t *buf, uint64_t off, struct luks2_bin *ret, char *why,
		     size_t why_len)
{
	struct luks2_disk d;

	memcpy(&d, buf, sizeof(d));
	ret->secondary = !memcmp(d.magic, LUKS2_MAGIC_SECONDARY, LUKS_MAGIC_LEN);
	if (!ret->secondary && memcmp(d.magic, LUKS_MAGIC, LUKS_MAGIC_LEN) != 0) {
		snprintf(why, why_len, "no magic");
		return -EINVAL;
	}
	if (be16toh(d.version_be16) != 2) {
		snprintf(why, why_len, "version %u is not 2", be16toh(d.version_be16));
		return -EINVAL;
	}
	ret->hdr_len = be64toh(d.hdr_len_be64);
	ret->seqid = be64toh(d.seqid_be64);
	if (!len_ok(ret->hdr_len))
		return damaged(why, why_len, "its length has no meaning");
	if (be64toh(d.hdr_off_be64) != off || (ret->secondary ? ret->hdr_len != off : off != 0))
		return damaged(why, why_len, "it belongs at another offset");
	if (!memchr(d.csum_alg, 0, sizeof(d.csum_alg)))
		return damaged(why, why_len, "its checksum algorithm has no end");
	luks_text(ret->csum_alg, sizeof(ret->csum_alg), d.csum_alg, sizeof(d.csum_alg));
	luks_text(ret->label, sizeof(ret->label), d.label, sizeof(d.label));
	luks_text(ret->subsystem, sizeof(ret->subsystem), d.subsystem, sizeof(d.subsystem));
	luks_text(ret->uuid, sizeof(ret->uuid), d.uuid, sizeof(d.uuid));
	return 0;
}

int luks2_csum_check(const struct luks2_bin *bin, const uint8_t *buf, char *why, size_t why_len)
{
	static const uint8_t zeros[LUKS2_CSUM_LEN];
	const size_t at = offsetof(struct luks2_disk, csum), after = at + LUKS2_CSUM_LEN;
	const struct iovec pieces[] = {
		{ (void *)(uintptr_t)buf, at },
		{ (void *)(uintptr_t)zeros, sizeof(zeros) },
		{ (void *)(uintptr_t)(buf + after), bin->hdr_len - after },
	};
	uint8_t digest[HASH_LEN_MAX];
	int algo = hash_find(bin->csum_alg), err;
	struct hash *hash;

	if (algo < 0) {
		snprintf(why, why_len, "checksum algorithm %s is not known", bin->csum_alg);
		return -EUCLEAN;
	}
	err = hash_new(algo, &hash);
	if (err)
		return err;
	hash_compute(hash, pieces, 3, digest);
	hash_free(hash);
	if (memcmp(digest, buf + at, hash_len(algo)) != 0)
		return damaged(why, why_len, "its checksum does not match");
	return 0;
}
