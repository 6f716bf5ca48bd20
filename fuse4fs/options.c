// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading the command line by the table in options_table.c. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "util.h"

static int fail(char *why, size_t why_len, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(char *why, size_t why_len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, why_len, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int parse_number(const char *text, uint64_t *ret, const char **ret_end)
{
	char *end;
	unsigned long long v;

	if (*text < '0' || *text > '9')
		return -EINVAL;		/* strtoull takes blanks and signs */
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	*ret = v;
	*ret_end = end;
	return 0;
}

int options_parse_size(const char *text, uint64_t *ret_bytes)
{
	static const char suffixes[] = "KMGTP";
	const char *end, *s;
	unsigned shift = 0;
	uint64_t v;
	int err = parse_number(text, &v, &end);

	if (err)
		return err;
	if (*end) {
		s = strchr(suffixes, *end >= 'a' ? *end - 'a' + 'A' : *end);
		if (!s || end[1])
			return -EINVAL;
		shift = 10 * (s - suffixes + 1);
	}
	if (v > (uint64_t)INT64_MAX >> shift)
		return -ERANGE;
	*ret_bytes = v << shift;
	return 0;
}

/* Index of value in "a|b|c", or -1. */
static int choice_index(const char *choices, const char *value)
{
	size_t len = strlen(value);

	for (int i = 0; *choices; i++) {
		size_t n = strcspn(choices, "|");

		if (n == len && !memcmp(choices, value, n))
			return i;
		choices += n + (choices[n] == '|');
	}
	return -1;
}

static int store_number(const struct option_def *def, struct options *opt, const char *value,
			char *why, size_t why_len)
{
	uint64_t *field = (void *)((char *)opt + def->field);
	const char *end;
	uint64_t v;

	if (def->kind == OPTION_SIZE) {
		if (options_parse_size(value, &v))
			return fail(why, why_len, "%s=%s: not a size (bytes, or with K, M, G, T)",
				    def->name, value);
		if (def->max && (v < def->min || v > def->max))
			return fail(why, why_len, "%s=%s: must be %" PRIu64 " to %" PRIu64 " bytes",
				    def->name, value, def->min, def->max);
	} else if (parse_number(value, &v, &end) || *end || v < def->min || v > def->max) {
		return fail(why, why_len, "%s=%s: not a number from %" PRIu64 " to %" PRIu64,
			    def->name, value, def->min, def->max);
	}
	*field = v;
	if (def->kind == OPTION_ID)
		*(int *)(void *)((char *)opt + def->flag_field) = 1;
	return 0;
}

/* A copy of a -o argument, or of a path that was made absolute. */
struct options_text {
	struct options_text *next;
	char text[];
};

/* NULL: no memory. */
static char *new_text(struct options *opt, size_t size)
{
	struct options_text *t = malloc(sizeof(*t) + size);

	if (!t)
		return NULL;
	t->next = opt->texts;
	opt->texts = t;
	return t->text;
}

/*
 * The server leaves its directory before some files are read again. What ssh(1) would expand
 * stays: it does not depend on where we are.
 */
static int store_path(const struct option_def *def, struct options *opt, const char *value,
		      char *why, size_t why_len)
{
	const char **field = (void *)((char *)opt + def->field);
	char dir[PATH_MAX], *path;
	size_t size;

	*field = value;
	if (strchr("/~%", *value) || (def->choices && choice_index(def->choices, value) >= 0) ||
	    !getcwd(dir, sizeof(dir)))
		return 0;
	size = strlen(dir) + strlen(value) + 2;
	path = new_text(opt, size);
	if (!path)
		return fail(why, why_len, "out of memory");
	snprintf(path, size, "%s/%s", dir, value);
	*field = path;
	return 0;
}

static int store_value(const struct option_def *def, struct options *opt, const char *value,
		       char *why, size_t why_len)
{
	char *field = (char *)opt + def->field;
	int i;

	switch (def->kind) {
	case OPTION_NUMBER:
	case OPTION_SIZE:
	case OPTION_ID:
		return store_number(def, opt, value, why, why_len);
	case OPTION_CHOICE:
		i = choice_index(def->choices, value);
		if (i < 0)
			return fail(why, why_len, "%s=%s: must be one of %s", def->name, value,
				    def->choices);
		*(int *)(void *)field = i + def->value;
		return 0;
	case OPTION_STRING:
	case OPTION_PATH:
		if (!*value)
			return fail(why, why_len, "%s= needs a value", def->name);
		if (def->kind == OPTION_PATH)
			return store_path(def, opt, value, why, why_len);
		*(const char **)(void *)field = value;
		return 0;
	default:
		return 0;
	}
}

static const struct option_def *find_option(const char *name)
{
	for (const struct option_def *d = option_table; d->name; d++)
		if (d->kind == OPTION_IGNORED_PREFIX ? !strncmp(name, d->name, strlen(d->name))
						     : !strcmp(name, d->name))
			return d;
	return NULL;
}

/* text: "name" or "name=value", writable. */
static int parse_one(char *text, struct options *opt, char *why, size_t why_len)
{
	char *value = strchr(text, '=');
	const struct option_def *def;

	if (value)
		*value++ = '\0';
	def = find_option(text);
	if (!def)
		return fail(why, why_len, "unknown option '%s' (fuse4fs -o help lists them)", text);
	if (def->kind == OPTION_IGNORED || def->kind == OPTION_IGNORED_PREFIX)
		return 0;
	if (def->kind == OPTION_REFUSED)
		return fail(why, why_len, "option '%s' is not supported: %s", text, def->doc);
	if (def->kind == OPTION_SET) {
		if (value)
			return fail(why, why_len, "option '%s' takes no value", text);
		*(int *)(void *)((char *)opt + def->field) = def->value;
		return 0;
	}
	if (!value)
		return fail(why, why_len, "option '%s' needs a value", text);
	return store_value(def, opt, value, why, why_len);
}

/* Cuts the next element off *rest, resolving "\," and "\\". NULL at the end. */
static char *next_element(char **rest)
{
	char *start = *rest, *in = start, *out = start;

	if (!start)
		return NULL;
	while (*in && *in != ',') {
		if (*in == '\\' && in[1])
			in++;
		*out++ = *in++;
	}
	*rest = *in ? in + 1 : NULL;
	*out = '\0';
	return start;
}

int options_parse_list(const char *list, struct options *opt, char *why, size_t why_len)
{
	const size_t size = strlen(list) + 1;
	char *copy = new_text(opt, size), *rest, *element;
	int err;

	if (!copy)
		return fail(why, why_len, "out of memory");
	rest = memcpy(copy, list, size);
	while ((element = next_element(&rest))) {
		err = *element ? parse_one(element, opt, why, why_len) : 0;
		if (err)
			return err;
	}
	return 0;
}

void options_fini(struct options *opt)
{
	while (opt->texts) {
		struct options_text *text = opt->texts;

		opt->texts = text->next;
		free(text);
	}
}

enum { LONG_STATUS = 256, LONG_JSON, LONG_EXPORT, LONG_PROBE, LONG_PRIVATE,
       LONG_DIE };

static const struct option long_options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ "export-device", no_argument, NULL, LONG_EXPORT },
	{ "probe", no_argument, NULL, LONG_PROBE },
	{ "status", no_argument, NULL, LONG_STATUS },
	{ "json", no_argument, NULL, LONG_JSON },
	{ "private", no_argument, NULL, LONG_PRIVATE },
	{ "die-with-parent", no_argument, NULL, LONG_DIE },
	{ "unmount", no_argument, NULL, 'u' },
	{ "foreground", no_argument, NULL, 'f' },
	{ "options", required_argument, NULL, 'o' },
	{ 0 },
};

static int parse_flag(int c, struct options *opt, char *why, size_t why_len)
{
	switch (c) {
	case 'o':
		if (strcmp(optarg, "help") != 0)
			return options_parse_list(optarg, opt, why, why_len);
		opt->action = ACT_HELP_OPTIONS;
		return 0;
	case 'f': opt->foreground = 1; return 0;
	case 'd': opt->debug = opt->foreground = 1; return 0;
	case 's': opt->threads = 1; return 0;
	case 'r': opt->readonly = 1; return 0;
	case 'w': opt->readonly = 0; return 0;
	case 'l': opt->lazy = 1; return 0;
	case 'F': opt->force = 1; return 0;
	case 'v': opt->verbose = 1; return 0;
	case 'u': opt->action = ACT_UNMOUNT; return 0;
	case 'h': opt->action = ACT_HELP; return 0;
	case 'V': opt->action = ACT_VERSION; return 0;
	case LONG_STATUS: opt->action = ACT_STATUS; return 0;
	case LONG_JSON: opt->json = 1; return 0;
	case LONG_PRIVATE: opt->private = 1; return 0;
	case LONG_DIE: opt->die_with_parent = 1; return 0;
	case LONG_PROBE: opt->action = ACT_PROBE; return 0;
	case LONG_EXPORT: opt->action = ACT_EXPORT; return 0;
	case ':': return fail(why, why_len, "-%c needs a value", optopt);
	default: break;
	}
	if (optopt)
		return fail(why, why_len, "unknown option '-%c' (fuse4fs --help lists them)", optopt);
	return fail(why, why_len, "unknown option (fuse4fs --help lists them)");
}

/* What cannot be said by one row. */
static int check_combination(const struct options *opt, char *why, size_t why_len)
{
	if (opt->norecovery && !opt->readonly)
		return fail(why, why_len, "norecovery needs ro: writing past an unreplayed "
			    "journal would destroy the image");
	if (opt->allow_other && opt->allow_root)
		return fail(why, why_len, "allow_other and allow_root exclude each other");
	if (opt->partition && (opt->offset || opt->sizelimit))
		return fail(why, why_len, "partition= and offset= or sizelimit= exclude each other");
	if (opt->action == ACT_EXPORT && (opt->root || opt->norecovery))
		return fail(why, why_len, "%s is for file systems; --export-device serves the "
			    "device as it is", opt->root ? "root=" : "norecovery");
	if (opt->keyfile && opt->has_passfd)
		return fail(why, why_len, "keyfile= and passfd= exclude each other");
	if ((opt->keyfile_off || opt->keyfile_len) && !opt->keyfile)
		return fail(why, why_len, "keyfile-offset= and keyfile-size= need keyfile=");
	if (opt->nocrypt && (opt->keyfile || opt->has_passfd || opt->header || opt->has_keyslot))
		return fail(why, why_len, "nocrypt and options for LUKS exclude each other");
	if (opt->root && opt->root[0] != '/' && opt->root[strspn(opt->root, "0123456789")])
		return fail(why, why_len, "root=%s: must be an absolute path inside the image, or "
			    "an inode number", opt->root);
	return 0;
}

/* The words that are not options, by action. */
static int take_operands(struct options *opt, int n, char **words, char *why, size_t why_len)
{
	switch (opt->action) {
	case ACT_HELP:
	case ACT_HELP_OPTIONS:
	case ACT_VERSION:
		return 0;
	case ACT_STATUS:
	case ACT_UNMOUNT:
		if (n != 1)
			return fail(why, why_len, "give one MOUNTPOINT");
		opt->mountpoint = words[0];
		return 0;
	case ACT_PROBE:
		if (n != 1)
			return fail(why, why_len, "give one IMAGE");
		opt->image = words[0];
		return check_combination(opt, why, why_len);
	default:
		if (opt->private && n < 3)
			return fail(why, why_len, "usage: fuse4fs --private [-o OPTIONS] IMAGE "
				    "MOUNTPOINT -- COMMAND [ARGUMENT...]");
		if (!opt->private && n != 2)
			return fail(why, why_len, "usage: fuse4fs [--export-device] [-o OPTIONS] IMAGE "
				    "MOUNTPOINT");
		opt->image = words[0];
		opt->mountpoint = words[1];
		opt->command = words + 2;
		return check_combination(opt, why, why_len);
	}
}

int options_parse(int argc, char **argv, struct options *opt, char *why, size_t why_len)
{
	int c, err;

	optind = 0;		/* getopt starts anew */
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":o:fdsrwuhVlFv", long_options, NULL)) != -1) {
		if (c == '?' && !optopt)
			return fail(why, why_len, "unknown option '%s' (fuse4fs --help lists them)",
				    argv[optind - 1]);
		err = parse_flag(c, opt, why, why_len);
		if (err)
			return err;
	}
	return take_operands(opt, argc - optind, argv + optind, why, why_len);
}

/* True when the row's field differs from the default in the way the row says. */
static bool row_applies(const struct option_def *d, const struct options *opt)
{
	const char *field = (const char *)opt + d->field;

	switch (d->kind) {
	case OPTION_SET:
		return d->value && *(const int *)(const void *)field == d->value;
	case OPTION_CHOICE:
		return *(const int *)(const void *)field != 0;
	case OPTION_STRING:
	case OPTION_PATH:
		return *(const char *const *)(const void *)field != NULL;
	case OPTION_ID:
		return *(const int *)(const void *)((const char *)opt + d->flag_field);
	case OPTION_NUMBER:
	case OPTION_SIZE:
		return *(const uint64_t *)(const void *)field != 0;
	default:
		return false;
	}
}

static int print_row(const struct option_def *d, const struct options *opt, char *buf, size_t size)
{
	const char *field = (const char *)opt + d->field, *c = d->choices;

	switch (d->kind) {
	case OPTION_CHOICE:
		for (int i = *(const int *)(const void *)field - d->value; i > 0; i--)
			c += strcspn(c, "|") + 1;
		return snprintf(buf, size, ",%s=%.*s", d->name, (int)strcspn(c, "|"), c);
	case OPTION_STRING:
	case OPTION_PATH:
		return snprintf(buf, size, ",%s=%s", d->name,
				*(const char *const *)(const void *)field);
	case OPTION_ID:
	case OPTION_NUMBER:
	case OPTION_SIZE:
		return snprintf(buf, size, ",%s=%" PRIu64, d->name,
				*(const uint64_t *)(const void *)field);
	default:
		return snprintf(buf, size, ",%s", d->name);
	}
}

void options_print(const struct options *opt, char *buf, size_t size)
{
	size_t used = snprintf(buf, size, "%s", opt->readonly ? "ro" : "rw");
	uint64_t seen = 0;	/* fields printed: synonyms share one */

	for (const struct option_def *d = option_table; d->name; d++) {
		if (d->field == offsetof(struct options, readonly) || !row_applies(d, opt))
			continue;
		if (d->kind == OPTION_SET && d->field / sizeof(int) < 64) {
			if (seen & 1ull << (d->field / sizeof(int)))
				continue;
			seen |= 1ull << (d->field / sizeof(int));
		}
		if (used < size)
			used += print_row(d, opt, buf + used, size - used);
	}
}
