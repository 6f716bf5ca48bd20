// SPDX-License-Identifier: GPL-2.0-or-later
/* What the sandbox is told about this server, and what is told about it. */
#include "server_sandbox.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandbox.h"
#include "server.h"
#include "status.h"

enum { READ_MAX = 16 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* Copies of paths, NULL at the end. */
struct paths {
	char *list[READ_MAX + 1];
	unsigned n;
};

static void add_path(struct paths *p, const char *dir, const char *name)
{
	char *path = NULL;

	if (!dir || p->n == READ_MAX)
		return;
	if (asprintf(&path, "%s%s%s", dir, *name ? "/" : "", name) >= 0)
		p->list[p->n++] = path;
}

/* The file's directory: editors put a new file in the place of the old one. */
static void add_parent(struct paths *p, const char *file)
{
	const char *slash = file ? strrchr(file, '/') : NULL;
	char *path = NULL;

	if (!file || p->n == READ_MAX)
		return;
	path = slash == file ? strdup("/") : slash ? strndup(file, (size_t)(slash - file)) : strdup(".");
	if (path)
		p->list[p->n++] = path;
}

/*
 * What logging in again reads: ssh(1)'s files, keys, and what the resolver has. Its files are
 * replaced when the network changes, so their directories have to do.
 */
static void add_login_paths(struct paths *p, const struct options *o)
{
	struct passwd entry, *user = NULL;
	char text[4096];

	if (getpwuid_r(geteuid(), &entry, text, sizeof(text), &user))
		user = NULL;
	add_path(p, user ? user->pw_dir : NULL, ".ssh");
	add_path(p, getenv("HOME"), ".ssh");
	add_parent(p, o->ssh_config);
	add_path(p, o->identity, "");
	add_path(p, o->known_hosts, "");
	add_path(p, "/etc", "");
	add_path(p, "/run/systemd/resolve", "");
	add_path(p, "/run/resolvconf", "");
	add_path(p, "/run/NetworkManager", "");
	add_path(p, "/usr/share/zoneinfo", "");
	add_path(p, "/usr/lib/ssl", "");
}

static void free_paths(struct paths *p)
{
	for (unsigned i = 0; i < p->n; i++)
		free(p->list[i]);
}

static void enter(struct server *srv)
{
	struct paths p = { .n = 0 };
	struct sandbox_needs needs = { .network = srv->device.remote != NULL,
				       .programs = srv->device.programs };

	needs.names = needs.network || SANITIZED;	/* those have reports to write */
	add_path(&p, "/proc", "");	/* loop_keeper.c has it open */
	if (needs.network)
		add_login_paths(&p, srv->opt);
	needs.read = (const char *const *)p.list;
	sandbox_enter(&needs, &srv->sandbox);
	atomic_store(&srv->confined, true);
	free_paths(&p);
}

/* "no NAME (why), no NAME (why)". all: also what cannot be had because of an option. */
static void describe_missing(const struct server *srv, bool all, char *buf, size_t size)
{
	size_t used = 0;

	for (int i = 0; i < SANDBOX_PARTS; i++) {
		int err = srv->sandbox.err[i];

		if (!sandbox_missing(&srv->sandbox, i) || (err == -EOPNOTSUPP && !all) || used >= size)
			continue;
		used += (size_t)snprintf(buf + used, size - used, "%sno %s (%s)", used ? ", " : "",
					 sandbox_part_name(i),
					 err == -EOPNOTSUPP ? "a program logs in for us" :
					 strerror(-err));
	}
}

int server_sandbox(struct server *srv, char *why, size_t why_len)
{
	const int mode = srv->opt->sandbox;
	char missing[256] = "";

	if (mode == OPT_SANDBOX_NO)
		return 0;
	enter(srv);
	describe_missing(srv, mode == OPT_SANDBOX_REQUIRE, missing, sizeof(missing));
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
