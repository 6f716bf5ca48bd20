// SPDX-License-Identifier: GPL-2.0-or-later
/* Typed members of JSON objects; nothing is converted, what has another type is damage. */
#include "luks2_fields.h"

#include <errno.h>
#include <string.h>

#include "base64.h"

static int member(json_object *obj, const char *key, json_type type, json_object **ret)
{
	json_object *o;

	if (!json_object_object_get_ex(obj, key, &o) || !json_object_is_type(o, type))
		return -EUCLEAN;
	*ret = o;
	return 0;
}

/* Whether its text is C text, too. */
static bool plain_text(json_object *o)
{
	return json_object_is_type(o, json_type_string) &&
	       strlen(json_object_get_string(o)) == (size_t)json_object_get_string_len(o);
}

int field_object(json_object *obj, const char *key, json_object **ret)
{
	return member(obj, key, json_type_object, ret);
}

int field_array(json_object *obj, const char *key, json_object **ret)
{
	return member(obj, key, json_type_array, ret);
}

int field_text(json_object *obj, const char *key, const char **ret)
{
	json_object *o;

	if (member(obj, key, json_type_string, &o) || !plain_text(o))
		return -EUCLEAN;
	*ret = json_object_get_string(o);
	return 0;
}

int field_int(json_object *obj, const char *key, int64_t min, int64_t max, int64_t *ret)
{
	json_object *o;
	int64_t v;

	if (member(obj, key, json_type_int, &o))
		return -EUCLEAN;
	v = json_object_get_int64(o);
	if (v < min || v > max)
		return -EUCLEAN;
	*ret = v;
	return 0;
}

static int digits(const char *text, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*text)
		return -EUCLEAN;
	for (; *text; text++) {
		unsigned d = (unsigned)(*text - '0');

		if (d > 9 || v > (UINT64_MAX - d) / 10)
			return -EUCLEAN;
		v = v * 10 + d;
	}
	*ret = v;
	return 0;
}

int field_u64(json_object *obj, const char *key, uint64_t *ret)
{
	const char *text;

	return field_text(obj, key, &text) ? -EUCLEAN : digits(text, ret);
}

int field_bytes(json_object *obj, const char *key, uint8_t *out, size_t max, size_t *ret_len)
{
	const char *text;
	ssize_t n;

	if (field_text(obj, key, &text))
		return -EUCLEAN;
	n = base64_decode(text, strlen(text), out, max);
	if (n <= 0)
		return -EUCLEAN;
	*ret_len = (size_t)n;
	return 0;
}

int field_name_number(const char *name, int max)
{
	uint64_t v;

	if (digits(name, &v) || v > (uint64_t)max || (name[0] == '0' && name[1]))
		return -EUCLEAN;
	return (int)v;
}

int field_numbers(json_object *obj, const char *key, uint32_t *ret)
{
	json_object *array;
	uint32_t bits = 0;

	if (field_array(obj, key, &array))
		return -EUCLEAN;
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		json_object *o = json_object_array_get_idx(array, i);
		int n = plain_text(o) ? field_name_number(json_object_get_string(o), 31) : -1;

		if (n < 0)
			return -EUCLEAN;
		bits |= 1u << n;
	}
	*ret = bits;
	return 0;
}
