/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A login on an SSH server through libssh: configuration, connection, host key, user.
 *
 * One struct can log in many times, one after the other. The first login may ask the user;
 * the host key it accepts is the only one accepted afterwards, and later logins take what
 * was answered before. Nothing waits, except for the resolver of names (the first time, and
 * later when no address it gave takes anybody any more), an agent and the user. One thread at a
 * time.
 */
#ifndef TRANSPORT_SSH_LOGIN_H
#define TRANSPORT_SSH_LOGIN_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

/* The user, as far as there is one. */
struct ssh_asker {
	/*
	 * A password, passphrase or the like. prompt: one line, printable, names what it is for.
	 * echo: what is typed may be seen. again: the answer to this prompt was wrong.
	 * fresh: false asks nobody, only for what was answered to this prompt before.
	 * *ret_answer belongs to the asker, in memory fit for it, and is valid until the
	 * next call with the same prompt and again. 0; -ENOTTY nobody to ask or no answer
	 * known; -ECANCELED.
	 */
	int (*secret)(void *arg, const char *prompt, bool echo, bool again, bool fresh,
		      const char **ret_answer);
	/* A yes or no to lines of text that end with a question. 1 yes, 0 no, -ENOTTY. */
	int (*confirm)(void *arg, const char *text);
	/* Something the user should know, one line. */
	void (*tell)(void *arg, const char *line);
	void *arg;
};

/* What to do about a host that known_hosts does not have. A changed key is always refused. */
enum ssh_unknown_host {
	SSH_UNKNOWN_ASK,	/* refuse where nobody can be asked */
	SSH_UNKNOWN_REFUSE,
	SSH_UNKNOWN_ADD,	/* believe the first time, remember */
};

/* NULL and 0: what ssh_config(5) says. Strings are copied. */
struct ssh_login_options {
	const char *host;		/* or an alias of ssh_config; not NULL */
	const char *user;
	unsigned port;
	const char *config;		/* instead of ~/.ssh/config and /etc/ssh/ssh_config */
	const char *identity;		/* key file to offer first */
	const char *known_hosts;
	const char *ciphers;		/* comma-separated */
	enum ssh_unknown_host unknown_host;
	unsigned connect_timeout_s;	/* of the first login, without the user's time; 0: 30 */
	struct ssh_asker asker;
};

struct ssh_login;
struct ssh_session_struct;

/* 0, -ENOMEM. Sets OPENSSH_PROXYJUMP for libssh where ssh(1) exists, and HOME where it is not set:
 * before threads start. */
int ssh_login_new(const struct ssh_login_options *opt, struct ssh_login **ret);
void ssh_login_free(struct ssh_login *l);
/*
 * ssh_login_now - log in, asking where needed
 *
 * Blocks. Returns as ssh_login_step does, and -ETIMEDOUT. Interrupted by nothing.
 */
int ssh_login_now(struct ssh_login *l);
/* Begins another login, which asks nobody. 0; -errno as ssh_login_step. */
int ssh_login_start(struct ssh_login *l);
/*
 * ssh_login_step - go on without waiting
 *
 * 0 logged in; -EAGAIN not yet; -EKEYREJECTED the host key is unknown, changed, or not that
 * of the first login; -EACCES the server does not let the user in, or nobody could be asked;
 * -EINVAL ssh_config cannot be understood; other -errno no connection.
 */
int ssh_login_step(struct ssh_login *l);
/* What to wait for before the next step: 0 or 1 entries; lowers *ret_timeout_ms. */
unsigned ssh_login_pollfd(struct ssh_login *l, struct pollfd *fd, int *ret_timeout_ms);
/* Whether the last login went through a program: ProxyCommand, ProxyJump. */
bool ssh_login_has_proxy(const struct ssh_login *l);
/* Whether a login has succeeded and not been dropped since. */
bool ssh_login_is_up(const struct ssh_login *l);
/* The session of a login that is up; non-blocking. */
struct ssh_session_struct *ssh_login_session(struct ssh_login *l);
/* Resets the connection; logged out. No-op when there is none. */
void ssh_login_drop(struct ssh_login *l);
/* Why the last login failed: one line, without secrets. */
const char *ssh_login_why(const struct ssh_login *l);

#endif
