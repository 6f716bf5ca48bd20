// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The prompt; see terminal.h.
 *
 * The signals that would leave a terminal without echo behind are blocked while echo is off
 * and watched through a signalfd, which is never read: the signal stays pending and takes its
 * usual effect when the mask is put back, which is after the terminal has been. They are all
 * signals but those in `unwatched`, and what the process ignores.
 */
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "crypto/secret.h"

enum { AGAIN = 1 };	/* stopped and continued: ask once more */

static int open_terminal(void)
{
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return fd;
}

bool terminal_there(void)
{
	int fd = open_terminal();

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static int say(int fd, const char *text)
{
	size_t len = strlen(text);

	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* 0 when there is input, AGAIN when a watched signal is pending. */
static int wait_for_input(int fd, int signals)
{
	struct pollfd fds[] = { { .fd = fd, .events = POLLIN },
				{ .fd = signals, .events = POLLIN } };

	while (poll(fds, 2, -1) < 0)
		if (errno != EINTR)
			return -errno;
	return fds[1].revents ? AGAIN : 0;
}

static int read_line(int fd, int signals, char *buf, size_t size, size_t *ret_len)
{
	char *newline;
	size_t len = 0;
	ssize_t n;
	int err;

	for (;;) {
		err = wait_for_input(fd, signals);
		if (err)
			return err;
		if (len == size)
			return -E2BIG;
		n = read(fd, buf + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n && !len)
			return -ENODATA;
		newline = memchr(buf + len, '\n', (size_t)n);
		if (newline || !n) {
			*ret_len = newline ? (size_t)(newline - buf) : len;
			return 0;
		}
		len += (size_t)n;
	}
}

static int set_mode(int fd, const struct termios *mode)
{
	while (tcsetattr(fd, TCSAFLUSH, mode) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* REQUIRES the watched signals to be blocked. */
static int ask_once(int fd, int signals, const char *prompt, bool echo, char *buf, size_t size,
		    size_t *ret_len)
{
	struct termios before, quiet;
	int err, err2;

	if (tcgetattr(fd, &before) < 0)
		return -errno;
	quiet = before;
	if (!echo)
		quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	quiet.c_lflag |= ICANON | ISIG;
	err = set_mode(fd, &quiet);
	if (err)
		return err;
	err = say(fd, prompt);
	if (!err)
		err = read_line(fd, signals, buf, size, ret_len);
	err2 = set_mode(fd, &before);
	if (!echo || err)
		say(fd, "\n");
	return err ? err : err2;
}

/* SIGTTOU and SIGTTIN keep a background process off the terminal; some have no effect; the rest
 * say that this program is broken and must be heard at once. */
static const int unwatched[] = { SIGTTOU, SIGTTIN, SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGSEGV,
				 SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };

static void watched_signals(sigset_t *set)
{
	struct sigaction action;

	sigfillset(set);
	for (size_t i = 0; i < sizeof(unwatched) / sizeof(unwatched[0]); i++)
		sigdelset(set, unwatched[i]);
	/* An ignored signal would stay pending as long as it is blocked. */
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		if (!sigaction(sig, NULL, &action) && action.sa_handler == SIG_IGN)
			sigdelset(set, sig);
}

int terminal_ask(const char *prompt, bool echo, char *buf, size_t size, size_t *ret_len)
{
	sigset_t watched, before;
	int fd = open_terminal(), signals, err;

	if (fd < 0)
		return -ENXIO;
	watched_signals(&watched);
	signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	do {
		pthread_sigmask(SIG_BLOCK, &watched, &before);
		err = ask_once(fd, signals, prompt, echo, buf, size, ret_len);
		if (err)
			secret_wipe(buf, size);
		pthread_sigmask(SIG_SETMASK, &before, NULL);	/* may be the end, or a stop */
	} while (err == AGAIN);
	close(signals);
	close(fd);
	return err;
}
