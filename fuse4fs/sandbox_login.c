// SPDX-License-Identifier: GPL-2.0-or-later
/* What logging in again reads; see sandbox_login.h. */
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

void sandbox_paths_add(struct sandbox_paths *p, const char *path)
{
	if (!path || p->n == SANDBOX_PATHS_MAX)
		return;
	p->list[p->n] = strdup(path);
	p->n += p->list[p->n] != NULL;
}

void sandbox_paths_fini(struct sandbox_paths *p)
{
	for (unsigned i = 0; i < p->n; i++)
		free(p->list[i]);
	p->n = 0;
}

static void add_list(struct sandbox_paths *p, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sandbox_paths_add(p, list[i]);
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
static void add_config(struct sandbox_paths *p, const struct homes *h, const char *file)
{
	const char *slash = strrchr(file, '/');
	char dir[PATH_MAX], real[PATH_MAX];

	sandbox_paths_add(p, file);
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - file) : 1, slash ? file : ".");
	if (slash != file && realpath(dir, real) && !is_common(h, real))
		sandbox_paths_add(p, real);
}

void sandbox_paths_login(struct sandbox_paths *p, const char *config, const char *identity,
			 const char *known_hosts)
{
	struct homes h;

	find_homes(&h);
	for (int i = 0; i < 2; i++)
		if (h.ssh[i][0])
			sandbox_paths_add(p, h.ssh[i]);
	if (config && strcmp(config, "none") != 0)
		add_config(p, &h, config);
	sandbox_paths_add(p, identity);
	sandbox_paths_add(p, known_hosts);
	if (geteuid() == 0)
		add_list(p, root_files, sizeof(root_files) / sizeof(root_files[0]));
	else
		sandbox_paths_add(p, "/etc");
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

bool sandbox_login_agent(void)
{
	const char *variable = getenv("SSH_AUTH_SOCK");

	if (variable && *variable)
		return true;
	for (int fd = STDERR_FILENO + 1; fd < DESCRIPTORS; fd++)
		if (has_peer_with_name(fd))
			return true;
	return false;
}
