/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What differs between libssh 0.10.6, 0.11 and 0.12 and matters here. */
#ifndef TRANSPORT_COMPAT_SSH_H
#define TRANSPORT_COMPAT_SSH_H

#include <libssh/libssh.h>

/*
 * Until 0.11 a channel's receive window is 640 KB, which is all that arrives in a round trip.
 * Asking to read more than the window holds widens it to that. scratch is COMPAT_SSH_WINDOW
 * bytes that are never touched (the callback has taken what there was). No-op in later
 * versions, whose window is 2 MiB. SSH_ERROR: the session is lost.
 */
int compat_ssh_widen_window(ssh_channel channel, void *scratch);
/* Bytes to be consumed before the window is worth widening again; 0: never. */
size_t compat_ssh_window_step(void);

enum { COMPAT_SSH_WINDOW = 8 << 20 };

#endif
