/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Children behind socket pairs.
 *
 * A child that ends is a channel that closes; the last one takes the stream with it. A child
 * is killed by drop() and reaped there; one that cannot die yet (its disk hangs) is reaped by
 * a later drop() instead of holding up the thread.
 *
 * The first child alone may ask the user. The others are started when it has spoken, which is
 * when its login is done, without a terminal and told not to ask: four prompts at once could
 * be answered by nobody, and an empty password is a failed login. One that cannot do without
 * is a channel less.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stream_cmd.h"

enum {
	READ_LEN = 256 * 1024,
	READS_PER_PUMP = 4,	/* of one channel, so that the others have their turn */
	REAP_TRIES = 100,	/* milliseconds */
	WHY_LEN = 256,
	MAX_LEFT = 4 * STREAM_MAX_CHANNELS,
};

struct child {
	pid_t pid;		/* 0: none */
	int fd;			/* our end, -1: closed */
	int err_fd;		/* its standard error, -1: closed */
	bool announced;		/* opened() was called */
	bool spoke;		/* bytes have come */
	bool full;		/* the last send() took less than it was offered */
};

struct stream_cmd {
	struct stream stream;
	char **argv;		/* [init only] */
	char **quiet_argv;	/* [init only] of what must not ask */
	struct stream_sink sink;
	struct child children[STREAM_MAX_CHANNELS];
	unsigned count;		/* given to start(); 0: DOWN */
	unsigned started;	/* of these; a child that ended counts */
	pid_t left[MAX_LEFT];	/* killed, not reaped yet; 0: none */
	char why[WHY_LEN];	/* last line a child wrote, or what we know ourselves */
	uint8_t buf[READ_LEN];
};

static struct stream_cmd *to_cmd(struct stream *s)
{
	return (struct stream_cmd *)s;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* The environment in which ssh(1) starts no window to ask in. The strings are not copies. */
static char **quiet_env(void)
{
	static char never[] = "SSH_ASKPASS_REQUIRE=never";
	const size_t name_len = strcspn(never, "=") + 1;
	size_t n = 0, kept = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 2, sizeof(*env));
	for (size_t i = 0; env && i < n; i++)
		if (strncmp(environ[i], never, name_len) != 0)
			env[kept++] = environ[i];
	if (env)
		env[kept] = never;
	return env;
}

/*
 * In the child: both standard streams on the socket, signals as a shell would have them. But one
 * that has a terminal, to ask there, does not end with it: the mount goes on without.
 */
static int spawn_on(char **argv, char **env, bool quiet, int sock, int err_fd, pid_t *ret_pid)
{
	const short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
			    (quiet ? POSIX_SPAWN_SETSID : 0);
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t mask, all;
	int err;

	sigemptyset(&mask);
	if (!quiet)
		sigaddset(&mask, SIGHUP);
	sigfillset(&all);
	posix_spawn_file_actions_init(&fa);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_adddup2(&fa, sock, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&fa, sock, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&fa, err_fd, STDERR_FILENO);
	posix_spawnattr_setsigmask(&attr, &mask);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, flags);
	err = posix_spawnp(ret_pid, argv[0], &fa, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&fa);
	return -err;
}

static int spawn(struct stream_cmd *cmd, bool quiet, int sock, int err_fd, pid_t *ret_pid)
{
	char **env = quiet ? quiet_env() : environ;
	int err = -ENOMEM;

	if (env)
		err = spawn_on(quiet ? cmd->quiet_argv : cmd->argv, env, quiet, sock, err_fd,
			       ret_pid);
	if (quiet)
		free(env);
	return err;
}

static int start_child(struct stream_cmd *cmd, struct child *child, bool quiet)
{
	int sock[2], pipes[2], err, len = 1024 * 1024;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock) < 0)
		return -errno;
	if (pipe2(pipes, O_CLOEXEC) < 0) {
		err = -errno;
		close(sock[0]);
		close(sock[1]);
		return err;
	}
	for (int i = 0; i < 2; i++) {
		setsockopt(sock[i], SOL_SOCKET, SO_SNDBUF, &len, sizeof(len));
		setsockopt(sock[i], SOL_SOCKET, SO_RCVBUF, &len, sizeof(len));
	}
	/* Only our ends: a child expects blocking ones. */
	fcntl(sock[0], F_SETFL, O_NONBLOCK);
	fcntl(pipes[0], F_SETFL, O_NONBLOCK);
	err = spawn(cmd, quiet, sock[1], pipes[1], &child->pid);
	close(sock[1]);
	close(pipes[1]);
	child->fd = sock[0];
	child->err_fd = pipes[0];
	child->announced = child->spoke = child->full = false;
	if (err) {
		snprintf(cmd->why, sizeof(cmd->why), "%s: %s", cmd->argv[0], strerror(-err));
		child->pid = 0;
		close_fd(&child->fd);
		close_fd(&child->err_fd);
	}
	return err;
}

static void reap_left(struct stream_cmd *cmd)
{
	for (unsigned i = 0; i < MAX_LEFT; i++)
		if (cmd->left[i] && waitpid(cmd->left[i], NULL, WNOHANG) != 0)
			cmd->left[i] = 0;
}

/* With more than there is room for, one stays a zombie. */
static void leave(struct stream_cmd *cmd, pid_t pid)
{
	unsigned i = 0;

	while (i < MAX_LEFT - 1 && cmd->left[i])
		i++;
	cmd->left[i] = pid;
}

static void reap(struct stream_cmd *cmd, struct child *child)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	pid_t pid = child->pid;

	child->pid = 0;
	if (!pid)
		return;
	kill(pid, SIGKILL);
	for (int i = 0; i < REAP_TRIES; i++) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;
		nanosleep(&ms, NULL);
	}
	leave(cmd, pid);
}

static void cmd_drop(struct stream *s)
{
	struct stream_cmd *cmd = to_cmd(s);

	for (unsigned i = 0; i < cmd->count; i++) {
		close_fd(&cmd->children[i].fd);
		close_fd(&cmd->children[i].err_fd);
		if (cmd->children[i].pid)
			kill(cmd->children[i].pid, SIGKILL);
	}
	reap_left(cmd);
	for (unsigned i = 0; i < cmd->count; i++)
		reap(cmd, &cmd->children[i]);
	cmd->count = cmd->started = 0;
}

static int cmd_start(struct stream *s, unsigned channels, const struct stream_sink *sink)
{
	struct stream_cmd *cmd = to_cmd(s);
	int err;

	cmd->sink = *sink;
	cmd->why[0] = '\0';
	err = start_child(cmd, &cmd->children[0], false);
	if (err)
		return err;
	cmd->count = channels;
	cmd->started = 1;
	return 0;
}

/* The first one's login is done. */
static void start_others(struct stream_cmd *cmd)
{
	while (cmd->started < cmd->count) {
		const unsigned i = cmd->started++;
		int err = start_child(cmd, &cmd->children[i], true);

		if (err)
			cmd->sink.closed(cmd->sink.arg, i, err);
	}
}

static unsigned cmd_pollfds(struct stream *s, struct pollfd *fds, int *ret_timeout_ms)
{
	struct stream_cmd *cmd = to_cmd(s);
	unsigned n = 0;

	for (unsigned i = 0; i < cmd->count; i++) {
		struct child *child = &cmd->children[i];

		if (child->fd >= 0 && !child->announced)
			*ret_timeout_ms = 0;
		if (child->fd >= 0)
			fds[n++] = (struct pollfd){ .fd = child->fd,
				.events = POLLIN | (child->full ? POLLOUT : 0) };
		if (child->err_fd >= 0)
			fds[n++] = (struct pollfd){ .fd = child->err_fd, .events = POLLIN };
	}
	return n;
}

/* Keeps the last line that is not empty, without what a terminal would act upon. */
static void keep_line(struct stream_cmd *cmd, const char *text, size_t len)
{
	while (len && (unsigned char)text[len - 1] <= ' ')
		len--;
	for (size_t i = len; i > 0; i--) {
		if (text[i - 1] == '\n') {
			text += i;
			len -= i;
			break;
		}
	}
	if (!len)
		return;
	if (len >= sizeof(cmd->why))
		len = sizeof(cmd->why) - 1;
	for (size_t i = 0; i < len; i++)
		cmd->why[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i];
	cmd->why[len] = '\0';
}

static void read_messages(struct stream_cmd *cmd, struct child *child)
{
	char text[1024];
	ssize_t n;

	if (child->err_fd < 0)
		return;
	n = read(child->err_fd, text, sizeof(text));
	/* Why one more could not log in explains nothing later. */
	if (n > 0 && (child == cmd->children || child->spoke))
		keep_line(cmd, text, n);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_fd(&child->err_fd);
}

static void end_child(struct stream_cmd *cmd, unsigned i, int err)
{
	struct child *child = &cmd->children[i];

	close_fd(&child->fd);
	/* What it said last explains why. */
	read_messages(cmd, child);
	cmd->sink.closed(cmd->sink.arg, i, err);
}

static void read_bytes(struct stream_cmd *cmd, unsigned i)
{
	struct child *child = &cmd->children[i];

	for (int turn = 0; turn < READS_PER_PUMP && child->fd >= 0; turn++) {
		ssize_t n = recv(child->fd, cmd->buf, sizeof(cmd->buf), 0);

		if (n > 0) {
			child->spoke = true;
			cmd->sink.data(cmd->sink.arg, i, cmd->buf, n);
			continue;
		}
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		end_child(cmd, i, n == 0 ? -EPIPE : -errno);
	}
}

static int cmd_pump(struct stream *s)
{
	struct stream_cmd *cmd = to_cmd(s);
	unsigned alive = 0;

	for (unsigned i = 0; i < cmd->count; i++) {
		struct child *child = &cmd->children[i];

		if (child->fd >= 0 && !child->announced) {
			child->announced = true;
			cmd->sink.opened(cmd->sink.arg, i);
		}
		child->full = false;
		read_messages(cmd, child);
		read_bytes(cmd, i);
		alive += child->fd >= 0;
	}
	if (cmd->children[0].spoke && cmd->children[0].fd >= 0)
		start_others(cmd);
	if (alive)
		return 0;
	if (!cmd->why[0])
		snprintf(cmd->why, sizeof(cmd->why), "%s ended", cmd->argv[0]);
	return -ECONNRESET;
}

static ssize_t cmd_send(struct stream *s, unsigned chan, const struct iovec *iov, int niov)
{
	struct stream_cmd *cmd = to_cmd(s);
	struct child *child = &cmd->children[chan];
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = niov };
	size_t want = 0;
	ssize_t n;

	if (chan >= cmd->count || child->fd < 0)
		return -EPIPE;
	for (int i = 0; i < niov; i++)
		want += iov[i].iov_len;
	n = sendmsg(child->fd, &msg, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return -errno;
	if (n < 0)
		n = 0;
	child->full = (size_t)n < want;
	return n;
}

static void free_argv(char **argv)
{
	for (size_t i = 0; argv && argv[i]; i++)
		free(argv[i]);
	free(argv);
}

static void cmd_free(struct stream *s)
{
	struct stream_cmd *cmd = to_cmd(s);

	cmd_drop(s);
	free_argv(cmd->argv);
	free_argv(cmd->quiet_argv);
	free(cmd);
}

static const char *cmd_why(struct stream *s)
{
	return to_cmd(s)->why;
}

static const struct stream_ops cmd_ops = {
	.start = cmd_start,
	.pollfds = cmd_pollfds,
	.pump = cmd_pump,
	.send = cmd_send,
	.drop = cmd_drop,
	.free = cmd_free,
	.why = cmd_why,
};

/* second: a word to follow the first, or NULL. */
static char **copy_argv(const char *const *argv, const char *second)
{
	size_t n = 0, done = 0;
	char **copy;

	while (argv[n])
		n++;
	copy = calloc(n + 2, sizeof(*copy));
	for (size_t i = 0; copy && i < n; i++) {
		copy[done++] = strdup(argv[i]);
		if (copy[done - 1] && i == 0 && second)
			copy[done++] = strdup(second);
		if (!copy[done - 1]) {
			free_argv(copy);
			return NULL;
		}
	}
	return copy;
}

static bool is_ssh(const char *word)
{
	const char *slash = strrchr(word, '/');

	return !strcmp(slash ? slash + 1 : word, "ssh");
}

int stream_cmd_new(const char *const *argv, struct stream **ret)
{
	struct stream_cmd *cmd;

	if (!argv || !argv[0])
		return -EINVAL;
	cmd = calloc(1, sizeof(*cmd));
	if (!cmd)
		return -ENOMEM;
	cmd->stream.ops = &cmd_ops;
	cmd->argv = copy_argv(argv, NULL);
	cmd->quiet_argv = copy_argv(argv, is_ssh(argv[0]) ? "-oBatchMode=yes" : NULL);
	if (!cmd->argv || !cmd->quiet_argv) {
		free_argv(cmd->argv);
		free_argv(cmd->quiet_argv);
		free(cmd);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < STREAM_MAX_CHANNELS; i++)
		cmd->children[i].fd = cmd->children[i].err_fd = -1;
	*ret = &cmd->stream;
	return 0;
}
