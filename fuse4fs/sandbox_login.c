// SPDX-License-Identifier: GPL-2.0-or-later
/* What an image needs, on an SSH server above all: the files that logging in again reads. */
#include "sandbox_int.h"
#include "sandbox_login.h"

#include <limits.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { DESCRIPTORS = 256 };	/* that are looked at: the login's are among the first */

/*
 * Of root, who may read what nobody else may: /etc/shadow, keys of hosts and containers. These
 * are files, not names: one that is replaced is not the same any more. The names of hosts and
 * users have another answer then (tcp.c, ssh_login.c).
 */
static const char *const root_files[] = {
	"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/host.conf",
	"/etc/services", "/etc/passwd", "/etc/localtime", "/etc/ssl/openssl.cnf",
	"/etc/crypto-policies", "/etc/libssh", "/etc/ssh/ssh_config", "/etc/ssh/ssh_config.d",
	"/etc/ssh/ssh_known_hosts",
};

/* What /etc/resolv.conf may lead to is replaced when the network changes. */
static const char *const directories[] = {
	"/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/run/connman",
	"/usr/share/zoneinfo", "/usr/share/crypto-policies", "/usr/lib/ssl",
};

enum { PATHS_MAX = 40 };

/* Copies of paths. Zeros are none; more than fit are left out. */
struct paths {
	char *list[PATHS_MAX + 1];	/* NULL at the end */
	unsigned n;
};

static void add_path(struct paths *p, const char *path)
{
	if (!path || p->n == PATHS_MAX)
		return;
	p->list[p->n] = strdup(path);
	p->n += p->list[p->n] != NULL;
}

static void free_paths(struct paths *p)
{
	for (unsigned i = 0; i < p->n; i++)
		free(p->list[i]);
	p->n = 0;
}

static void add_list(struct paths *p, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add_path(p, list[i]);
}

/* Directories of the user's, by both opinions; "" unknown. */
struct homes {
	char ssh[2][PATH_MAX];		/* ~/.ssh */
};

static void find_homes(struct homes *h)
{
	const char *home = getenv("HOME");
	struct passwd entry, *user = NULL;
	char text[4096];

	if (getpwuid_r(geteuid(), &entry, text, sizeof(text), &user))
		user = NULL;
	snprintf(h->ssh[0], PATH_MAX, "%s%s", user ? user->pw_dir : "", user ? "/.ssh" : "");
	snprintf(h->ssh[1], PATH_MAX, "%s%s", home ? home : "", home ? "/.ssh" : "");
}

static bool is_above(const char *dir, const char *path)
{
	const size_t len = strlen(dir);

	return !strcmp(dir, "/") || (!strncmp(dir, path, len) && path[len] == '/');
}

/* More than somebody's configuration is in there. */
static bool is_common(const struct homes *h, const char *dir)
{
	return is_above(dir, "/etc/ssh/ssh_config") || is_above(dir, h->ssh[0]) ||
	       is_above(dir, h->ssh[1]);
}

/* The file, and the directory it is in: editors put a new file in the place of the old one. */
static void add_config(struct paths *p, const struct homes *h, const char *file)
{
	const char *slash = strrchr(file, '/');
	char dir[PATH_MAX], real[PATH_MAX];

	add_path(p, file);
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - file) : 1, slash ? file : ".");
	if (slash != file && realpath(dir, real) && !is_common(h, real))
		add_path(p, real);
}

static void add_login(struct paths *p, const struct sandbox_login *l)
{
	struct homes h;

	find_homes(&h);
	for (int i = 0; i < 2; i++)
		if (h.ssh[i][0])
			add_path(p, h.ssh[i]);
	if (l->config && strcmp(l->config, "none") != 0)
		add_config(p, &h, l->config);
	add_path(p, l->identity);
	add_path(p, l->known_hosts);
	if (geteuid() == 0)
		add_list(p, root_files, sizeof(root_files) / sizeof(root_files[0]));
	else
		add_path(p, "/etc");
	add_list(p, directories, sizeof(directories) / sizeof(directories[0]));
}

/* libssh keeps it open as long as the session. Sockets of a pair have no name. */
static bool has_peer_with_name(int fd)
{
	struct sockaddr_un a = { .sun_family = AF_UNSPEC };
	socklen_t len = sizeof(a);

	return !getpeername(fd, (struct sockaddr *)&a, &len) && a.sun_family == AF_UNIX &&
	       len > offsetof(struct sockaddr_un, sun_path) && (a.sun_path[0] || a.sun_path[1]);
}

/* SSH_AUTH_SOCK, or what the login that is there has talked to: IdentityAgent of ssh_config. */
static bool has_agent(void)
{
	const char *variable = getenv("SSH_AUTH_SOCK");

	if (variable && *variable)
		return true;
	for (int fd = STDERR_FILENO + 1; fd < DESCRIPTORS; fd++)
		if (has_peer_with_name(fd))
			return true;
	return false;
}

void sandbox_login_enter(const struct sandbox_login *l, struct sandbox_state *ret)
{
	struct paths p = { .n = 0 };
	struct sandbox_needs needs = { .network = l->remote, .programs = l->programs,
				       .probing = l->probing };

	needs.names = needs.network || SANITIZED;	/* those have reports to write */
	needs.agent = needs.network && has_agent();
	add_path(&p, "/proc");	/* loop_keeper.c has it open; libssh's configuration is in a memfd */
	if (needs.network)
		add_login(&p, l);
	needs.read = (const char *const *)p.list;
	sandbox_enter(&needs, ret);
	free_paths(&p);
}
