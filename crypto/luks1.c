// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * LUKS1 headers. Each active slot must name at least one stripe and a place; a slot that is
 * neither active nor inactive is damage. Everything in LUKS1 but the passphrase's cost
 * is told once for all slots: cipher, hash, key length.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hash.h"
#include "luks1_format.h"
#include "luks_int.h"

static int damaged(char *why, size_t why_len, const char *what)
{
	snprintf(why, why_len, "LUKS1 header: %s", what);
	return -EUCLEAN;
}

static int decode_slot(const struct luks1_slot_disk *d, int number, struct luks *luks, char *why,
		       size_t why_len)
{
	const struct luks_info *info = &luks->info;
	struct luks_keyslot_info *k = &luks->info.keyslots[info->nkeyslots];
	struct luks_slot *s = &luks->slots[info->nkeyslots];
	uint32_t state = be32toh(d->active_be32), stripes = be32toh(d->stripes_be32);

	if (state == LUKS1_SLOT_INACTIVE)
		return 0;
	if (state != LUKS1_SLOT_ACTIVE || !stripes || stripes > LUKS_STRIPES_MAX) {
		snprintf(why, why_len, "LUKS1 header: keyslot %d: its %s has no meaning", number,
			 state != LUKS1_SLOT_ACTIVE ? "state" : "number of stripes");
		return -EUCLEAN;
	}
	k->number = number;
	k->priority = LUKS_PRIORITY_NORMAL;
	k->key_bits = k->area_key_bits = info->key_bits;
	luks_copy(k->kdf, sizeof(k->kdf), kdf_name(KDF_PBKDF2));
	luks_copy(k->kdf_hash, sizeof(k->kdf_hash), info->hash);
	luks_copy(k->af_hash, sizeof(k->af_hash), info->hash);
	luks_copy(k->area_cipher, sizeof(k->area_cipher), info->cipher);
	k->iterations = s->kdf.iterations = be32toh(d->iterations_be32);
	k->af_stripes = s->stripes = stripes;
	s->key_len = info->key_bits / 8;
	k->area_off = (uint64_t)be32toh(d->area_sec_be32) * LUKS1_SECTOR;
	k->area_len = luks_slot_area_len(s);
	memcpy(s->kdf.salt, d->salt, LUKS1_SALT_LEN);
	s->kdf.salt_len = LUKS1_SALT_LEN;
	s->digest = 0;
	luks_slot_resolve(luks, luks->info.nkeyslots++);
	return 0;
}

static void decode_digest(const struct luks1_disk *d, struct luks *luks)
{
	struct luks_digest *digest = &luks->digests[0];
	int hash = hash_find(luks->info.hash);

	luks->ndigests = 1;
	digest->slots = (1u << LUKS1_KEYSLOTS) - 1;
	digest->segments = 1;
	digest->kdf.type = KDF_PBKDF2;
	digest->kdf.hash = hash;
	digest->kdf.iterations = be32toh(d->digest_iterations_be32);
	memcpy(digest->kdf.salt, d->digest_salt, LUKS1_SALT_LEN);
	digest->kdf.salt_len = LUKS1_SALT_LEN;
	memcpy(digest->value, d->digest, LUKS1_DIGEST_LEN);
	digest->len = LUKS1_DIGEST_LEN;
	digest->usable = hash > 0;
}

static void decode_segment(const struct luks1_disk *d, struct luks *luks)
{
	struct luks_segment_info *seg = &luks->info.segments[0];

	luks->info.nsegments = 1;
	luks->data_segment = 0;
	luks_copy(seg->type, sizeof(seg->type), "crypt");
	luks_copy(seg->cipher, sizeof(seg->cipher), luks->info.cipher);
	seg->off = (uint64_t)be32toh(d->data_sec_be32) * LUKS1_SECTOR;
	seg->dynamic = true;
	seg->sector_len = LUKS1_SECTOR;
}

static bool ends(const char *field, size_t len)
{
	return memchr(field, 0, len) != NULL;
}

int luks1_decode(const uint8_t *buf, size_t len, struct luks *luks, char *why, size_t why_len)
{
	struct luks_info *info = &luks->info;
	struct luks1_disk d;
	uint32_t key_len;
	size_t cipher_len;
	int err = 0;

	if (len < sizeof(d))
		return damaged(why, why_len, "it is cut short");
	memcpy(&d, buf, sizeof(d));
	if (be16toh(d.version_be16) != 1)
		return damaged(why, why_len, "its version is not 1");
	if (!ends(d.cipher, sizeof(d.cipher)) || !ends(d.mode, sizeof(d.mode)) ||
	    !ends(d.hash, sizeof(d.hash)))
		return damaged(why, why_len, "a name in it has no end");
	key_len = be32toh(d.key_len_be32);
	if (!key_len || key_len > 4096)
		return damaged(why, why_len, "its key length has no meaning");
	info->version = 1;
	luks_text(info->uuid, sizeof(info->uuid), d.uuid, sizeof(d.uuid));
	luks_text(info->hash, sizeof(info->hash), d.hash, sizeof(d.hash));
	luks_text(info->cipher, sizeof(info->cipher), d.cipher, sizeof(d.cipher));
	cipher_len = strlen(info->cipher);
	info->cipher[cipher_len] = '-';
	luks_text(info->cipher + cipher_len + 1, sizeof(d.mode), d.mode, sizeof(d.mode));
	info->key_bits = key_len * 8;
	info->header_len = sizeof(d);
	luks->areas_off = 2 * LUKS1_SECTOR;
	luks->areas_end = UINT64_MAX;
	decode_segment(&d, luks);
	decode_digest(&d, luks);
	for (int i = 0; i < LUKS1_KEYSLOTS && !err; i++)
		err = decode_slot(&d.slots[i], i, luks, why, why_len);
	return err;
}
