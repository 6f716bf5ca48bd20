// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * LUKS2's JSON area into struct luks.
 *
 * The text is bounded before the parser sees it: by the header (4 MiB), in depth, and in the
 * number of containers and members, because an empty array costs the parser hundreds of
 * bytes. Objects are read by name; what is not known and not mandatory is passed over, as the
 * specification wants; what is mandatory or part of the data path is refused by name.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hash.h"
#include "luks2_fields.h"
#include "luks2_format.h"
#include "luks_int.h"

enum {
	DEPTH_MAX = 16,
	CONTAINERS_MAX = 4096,
	MEMBERS_MAX = 32768,
	DIGEST_LEN_MIN = 16,	/* bytes; fewer would let wrong keys pass. LUKS1's have 20. */
	KEY_LEN_MAX = 4096,	/* bytes; what is longer than CIPHER_KEY_MAX is refused later */
};

/* What the functions below fill, and where they say what is wrong. */
struct decoding {
	struct luks *luks;
	char *why;
	size_t why_len;
};

static int damaged(const struct decoding *d, const char *object, int number, const char *what)
{
	if (number < 0)
		snprintf(d->why, d->why_len, "%s: %s", object, what);
	else
		snprintf(d->why, d->why_len, "%s %d: %s", object, number, what);
	return -EUCLEAN;
}

static void copy_text(char dst[LUKS_NAME_LEN], const char *src)
{
	luks_text(dst, LUKS_NAME_LEN, src, strlen(src));
}

/* ---- keyslots ---- */

static int decode_kdf(json_object *slot, struct luks_keyslot_info *info, struct kdf *kdf)
{
	int64_t iterations, memory, lanes;
	const char *type, *hash;
	json_object *o;

	if (field_object(slot, "kdf", &o) || field_text(o, "type", &type))
		return -EUCLEAN;
	copy_text(info->kdf, type);
	if (kdf_find(type) < 0)
		return 0;
	if (field_bytes(o, "salt", kdf->salt, sizeof(kdf->salt), &kdf->salt_len))
		return -EUCLEAN;
	if (kdf_find(type) == KDF_PBKDF2) {
		if (field_text(o, "hash", &hash) ||
		    field_int(o, "iterations", 1, UINT32_MAX, &iterations))
			return -EUCLEAN;
		copy_text(info->kdf_hash, hash);
	} else {
		if (field_int(o, "time", 1, UINT32_MAX, &iterations) ||
		    field_int(o, "memory", 1, UINT32_MAX, &memory) ||
		    field_int(o, "cpus", 1, UINT32_MAX, &lanes))
			return -EUCLEAN;
		info->memory_kib = kdf->memory_kib = (uint64_t)memory;
		info->lanes = kdf->lanes = (uint32_t)lanes;
	}
	info->iterations = kdf->iterations = (uint64_t)iterations;
	return 0;
}

static int decode_af(json_object *keyslot, struct luks_keyslot_info *info, struct luks_slot *slot)
{
	const char *type, *hash;
	int64_t stripes;
	json_object *o;

	if (field_object(keyslot, "af", &o) || field_text(o, "type", &type))
		return -EUCLEAN;
	if (strcmp(type, "luks1") != 0) {
		copy_text(info->af_hash, type);
		luks_slot_refuse(info, "splitter %s is not supported", info->af_hash);
		return 0;
	}
	if (field_text(o, "hash", &hash) ||
	    field_int(o, "stripes", 1, LUKS_STRIPES_MAX, &stripes))
		return -EUCLEAN;
	copy_text(info->af_hash, hash);
	info->af_stripes = slot->stripes = (uint32_t)stripes;
	return 0;
}

static int decode_area(json_object *keyslot, struct luks_keyslot_info *info)
{
	const char *type, *cipher;
	int64_t key_len;
	json_object *o;

	if (field_object(keyslot, "area", &o) || field_text(o, "type", &type) ||
	    field_u64(o, "offset", &info->area_off) || field_u64(o, "size", &info->area_len))
		return -EUCLEAN;
	if (strcmp(type, "raw") != 0) {
		char name[LUKS_NAME_LEN];

		copy_text(name, type);
		luks_slot_refuse(info, "area type %s is not supported", name);
		return 0;
	}
	if (field_text(o, "encryption", &cipher) ||
	    field_int(o, "key_size", 1, KEY_LEN_MAX, &key_len))
		return -EUCLEAN;
	copy_text(info->area_cipher, cipher);
	info->area_key_bits = (unsigned)key_len * 8;
	return 0;
}

static int decode_priority(json_object *keyslot, struct luks_keyslot_info *info)
{
	int64_t priority;

	info->priority = LUKS_PRIORITY_NORMAL;
	if (!json_object_object_get_ex(keyslot, "priority", NULL))
		return 0;
	if (field_int(keyslot, "priority", 0, 2, &priority))
		return -EUCLEAN;
	info->priority = (enum luks_priority)priority;
	return 0;
}

static int decode_keyslot(struct decoding *d, int number, json_object *o)
{
	unsigned index = d->luks->info.nkeyslots;
	struct luks_keyslot_info *info = &d->luks->info.keyslots[index];
	struct luks_slot *slot = &d->luks->slots[index];
	const char *type;
	int64_t key_len;

	info->number = number;
	slot->digest = -1;
	if (field_text(o, "type", &type) || field_int(o, "key_size", 0, KEY_LEN_MAX, &key_len))
		return damaged(d, "keyslot", number, "its type or key size has no meaning");
	info->key_bits = (unsigned)key_len * 8;
	slot->key_len = (size_t)key_len;
	if (decode_area(o, info) || decode_priority(o, info))
		return damaged(d, "keyslot", number, "its area or priority has no meaning");
	d->luks->info.nkeyslots++;
	if (strcmp(type, "luks2") != 0) {
		copy_text(info->kdf, type);
		luks_slot_refuse(info, "keyslot type %s is not supported", info->kdf);
		return 0;
	}
	if (!key_len || decode_kdf(o, info, &slot->kdf) || decode_af(o, info, slot))
		return damaged(d, "keyslot", number, "its kdf or af has no meaning");
	luks_slot_resolve(d->luks, index);
	return 0;
}

/* ---- segments ---- */

static void decode_integrity(json_object *o, struct luks_segment_info *seg)
{
	json_object *integrity;
	const char *type = "of unknown type";

	if (!json_object_object_get_ex(o, "integrity", &integrity))
		return;
	(void)field_text(integrity, "type", &type);
	copy_text(seg->integrity, type);
}

static int decode_crypt(json_object *o, struct luks_segment_info *seg)
{
	const char *cipher;
	int64_t sector_len;

	if (field_text(o, "encryption", &cipher) || field_u64(o, "iv_tweak", &seg->iv_tweak) ||
	    field_int(o, "sector_size", 512, 4096, &sector_len) || sector_len & (sector_len - 1))
		return -EUCLEAN;
	copy_text(seg->cipher, cipher);
	seg->sector_len = (unsigned)sector_len;
	if (seg->off % CIPHER_SECTOR_UNIT || seg->len % seg->sector_len)
		return -EUCLEAN;
	decode_integrity(o, seg);
	return 0;
}

/* Segments with a flag of "backup-..." describe the past, during a reencryption. */
static bool is_backup(json_object *o)
{
	json_object *flags;

	if (field_array(o, "flags", &flags))
		return false;
	for (size_t i = 0; i < json_object_array_length(flags); i++) {
		const char *text = json_object_get_string(json_object_array_get_idx(flags, i));

		if (text && !strncmp(text, "backup-", 7))
			return true;
	}
	return false;
}

static int decode_segment(struct decoding *d, int number, json_object *o)
{
	struct luks *luks = d->luks;
	unsigned index = luks->info.nsegments;
	struct luks_segment_info *seg = &luks->info.segments[index];
	const char *type, *size;

	seg->number = number;
	if (field_text(o, "type", &type) || field_u64(o, "offset", &seg->off) ||
	    field_text(o, "size", &size))
		return damaged(d, "segment", number, "its type or place has no meaning");
	copy_text(seg->type, type);
	seg->dynamic = !strcmp(size, "dynamic");
	if (!seg->dynamic && field_u64(o, "size", &seg->len))
		return damaged(d, "segment", number, "its size has no meaning");
	luks->info.nsegments++;
	if (!strcmp(type, "crypt")) {
		if (decode_crypt(o, seg))
			return damaged(d, "segment", number,
				       "its cipher, sector size or IV tweak has no meaning");
	} else if (!strncmp(type, "hw-opal", 7)) {
		luks_refuse(luks, -EOPNOTSUPP, "segment type %s: OPAL hardware encryption is not "
			    "supported", seg->type);
	} else {
		luks_refuse(luks, -EOPNOTSUPP, "segment type %s is not supported", seg->type);
	}
	if (seg->integrity[0])
		luks_refuse(luks, -EOPNOTSUPP, "integrity protection (%s) is not supported",
			    seg->integrity);
	if (is_backup(o) || strcmp(type, "crypt") != 0)
		return 0;
	if (luks->data_segment >= 0)
		luks_refuse(luks, -EOPNOTSUPP, "several data segments are not supported");
	else
		luks->data_segment = (int)index;
	return 0;
}

/* ---- digests ---- */

static int decode_digest(struct decoding *d, int number, json_object *o)
{
	struct luks_digest *digest = &d->luks->digests[d->luks->ndigests];
	const char *type, *hash;
	int64_t iterations;
	int algo;

	digest->number = number;
	if (field_text(o, "type", &type) || field_numbers(o, "keyslots", &digest->slots) ||
	    field_numbers(o, "segments", &digest->segments))
		return damaged(d, "digest", number, "its type, keyslots or segments have no meaning");
	d->luks->ndigests++;
	if (strcmp(type, "pbkdf2") != 0)
		return 0;
	if (field_text(o, "hash", &hash) ||
	    field_int(o, "iterations", 1, UINT32_MAX, &iterations) ||
	    field_bytes(o, "salt", digest->kdf.salt, sizeof(digest->kdf.salt),
			&digest->kdf.salt_len) ||
	    field_bytes(o, "digest", digest->value, sizeof(digest->value), &digest->len) ||
	    digest->len < DIGEST_LEN_MIN)
		return damaged(d, "digest", number, "its hash, costs, salt or value has no meaning");
	algo = hash_find(hash);
	digest->kdf.type = KDF_PBKDF2;
	digest->kdf.hash = algo;
	digest->kdf.iterations = (uint64_t)iterations;
	digest->usable = algo > 0;
	if (!d->luks->info.hash[0] || digest->segments)
		copy_text(d->luks->info.hash, hash);
	return 0;
}

static int bind_slots(struct decoding *d)
{
	struct luks *luks = d->luks;

	for (unsigned i = 0; i < luks->ndigests; i++)
		for (unsigned k = 0; k < luks->info.nkeyslots; k++) {
			int number = luks->info.keyslots[k].number;

			if (!(luks->digests[i].slots & 1u << number))
				continue;
			if (luks->slots[k].digest >= 0)
				return damaged(d, "keyslot", number, "two digests claim it");
			luks->slots[k].digest = (int)i;
		}
	return 0;
}

/* ---- config ---- */

/* The texts of an array with spaces between, cut at the end of dst. */
static void join_texts(json_object *array, char *dst, size_t dst_len)
{
	size_t used = 0;

	for (size_t i = 0; i < json_object_array_length(array); i++) {
		json_object *o = json_object_array_get_idx(array, i);
		char word[LUKS_NAME_LEN] = "?";

		if (json_object_is_type(o, json_type_string))
			copy_text(word, json_object_get_string(o));
		if (used + strlen(word) + 2 > dst_len)
			return;
		used += (size_t)snprintf(dst + used, dst_len - used, "%s%s", used ? " " : "", word);
	}
}

static void decode_flags(struct luks *luks, json_object *config)
{
	json_object *flags;

	if (field_array(config, "flags", &flags))
		return;
	join_texts(flags, luks->info.flags, sizeof(luks->info.flags));
	for (size_t i = 0; i < json_object_array_length(flags); i++) {
		json_object *o = json_object_array_get_idx(flags, i);

		if (json_object_is_type(o, json_type_string) &&
		    !strcmp(json_object_get_string(o), "allow-discards"))
			luks->info.allow_discards = true;
	}
}

/* No requirement is known here: each one names something that is not done. */
static int decode_requirements(struct decoding *d, json_object *config)
{
	struct luks *luks = d->luks;
	json_object *req, *mandatory;

	if (!json_object_object_get_ex(config, "requirements", &req))
		return 0;
	if (!json_object_is_type(req, json_type_object))
		return damaged(d, "config", -1, "its requirements have no meaning");
	if (!json_object_object_get_ex(req, "mandatory", NULL))
		return 0;
	if (field_array(req, "mandatory", &mandatory))
		return damaged(d, "config", -1, "its mandatory requirements have no meaning");
	if (!json_object_array_length(mandatory))
		return 0;
	join_texts(mandatory, luks->info.requirements, sizeof(luks->info.requirements));
	if (strstr(luks->info.requirements, "reencrypt"))
		luks_refuse(luks, -EOPNOTSUPP, "a reencryption is in progress (%.100s): finish it "
			    "with cryptsetup reencrypt --resume-only", luks->info.requirements);
	else
		luks_refuse(luks, -EOPNOTSUPP, "it requires %.200s, which is not supported",
			    luks->info.requirements);
	return 0;
}

static int decode_config(struct decoding *d, json_object *root)
{
	uint64_t hdr_len = d->luks->info.header_len, json_len, areas_len;
	json_object *config;
	int err;

	if (field_object(root, "config", &config) || field_u64(config, "json_size", &json_len) ||
	    field_u64(config, "keyslots_size", &areas_len))
		return damaged(d, "config", -1, "its sizes have no meaning");
	if (json_len != hdr_len - LUKS2_BIN_LEN)
		return damaged(d, "config", -1, "its JSON size is not the header's");
	if (areas_len > UINT64_MAX / 2)
		return damaged(d, "config", -1, "its keyslots size is not possible");
	d->luks->areas_off = 2 * hdr_len;
	d->luks->areas_end = 2 * hdr_len + areas_len;
	err = decode_requirements(d, config);
	if (!err)
		decode_flags(d->luks, config);
	return err;
}

/* ---- all of it ---- */

typedef int (*decode_fn)(struct decoding *d, int number, json_object *o);

/* Members in ascending order of their numbers, each an object. */
static int decode_each(struct decoding *d, json_object *root, const char *key, int max,
		       decode_fn fn)
{
	json_object *all, *by_number[LUKS_KEYSLOTS_MAX] = { NULL };
	int err = 0;

	if (field_object(root, key, &all))
		return damaged(d, key, -1, "there are none");
	json_object_object_foreach(all, name, o) {
		int number = field_name_number(name, max - 1);

		if (number < 0 || !json_object_is_type(o, json_type_object))
			return damaged(d, key, -1, "one has a number or type without meaning");
		by_number[number] = o;
	}
	for (int i = 0; i < max && !err; i++)
		if (by_number[i])
			err = fn(d, i, by_number[i]);
	return err;
}

static int decode_root(struct decoding *d, json_object *root)
{
	struct luks_info *info = &d->luks->info;
	int err = decode_config(d, root);

	if (!err)
		err = decode_each(d, root, "keyslots", LUKS_KEYSLOTS_MAX, decode_keyslot);
	if (!err)
		err = decode_each(d, root, "segments", LUKS_SEGMENTS_MAX, decode_segment);
	if (!err)
		err = decode_each(d, root, "digests", LUKS_DIGESTS_MAX, decode_digest);
	if (!err)
		err = bind_slots(d);
	if (!err && d->luks->data_segment >= 0)
		luks_copy(info->cipher, sizeof(info->cipher),
			  info->segments[d->luks->data_segment].cipher);
	return err;
}

/* Counts what costs memory, brackets and commas in texts included: they are rare there. */
static bool bounded(const char *text, size_t len)
{
	size_t containers = 0, members = 0;

	for (size_t i = 0; i < len; i++) {
		containers += text[i] == '{' || text[i] == '[';
		members += text[i] == ',';
	}
	return containers <= CONTAINERS_MAX && members <= MEMBERS_MAX;
}

int luks2_json_decode(const char *text, size_t len, struct luks *luks, char *why, size_t why_len)
{
	struct decoding d = { luks, why, why_len };
	json_tokener *tokener;
	json_object *root;
	int err;

	len = strnlen(text, len);
	if (!len || text[0] != '{')
		return damaged(&d, "JSON", -1, "it is not an object");
	if (!bounded(text, len))
		return damaged(&d, "JSON", -1, "it has too many members");
	tokener = json_tokener_new_ex(DEPTH_MAX);
	if (!tokener)
		return -ENOMEM;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	root = json_tokener_parse_ex(tokener, text, (int)len);
	if (json_object_is_type(root, json_type_object))
		err = decode_root(&d, root);
	else
		err = damaged(&d, "JSON", -1,
			      json_tokener_error_desc(json_tokener_get_error(tokener)));
	json_object_put(root);
	json_tokener_free(tokener);
	return err;
}
