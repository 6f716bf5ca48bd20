/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The server's sandbox, as sandbox= asks for it. */
#ifndef FUSE4FS_SERVER_SANDBOX_H
#define FUSE4FS_SERVER_SANDBOX_H

#include <stddef.h>

struct json_object;
struct server;

/*
 * server_sandbox - give up what serving does not need
 *
 * srv has been mounted and its threads run. Notes the outcome in srv->sandbox, and logs what
 * is missing. 0; -EPERM something is, and sandbox=require: a sentence in why.
 */
int server_sandbox(struct server *srv, char *why, size_t why_len);
/* Its part of --status. */
void server_sandbox_status(const struct server *srv, struct json_object *o);

#endif
