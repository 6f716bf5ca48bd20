// SPDX-License-Identifier: GPL-2.0-or-later
/* Key files, descriptors, the terminal, the password agent; see keysource.h. */
#include "keysource.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/secret.h"
#include "terminal.h"
#include "why.h"

enum { PIECE = 4096, PROMPT_BYTES = PATH_MAX + 64 };

static const char agent_program[] = "systemd-ask-password";

/* Secret memory that grows. */
struct bytes {
	char *mem;		/* room bytes, or NULL */
	size_t len, room;
};

static int make_room(struct bytes *b, size_t room)
{
	char *mem;

	if (room <= b->room)
		return 0;
	if (room < 2 * b->room)
		room = 2 * b->room;
	mem = secret_new(room);
	if (!mem)
		return -ENOMEM;
	if (b->len)
		memcpy(mem, b->mem, b->len);
	secret_free(b->mem);
	b->mem = mem;
	b->room = room;
	return 0;
}

static ssize_t read_some(int fd, void *buf, size_t len)
{
	ssize_t n;

	do
		n = read(fd, buf, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Up to a newline or the end, byte by byte: what follows is somebody else's. */
static int read_line(int fd, struct bytes *b)
{
	ssize_t n;
	int err;

	for (;;) {
		if (b->len == KEYSOURCE_MAX)
			return -E2BIG;
		err = make_room(b, b->len + 1);
		if (err)
			return err;
		n = read_some(fd, b->mem + b->len, 1);
		if (n < 0)
			return (int)n;
		if (!n)
			return b->len ? 0 : -ECANCELED;
		if (b->mem[b->len] == '\n')
			return 0;
		b->len++;
	}
}

/* max bytes, or with max 0 all there are. */
static int read_all(int fd, uint64_t max, struct bytes *b)
{
	const uint64_t limit = max ? max : KEYSOURCE_MAX;
	ssize_t n;
	int err;

	for (;;) {
		size_t want = limit - b->len < PIECE ? (size_t)(limit - b->len) : PIECE;

		if (!want && max)
			return 0;
		err = make_room(b, b->len + (want ? want : 1));
		if (err)
			return err;
		n = read_some(fd, b->mem + b->len, want ? want : 1);
		if (n < 0)
			return (int)n;
		if (!n)
			return max ? -ENODATA : 0;
		if (!want)
			return -E2BIG;
		b->len += (size_t)n;
	}
}

/* A pipe cannot seek. */
static int skip(int fd, uint64_t off, struct bytes *scratch)
{
	ssize_t n;
	int err;

	if (!off || lseek(fd, (off_t)off, SEEK_CUR) >= 0)
		return 0;
	if (errno != ESPIPE)
		return -errno;
	err = make_room(scratch, PIECE);
	while (!err && off) {
		n = read_some(fd, scratch->mem, off < PIECE ? (size_t)off : PIECE);
		if (n <= 0)
			return n < 0 ? (int)n : -ENODATA;
		off -= (uint64_t)n;
	}
	return err;
}

static int explain_keyfile(const struct keysource *src, int err, const struct why *why)
{
	switch (err) {
	case -E2BIG:
		return why_fail(why, err, "keyfile=%s: has more than 8 MiB; say with keyfile-size= how "
				"much of it is the key", src->keyfile);
	case -ENODATA:
		return why_fail(why, err, "keyfile=%s: has less than keyfile-offset= and keyfile-size= "
				"ask for", src->keyfile);
	default:
		return why_fail(why, err, "keyfile=%s: %s", src->keyfile, strerror(-err));
	}
}

static int read_keyfile(const struct keysource *src, struct bytes *b, const struct why *why)
{
	const bool is_stdin = !strcmp(src->keyfile, "-");
	int err, fd = is_stdin ? STDIN_FILENO : open(src->keyfile, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return explain_keyfile(src, -errno, why);
	err = skip(fd, src->keyfile_off, b);
	if (!err)
		err = read_all(fd, src->keyfile_len, b);
	if (!err && !b->len)
		err = why_fail(why, -ECANCELED, "keyfile=%s: there is no key in it", src->keyfile);
	else if (err)
		explain_keyfile(src, err, why);
	if (!is_stdin)
		close(fd);
	return err;
}

static int read_descriptor(int fd, const char *name, struct bytes *b, const struct why *why)
{
	int err = read_line(fd, b);

	if (err == -ECANCELED)
		return why_fail(why, err, "no passphrase came from %s", name);
	if (err == -E2BIG)
		return why_fail(why, err, "the passphrase from %s is longer than 8 MiB", name);
	return err ? why_fail(why, err, "%s: %s", name, strerror(-err)) : 0;
}

static int ask_terminal(const struct keysource *src, struct bytes *b, const struct why *why)
{
	char prompt[PROMPT_BYTES];
	int err = make_room(b, KEYSOURCE_LINE_MAX + 1);

	if (err)
		return err;
	snprintf(prompt, sizeof(prompt), "Enter passphrase for %s: ", src->image);
	err = terminal_ask(prompt, false, b->mem, KEYSOURCE_LINE_MAX + 1, &b->len);
	if (err == -ENODATA)
		return why_fail(why, -ECANCELED, "no passphrase was given");
	if (err == -E2BIG)
		return why_fail(why, err, "the passphrase is longer than %d bytes; put it into a file "
				"(keyfile=)", KEYSOURCE_LINE_MAX);
	return err ? why_fail(why, err, "cannot ask on the terminal: %s", strerror(-err)) : 0;
}

/* Starts the agent's client with a pipe as its output. */
static int start_agent(const struct keysource *src, pid_t *ret_pid, int *ret_fd)
{
	char prompt[PROMPT_BYTES], id[PROMPT_BYTES];
	const char *argv[] = { agent_program, "--no-tty", "--icon=drive-harddisk", id, prompt,
			       NULL };
	posix_spawn_file_actions_t actions;
	int fds[2], err;

	snprintf(prompt, sizeof(prompt), "Enter passphrase for %s:", src->image);
	snprintf(id, sizeof(id), "--id=fuse4fs:%s", src->image);
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	err = posix_spawn_file_actions_init(&actions);
	if (!err) {
		posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
		err = posix_spawnp(ret_pid, argv[0], &actions, NULL, (char *const *)argv, environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	close(fds[1]);
	if (err) {
		close(fds[0]);
		return -err;
	}
	*ret_fd = fds[0];
	return 0;
}

static int ask_agent(const struct keysource *src, struct bytes *b, const struct why *why)
{
	int status, err, fd = -1;
	pid_t pid = -1;

	err = start_agent(src, &pid, &fd);
	if (err)
		return why_fail(why, -ENXIO, "a passphrase is needed, but there is no terminal, no piped "
				"input and no %s; give keyfile= or passfd=", agent_program);
	err = read_line(fd, b);
	close(fd);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return why_fail(why, -errno, "%s: %s", agent_program, strerror(errno));
	if (!WIFEXITED(status) || WEXITSTATUS(status) || err == -ECANCELED)
		return why_fail(why, -ECANCELED, "no passphrase was given: %s was not answered",
				agent_program);
	return err ? why_fail(why, err, "%s: %s", agent_program, strerror(-err)) : 0;
}

static bool stdin_is_piped(void)
{
	struct stat st;

	return !fstat(STDIN_FILENO, &st) &&
	       (S_ISFIFO(st.st_mode) || S_ISREG(st.st_mode) || S_ISSOCK(st.st_mode));
}

enum keysource_kind keysource_kind(const struct keysource *src)
{
	if (src->keyfile)
		return KEYSOURCE_FILE;
	if (src->passfd >= 0)
		return KEYSOURCE_PASSFD;
	if (stdin_is_piped())
		return KEYSOURCE_STDIN;
	return terminal_there() ? KEYSOURCE_TERMINAL : KEYSOURCE_AGENT;
}

int keysource_tries(const struct keysource *src)
{
	const enum keysource_kind kind = keysource_kind(src);

	return kind == KEYSOURCE_TERMINAL || kind == KEYSOURCE_AGENT ? KEYSOURCE_TRIES : 1;
}

static int read_from(const struct keysource *src, struct bytes *b, const struct why *why)
{
	char name[32];

	switch (keysource_kind(src)) {
	case KEYSOURCE_FILE:
		return read_keyfile(src, b, why);
	case KEYSOURCE_PASSFD:
		snprintf(name, sizeof(name), "passfd=%d", src->passfd);
		return read_descriptor(src->passfd, name, b, why);
	case KEYSOURCE_STDIN:
		return read_descriptor(STDIN_FILENO, "standard input", b, why);
	case KEYSOURCE_TERMINAL:
		return ask_terminal(src, b, why);
	default:
		return ask_agent(src, b, why);
	}
}

int keysource_read(const struct keysource *src, void **ret, size_t *ret_len, char *why_text,
		   size_t why_len)
{
	const struct why why = { why_text, why_len };
	struct bytes b = { NULL, 0, 0 };
	int err = make_room(&b, PIECE);

	if (!err)
		err = read_from(src, &b, &why);
	if (err == -ENOMEM)
		why_say(&why, "not enough memory for the passphrase");
	if (err) {
		secret_free(b.mem);
		return err;
	}
	*ret = b.mem;
	*ret_len = b.len;
	return 0;
}
