/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What tool_sftpd.c, which says what they mean, can be told. */
#ifndef TESTS_TOOL_SFTPD_OPTIONS_H
#define TESTS_TOOL_SFTPD_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fault {
	unsigned first, count;
};

static struct {
	int delay_ms, sync_ms, read_ms, write_ms, trickle_ms, die, stop, hostile;
	bool no_fsync, no_limits, no_rename, is_short, other, report, misorder, shuffle, forget, lie;
	bool gate;
	struct fault read, write, fsync, lock, halt;
	unsigned seed;
} opt;

static void parse_fault(const char *text)
{
	struct fault f = { 0 };
	char kind[8] = "";

	if (sscanf(text, "%7[a-z]:%u:%u", kind, &f.first, &f.count) != 3)
		exit(2);
	*(kind[0] == 'r' ? &opt.read : kind[0] == 'w' ? &opt.write :
	  kind[0] == 'l' ? &opt.lock : kind[0] == 'h' ? &opt.halt : &opt.fsync) = f;
}

static void parse(char **argv)
{
	for (int i = 1; argv[i]; i++) {
		const char *eq = strchr(argv[i], '='), *value = eq ? eq + 1 : "";
		size_t n = eq ? (size_t)(eq - argv[i]) : strlen(argv[i]);
		const struct { const char *name; bool *flag; int *number; } table[] = {
			{ "--delay", NULL, &opt.delay_ms }, { "--die", NULL, &opt.die },
			{ "--sync", NULL, &opt.sync_ms }, { "--read", NULL, &opt.read_ms },
			{ "--write", NULL, &opt.write_ms }, { "--trickle", NULL, &opt.trickle_ms },
			{ "--stop", NULL, &opt.stop }, { "--hostile", NULL, &opt.hostile },
			{ "--seed", NULL, (int *)&opt.seed }, { "--lie", &opt.lie, NULL },
			{ "--no-fsync", &opt.no_fsync, NULL }, { "--no-limits", &opt.no_limits, NULL },
			{ "--no-rename", &opt.no_rename, NULL }, { "--report", &opt.report, NULL },
			{ "--other", &opt.other, NULL }, { "--short", &opt.is_short, NULL },
			{ "--misorder", &opt.misorder, NULL }, { "--shuffle", &opt.shuffle, NULL },
			{ "--forget", &opt.forget, NULL }, { "--gate", &opt.gate, NULL },
		};
		size_t k = 0, count = sizeof(table) / sizeof(table[0]);

		if (n == 6 && strncmp(argv[i], "--fail", 6) == 0) {
			parse_fault(value);
			continue;
		}
		while (k < count && (strlen(table[k].name) != n || strncmp(argv[i], table[k].name, n)))
			k++;
		if (k == count)
			exit(2);
		if (table[k].flag)
			*table[k].flag = true;
		else
			*table[k].number = atoi(value);
	}
}

#endif
