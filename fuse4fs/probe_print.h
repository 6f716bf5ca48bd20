/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The report of --probe: a tree of values, printed as JSON or as indented text. */
#ifndef FUSE4FS_PROBE_PRINT_H
#define FUSE4FS_PROBE_PRINT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

void probe_add_int(struct json_object *o, const char *key, uint64_t value);
void probe_add_bool(struct json_object *o, const char *key, bool value);
/* Bytes that an image can choose: what is no valid or printable UTF-8 becomes '?'. */
void probe_add_text(struct json_object *o, const char *key, const char *value);
/* The same, unless it is empty. */
void probe_add_if(struct json_object *o, const char *key, const char *value);
struct json_object *probe_add_group(struct json_object *o, const char *key);
struct json_object *probe_add_list(struct json_object *o, const char *key);
void probe_append_text(struct json_object *list, const char *value);
struct json_object *probe_append_group(struct json_object *list);

void probe_print(struct json_object *o, bool json, FILE *out);

#endif
