// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory that is left: what the kernel calls available, and what the control groups of the
 * process leave of their limits. Taking more ends in the out-of-memory killer, not in an error.
 */
#include "kdf_memory.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KIB = 1024 };

/* What follows prefix in the first line that begins with it. */
static bool find_line(const char *path, const char *prefix, char *rest, size_t rest_len)
{
	char line[PATH_MAX];
	bool found = false;
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		found = !strncmp(line, prefix, strlen(prefix));
		if (found)
			snprintf(rest, rest_len, "%s", line + strlen(prefix));
	}
	fclose(f);
	if (found)
		rest[strcspn(rest, "\n")] = '\0';
	return found;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* A number of bytes in a file of a group; UINT64_MAX: no such file, or "max". */
static uint64_t group_bytes(const char *root, const char *group, const char *name)
{
	char path[2 * PATH_MAX], text[64], *end;
	unsigned long long bytes;

	snprintf(path, sizeof(path), "%s%s/%s", root, group, name);
	if (!find_line(path, "", text, sizeof(text)))
		return UINT64_MAX;
	bytes = strtoull(text, &end, 10);
	return end == text || *end ? UINT64_MAX : bytes;
}

/* Of what a group uses, the cache of files and names, which gives way. */
static uint64_t group_cache(const char *root, const char *group)
{
	static const char *const fields[] = { "inactive_file ", "active_file ", "slab_reclaimable " };
	char path[2 * PATH_MAX], text[64];
	uint64_t bytes = 0;

	snprintf(path, sizeof(path), "%s%s/memory.stat", root, group);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (find_line(path, fields[i], text, sizeof(text)))
			bytes += strtoull(text, NULL, 10);
	return bytes;
}

static uint64_t group_room(const char *root, const char *group)
{
	uint64_t max = group_bytes(root, group, "memory.max");
	uint64_t used = group_bytes(root, group, "memory.current");
	uint64_t cache;

	if (max == UINT64_MAX || used == UINT64_MAX)
		return max;
	cache = group_cache(root, group);
	used = cache < used ? used - cache : 0;
	return used < max ? max - used : 0;
}

/* The least room of the process's group and all around it, bytes. */
static uint64_t groups_room(const char *cgroup, const char *root)
{
	uint64_t room = UINT64_MAX;
	char group[PATH_MAX], *slash;

	if (!find_line(cgroup, "0::", group, sizeof(group)))
		return room;
	do {
		room = min_u64(room, group_room(root, group));
		slash = strrchr(group, '/');
		if (slash)
			*slash = '\0';
	} while (slash);
	return room;
}

uint64_t kdf_memory_from(const char *meminfo, const char *cgroup, const char *root)
{
	uint64_t room = groups_room(cgroup, root), available = UINT64_MAX;
	char text[64];

	if (find_line(meminfo, "MemAvailable:", text, sizeof(text)))
		available = strtoull(text, NULL, 10);
	return min_u64(available, room == UINT64_MAX ? room : room / KIB);
}

uint64_t kdf_memory_available(void)
{
	return kdf_memory_from("/proc/meminfo", "/proc/self/cgroup", "/sys/fs/cgroup");
}
