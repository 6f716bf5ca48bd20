/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A stream (stream.h) over libssh: one login, one connection, a channel for each server. */
#ifndef TRANSPORT_STREAM_SSH_H
#define TRANSPORT_STREAM_SSH_H

#include "ssh_login.h"
#include "stream.h"

/*
 * stream_ssh_open - log in for the first time, asking the user where needed
 *
 * ret_programs  logging in again starts a program: a ProxyCommand or ProxyJump
 * why  on failure one line that names the host
 *
 * The session is kept for the stream's first start(); later ones log in anew, without
 * asking. A server has SFTP's subsystem; one that does not is found out in pump().
 * Returns 0; those of ssh_login_now; -ENOMEM. Blocks.
 */
int stream_ssh_open(const struct ssh_login_options *opt, struct stream **ret,
		    bool *ret_programs, char *why, size_t why_len);

#endif
