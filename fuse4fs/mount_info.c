// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What /proc/self/mountinfo says about mounts of ours: see proc(5). Nothing here asks a mount's
 * server, which may be dead, stuck or this process.
 */
#include "mount.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mount_line {
	char text[3 * PATH_MAX];
	char device[32];		/* MAJOR:MINOR */
	char point[PATH_MAX + 1];
};

/* mountinfo writes blanks, tabs, newlines and backslashes as \ooo. */
static void unescape(char *s)
{
	char *out = s;

	while (*s) {
		if (*s == '\\' && strspn(s + 1, "01234567") >= 3) {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*out++ = *s++;
		}
	}
	*out = '\0';
}

/* f: open mountinfo, or NULL. False: no more. */
static bool next_line(FILE *f, struct mount_line *ret)
{
	while (f && fgets(ret->text, sizeof(ret->text), f)) {
		if (sscanf(ret->text, "%*d %*d %31s %*s %4096s", ret->device, ret->point) != 2)
			continue;
		unescape(ret->point);
		return true;
	}
	if (f)
		fclose(f);
	return false;
}

static FILE *open_info(void)
{
	return fopen("/proc/self/mountinfo", "re");
}

/* The last line with this mount point is the topmost mount there. */
bool mount_device(const char *mountpoint, char *dev, size_t size)
{
	FILE *f = open_info();
	struct mount_line line;
	bool found = false;

	while (next_line(f, &line)) {
		if (strcmp(line.point, mountpoint) != 0)
			continue;
		snprintf(dev, size, "%s", line.device);
		found = true;
	}
	return found;
}

unsigned mount_count(const char *dev, char *point, size_t size)
{
	FILE *f = open_info();
	struct mount_line line;
	unsigned n = 0;

	while (next_line(f, &line)) {
		if (strcmp(line.device, dev) != 0)
			continue;
		snprintf(point, size, "%s", line.point);
		n++;
	}
	return n;
}

bool mount_is_ours(const char *mountpoint)
{
	static const char key[] = "user_id=";
	FILE *f = open_info();
	struct mount_line line;
	bool ours = false;

	while (next_line(f, &line)) {
		const char *options = strstr(line.text, " - "), *user;

		if (strcmp(line.point, mountpoint) != 0)
			continue;
		user = options ? strstr(options, key) : NULL;
		ours = user && strtoul(user + sizeof(key) - 1, NULL, 10) == getuid();
	}
	return ours;
}
