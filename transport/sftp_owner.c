/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The text of a lock file (sftp_lock.c): a process, and what tells whether it still runs. */
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "sftp_int.h"

static void read_line(const char *path, char *buf, size_t len)
{
	FILE *f = fopen(path, "re");

	buf[0] = '\0';
	if (f && fgets(buf, (int)len, f))
		buf[strcspn(buf, " \n")] = '\0';
	if (f)
		fclose(f);
	if (!buf[0])
		snprintf(buf, len, "?");
}

/* Field 22 of stat; 0 if there is no such process. */
static unsigned long long start_of(long pid)
{
	char path[40], text[512] = "", *p;
	unsigned long long started = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fgets(text, sizeof(text), f) && (p = strrchr(text, ')'))) {
		for (int i = 0; i < 20 && p; i++)
			p = strchr(p + 1, ' ');
		if (p)
			started = strtoull(p, NULL, 10);
	}
	fclose(f);
	return started;
}

void owner_self(struct owner *me)
{
	uint8_t rnd[16] = { 0 };
	ssize_t n;

	*me = (struct owner){ .pid = getpid() };
	if (getrandom(rnd, sizeof(rnd), 0) != sizeof(rnd))
		memcpy(rnd, &(int64_t){ boot_us() }, sizeof(int64_t));
	for (size_t i = 0; i < sizeof(rnd); i++)
		snprintf(me->id + 2 * i, 3, "%02x", rnd[i]);
	read_line("/proc/sys/kernel/hostname", me->host, sizeof(me->host));
	read_line("/proc/sys/kernel/random/boot_id", me->boot, sizeof(me->boot));
	n = readlink("/proc/self/ns/pid", me->pidns, sizeof(me->pidns) - 1);
	if (n <= 0)
		snprintf(me->pidns, sizeof(me->pidns), "?");
	me->started = start_of(me->pid);
}

void owner_print(const struct owner *o, uint64_t beat, char line[LOCK_LINE_MAX])
{
	int n = snprintf(line, LOCK_LINE_MAX,
			 "fuse4fs-lock 1 beat=%016llx id=%s host=%s boot=%s pidns=%s pid=%ld "
			 "started=%llu", (unsigned long long)beat, o->id, o->host, o->boot,
			 o->pidns, o->pid, o->started);

	memset(line + n, ' ', LOCK_LINE_MAX - n);
	line[LOCK_LINE_MAX - 1] = '\n';
}

bool owner_parse(const char *text, struct owner *ret)
{
	char pid[12], started[24];

	*ret = (struct owner){ .pid = 0 };
	if (sscanf(text, "fuse4fs-lock 1 beat=%*16[0-9a-f] id=%32[0-9a-f] host=%64[!-~] "
		      "boot=%36[!-~] pidns=%23[!-~] pid=%11[0-9] started=%23[0-9]",
		      ret->id, ret->host, ret->boot, ret->pidns, pid, started) != 6)
		return false;
	ret->pid = strtol(pid, NULL, 10);
	ret->started = strtoull(started, NULL, 10);
	return true;
}

enum owner_life owner_life(const struct owner *o)
{
	unsigned long long started;
	struct owner me;

	owner_self(&me);
	if (strcmp(o->boot, me.boot) != 0 || strcmp(o->pidns, me.pidns) != 0 || o->boot[0] == '?' ||
	    o->pid <= 0)
		return LIFE_UNKNOWN;
	started = start_of(o->pid);
	if (started == o->started)
		return LIFE_ALIVE;
	/* Processes of other users may be hidden in /proc. */
	return started || (kill((pid_t)o->pid, 0) < 0 && errno == ESRCH) ? LIFE_DEAD : LIFE_UNKNOWN;
}
