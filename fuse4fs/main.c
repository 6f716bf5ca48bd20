// SPDX-License-Identifier: GPL-2.0-or-later
/* fuse4fs: serves an ext4 image through FUSE. The command line and the signals. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "export.h"
#include "inherited.h"
#include "mount.h"
#include "options.h"
#include "parent.h"
#include "private.h"
#include "probe.h"
#include "server.h"
#include "status.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

/* Written by the signal handler, which may run on any thread. */
static volatile sig_atomic_t signal_pipe = -1;

/* Of --die-with-parent, for the handler of the signal about it. */
static volatile sig_atomic_t parent_pid;

static void on_signal(int sig)
{
	int saved = errno;

	(void)sig;
	if (write(signal_pipe, "", 1) < 0)
		errno = 0;	/* full: it has been said */
	errno = saved;
}

/* A descriptor that becomes readable when the process is told to end, or -errno. */
static int catch_signals(void)
{
	static const int endings[] = { SIGTERM, SIGINT, SIGHUP };
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	signal_pipe = fds[1];
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
		sigaction(endings[i], &act, NULL);
	return fds[0];
}

static const struct server_role *role_of(const struct options *opt)
{
	return opt->action == ACT_EXPORT ? &export_role : &server_fs_role;
}

/* The process is there for the server alone: ready_fd is told how it went. */
static int serve_private(const struct options *opt, int ready_fd, int command_fd)
{
	const int kept[] = { ready_fd, command_fd };
	struct daemon daemon;
	int status, err;

	inherited_close(opt, kept, 2);
	err = daemon_adopt(&daemon, ready_fd, opt->image);
	if (err)
		return MNT_EX_SYSERR;
	daemon.end_fd = command_fd;
	status = server_run(opt, role_of(opt), &daemon, catch_signals);
	daemon_end(&daemon);
	return status;
}

static void on_parent_signal(int sig)
{
	(void)sig;
	if (getppid() != parent_pid)
		kill(getpid(), SIGTERM);
}

/* Until the server looks at the descriptor, its parent's end is its own, and without one in the
 * background that of the process which waits. */
static int end_with_parent(int *ret_fd)
{
	struct sigaction act = { .sa_handler = on_parent_signal, .sa_flags = SA_RESTART };
	int err;

	parent_pid = getppid();
	err = parent_watch(ret_fd);
	if (err)
		return err;
	sigaction(PARENT_SIGNAL, &act, NULL);
	parent_signal(parent_pid, PARENT_SIGNAL);
	return 0;
}

static int serve(const struct options *opt)
{
	struct daemon daemon;
	int status, parent_fd = -1, err = 0;

	inherited_close(opt, NULL, 0);
	if (opt->die_with_parent)
		err = end_with_parent(&parent_fd);
	if (err) {
		fprintf(stderr, "fuse4fs: --die-with-parent: %s\n", err == -ECHILD ?
			"the parent is in another PID namespace" : strerror(-err));
		return MNT_EX_SYSERR;
	}
	err = daemon_start(&daemon, opt->foreground, opt->image);
	daemon.end_fd = parent_fd;
	if (err) {
		fprintf(stderr, "fuse4fs: cannot start a process: %s\n", strerror(-err));
		return MNT_EX_SYSERR;
	}
	status = server_run(opt, role_of(opt), &daemon, catch_signals);
	daemon_end(&daemon);
	return status;
}

static int mount_image(const struct options *opt)
{
	char why[512];

	if (inherited_check(opt, why, sizeof(why))) {
		fprintf(stderr, "fuse4fs: %s\n", why);
		return MNT_EX_FAIL;
	}
	return opt->private ? private_main(opt, serve_private) : serve(opt);
}

static int run(const struct options *opt)
{
	switch (opt->action) {
	case ACT_HELP:
		options_help();
		return fflush(stdout) ? MNT_EX_SYSERR : MNT_EX_OK;
	case ACT_HELP_OPTIONS:
		options_help_list();
		return fflush(stdout) ? MNT_EX_SYSERR : MNT_EX_OK;
	case ACT_VERSION:
		printf("fuse4fs %s\n", PACKAGE_VERSION);
		return fflush(stdout) ? MNT_EX_SYSERR : MNT_EX_OK;
	case ACT_PROBE:
		return probe_main(opt);
	case ACT_STATUS:
		return status_main(opt->mountpoint, opt->json);
	case ACT_UNMOUNT:
		return mount_umount_main(opt->mountpoint, opt->lazy, opt->force);
	default:
		return mount_image(opt);
	}
}

int main(int argc, char **argv)
{
	struct options opt = { 0 };
	char why[512];
	int status;

	if (options_parse(argc, argv, &opt, why, sizeof(why))) {
		fprintf(stderr, "fuse4fs: %s\n", why);
		status = MNT_EX_USAGE;
	} else {
		status = run(&opt);
	}
	options_fini(&opt);
	return status;
}
