/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of a login share; see ssh_login.h. */
#ifndef TRANSPORT_SSH_LOGIN_INT_H
#define TRANSPORT_SSH_LOGIN_INT_H

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#include "ssh_login.h"
#include "tcp.h"

enum { SSH_WHY_BYTES = 512, SSH_TRIES = 3, SSH_PARTIAL_MAX = 4 };

enum login_state { LOGIN_DOWN, LOGIN_TCP, LOGIN_HANDSHAKE, LOGIN_AUTH, LOGIN_UP };

/* Progress of the user's authentication. */
struct ssh_auth {
	unsigned method;	/* row of the table in ssh_auth.c */
	unsigned tries;		/* of that method */
	unsigned partial;	/* methods that have succeeded, but were not enough */
	bool started;		/* the server has been asked which methods it takes */
	bool pending;		/* the call has to be repeated with what it was given */
	const char *answer;	/* the password under way; the asker's */
};

struct ssh_login {
	struct ssh_login_options opt;	/* [init only] strings are ours */
	char *strings[6];		/* [init only] and here to be freed */
	enum login_state state;
	bool has_proxy;			/* the last connection was a program's */
	bool first;			/* may ask; the host key is not pinned */
	ssh_session session;		/* NULL when DOWN */
	struct tcp_attempt tcp;
	struct ssh_auth auth;
	char *user;			/* whom the first login let in, or NULL; libssh's to free */
	ssh_key pin;			/* host key of the first login */
	ssh_key identity;		/* opt.identity or key_file, once it has been read */
	char *key_file;			/* of ssh_config, tried last, or NULL; libssh's to free */
	bool identity_unusable;		/* it cannot be read; said once */
	struct ssh_callbacks_struct callbacks;
	char where[256];		/* "user@host", for prompts and messages */
	char why[SSH_WHY_BYTES];
};

/* Writes the reason, one line of printable characters, and returns err. */
int ssh_login_fail(struct ssh_login *l, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* libssh's own words for what went wrong last, or fallback. */
const char *ssh_login_error(struct ssh_login *l, const char *fallback);
/* Makes text from the net harmless for a terminal, in place. */
void ssh_login_clean(char *text);

/* ssh_setup.c: a session with its options; l->session. 0 or -errno. */
int ssh_setup(struct ssh_login *l);
/* ssh_hostkey.c: 0, -EKEYREJECTED, -ENOMEM. Pins the key on the first login. */
int ssh_hostkey_check(struct ssh_login *l);
/* ssh_auth.c: 0 let in, -EAGAIN, -EACCES, -errno the connection is lost. */
int ssh_auth_step(struct ssh_login *l);

#endif
