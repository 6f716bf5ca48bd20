// SPDX-License-Identifier: GPL-2.0-or-later
/* Building and printing the report; see probe_print.h. */
#include "probe_print.h"

#include <string.h>

enum { TEXT_MAX = 1024, KEY_COLUMNS = 18, STEP = 2 };

/* Length of the UTF-8 sequence at s, 0: not valid, or a control character. */
static size_t sequence_len(const unsigned char *s)
{
	static const struct { unsigned char mask, lead; uint32_t min; } forms[] = {
		{ 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 },
	};

	if (*s < 0x80)
		return *s >= 0x20 && *s != 0x7f;
	for (size_t i = 0; i < 3; i++) {
		uint32_t c = *s & (unsigned char)~forms[i].mask;
		size_t n;

		if ((*s & forms[i].mask) != forms[i].lead)
			continue;
		for (n = 1; n <= i + 1; n++) {
			if ((s[n] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (s[n] & 0x3f);
		}
		/* Overlong forms, surrogates, and the controls of Latin-1. */
		if (c < forms[i].min || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) || c < 0xa0)
			return 0;
		return n;
	}
	return 0;
}

static struct json_object *text(const char *value)
{
	char clean[TEXT_MAX + 4];
	size_t used = 0, n;

	for (; *value && used < TEXT_MAX; value += n ? n : 1) {
		n = sequence_len((const unsigned char *)value);
		if (n)
			memcpy(clean + used, value, n);
		else
			clean[used] = '?';
		used += n ? n : 1;
	}
	return json_object_new_string_len(clean, (int)used);
}

void probe_add_int(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

void probe_add_bool(struct json_object *o, const char *key, bool value)
{
	json_object_object_add(o, key, json_object_new_boolean(value));
}

void probe_add_text(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, text(value));
}

void probe_add_if(struct json_object *o, const char *key, const char *value)
{
	if (*value)
		probe_add_text(o, key, value);
}

struct json_object *probe_add_group(struct json_object *o, const char *key)
{
	struct json_object *group = json_object_new_object();

	json_object_object_add(o, key, group);
	return group;
}

struct json_object *probe_add_list(struct json_object *o, const char *key)
{
	struct json_object *list = json_object_new_array();

	json_object_object_add(o, key, list);
	return list;
}

void probe_append_text(struct json_object *list, const char *value)
{
	json_object_array_add(list, text(value));
}

struct json_object *probe_append_group(struct json_object *list)
{
	struct json_object *group = json_object_new_object();

	json_object_array_add(list, group);
	return group;
}

static const char *plain(struct json_object *value)
{
	if (json_object_is_type(value, json_type_boolean))
		return json_object_get_boolean(value) ? "yes" : "no";
	return json_object_get_string(value);
}

/* Depth is what probe.c builds: a handful. */
static void print_group(struct json_object *o, int indent, const char *first, FILE *out);

static void print_list(const char *key, struct json_object *list, int indent, FILE *out)
{
	const size_t n = json_object_array_length(list);

	if (n && json_object_is_type(json_object_array_get_idx(list, 0), json_type_object)) {
		fprintf(out, "%s:\n", key);
		for (size_t i = 0; i < n; i++)
			print_group(json_object_array_get_idx(list, i), indent + STEP, "- ", out);
		return;
	}
	fprintf(out, "%-*s", n ? KEY_COLUMNS - indent : 0, key);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s%s", i ? ", " : "", plain(json_object_array_get_idx(list, i)));
	fprintf(out, "\n");
}

/* first: in front of the first line, instead of as many blanks. */
static void print_group(struct json_object *o, int indent, const char *first, FILE *out)
{
	const int inner = indent + (int)strlen(first);

	json_object_object_foreach(o, key, value) {
		fprintf(out, "%*s%s", *first ? indent : inner, "", first);
		first = "";
		switch (json_object_get_type(value)) {
		case json_type_object:
			fprintf(out, "%s:\n", key);
			print_group(value, inner + STEP, "", out);
			break;
		case json_type_array:
			print_list(key, value, inner, out);
			break;
		default:
			fprintf(out, "%-*s %s\n", KEY_COLUMNS - inner - 1, key, plain(value));
		}
	}
}

void probe_print(struct json_object *o, bool json, FILE *out)
{
	if (json)
		fprintf(out, "%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
			JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		print_group(o, 0, "", out);
}
