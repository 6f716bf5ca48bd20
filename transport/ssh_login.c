// SPDX-License-Identifier: GPL-2.0-or-later
/* A login from the first packet to the last; see ssh_login.h. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ssh_login_int.h"

enum { CONNECT_TIMEOUT_S = 30 };

void ssh_login_clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = ' ';
}

int ssh_login_fail(struct ssh_login *l, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(l->why, sizeof(l->why), fmt, ap);
	va_end(ap);
	ssh_login_clean(l->why);
	return err;
}

const char *ssh_login_error(struct ssh_login *l, const char *fallback)
{
	const char *text = ssh_get_error(l->session);

	return text && *text ? text : fallback;
}

/* ssh(1) as the way to a jump host: it has the agent and survives a fork. */
static void choose_proxyjump(void)
{
	static const char *const places[] = { "/usr/bin/ssh", "/usr/local/bin/ssh", "/bin/ssh" };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (!access(places[i], X_OK))
			setenv("OPENSSH_PROXYJUMP", "1", 0);
}

static int copy_strings(struct ssh_login *l)
{
	const char **fields[] = { &l->opt.host, &l->opt.user, &l->opt.config, &l->opt.identity,
				  &l->opt.known_hosts, &l->opt.ciphers };

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (!*fields[i])
			continue;
		*fields[i] = l->strings[i] = strdup(*fields[i]);
		if (!*fields[i])
			return -ENOMEM;
	}
	return 0;
}

int ssh_login_new(const struct ssh_login_options *opt, struct ssh_login **ret)
{
	struct ssh_login *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->opt = *opt;
	l->tcp.fd = -1;
	if (copy_strings(l)) {
		ssh_login_free(l);
		return -ENOMEM;
	}
	choose_proxyjump();
	*ret = l;
	return 0;
}

void ssh_login_free(struct ssh_login *l)
{
	if (!l)
		return;
	ssh_login_drop(l);
	tcp_fini(&l->tcp);
	ssh_key_free(l->pin);
	ssh_key_free(l->identity);
	for (size_t i = 0; i < sizeof(l->strings) / sizeof(l->strings[0]); i++)
		free(l->strings[i]);
	free(l);
}

void ssh_login_drop(struct ssh_login *l)
{
	const struct linger hard = { .l_onoff = 1 };
	int fd;

	tcp_abort(&l->tcp);
	if (l->session) {
		fd = (int)ssh_get_fd(l->session);
		if (fd >= 0)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		ssh_silent_disconnect(l->session);
		ssh_free(l->session);
	}
	l->session = NULL;
	l->state = LOGIN_DOWN;
	l->auth = (struct ssh_auth){ 0 };
}

/* "user@host" as ssh_config has it. */
static void name_it(struct ssh_login *l)
{
	char *user = NULL;

	if (ssh_options_get(l->session, SSH_OPTIONS_USER, &user))
		user = NULL;
	snprintf(l->where, sizeof(l->where), "%s%s%s", user ? user : "", user ? "@" : "", l->opt.host);
	ssh_string_free_char(user);
	ssh_login_clean(l->where);
}

/* Through a ProxyCommand libssh connects, otherwise we do. */
static int connect_start(struct ssh_login *l)
{
	char *proxy = NULL, *host = NULL, reason[256] = "";
	unsigned port = 22;
	int err;

	if (!ssh_options_get(l->session, SSH_OPTIONS_PROXYCOMMAND, &proxy) && proxy) {
		ssh_string_free_char(proxy);
		l->has_proxy = true;
		l->state = LOGIN_HANDSHAKE;
		return 0;
	}
	if (ssh_options_get_port(l->session, &port) || port == 0 || port > 65535)
		port = 22;
	if (ssh_options_get(l->session, SSH_OPTIONS_HOST, &host) || !host)
		return ssh_login_fail(l, -ENOMEM, "out of memory");
	err = tcp_start(&l->tcp, host, port, reason, sizeof(reason));
	ssh_string_free_char(host);
	if (err)
		return ssh_login_fail(l, err, "%s", reason);
	l->state = LOGIN_TCP;
	return 0;
}

int ssh_login_start(struct ssh_login *l)
{
	int err;

	ssh_login_drop(l);
	err = ssh_setup(l);
	if (!err) {
		name_it(l);
		err = connect_start(l);
	}
	if (err == -ENOMEM)
		ssh_login_fail(l, err, "out of memory");
	if (err)
		ssh_login_drop(l);
	return err;
}

static int step_tcp(struct ssh_login *l)
{
	int fd, err = tcp_step(&l->tcp, &fd);

	if (err == -EAGAIN)
		return err;
	if (err)
		return ssh_login_fail(l, err, "%s: cannot connect: %s", l->opt.host, strerror(-err));
	if (ssh_options_set(l->session, SSH_OPTIONS_FD, &fd)) {
		close(fd);
		return ssh_login_fail(l, -ENOMEM, "out of memory");
	}
	l->state = LOGIN_HANDSHAKE;
	return 0;
}

static int step_handshake(struct ssh_login *l)
{
	int rc = ssh_connect(l->session), fd = (int)ssh_get_fd(l->session), err;

	/* A ProxyCommand's socket blocks: a peer that takes nothing would stop us. */
	if (fd >= 0)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	if (rc == SSH_AGAIN)
		return -EAGAIN;
	if (rc != SSH_OK)
		return ssh_login_fail(l, -ECONNRESET, "%s: %s", l->opt.host,
				      ssh_login_error(l, "the connection was lost"));
	err = ssh_hostkey_check(l);
	if (!err)
		l->state = LOGIN_AUTH;
	return err;
}

static int step_auth(struct ssh_login *l)
{
	int err = ssh_auth_step(l);

	if (!err)
		l->state = LOGIN_UP;
	return err;
}

/* libssh may have closed its socket, reset at a bad moment, and still say "again", for ever. */
static bool socket_gone(struct ssh_login *l)
{
	if (l->state != LOGIN_HANDSHAKE && l->state != LOGIN_AUTH)
		return false;
	return ssh_get_fd(l->session) < 0 ||
	       ssh_get_status(l->session) & (SSH_CLOSED | SSH_CLOSED_ERROR);
}

int ssh_login_step(struct ssh_login *l)
{
	static int (*const steps[])(struct ssh_login *) = {
		[LOGIN_TCP] = step_tcp, [LOGIN_HANDSHAKE] = step_handshake, [LOGIN_AUTH] = step_auth,
	};
	int err = 0;

	if (l->state == LOGIN_DOWN)
		return -ENOTCONN;
	while (!err && l->state != LOGIN_UP)
		err = steps[l->state](l);
	if (err == -EAGAIN && socket_gone(l))
		err = ssh_login_fail(l, -ECONNRESET, "%s: %s", l->opt.host,
				     ssh_login_error(l, "the connection was lost"));
	if (err && err != -EAGAIN)
		ssh_login_drop(l);
	return err;
}

unsigned ssh_login_pollfd(struct ssh_login *l, struct pollfd *fd, int *ret_timeout_ms)
{
	int64_t left_ms;

	if (l->state == LOGIN_DOWN)
		return 0;
	if (l->state == LOGIN_TCP) {
		*fd = (struct pollfd){ .fd = l->tcp.fd, .events = POLLOUT };
		left_ms = (l->tcp.until_ns - tcp_now_ns()) / 1000000 + 1;
		if (left_ms < 0)
			left_ms = 0;
		if (*ret_timeout_ms < 0 || left_ms < *ret_timeout_ms)
			*ret_timeout_ms = (int)left_ms;
		return 1;
	}
	*fd = (struct pollfd){ .fd = (int)ssh_get_fd(l->session), .events = POLLIN };
	if (fd->fd < 0) {
		*ret_timeout_ms = 0;
		return 0;
	}
	if (ssh_get_poll_flags(l->session) & SSH_WRITE_PENDING)
		fd->events |= POLLOUT;
	return 1;
}

/* Time the user takes to answer does not count: each step starts the clock anew. */
int ssh_login_now(struct ssh_login *l)
{
	const int64_t limit_ns = (int64_t)(l->opt.connect_timeout_s ? l->opt.connect_timeout_s
								    : CONNECT_TIMEOUT_S) * 1000000000;
	int64_t left_ns = limit_ns, before_ns;
	int err;

	l->first = true;
	err = ssh_login_start(l);
	if (!err)
		err = ssh_login_step(l);
	while (err == -EAGAIN && left_ns > 0) {
		int timeout_ms = (int)(left_ns / 1000000) + 1;
		struct pollfd fd;
		unsigned n = ssh_login_pollfd(l, &fd, &timeout_ms);

		before_ns = tcp_now_ns();
		if (poll(&fd, n, timeout_ms) < 0 && errno != EINTR)
			err = ssh_login_fail(l, -errno, "poll: %s", strerror(errno));
		left_ns -= tcp_now_ns() - before_ns;
		if (err == -EAGAIN)
			err = ssh_login_step(l);
	}
	l->first = false;
	if (err == -EAGAIN) {
		ssh_login_drop(l);
		return ssh_login_fail(l, -ETIMEDOUT, "%s: does not answer", l->opt.host);
	}
	return err;
}

bool ssh_login_has_proxy(const struct ssh_login *l)
{
	return l->has_proxy;
}

bool ssh_login_is_up(const struct ssh_login *l)
{
	return l->state == LOGIN_UP;
}

ssh_session ssh_login_session(struct ssh_login *l)
{
	return l->session;
}

const char *ssh_login_why(const struct ssh_login *l)
{
	return l->why;
}
