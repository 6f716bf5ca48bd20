/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a passphrase comes from (fuse4fs/keysource.c), and the prompt (terminal.c) on a pty. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/secret.h"
#include "fuse4fs/keysource.h"
#include "fuse4fs/terminal.h"

static struct keysource source(void)
{
	return (struct keysource){ .image = "IMG", .passfd = -1 };
}

/* A file of a test, gone when it is closed; its path is /proc/self/fd/N. */
static int file_with(const void *bytes, size_t len, char path[64])
{
	char name[] = "/tmp/keysource.XXXXXX";
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	if (path)
		snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static int pipe_with(const void *bytes, size_t len)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], bytes, len), (ssize_t)len);
	close(fds[1]);
	return fds[0];
}

static void expect_key(const struct keysource *src, const void *want, size_t want_len)
{
	char why[512] = "";
	void *key = NULL;
	size_t len = 0;
	int err = keysource_read(src, &key, &len, why, sizeof(why));

	if (err)
		print_error("%s\n", why);
	assert_int_equal(err, 0);
	assert_int_equal(len, want_len);
	assert_memory_equal(key, want, want_len);
	secret_free(key);
}

static void expect_error(const struct keysource *src, int want, const char *says)
{
	char why[512] = "";
	void *key = NULL;
	size_t len;
	int err = keysource_read(src, &key, &len, why, sizeof(why));

	if (err != want || !strstr(why, says))
		print_error("%d: %s\n", err, why);
	assert_int_equal(err, want);
	assert_non_null(strstr(why, says));
	assert_null(key);
}

static void test_keyfile(void **state)
{
	struct keysource src = source();
	char path[64], *big = calloc(1, KEYSOURCE_MAX + 1);
	int fd = file_with("0123\n5678\n", 10, path);

	(void)state;
	src.keyfile = path;
	assert_int_equal(keysource_kind(&src), KEYSOURCE_FILE);
	assert_int_equal(keysource_tries(&src), 1);
	expect_key(&src, "0123\n5678\n", 10);
	src.keyfile_off = 3;
	expect_key(&src, "3\n5678\n", 7);
	src.keyfile_len = 4;
	expect_key(&src, "3\n56", 4);
	src.keyfile_len = 8;
	expect_error(&src, -ENODATA, "keyfile-size");
	src.keyfile_len = 0;
	src.keyfile_off = 10;
	expect_error(&src, -ECANCELED, "no key in it");
	src.keyfile_off = 0;
	assert_int_equal(pwrite(fd, big, KEYSOURCE_MAX, 0), KEYSOURCE_MAX);
	expect_key(&src, big, KEYSOURCE_MAX);
	assert_int_equal(pwrite(fd, big, 1, KEYSOURCE_MAX), 1);
	expect_error(&src, -E2BIG, "8 MiB");
	close(fd);
	free(big);
	src.keyfile = "/nowhere/key";
	expect_error(&src, -ENOENT, "/nowhere/key");
	src.keyfile = "/";
	expect_error(&src, -EISDIR, "keyfile=/");
}

static void test_passfd(void **state)
{
	struct keysource src = source();
	char rest[8];

	(void)state;
	src.passfd = pipe_with("pass\nrest\n", 10);
	assert_int_equal(keysource_kind(&src), KEYSOURCE_PASSFD);
	expect_key(&src, "pass", 4);
	assert_int_equal(read(src.passfd, rest, sizeof(rest)), 5);	/* is left for others */
	close(src.passfd);
	src.passfd = pipe_with("\n", 1);
	expect_key(&src, "", 0);
	close(src.passfd);
	src.passfd = pipe_with("a\0b", 3);
	expect_key(&src, "a\0b", 3);
	expect_error(&src, -ECANCELED, "passfd=");
	close(src.passfd);
	expect_error(&src, -EBADF, "passfd=");
}

/* Runs fn in a process with no controlling terminal, its standard input being in. */
static int in_child(int in, void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		setsid();
		dup2(in, STDIN_FILENO);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

#define check(cond) do { if (!(cond)) { \
	fprintf(stderr, "line %d: %s\n", __LINE__, #cond); _exit(1); } } while (0)

/* What keysource_read says in a child, where cmocka's assertions do not work. */
static int child_read(const struct keysource *src, const char *want)
{
	char why[512] = "";
	void *key = NULL;
	size_t len = 0;
	int err = keysource_read(src, &key, &len, why, sizeof(why));

	if (!err)
		check(len == strlen(want) && !memcmp(key, want, len));
	else
		check(strstr(why, want));
	secret_free(key);
	return err;
}

static void child_stdin_line(void)
{
	struct keysource src = source();

	check(keysource_kind(&src) == KEYSOURCE_STDIN);
	check(keysource_tries(&src) == 1);
	check(child_read(&src, "line") == 0);
	src.keyfile = "-";
	src.keyfile_off = 1;
	check(child_read(&src, "est\nmore\n") == 0);
}

static void child_no_stdin(void)
{
	struct keysource src = source();

	check(keysource_kind(&src) == KEYSOURCE_AGENT);
	check(keysource_tries(&src) == KEYSOURCE_TRIES);
	setenv("PATH", "/nowhere", 1);
	check(child_read(&src, "no terminal") == -ENXIO);
}

static void test_stdin(void **state)
{
	int fd = pipe_with("line\nrest\nmore\n", 15);

	(void)state;
	assert_int_equal(in_child(fd, child_stdin_line), 0);
	close(fd);
	fd = open("/dev/null", O_RDONLY);
	assert_int_equal(in_child(fd, child_no_stdin), 0);
	close(fd);
}

/* A stand-in for the agent's client, first in PATH. */
static void make_agent(char dir[64], const char *script)
{
	char path[96];
	FILE *f;

	snprintf(dir, 64, "/tmp/keysource.XXXXXX");
	check(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/systemd-ask-password", dir);
	f = fopen(path, "w");
	check(f && fprintf(f, "#!/bin/sh\n%s\n", script) > 0 && !fclose(f) && !chmod(path, 0700));
	snprintf(path, sizeof(path), "%s:/usr/bin:/bin", dir);
	setenv("PATH", path, 1);
}

static void remove_agent(const char *dir)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/systemd-ask-password", dir);
	unlink(path);
	rmdir(dir);
}

static void child_agent(void)
{
	struct keysource src = source();
	char dir[64];

	make_agent(dir, "case $* in *--id=fuse4fs:IMG*'for IMG:') echo secret;; *) exit 3;; esac");
	check(child_read(&src, "secret") == 0);
	remove_agent(dir);
	make_agent(dir, "echo partial; exit 1");
	check(child_read(&src, "not answered") == -ECANCELED);
	remove_agent(dir);
}

static void test_agent(void **state)
{
	int fd = open("/dev/null", O_RDONLY);

	(void)state;
	assert_int_equal(in_child(fd, child_agent), 0);
	close(fd);
}

/* A person: a pty whose other end belongs to a child that asks. */
struct person {
	int master;
	pid_t pid;
};

static void become_asker(const char *tty, const char *want)
{
	struct keysource src = source();
	int fd;

	setsid();
	fd = open(tty, O_RDWR);
	check(fd >= 0 && !ioctl(fd, TIOCSCTTY, 0));
	dup2(fd, STDIN_FILENO);
	check(keysource_kind(&src) == KEYSOURCE_TERMINAL);
	check(keysource_tries(&src) == KEYSOURCE_TRIES);
	_exit(-child_read(&src, want));
}

static struct person start_asker(const char *want)
{
	struct person p = { .master = posix_openpt(O_RDWR | O_NOCTTY) };

	assert_true(p.master >= 0);
	assert_int_equal(grantpt(p.master), 0);
	assert_int_equal(unlockpt(p.master), 0);
	p.pid = fork();
	assert_true(p.pid >= 0);
	if (!p.pid)
		become_asker(ptsname(p.master), want);
	return p;
}

static bool echoes(const struct person *p)
{
	struct termios t;

	assert_int_equal(tcgetattr(p->master, &t), 0);
	return t.c_lflag & ECHO;
}

/* Reads what the terminal shows until text appears. */
static void see(const struct person *p, const char *text, char *shown, size_t size)
{
	size_t len = 0;

	while (len + 1 < size) {
		struct pollfd fds = { .fd = p->master, .events = POLLIN };
		ssize_t n;

		assert_int_equal(poll(&fds, 1, 10000), 1);
		n = read(p->master, shown + len, size - 1 - len);
		assert_true(n > 0);
		len += (size_t)n;
		shown[len] = '\0';
		if (strstr(shown, text))
			return;
	}
	fail();
}

static void prompt(const struct person *p)
{
	char shown[256];

	see(p, "Enter passphrase for IMG: ", shown, sizeof(shown));
	assert_false(echoes(p));
}

static void type(const struct person *p, const char *text)
{
	assert_int_equal(write(p->master, text, strlen(text)), (ssize_t)strlen(text));
}

static int finish(struct person *p)
{
	int status;

	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	assert_true(echoes(p));
	close(p->master);
	return status;
}

static void test_terminal(void **state)
{
	struct person p = start_asker("my seret");
	char shown[256];

	(void)state;
	prompt(&p);
	type(&p, "my sekx\177\177ret\n");	/* erasing works */
	see(&p, "\n", shown, sizeof(shown));
	assert_null(strstr(shown, "s"));	/* nothing was echoed */
	assert_int_equal(finish(&p), 0);

	p = start_asker("my secret");
	prompt(&p);
	type(&p, "my secret\n");
	assert_int_equal(finish(&p), 0);

	p = start_asker("no passphrase was given");
	prompt(&p);
	type(&p, "\004");
	assert_int_equal(WEXITSTATUS(finish(&p)), ECANCELED);
}

static void test_terminal_line_too_long(void **state)
{
	struct person p = start_asker("longer");
	char line[600];

	(void)state;
	memset(line, 'x', sizeof(line));
	line[598] = '\n';
	line[599] = '\0';
	prompt(&p);
	type(&p, line);
	assert_int_equal(WEXITSTATUS(finish(&p)), E2BIG);
}

static void test_terminal_interrupted(void **state)
{
	static const struct { const char *key; int sig; } keys[] = { { "\003", SIGINT },
								     { "\034", SIGQUIT } };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct person p = start_asker("");
		int status;

		prompt(&p);
		type(&p, "half");
		type(&p, keys[i].key);
		status = finish(&p);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), keys[i].sig);
	}
}

static void test_terminal_killed(void **state)
{
	const int signals[] = { SIGHUP, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF,
				SIGPIPE, SIGPOLL, SIGXCPU, SIGABRT, SIGRTMIN, SIGRTMAX };

	(void)state;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct person p = start_asker("");
		int status;

		prompt(&p);
		kill(p.pid, signals[i]);
		status = finish(&p);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), signals[i]);
	}
}

/* What has no effect otherwise has none here. */
static void test_terminal_undisturbed(void **state)
{
	struct person p;

	(void)state;
	signal(SIGUSR1, SIG_IGN);
	p = start_asker("my secret");
	signal(SIGUSR1, SIG_DFL);
	prompt(&p);
	type(&p, "my sec");
	kill(p.pid, SIGUSR1);
	kill(p.pid, SIGWINCH);
	kill(p.pid, SIGCHLD);
	type(&p, "ret\n");
	assert_int_equal(finish(&p), 0);
}

static void test_terminal_stopped(void **state)
{
	struct person p = start_asker("again");
	int status;

	(void)state;
	prompt(&p);
	type(&p, "half");
	/* A session leader's group is orphaned: ^Z has no effect there, a plain stop has. */
	kill(p.pid, SIGSTOP);
	assert_int_equal(waitpid(p.pid, &status, WUNTRACED), p.pid);
	assert_true(WIFSTOPPED(status));
	kill(p.pid, SIGCONT);
	kill(p.pid, SIGTSTP);
	prompt(&p);		/* anew, and without "half" */
	type(&p, "again\n");
	assert_int_equal(finish(&p), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keyfile),
		cmocka_unit_test(test_passfd),
		cmocka_unit_test(test_stdin),
		cmocka_unit_test(test_agent),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_terminal_line_too_long),
		cmocka_unit_test(test_terminal_interrupted),
		cmocka_unit_test(test_terminal_killed),
		cmocka_unit_test(test_terminal_undisturbed),
		cmocka_unit_test(test_terminal_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
