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
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon.h"
#include "inherited.h"
#include "options.h"
#include "parent.h"

enum { EX_CANNOT_RUN = 126, EX_NOT_FOUND = 127, EX_SIGNAL = 128 };

/* What the waiting process looks after. */
struct keeper {
	pid_t server, command;
	int command_fd;			/* readable when the command has ended */
	int parent_fd;			/* the same of our parent, or -1 */
	int signal_fd;
	int go_fds[2];			/* a byte lets the command go, the end makes it end */
	bool interrupted;		/* while the server was getting ready */
	bool kill_command;		/* when our parent has ended */
	sigset_t before;		/* the signal mask we were started with */
	sigset_t later;			/* came before there was a command */
};

static int complain(const char *what, int err)
{
	fprintf(stderr, "fuse4fs: --private: %s: %s%s\n", what, strerror(-err),
		err == -EPERM || err == -ENOSPC ?
		" (user namespaces may be forbidden here: sysctl user.max_user_namespaces)" : "");
	return MNT_EX_SYSERR;
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

/* Waits to be let go, and ends when it is not. */
static void __attribute__((noreturn)) be_command(const struct keeper *k, const struct options *opt)
{
	char byte;

	close(k->go_fds[1]);
	inherited_leave(opt);
	if (read(k->go_fds[0], &byte, 1) != 1)
		_exit(MNT_EX_FAIL);
	sigprocmask(SIG_SETMASK, &k->before, NULL);
	execvp(opt->command[0], opt->command);
	fprintf(stderr, "fuse4fs: %s: %s\n", opt->command[0], strerror(errno));
	_exit(errno == ENOENT ? EX_NOT_FOUND : EX_CANNOT_RUN);
}

/* Before the server, which watches it. */
static int start_command(struct keeper *k, const struct options *opt)
{
	const pid_t self = getpid();

	if (pipe2(k->go_fds, O_CLOEXEC))
		return complain("pipe", -errno);
	fflush(NULL);
	k->command = fork();
	if (!k->command) {
		parent_signal(self, SIGTERM);
		be_command(k, opt);
	}
	if (k->command < 0)
		return complain("fork", -errno);
	k->command_fd = parent_open_process(k->command);
	return k->command_fd < 0 ? complain("pidfd_open", k->command_fd) : 0;
}

/* Lets it go, or end. Our end of the pipe keeps SIGPIPE away should it have died. */
static void release_command(struct keeper *k, bool go)
{
	if (go && write(k->go_fds[1], "", 1) < 0)
		complain("pipe", -errno);
	close(k->go_fds[1]);
	close(k->go_fds[0]);
	for (int sig = 1; go && sig <= SIGRTMAX; sig++)
		if (sigismember(&k->later, sig) == 1)
			kill(k->command, sig);
}

static bool is_ignored(int sig)
{
	struct sigaction act;

	return !sigaction(sig, NULL, &act) && act.sa_handler == SIG_IGN;
}

static int read_signal(const struct keeper *k, bool *ret_by_kernel)
{
	struct signalfd_siginfo info;

	if (read(k->signal_fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	*ret_by_kernel = info.ssi_code == SI_KERNEL;
	return (int)info.ssi_signo;
}

static void interrupt_server(struct keeper *k)
{
	k->interrupted = true;
	kill(k->server, SIGTERM);
}

/* Before there is a command. What does not end us is kept for it. */
static void take_early_signal(struct keeper *k)
{
	bool by_kernel;
	const int sig = read_signal(k, &by_kernel);

	if (sig != SIGTERM && sig != SIGINT && sig != SIGHUP && sig != SIGQUIT) {
		if (sig && !by_kernel)
			sigaddset(&k->later, sig);
	} else if (!is_ignored(sig)) {
		interrupt_server(k);
	}
}

/* The status the server reports, or -1: it died. */
static int await_server(struct keeper *k, int ready_fd)
{
	unsigned char status;

	for (;;) {
		struct pollfd fds[] = { { .fd = ready_fd, .events = POLLIN },
					{ .fd = k->signal_fd, .events = POLLIN },
					{ .fd = k->parent_fd, .events = POLLIN } };

		if (poll(fds, 3, -1) < 0)
			continue;
		if (fds[1].revents)
			take_early_signal(k);
		if (fds[2].revents) {
			interrupt_server(k);
			k->parent_fd = -1;
		}
		if (fds[0].revents)
			return read(ready_fd, &status, 1) == 1 ? status : -1;
	}
}

/* 0, or the exit status when there is no mount. */
static int start_server(struct keeper *k, const struct options *opt, private_serve serve)
{
	const pid_t self = getpid();
	int fds[2], status;

	if (pipe2(fds, O_CLOEXEC))
		return complain("pipe", -errno);
	fflush(NULL);
	k->server = fork();
	if (!k->server) {
		sigprocmask(SIG_SETMASK, &k->before, NULL);
		parent_signal(self, SIGTERM);
		_exit(serve(opt, fds[1], k->command_fd));
	}
	close(fds[1]);
	if (k->server < 0) {
		close(fds[0]);
		return complain("fork", -errno);
	}
	status = await_server(k, fds[0]);
	close(fds[0]);
	if (status >= 0)
		return status || !k->interrupted ? status : MNT_EX_USER;
	status = daemon_status_of_death(k->server);
	k->server = -1;
	return status;
}

/* The terminal's signals go to the command as well, without us. */
static void pass_signal(const struct keeper *k)
{
	bool by_kernel;
	const int sig = read_signal(k, &by_kernel);

	if (sig && !by_kernel)
		kill(k->command, sig);
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
			kill(k->command, k->kill_command ? SIGKILL : SIGTERM);
			k->parent_fd = -1;
		}
	}
	while (waitpid(k->command, &how, 0) < 0 && errno == EINTR)
		;
	return WIFSIGNALED(how) ? EX_SIGNAL + WTERMSIG(how) : WEXITSTATUS(how);
}

/* Its exit status, once it has seen the command's end. */
static int await_end(const struct keeper *k)
{
	int how = 0;

	if (k->server < 0)
		return MNT_EX_SOFTWARE;
	while (waitpid(k->server, &how, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(how) ? WEXITSTATUS(how) : MNT_EX_SOFTWARE;
}

/*
 * All that a process can be sent, but those that tell it of its own faults and of its children,
 * and job control's: whoever stops us wants to see us stopped.
 */
static int catch_signals(struct keeper *k)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGPIPE, SIGCHLD,
				   SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT };
	sigset_t set;

	sigemptyset(&k->later);
	sigfillset(&set);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&set, own[i]);
	sigprocmask(SIG_BLOCK, &set, &k->before);
	k->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	return k->signal_fd < 0 ? -errno : 0;
}

/* Who was made to outlive its parent does: by nohup(1), by setsid(1). */
static int watch_parent(struct keeper *k, const struct options *opt)
{
	int err;

	k->kill_command = opt->die_with_parent;
	if (!opt->die_with_parent && (is_ignored(SIGHUP) || getsid(0) == getpid()))
		return 0;
	err = parent_watch(&k->parent_fd);
	return opt->die_with_parent ? err : 0;
}

static int prepare(struct keeper *k, const struct options *opt)
{
	int err = watch_parent(k, opt);

	if (err)
		return complain("--die-with-parent", err);
	err = enter_namespace();
	if (err)
		return complain("cannot make a mount namespace", err);
	err = catch_signals(k);
	return err ? complain("signalfd", err) : 0;
}

int private_main(const struct options *opt, private_serve serve)
{
	struct keeper k = { .server = -1, .command_fd = -1, .parent_fd = -1 };
	int status = prepare(&k, opt), command, end;

	if (!status)
		status = start_command(&k, opt);
	if (status)
		return status;
	status = start_server(&k, opt, serve);
	inherited_leave(opt);
	release_command(&k, !status);
	command = await_command(&k);
	end = await_end(&k);
	return status ? status : command ? command : end;
}
