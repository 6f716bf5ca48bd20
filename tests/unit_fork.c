/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases in child processes. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit_fork.h"

enum { LSAN_EXIT = 23 };

void unit_failed(const char *file, int line, const char *cond, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s:%d: %s: %s\n", file, line, cond, text);
	_exit(UNIT_FAIL);
}

unsigned unit_env(const char *name, unsigned def)
{
	const char *value = getenv(name);

	return value && *value ? (unsigned)strtoul(value, NULL, 0) : def;
}

/* Leaves through exit, for the leak checker; threads of a body have ended by then. */
static void child(unit_body body, void *arg, unsigned seconds)
{
	int ret;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(seconds);
	ret = body(arg);
	fflush(stderr);
	if (ret != UNIT_PASS && ret >= UNIT_FAIL)
		_exit(ret);
	exit(ret);
}

static int judge(int status, const struct rusage *use, unsigned max_mbytes, long before)
{
	if (WIFSIGNALED(status)) {
		fprintf(stderr, "ended by signal %d (%s)\n", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
		return WTERMSIG(status) == SIGALRM ? UNIT_HANG : UNIT_CRASH;
	}
	if (max_mbytes && use->ru_maxrss - before > (long)max_mbytes * 1024) {
		fprintf(stderr, "took %ld KiB of memory\n", use->ru_maxrss - before);
		return UNIT_FLOOD;
	}
	if (WEXITSTATUS(status) == LSAN_EXIT)
		return UNIT_LEAK;
	return WEXITSTATUS(status);
}

int unit_fork(unit_body body, void *arg, unsigned seconds, unsigned max_mbytes)
{
	struct rusage self, use;
	int status;
	pid_t pid;

	fflush(NULL);
	getrusage(RUSAGE_SELF, &self);
	pid = fork();
	if (pid < 0)
		return UNIT_FAIL;
	if (!pid)
		child(body, arg, seconds);
	while (wait4(pid, &status, 0, &use) < 0)
		if (errno != EINTR)
			return UNIT_FAIL;
	return judge(status, &use, max_mbytes, self.ru_maxrss);
}

unsigned unit_fork_all(int (*body)(void *arg, unsigned i), void *arg, unsigned n)
{
	unsigned jobs = unit_env("UNIT_JOBS", (unsigned)sysconf(_SC_NPROCESSORS_ONLN));
	unsigned started = 0, running = 0, bad = 0;
	int status;
	pid_t pid;

	fflush(NULL);
	while (started < n || running) {
		if (started < n && running < jobs) {
			pid = fork();
			if (pid < 0) {
				perror("fork");
				return bad + n - started + running;
			}
			if (!pid) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				_exit(body(arg, started) & 255);
			}
			started++;
			running++;
			continue;
		}
		if (wait(&status) < 0)
			continue;
		running--;
		bad += status != 0;
	}
	return bad;
}
