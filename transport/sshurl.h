/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of images on other machines:
 *
 *   sftp://[USER@]HOST[:PORT]/ABSOLUTE/PATH     %XX stands for a byte
 *   sftp://[USER@]HOST[:PORT]/~/RELATIVE        to the login directory
 *   [USER@]HOST:PATH                            as scp(1) has it; nothing is decoded
 *
 * HOST may be an IPv6 address in brackets. Knows nothing of ssh_config: HOST may be an alias.
 */
#ifndef TRANSPORT_SSHURL_H
#define TRANSPORT_SSHURL_H

#include <stdbool.h>
#include <stddef.h>

/* Strings belong to it. */
struct sshurl {
	char *user;	/* NULL: not said */
	char *host;	/* without brackets */
	unsigned port;	/* 0: not said */
	char *path;	/* not empty; without '/' in front: relative to the login directory */
};

/*
 * Whether name means another machine: it has a scheme, or a colon that no slash precedes,
 * and no local file has that name. "fd:N" is local.
 */
bool sshurl_is_remote(const char *name);

/*
 * sshurl_parse - take a name apart for which sshurl_is_remote is true
 *
 * why  on failure one sentence that names the object and says what is wrong
 *
 * What could be taken for an option or mean something to a shell, as ProxyCommand would
 * pass it on, is refused in USER and HOST. Returns 0; -EINVAL; -ENOMEM.
 */
int sshurl_parse(const char *name, struct sshurl *ret, char *why, size_t why_len);
void sshurl_fini(struct sshurl *url);

#endif
