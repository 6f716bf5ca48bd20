/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sandbox by what an image needs: a local one nothing, one on an SSH server the files that
 * logging in again reads.
 *
 * Those are ssh(1)'s own in ~/.ssh, what options name, and what the resolver and the libraries
 * of libssh have in /etc: for root each by its name, for others whatever they may read there.
 */
#ifndef FUSE4FS_SANDBOX_LOGIN_H
#define FUSE4FS_SANDBOX_LOGIN_H

#include "sandbox.h"

struct sandbox_login {
	bool remote;			/* the image is on an SSH server */
	bool programs;			/* one is started to log in again */
	bool probing;			/* as struct sandbox_needs has it */
	const char *config, *identity, *known_hosts;	/* of remote: options, absolute, or NULL */
};

/* See sandbox_enter. The login is there: if it has used an agent, later ones may. */
void sandbox_login_enter(const struct sandbox_login *l, struct sandbox_state *ret);

#endif
