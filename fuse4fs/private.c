// SPDX-License-Identifier: GPL-2.0-or-later
/* A command with a mount of its own; see private.h. */
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inherited.h"
#include "options.h"

enum { EX_CANNOT_RUN = 126, EX_NOT_FOUND = 127, EX_SIGNAL = 128 };

/* What the waiting process looks after. */
struct keeper {
	pid_t server, command;
	int command_fd;			/* readable when the command has ended */
	int parent_fd;			/* the same of our parent, or -1 */
	int signal_fd;
	sigset_t before;		/* the signal mask we were started with */
};

static int complain(const char *what, int err)
{
	fprintf(stderr, "fuse4fs: --private: %s: %s%s\n", what, strerror(-err),
		err == -EPERM || err == -ENOSPC ?
		" (user namespaces may be forbidden here: sysctl user.max_user_namespaces)" : "");
	return MNT_EX_SYSERR;
}

static int open_process(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

int private_watch_parent(int *ret_fd)
{
	const pid_t parent = getppid();
	int fd;

	if (!parent)
		return -ECHILD;	/* it lives in another PID namespace */
	fd = open_process(parent);
	if (fd < 0)
		return fd;
	/* Gone meanwhile: the number may have been another process's. */
	if (getppid() != parent) {
		close(fd);
		return -ESRCH;
	}
	*ret_fd = fd;
	return 0;
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* A user namespace that knows the calling user and group only, and a mount namespace in it. */
static int enter_as_user(void)
{
	char users[64], groups[64];
	int err;

	snprintf(users, sizeof(users), "%u %u 1\n", geteuid(), geteuid());
	snprintf(groups, sizeof(groups), "%u %u 1\n", getegid(), getegid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return -errno;
	err = write_text("/proc/self/setgroups", "deny");
	if (!err)
		err = write_text("/proc/self/uid_map", users);
	return err ? err : write_text("/proc/self/gid_map", groups);
}

/* Mounts made outside arrive, ours do not leave. */
static int enter_namespace(void)
{
	int err = 0;

	if (unshare(CLONE_NEWNS))
		err = errno == EPERM ? enter_as_user() : -errno;
	if (!err && mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL))
		err = -errno;
	return err;
}

static void die_with(pid_t parent, int sig)
{
	prctl(PR_SET_PDEATHSIG, sig, 0, 0, 0);
	if (getppid() != parent)
		raise(sig);
}

/* 0, or the exit status of a server that is not ready. */
static int start_server(struct keeper *k, const struct options *opt,
			int (*serve)(const struct options *opt, int ready_fd))
{
	const pid_t self = getpid();
	unsigned char status = 0;
	int fds[2], how = 0;
	ssize_t n;

	if (pipe2(fds, O_CLOEXEC))
		return complain("pipe", -errno);
	fflush(NULL);
	k->server = fork();
	if (!k->server) {
		close(fds[0]);
		sigprocmask(SIG_SETMASK, &k->before, NULL);
		die_with(self, SIGTERM);
		_exit(serve(opt, fds[1]));
	}
	close(fds[1]);
	if (k->server < 0) {
		close(fds[0]);
		return complain("fork", -errno);
	}
	do
		n = read(fds[0], &status, 1);
	while (n < 0 && errno == EINTR);
	close(fds[0]);
	if (n == 1 && !status)
		return 0;
	while (waitpid(k->server, &how, 0) < 0 && errno == EINTR)
		;
	return status ? status : WIFEXITED(how) && WEXITSTATUS(how) ? WEXITSTATUS(how) : MNT_EX_SOFTWARE;
}

static int start_command(struct keeper *k, const struct options *opt)
{
	const pid_t self = getpid();

	fflush(NULL);
	k->command = fork();
	if (!k->command) {
		sigprocmask(SIG_SETMASK, &k->before, NULL);
		die_with(self, SIGTERM);
		inherited_leave(opt);
		execvp(opt->command[0], opt->command);
		fprintf(stderr, "fuse4fs: %s: %s\n", opt->command[0], strerror(errno));
		_exit(errno == ENOENT ? EX_NOT_FOUND : EX_CANNOT_RUN);
	}
	if (k->command < 0)
		return complain("fork", -errno);
	k->command_fd = open_process(k->command);
	return k->command_fd < 0 ? complain("pidfd_open", k->command_fd) : 0;
}

/* The terminal's signals go to the command as well, without us. */
static void pass_signal(const struct keeper *k)
{
	struct signalfd_siginfo info;

	if (read(k->signal_fd, &info, sizeof(info)) == sizeof(info) && info.ssi_code != SI_KERNEL)
		kill(k->command, (int)info.ssi_signo);
}

/* The command's exit status as sh(1) has it. */
static int await_command(struct keeper *k)
{
	int how = 0;

	for (;;) {
		struct pollfd fds[] = { { .fd = k->command_fd, .events = POLLIN },
					{ .fd = k->signal_fd, .events = POLLIN },
					{ .fd = k->parent_fd, .events = POLLIN } };

		if (poll(fds, 3, -1) < 0)
			continue;
		if (fds[0].revents)
			break;
		if (fds[1].revents)
			pass_signal(k);
		if (fds[2].revents) {
			kill(k->command, SIGKILL);
			k->parent_fd = -1;
		}
	}
	while (waitpid(k->command, &how, 0) < 0 && errno == EINTR)
		;
	return WIFSIGNALED(how) ? EX_SIGNAL + WTERMSIG(how) : WEXITSTATUS(how);
}

/* Its exit status. */
static int end_server(struct keeper *k)
{
	int how = 0;

	kill(k->server, SIGTERM);
	while (waitpid(k->server, &how, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(how) ? WEXITSTATUS(how) : MNT_EX_SOFTWARE;
}

static int catch_signals(struct keeper *k)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, &k->before);
	k->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	return k->signal_fd < 0 ? -errno : 0;
}

int private_main(const struct options *opt, int (*serve)(const struct options *opt, int ready_fd))
{
	struct keeper k = { .command_fd = -1, .parent_fd = -1 };
	int err = opt->die_with_parent ? private_watch_parent(&k.parent_fd) : 0, status, ended;

	if (err)
		return complain("--die-with-parent", err);
	err = enter_namespace();
	if (err)
		return complain("cannot make a mount namespace", err);
	err = catch_signals(&k);
	if (err)
		return complain("signalfd", err);
	status = start_server(&k, opt, serve);
	if (status)
		return status;
	status = start_command(&k, opt);
	if (!status)
		status = await_command(&k);
	ended = end_server(&k);
	return status ? status : ended;
}
