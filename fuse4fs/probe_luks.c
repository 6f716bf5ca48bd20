// SPDX-License-Identifier: GPL-2.0-or-later
/* Describing a LUKS container; see probe_luks.h. */
#include "probe_luks.h"

#include <errno.h>
#include <string.h>

#include "crypto/luks.h"
#include "probe_print.h"

static const char *const priorities[] = {
	[LUKS_PRIORITY_IGNORE] = "ignore", [LUKS_PRIORITY_NORMAL] = "normal",
	[LUKS_PRIORITY_PREFER] = "prefer",
};

static void add_segment(struct json_object *list, const struct luks_segment_info *s)
{
	struct json_object *o = probe_append_group(list);

	probe_add_int(o, "number", (uint64_t)s->number);
	probe_add_text(o, "type", s->type);
	probe_add_if(o, "cipher", s->cipher);
	probe_add_int(o, "offset", s->off);
	if (s->dynamic)
		probe_add_bool(o, "up_to_the_end", true);
	else
		probe_add_int(o, "bytes", s->len);
	probe_add_int(o, "sector_bytes", s->sector_len);
	if (s->iv_tweak)
		probe_add_int(o, "iv_tweak", s->iv_tweak);
	probe_add_if(o, "integrity", s->integrity);
}

static void add_keyslot(struct json_object *list, const struct luks_keyslot_info *s)
{
	struct json_object *o = probe_append_group(list);

	probe_add_int(o, "number", (uint64_t)s->number);
	probe_add_text(o, "priority", priorities[s->priority]);
	probe_add_int(o, "key_bits", s->key_bits);
	probe_add_bool(o, "opens_data", s->opens_segment);
	probe_add_text(o, "kdf", s->kdf);
	probe_add_if(o, "kdf_hash", s->kdf_hash);
	probe_add_int(o, s->memory_kib ? "passes" : "iterations", s->iterations);
	if (s->memory_kib) {
		probe_add_int(o, "memory_kib", s->memory_kib);
		probe_add_int(o, "lanes", s->lanes);
	}
	probe_add_int(o, "af_stripes", s->af_stripes);
	probe_add_if(o, "af_hash", s->af_hash);
	probe_add_if(o, "area_cipher", s->area_cipher);
	probe_add_int(o, "area_key_bits", s->area_key_bits);
	probe_add_int(o, "area_offset", s->area_off);
	probe_add_int(o, "area_bytes", s->area_len);
	probe_add_if(o, "refused", s->refused);
}

static void add_luks(struct json_object *o, const struct luks_info *info)
{
	struct json_object *list;

	probe_add_int(o, "version", (uint64_t)info->version);
	probe_add_text(o, "uuid", info->uuid);
	probe_add_if(o, "label", info->label);
	probe_add_if(o, "subsystem", info->subsystem);
	probe_add_if(o, "cipher", info->cipher);
	probe_add_int(o, "key_bits", info->key_bits);
	probe_add_if(o, "hash", info->hash);
	probe_add_int(o, "sector_bytes", info->sector_len);
	probe_add_int(o, "data_offset", info->data_off);
	probe_add_int(o, "data_bytes", info->data_len);
	probe_add_int(o, "header_bytes", info->header_len);
	if (info->version == 2) {
		probe_add_int(o, "seqid", info->seqid);
		probe_add_text(o, "header_copy", info->copy == LUKS_COPY_PRIMARY ? "primary"
										 : "secondary");
		probe_add_bool(o, "header_copies_differ", info->copies_differ);
	}
	probe_add_if(o, "header_damage", info->copy_damage);
	probe_add_bool(o, "allow_discards", info->allow_discards);
	probe_add_if(o, "flags", info->flags);
	probe_add_if(o, "requirements", info->requirements);
	list = probe_add_list(o, "segments");
	for (unsigned i = 0; i < info->nsegments; i++)
		add_segment(list, &info->segments[i]);
	list = probe_add_list(o, "keyslots");
	for (unsigned i = 0; i < info->nkeyslots; i++)
		add_keyslot(list, &info->keyslots[i]);
}

/* Why no passphrase can open it, or NULL. */
static const char *refusal(const struct luks_info *info)
{
	const char *why = "it has no keyslot";

	if (info->refused[0])
		return info->refused;
	for (unsigned i = 0; i < info->nkeyslots; i++) {
		if (!info->keyslots[i].refused[0])
			return NULL;
		why = info->keyslots[i].refused;
	}
	return why;
}

static void add_mount(struct json_object *o, const char *refused)
{
	struct json_object *mount = probe_add_group(o, "mount");

	probe_add_text(mount, "would_be", refused ? "refused" : "after a passphrase");
	probe_add_if(mount, "because", refused ? refused : "");
}

int probe_luks(struct blkdev *dev, struct blkdev *header, struct json_object *o,
	       bool *ret_found, bool *ret_usable)
{
	char why[LUKS_WHY_LEN] = "";
	struct luks_probe p;
	struct luks *luks;
	const char *refused;
	int err = luks_probe(header ? header : dev, &p);

	*ret_found = *ret_usable = false;
	if (err || (!p.version && !p.unknown))
		return err;
	*ret_found = true;
	probe_add_text(o, "type", "luks");
	err = luks_load(dev, header, NULL, &luks, why, sizeof(why));
	if (err) {
		struct json_object *group = probe_add_group(o, "luks");

		probe_add_int(group, "version", (uint64_t)p.version);
		probe_add_text(group, "header_damage", *why ? why : strerror(-err));
		add_mount(o, *why ? why : strerror(-err));
		return 0;
	}
	add_luks(probe_add_group(o, "luks"), luks_describe(luks));
	refused = refusal(luks_describe(luks));
	add_mount(o, refused);
	*ret_usable = !refused;
	luks_free(luks);
	return 0;
}
