// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Is it the host it was? The first login asks known_hosts, and the user about a host that is
 * not in there; later ones compare with the key of the first.
 */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ssh_login_int.h"

/* "ED25519 SHA256:..." */
static void describe(const ssh_key key, char *buf, size_t size)
{
	const char *type = ssh_key_type_to_char(ssh_key_type(key));
	unsigned char *hash = NULL;
	size_t len = 0;
	char *text = NULL;

	if (!ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &len))
		text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, len);
	if (type && !strncmp(type, "ssh-", 4))
		type += 4;
	snprintf(buf, size, "%s", type ? type : "unknown");
	for (char *c = buf; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	snprintf(buf + strlen(buf), size - strlen(buf), " %s", text ? text : "(no fingerprint)");
	ssh_string_free_char(text);
	ssh_clean_pubkey_hash(&hash);
}

/* Whether a line of file revokes the key, for whatever host. libssh skips such lines. */
static bool file_revokes(const char *file, const char *key_base64)
{
	FILE *f = file ? fopen(file, "re") : NULL;
	char *line = NULL;
	size_t size = 0;
	bool found = false;

	if (!f)
		return false;
	while (!found && getline(&line, &size, f) >= 0)
		found = !strncmp(line, "@revoked", 8) && strstr(line, key_base64);
	free(line);
	fclose(f);
	return found;
}

static int check_revoked(struct ssh_login *l, const ssh_key key, const char *fingerprint)
{
	static const enum ssh_options_e files[] = { SSH_OPTIONS_KNOWNHOSTS,
						    SSH_OPTIONS_GLOBAL_KNOWNHOSTS };
	char *base64 = NULL, *file;
	bool revoked = false;

	if (ssh_pki_export_pubkey_base64(key, &base64))
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		file = NULL;
		if (!ssh_options_get(l->session, files[i], &file))
			revoked |= file_revokes(file, base64);
		ssh_string_free_char(file);
	}
	ssh_string_free_char(base64);
	if (!revoked)
		return 0;
	return ssh_login_fail(l, -EKEYREJECTED, "%s: its host key (%s) has been revoked",
			      l->opt.host, fingerprint);
}

/* The file new hosts go to, for messages. */
static void known_hosts_name(struct ssh_login *l, char *buf, size_t size)
{
	char *file = NULL;

	if (ssh_options_get(l->session, SSH_OPTIONS_KNOWNHOSTS, &file))
		file = NULL;
	snprintf(buf, size, "%s", file ? file : "~/.ssh/known_hosts");
	ssh_string_free_char(file);
}

static int add_host(struct ssh_login *l, const char *fingerprint, const char *file)
{
	char line[SSH_WHY_BYTES];

	if (ssh_session_update_known_hosts(l->session) == SSH_OK)
		snprintf(line, sizeof(line), "%s (%s) was added to %s", l->opt.host, fingerprint, file);
	else
		snprintf(line, sizeof(line), "%s (%s) is trusted, but %s cannot be written: %s",
			 l->opt.host, fingerprint, file, ssh_get_error(l->session));
	if (l->opt.asker.tell)
		l->opt.asker.tell(l->opt.asker.arg, line);
	return 0;
}

static int unknown_host(struct ssh_login *l, const char *fingerprint)
{
	char text[SSH_WHY_BYTES + 256], file[256];
	int answer = -ENOTTY;

	known_hosts_name(l, file, sizeof(file));
	if (l->opt.unknown_host == SSH_UNKNOWN_ADD)
		return add_host(l, fingerprint, file);
	if (l->opt.unknown_host == SSH_UNKNOWN_ASK && l->opt.asker.confirm) {
		snprintf(text, sizeof(text), "The host %s is not known. Its key is %s.\n"
			 "Is that the right one, to be added to %s?", l->opt.host, fingerprint, file);
		answer = l->opt.asker.confirm(l->opt.asker.arg, text);
	}
	if (answer > 0)
		return add_host(l, fingerprint, file);
	if (answer == 0)
		return ssh_login_fail(l, -EKEYREJECTED, "%s: its host key was not accepted",
				      l->opt.host);
	return ssh_login_fail(l, -EKEYREJECTED, "%s: host key %s is not in %s; log in with ssh once, "
			      "or mount from a terminal, to check and add it", l->opt.host, fingerprint,
			      file);
}

static int first_check(struct ssh_login *l, const ssh_key key, const char *fingerprint)
{
	char file[256];
	int err = check_revoked(l, key, fingerprint);

	if (err)
		return err;
	known_hosts_name(l, file, sizeof(file));
	switch (ssh_session_is_known_server(l->session)) {
	case SSH_KNOWN_HOSTS_OK:
		return 0;
	case SSH_KNOWN_HOSTS_UNKNOWN:
	case SSH_KNOWN_HOSTS_NOT_FOUND:
		return unknown_host(l, fingerprint);
	case SSH_KNOWN_HOSTS_CHANGED:
		return ssh_login_fail(l, -EKEYREJECTED, "%s: the host key has changed: it is %s, "
				      "which is not what %s says; this may be an attack (if the "
				      "server was reinstalled: ssh-keygen -R)",
				      l->opt.host, fingerprint, file);
	case SSH_KNOWN_HOSTS_OTHER:
		return ssh_login_fail(l, -EKEYREJECTED, "%s: the host key is %s, but %s knows it by "
				      "a key of another type; this may be an attack",
				      l->opt.host, fingerprint, file);
	default:
		return ssh_login_fail(l, -EKEYREJECTED, "%s: the host key cannot be checked: %s",
				      l->opt.host, ssh_login_error(l, "unknown reason"));
	}
}

int ssh_hostkey_check(struct ssh_login *l)
{
	char fingerprint[128];
	ssh_key key = NULL;
	int err = 0;

	if (ssh_get_server_publickey(l->session, &key))
		return ssh_login_fail(l, -EKEYREJECTED, "%s: the server has no host key", l->opt.host);
	describe(key, fingerprint, sizeof(fingerprint));
	if (!l->pin) {
		err = first_check(l, key, fingerprint);
	} else if (ssh_key_cmp(key, l->pin, SSH_KEY_CMP_PUBLIC) != 0) {
		err = ssh_login_fail(l, -EKEYREJECTED, "%s: the host key is %s and not that of the "
				     "first login", l->opt.host, fingerprint);
	}
	if (!err && !l->pin) {
		l->pin = key;
		key = NULL;
	}
	ssh_key_free(key);
	return err;
}
