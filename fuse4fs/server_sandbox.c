// SPDX-License-Identifier: GPL-2.0-or-later
/* What the sandbox is told about this server, and what is told about it. */
#include "server_sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "monitor.h"
#include "sandbox_login.h"
#include "server.h"
#include "status.h"

static void enter(struct server *srv)
{
	const struct options *o = srv->opt;
	const struct sandbox_login login = {
		.remote = srv->device.remote != NULL, .programs = srv->device.programs,
		.config = o->ssh_config, .identity = o->identity, .known_hosts = o->known_hosts,
	};

	sandbox_login_enter(&login, &srv->sandbox);
	atomic_store(&srv->confined, true);
}

int server_sandbox(struct server *srv, char *why, size_t why_len)
{
	const int mode = srv->opt->sandbox;
	char missing[256] = "";
	int err;

	if (mode == OPT_SANDBOX_NO)
		return 0;
	err = monitor_confine(srv->daemon->monitor);
	if (err)
		snprintf(missing, sizeof(missing), "none for the monitor (%s)", strerror(-err));
	enter(srv);
	if (!err)
		sandbox_describe_missing(&srv->sandbox, missing, sizeof(missing));
	if (!missing[0])
		return 0;
	if (mode == OPT_SANDBOX_REQUIRE) {
		snprintf(why, why_len, "sandbox=require: %s; mount with sandbox=try to do without",
			 missing);
		return -EPERM;
	}
	daemon_printf(srv->daemon, VFS_LOG_INFO, "the sandbox is not complete: %s", missing);
	return 0;
}

void server_sandbox_status(const struct server *srv, struct json_object *o)
{
	struct json_object *g = status_add_group(o, "sandbox");

	for (int i = 0; i < SANDBOX_PARTS; i++) {
		const bool on = atomic_load(&srv->confined) && !srv->sandbox.err[i];

		status_add_string(g, sandbox_part_name(i),
				  i == SANDBOX_CAPABILITIES ? on ? "none" : "kept" :
				  i == SANDBOX_MOUNTS ? on ? "empty" : "kept" : on ? "yes" : "no");
	}
}
