// SPDX-License-Identifier: GPL-2.0-or-later
/* Going to the background, and messages; see daemon.h. */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "monitor.h"
#include "options.h"
#include "parent.h"
#include "vfs.h"

enum { LINE_BYTES = 1024 };

int daemon_status_of_death(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return MNT_EX_SOFTWARE;
	if (WIFEXITED(status) && WEXITSTATUS(status))
		return WEXITSTATUS(status);
	if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGINT || WTERMSIG(status) == SIGTERM))
		return MNT_EX_USER;
	fprintf(stderr, "fuse4fs: the server died before it was ready%s%s\n",
		WIFSIGNALED(status) ? ": " : "",
		WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "");
	return MNT_EX_SOFTWARE;
}

static void __attribute__((noreturn)) wait_for_child(int fd, pid_t child)
{
	unsigned char status;
	ssize_t n;

	do
		n = read(fd, &status, 1);
	while (n < 0 && errno == EINTR);
	_exit(n == 1 ? status : daemon_status_of_death(child));
}

/*
 * fork(2), or -errno. An interrupt from the terminal reaches both: the child dies of it, the
 * parent goes on and reports that. Blocked meanwhile, or it could come before we ignore it.
 */
static pid_t fork_apart(void)
{
	sigset_t interrupt, before;
	pid_t pid;

	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	sigprocmask(SIG_BLOCK, &interrupt, &before);
	pid = fork();
	if (pid < 0)
		pid = -errno;
	if (pid > 0)
		signal(SIGINT, SIG_IGN);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return pid;
}

int daemon_start(struct daemon *d, bool foreground, const char *name)
{
	const pid_t self = getpid();
	int fds[2];
	pid_t pid;

	*d = (struct daemon){ .ready_fd = -1, .null_fd = -1, .end_fd = -1, .name = name };
	atomic_init(&d->background, false);
	if (foreground)
		return monitor_start(&d->monitor);
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	fflush(NULL);
	pid = fork_apart();
	if (pid < 0) {
		close(fds[0]);
		close(fds[1]);
		return (int)pid;
	}
	if (pid > 0) {
		close(fds[1]);
		wait_for_child(fds[0], pid);
	}
	close(fds[0]);
	d->ready_fd = fds[1];
	/* Who wants us to end knows the parent's number, also at a prompt. */
	parent_signal(self, SIGTERM);
	return monitor_start(&d->monitor);
}

int daemon_adopt(struct daemon *d, int ready_fd, const char *name)
{
	*d = (struct daemon){ .ready_fd = ready_fd, .null_fd = -1, .attached = true,
			      .end_fd = -1, .name = name };
	atomic_init(&d->background, false);
	return monitor_start(&d->monitor);
}

static void report(struct daemon *d, int status)
{
	unsigned char byte = (unsigned char)status;

	if (d->ready_fd < 0)
		return;
	parent_no_signal();
	while (write(d->ready_fd, &byte, 1) < 0 && errno == EINTR)
		;
	close(d->ready_fd);
	d->ready_fd = -1;
}

void daemon_detach(struct daemon *d)
{
	if (d->ready_fd < 0)
		return;
	setsid();
	if (chdir("/"))
		daemon_log(d, VFS_LOG_WARN, "cannot leave the current directory");
	if (!d->attached)
		d->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
}

void daemon_ready(struct daemon *d)
{
	if (d->ready_fd < 0) {
		parent_no_signal();
		return;
	}
	for (int fd = 0; fd < 3 && d->null_fd >= 0; fd++)
		dup2(d->null_fd, fd);
	if (d->null_fd > 2)
		close(d->null_fd);
	atomic_store(&d->background, !d->attached);
	report(d, MNT_EX_OK);
}

void daemon_end(struct daemon *d)
{
	monitor_end(d->monitor);
	d->monitor = NULL;
}

int daemon_failed(struct daemon *d, int status)
{
	report(d, status);
	return status;
}

void daemon_log(void *daemon, int level, const char *line)
{
	static const int priorities[] = { [VFS_LOG_ERR] = LOG_ERR, [VFS_LOG_WARN] = LOG_WARNING,
					  [VFS_LOG_INFO] = LOG_INFO };
	struct daemon *d = daemon;
	char text[2 * LINE_BYTES];

	if (atomic_load(&d->background)) {
		snprintf(text, sizeof(text), "%s: %s", d->name, line);
		monitor_log(d->monitor, priorities[level], text);
	} else {
		fprintf(stderr, "fuse4fs: %s: %s\n", d->name, line);
	}
}

void daemon_printf(struct daemon *d, int level, const char *fmt, ...)
{
	char line[LINE_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	daemon_log(d, level, line);
}
