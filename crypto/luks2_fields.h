/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Members of JSON objects with the types and ranges that LUKS2 gives them. */
#ifndef CRYPTO_LUKS2_FIELDS_H
#define CRYPTO_LUKS2_FIELDS_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * All return 0, or -EUCLEAN for a member that is missing, has another type or lies outside the
 * range; ret is then untouched. Pointers live as long as obj.
 */
int field_object(json_object *obj, const char *key, json_object **ret);
int field_array(json_object *obj, const char *key, json_object **ret);
/* A text without a 0 inside. */
int field_text(json_object *obj, const char *key, const char **ret);
/* A JSON integer, min .. max. */
int field_int(json_object *obj, const char *key, int64_t min, int64_t max, int64_t *ret);
/* A 64-bit number that LUKS2 writes as text: digits only, no sign. */
int field_u64(json_object *obj, const char *key, uint64_t *ret);
/* Base64 text, at least one byte, at most max. */
int field_bytes(json_object *obj, const char *key, uint8_t *out, size_t max, size_t *ret_len);
/* An array of texts that are numbers 0 .. 31, as bits. */
int field_numbers(json_object *obj, const char *key, uint32_t *ret);

/* The number that an object's name is, 0 .. max: "0", "17", no zeros in front. Or -EUCLEAN. */
int field_name_number(const char *name, int max);

#endif
