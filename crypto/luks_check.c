// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a decoded header must satisfy whatever its version, and which segment, digest and
 * ciphers serve. Keyslot areas are checked before anything is read from them: inside the
 * header device and its keyslot region, and apart from each other. What is well formed
 * and not served is refused by name and can still be described.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "hash.h"
#include "luks_int.h"

void luks_refuse(struct luks *luks, int err, const char *fmt, ...)
{
	va_list ap;

	if (luks->info.refused[0])
		return;
	va_start(ap, fmt);
	vsnprintf(luks->info.refused, sizeof(luks->info.refused), fmt, ap);
	va_end(ap);
	luks->refused_err = err;
}

void luks_slot_refuse(struct luks_keyslot_info *slot, const char *fmt, ...)
{
	va_list ap;

	if (slot->refused[0])
		return;
	va_start(ap, fmt);
	vsnprintf(slot->refused, sizeof(slot->refused), fmt, ap);
	va_end(ap);
}

void luks_text(char *dst, size_t dst_len, const char *src, size_t src_len)
{
	size_t n = 0;

	while (n + 1 < dst_len && n < src_len && src[n]) {
		dst[n] = src[n] >= 0x20 && src[n] < 0x7f ? src[n] : '?';
		n++;
	}
	dst[n] = '\0';
}

void luks_copy(char *dst, size_t dst_len, const char *src)
{
	luks_text(dst, dst_len, src, strlen(src));
}

static int resolve_hash(struct luks_keyslot_info *info, const char *name)
{
	int hash = hash_find(name);

	if (hash < 0)
		luks_slot_refuse(info, "hash %s is not supported", name);
	return hash;
}

void luks_slot_resolve(struct luks *luks, unsigned index)
{
	struct luks_keyslot_info *info = &luks->info.keyslots[index];
	struct luks_slot *slot = &luks->slots[index];
	char why[LUKS_WHY_LEN] = "";
	int type = kdf_find(info->kdf);

	if (type < 0)
		luks_slot_refuse(info, "key derivation %s is not supported", info->kdf);
	else
		slot->kdf.type = (enum kdf_type)type;
	if (type == KDF_PBKDF2)
		slot->kdf.hash = resolve_hash(info, info->kdf_hash);
	slot->af_hash = resolve_hash(info, info->af_hash);
	if (slot->key_len > CIPHER_KEY_MAX)
		luks_slot_refuse(info, "a key of %u bits is not supported", info->key_bits);
	if (cipher_find(info->area_cipher, info->area_key_bits / 8, &slot->area, why,
			sizeof(why)))
		luks_slot_refuse(info, "%s", why);
}

uint64_t luks_slot_area_len(const struct luks_slot *slot)
{
	uint64_t len = (uint64_t)slot->key_len * slot->stripes;

	return (len + CIPHER_SECTOR_UNIT - 1) / CIPHER_SECTOR_UNIT * CIPHER_SECTOR_UNIT;
}

static int bad_area(const struct luks_keyslot_info *k, const char *what, char *why,
		    size_t why_len)
{
	snprintf(why, why_len, "keyslot %d: its area at %llu %s", k->number,
		 (unsigned long long)k->area_off, what);
	return -EUCLEAN;
}

static bool overlap(uint64_t a_off, uint64_t a_len, uint64_t b_off, uint64_t b_len)
{
	return a_off < b_off + b_len && b_off < a_off + a_len;
}

static int check_areas(const struct luks *luks, const struct luks_place *place, char *why,
		       size_t why_len)
{
	const struct luks_info *info = &luks->info;

	for (unsigned i = 0; i < info->nkeyslots; i++) {
		const struct luks_keyslot_info *k = &info->keyslots[i];

		if (k->area_off < luks->areas_off || k->area_off > luks->areas_end ||
		    k->area_len > luks->areas_end - k->area_off)
			return bad_area(k, "is not in the keyslots' part of the header", why,
					why_len);
		if (k->area_off > place->header_size ||
		    k->area_len > place->header_size - k->area_off)
			return bad_area(k, "reaches beyond the end of the device", why, why_len);
		if (luks_slot_area_len(&luks->slots[i]) > k->area_len)
			return bad_area(k, "is too short for its key", why, why_len);
		for (unsigned j = 0; j < i; j++)
			if (overlap(k->area_off, k->area_len, info->keyslots[j].area_off,
				    info->keyslots[j].area_len))
				return bad_area(k, "overlaps another keyslot's", why, why_len);
	}
	return 0;
}

/* Where the data ends before it meets the end of the header: keyslots and both copies. */
static uint64_t header_end(const struct luks *luks)
{
	uint64_t end = luks->areas_off;

	for (unsigned i = 0; i < luks->info.nkeyslots; i++) {
		const struct luks_keyslot_info *k = &luks->info.keyslots[i];

		if (k->area_off + k->area_len > end)
			end = k->area_off + k->area_len;
	}
	return end;
}

static void check_segment_place(struct luks *luks, const struct luks_place *place)
{
	const struct luks_segment_info *seg = &luks->info.segments[luks->data_segment];
	uint64_t room, len;

	if (!place->detached && seg->off < header_end(luks)) {
		luks_refuse(luks, -EUCLEAN, seg->off ? "the data would overlap the header"
			    : "the data starts at 0: this is a detached header, give its "
			      "container and header=");
		return;
	}
	if (seg->off >= place->data_size) {
		luks_refuse(luks, -EUCLEAN, "the data starts at %llu, the device ends at %llu",
			    (unsigned long long)seg->off, (unsigned long long)place->data_size);
		return;
	}
	room = place->data_size - seg->off;
	len = seg->dynamic ? room - room % seg->sector_len : seg->len;
	if (!len || len > room) {
		luks_refuse(luks, -EUCLEAN, "the data has %llu bytes, the device has room for %llu",
			    (unsigned long long)len, (unsigned long long)room);
		return;
	}
	luks->info.data_off = seg->off;
	luks->info.data_len = len;
}

static void mark_slots(struct luks *luks)
{
	struct luks_info *info = &luks->info;

	for (unsigned i = 0; i < info->nkeyslots; i++) {
		if (luks->data_digest < 0 || luks->slots[i].digest != luks->data_digest)
			continue;
		info->keyslots[i].opens_segment = true;
		if (!info->key_bits)
			info->key_bits = info->keyslots[i].key_bits;
		if (info->keyslots[i].key_bits != info->key_bits)
			luks_slot_refuse(&info->keyslots[i], "its key has another length than "
					 "the first keyslot's");
	}
}

static void find_data_digest(struct luks *luks)
{
	uint32_t bit = 1u << luks->info.segments[luks->data_segment].number;

	for (unsigned i = 0; i < luks->ndigests; i++) {
		if (!(luks->digests[i].segments & bit))
			continue;
		if (luks->data_digest >= 0)
			luks_refuse(luks, -EUCLEAN, "two digests claim the data segment");
		luks->data_digest = (int)i;
	}
	if (luks->data_digest < 0)
		luks_refuse(luks, -EUCLEAN, "no digest for the data segment");
	else if (!luks->digests[luks->data_digest].usable)
		luks_refuse(luks, -EOPNOTSUPP, "digest hash %s is not supported",
			    luks->info.hash);
}

int luks_check(struct luks *luks, const struct luks_place *place, char *why, size_t why_len)
{
	struct luks_info *info = &luks->info;
	char cipher_why[LUKS_WHY_LEN];
	int err = check_areas(luks, place, why, why_len);

	if (err)
		return err;
	if (luks->data_segment < 0) {
		luks_refuse(luks, -EOPNOTSUPP, "there is no single encrypted data segment");
		return 0;
	}
	find_data_digest(luks);
	mark_slots(luks);
	info->sector_len = info->segments[luks->data_segment].sector_len;
	if (!info->key_bits)
		luks_refuse(luks, -ENOKEY, "no keyslot holds the key of the data");
	else if (cipher_find(info->cipher, info->key_bits / 8, &luks->data, cipher_why,
			     sizeof(cipher_why)))
		luks_refuse(luks, -EOPNOTSUPP, "%s", cipher_why);
	check_segment_place(luks, place);
	return 0;
}
