/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files that logging in on an SSH server again reads, for struct sandbox_needs.
 *
 * ssh(1)'s own in ~/.ssh, what options name, and what the resolver and the libraries of libssh
 * have in /etc: for root each by its name, for others whatever they may read there.
 */
#ifndef FUSE4FS_SANDBOX_LOGIN_H
#define FUSE4FS_SANDBOX_LOGIN_H

#include <stdbool.h>

enum { SANDBOX_PATHS_MAX = 40 };

/* Copies of paths. Zeros are none; more than fit are left out. */
struct sandbox_paths {
	char *list[SANDBOX_PATHS_MAX + 1];	/* NULL at the end */
	unsigned n;
};

/* NULL is a no-op. */
void sandbox_paths_add(struct sandbox_paths *p, const char *path);
/* What the options of these names say, absolute, or NULL. */
void sandbox_paths_login(struct sandbox_paths *p, const char *config, const char *identity,
			 const char *known_hosts);
/* Whether it takes an agent: SSH_AUTH_SOCK names one, or the login that is there has talked to one
 * (IdentityAgent of ssh_config). */
bool sandbox_login_agent(void);
void sandbox_paths_fini(struct sandbox_paths *p);

#endif
