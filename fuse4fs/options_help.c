// SPDX-License-Identifier: GPL-2.0-or-later
/* --help, which fits a screen of 24 lines, and -o help, which lists the option table. */
#include <stdio.h>

#include "options.h"

enum { LEFT_COLUMNS = 20 };	/* of -o help */

static const char *value_name(const struct option_def *d)
{
	static const char *const names[] = {
		[OPTION_NUMBER] = "=N", [OPTION_ID] = "=N", [OPTION_SIZE] = "=SIZE",
		[OPTION_STRING] = "=TEXT", [OPTION_PATH] = "=FILE", [OPTION_CHOICE] = "=", [OPTION_SET] = "",
		[OPTION_IGNORED] = "", [OPTION_IGNORED_PREFIX] = "",
	};

	return names[d->kind];
}

static void help_row(const struct option_def *d)
{
	char left[64];
	int n = snprintf(left, sizeof(left), "%s%s%s", d->name, value_name(d),
			 d->kind == OPTION_CHOICE ? d->choices : "");

	if (n > LEFT_COLUMNS)
		printf("  %s\n  %*s %s\n", left, LEFT_COLUMNS, "", d->doc);
	else
		printf("  %-*s %s\n", LEFT_COLUMNS, left, d->doc);
}

void options_help_list(void)
{
	printf("Options for -o, separated by commas:\n");
	for (const struct option_def *d = option_table; d->name; d++)
		if (d->doc && d->kind != OPTION_REFUSED)
			help_row(d);
}

void options_help(void)
{
	printf("usage: fuse4fs [-fdsvrw] [-o OPTION,...] IMAGE MOUNTPOINT\n"
	       "       fuse4fs --export-device [-o OPTION,...] IMAGE MOUNTPOINT\n"
	       "       fuse4fs --private [-o OPTION,...] IMAGE MOUNTPOINT -- COMMAND...\n"
	       "       fuse4fs --probe [--json] [-o OPTION,...] IMAGE\n"
	       "       fuse4fs --status [--json] MOUNTPOINT\n"
	       "       fuse4fs -u [-l] MOUNTPOINT\n"
	       "       fuse4fs --help | -o help | --version\n"
	       "Serves the ext4 file system in IMAGE at MOUNTPOINT; IMAGE may be HOST:PATH.\n"
	       "  -f, --foreground   stay in the foreground\n"
	       "  -d                 the same, and print every request\n"
	       "  -s                 one thread (threads=1)\n"
	       "  -v                 say what takes long\n"
	       "  -r, -w             the same as -o ro, -o rw\n"
	       "  -o, --options      mount options; -o help lists them\n"
	       "  --export-device    serve the block device itself, as MOUNTPOINT/device\n"
	       "  --private          run COMMAND with a mount that nobody else sees\n"
	       "  --die-with-parent  end when the process that started it ends\n"
	       "  --probe            what IMAGE is and what mounting it would do\n"
	       "  --status           what the server of MOUNTPOINT is doing\n"
	       "  --json             the same, for programs\n"
	       "  -u, --unmount      unmount and wait until the image is complete\n"
	       "  -l                 with -u: detach at once, clean up later\n");
}
