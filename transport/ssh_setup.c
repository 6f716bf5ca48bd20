// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The options of a session. Versions of libssh disagree on whether an option that was set or
 * ssh_config wins; the order here makes what was said explicitly win in all of them:
 * host and user (Match may ask for them), ssh_config, the explicit options, and no more config.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__aarch64__)
#include <asm/hwcap.h>
#endif

#include "ssh_login_int.h"

/*
 * What ssh_config does not say. The first word of a session on a matter counts, so this is
 * parsed as a last configuration file. With AES in hardware GCM costs a client a quarter
 * less than libssh's first choice.
 */
static const char fast_ciphers[] =
	"Ciphers aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,"
	"aes256-ctr,aes192-ctr,aes128-ctr\n";

static bool has_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __builtin_cpu_supports("aes");
#elif defined(__aarch64__)
	return getauxval(AT_HWCAP) & HWCAP_AES;
#else
	return false;
#endif
}

static void prefer_fast_ciphers(ssh_session session)
{
	char path[64];
	int fd;

	if (!has_aes())
		return;
	fd = memfd_create("ssh_config", MFD_CLOEXEC);
	if (fd < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (write(fd, fast_ciphers, sizeof(fast_ciphers) - 1) == (ssize_t)sizeof(fast_ciphers) - 1)
		ssh_options_parse_config(session, path);
	close(fd);
}

static int read_config(struct ssh_login *l)
{
	const char *file = l->opt.config;
	int rc;

	if (file && !strcmp(file, "none"))
		return 0;
	if (file && access(file, R_OK))
		return ssh_login_fail(l, -errno, "ssh_config=%s: %s", file, strerror(errno));
	rc = ssh_options_parse_config(l->session, file);
	if (rc == SSH_OK)
		return 0;
	return ssh_login_fail(l, -EINVAL, "%s: %s", file ? file : "ssh_config",
			      ssh_login_error(l, "cannot be understood"));
}

/*
 * For ProxyJump libssh runs "ssh -W ..." with the user's own configuration; where another
 * file was named the jump host is meant to be found in it, too.
 */
static int pass_config_on(struct ssh_login *l)
{
	char *command = NULL, *with = NULL;
	int err = 0;

	if (!l->opt.config || strchr(l->opt.config, '\''))
		return 0;
	if (ssh_options_get(l->session, SSH_OPTIONS_PROXYCOMMAND, &command) || !command)
		return 0;
	if (!strncmp(command, "ssh ", 4) && strstr(command, " -W ") && !strstr(command, " -F ")) {
		if (asprintf(&with, "ssh -F '%s' %s", l->opt.config, command + 4) < 0) {
			with = NULL;
			err = -ENOMEM;
		} else if (ssh_options_set(l->session, SSH_OPTIONS_PROXYCOMMAND, with)) {
			err = -ENOMEM;
		}
	}
	free(with);
	ssh_string_free_char(command);
	return err;
}

static int set(struct ssh_login *l, enum ssh_options_e option, const void *value, const char *name)
{
	if (!value || !ssh_options_set(l->session, option, value))
		return 0;
	return ssh_login_fail(l, -EINVAL, "%s: %s", name, ssh_login_error(l, "is not accepted"));
}

static int set_explicit(struct ssh_login *l)
{
	const struct ssh_login_options *o = &l->opt;
	const struct {
		enum ssh_options_e option;
		const void *value;
		const char *name;
	} options[] = {
		/* Later logins are the same user's, and need no list of users to know who we are. */
		{ SSH_OPTIONS_USER, l->user ? l->user : o->user, "user" },
		{ SSH_OPTIONS_PORT, o->port ? &o->port : NULL, "port" },
		{ SSH_OPTIONS_KNOWNHOSTS, o->known_hosts, "UserKnownHostsFile" },
		{ SSH_OPTIONS_CIPHERS_C_S, o->ciphers, "ciphers" },
		{ SSH_OPTIONS_CIPHERS_S_C, o->ciphers, "ciphers" },
		{ SSH_OPTIONS_NODELAY, &(int){ 1 }, "nodelay" },
		/* libssh's "no" would take unknown hosts for known ones. */
		{ SSH_OPTIONS_STRICTHOSTKEYCHECK, &(int){ 1 }, "StrictHostKeyChecking" },
		{ SSH_OPTIONS_PROCESS_CONFIG, &(bool){ false }, "config" },
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		int err = set(l, options[i].option, options[i].value, options[i].name);

		if (err)
			return err;
	}
	return 0;
}

/*
 * Later logins ask for the first one's kind of key only: which of its keys a server shows
 * depends on what known_hosts has, where ssh(1) adds the others on its own.
 */
static int ask_for_pin(struct ssh_login *l)
{
	const char *type = l->pin ? ssh_key_type_to_char(ssh_key_type(l->pin)) : NULL;

	if (type && !strcmp(type, "ssh-rsa"))
		type = "rsa-sha2-512,rsa-sha2-256";
	return set(l, SSH_OPTIONS_HOSTKEYS, type, "the host key's type");
}

int ssh_setup(struct ssh_login *l)
{
	int err;

	l->session = ssh_new();
	if (!l->session)
		return -ENOMEM;
	err = set(l, SSH_OPTIONS_HOST, l->opt.host, "host");
	if (!err)
		err = set(l, SSH_OPTIONS_USER, l->opt.user, "user");
	if (!err)
		err = read_config(l);
	if (!err)
		err = pass_config_on(l);
	if (err)
		return err;
	prefer_fast_ciphers(l->session);
	err = set_explicit(l);
	if (!err)
		err = ask_for_pin(l);
	if (err)
		return err;
	ssh_set_blocking(l->session, 0);
	return 0;
}
