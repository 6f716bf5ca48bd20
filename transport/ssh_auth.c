// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Letting the user in: the methods in ssh(1)'s order, each tried until it succeeds, is
 * refused, or the server wants another one after it. Answers of the first login are asked
 * for again in later ones, where nobody is asked.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ssh_login_int.h"

/* -EAGAIN does not end a method's try: it is called again with the same state. */
typedef int (*try_fn)(struct ssh_login *l);

static int ask(struct ssh_login *l, const char *prompt, bool echo, bool again, const char **ret)
{
	const struct ssh_asker *a = &l->opt.asker;

	return a->secret ? a->secret(a->arg, prompt, echo, again, l->first, ret) : -ENOTTY;
}

/*
 * libssh wants the passphrase of a key file. It is tried here first, so that a wrong one can
 * be asked for again. 0 with it in buf, -1 leaves the file out.
 */
static int passphrase_for(struct ssh_login *l, const char *file, char *buf, size_t len)
{
	char prompt[1100];
	const char *answer;

	snprintf(prompt, sizeof(prompt), "Passphrase for key %s: ", file);
	ssh_login_clean(prompt);
	for (int i = 0; i < SSH_TRIES; i++) {
		ssh_key key = NULL;

		if (ask(l, prompt, false, i > 0, &answer) || strlen(answer) >= len)
			return -1;
		if (!ssh_pki_import_privkey_file(file, answer, NULL, NULL, &key)) {
			ssh_key_free(key);
			memcpy(buf, answer, strlen(answer) + 1);
			return 0;
		}
	}
	return -1;
}

static int on_passphrase(const char *prompt, char *buf, size_t len, int echo, int verify,
			 void *userdata)
{
	struct ssh_login *l = userdata;
	char *file = NULL;
	int rc = -1;

	if (!ssh_userauth_publickey_auto_get_current_identity(l->session, &file))
		rc = passphrase_for(l, file, buf, len);
	ssh_string_free_char(file);
	return rc;
}

/* identity=: read once, offered before anything else. */
static int load_identity(struct ssh_login *l)
{
	const char *file = l->opt.identity;
	char passphrase[1024] = "";
	char line[SSH_WHY_BYTES];
	int rc;

	rc = ssh_pki_import_privkey_file(file, NULL, NULL, NULL, &l->identity);
	if (rc == SSH_ERROR && !passphrase_for(l, file, passphrase, sizeof(passphrase)))
		rc = ssh_pki_import_privkey_file(file, passphrase, NULL, NULL, &l->identity);
	explicit_bzero(passphrase, sizeof(passphrase));
	if (rc == SSH_OK)
		return 0;
	l->identity_unusable = true;
	snprintf(line, sizeof(line), "the key %s %s", file,
		 rc == SSH_EOF ? "cannot be read" : "cannot be used: wrong passphrase or format");
	if (l->opt.asker.tell)
		l->opt.asker.tell(l->opt.asker.arg, line);
	return -EINVAL;
}

static int try_identity(struct ssh_login *l)
{
	if (!l->identity && (!l->opt.identity || l->identity_unusable || load_identity(l)))
		return SSH_AUTH_DENIED;
	return ssh_userauth_publickey(l->session, NULL, l->identity);
}

/* The file that libssh is trying, before it says what came of it. */
static void note_key_file(struct ssh_login *l)
{
	ssh_string_free_char(l->key_file);
	l->key_file = NULL;
	if (ssh_userauth_publickey_auto_get_current_identity(l->session, &l->key_file))
		l->key_file = NULL;
}

/*
 * Later logins offer the key that let us in as if it were identity=: by then the process may not
 * be able to read it. Nobody is asked for its passphrase a second time.
 */
static void keep_key(struct ssh_login *l)
{
	const bool first = l->first;
	char passphrase[1024] = "";

	if (!l->key_file || l->identity || l->opt.identity)
		return;
	l->first = false;
	if (ssh_pki_import_privkey_file(l->key_file, NULL, NULL, NULL, &l->identity) == SSH_ERROR &&
	    !passphrase_for(l, l->key_file, passphrase, sizeof(passphrase)))
		ssh_pki_import_privkey_file(l->key_file, passphrase, NULL, NULL, &l->identity);
	explicit_bzero(passphrase, sizeof(passphrase));
	l->first = first;
}

/* The agent's keys, then the files of ssh_config. */
static int try_keys(struct ssh_login *l)
{
	int rc = ssh_userauth_publickey_auto(l->session, NULL, NULL);

	if (rc == SSH_AUTH_AGAIN)
		note_key_file(l);
	else if (rc == SSH_AUTH_SUCCESS || rc == SSH_AUTH_PARTIAL)
		keep_key(l);
	return rc;
}

/* One line: "(user@host) PROMPT", with what the server says beside it in front. */
static void kbdint_prompt(struct ssh_login *l, unsigned i, char *buf, size_t size, char *ret_echo)
{
	const char *text = ssh_userauth_kbdint_getprompt(l->session, i, ret_echo);
	const char *instruction = ssh_userauth_kbdint_getinstruction(l->session);
	const bool more = i == 0 && instruction && *instruction;

	snprintf(buf, size, "%.200s%s(%s) %.200s", more ? instruction : "", more ? " " : "", l->where,
		 text ? text : "");
	ssh_login_clean(buf);
}

/* Answers what the server asks. */
static int kbdint_answer(struct ssh_login *l)
{
	int n = ssh_userauth_kbdint_getnprompts(l->session);

	for (int i = 0; i < n; i++) {
		char prompt[700], echo = 0;
		const char *answer;

		kbdint_prompt(l, (unsigned)i, prompt, sizeof(prompt), &echo);
		if (ask(l, prompt, echo, l->auth.tries > 0, &answer) ||
		    ssh_userauth_kbdint_setanswer(l->session, (unsigned)i, answer) < 0)
			return -ENOTTY;
	}
	return 0;
}

static int try_kbdint(struct ssh_login *l)
{
	int rc = ssh_userauth_kbdint(l->session, NULL, NULL);

	/* A server may ask any number of times; 100 are more than one should. */
	for (int rounds = 0; rc == SSH_AUTH_INFO && rounds < 100; rounds++) {
		if (kbdint_answer(l)) {
			l->auth.tries = SSH_TRIES;
			return SSH_AUTH_DENIED;
		}
		rc = ssh_userauth_kbdint(l->session, NULL, NULL);
	}
	return rc == SSH_AUTH_INFO ? SSH_AUTH_ERROR : rc;
}

static int try_password(struct ssh_login *l)
{
	struct ssh_auth *a = &l->auth;
	char prompt[300];

	if (!a->pending) {
		snprintf(prompt, sizeof(prompt), "%s's password: ", l->where);
		if (ask(l, prompt, false, a->tries > 0, &a->answer)) {
			a->tries = SSH_TRIES;
			return SSH_AUTH_DENIED;
		}
	}
	return ssh_userauth_password(l->session, NULL, a->answer);
}

static const struct {
	int method;
	unsigned tries;		/* a wrong answer may be given again */
	try_fn try;
} methods[] = {
	{ SSH_AUTH_METHOD_PUBLICKEY, 1, try_identity },
	{ SSH_AUTH_METHOD_PUBLICKEY, 1, try_keys },
	{ SSH_AUTH_METHOD_INTERACTIVE, SSH_TRIES, try_kbdint },
	{ SSH_AUTH_METHOD_PASSWORD, SSH_TRIES, try_password },
};
enum { METHODS = sizeof(methods) / sizeof(methods[0]) };

static int refused(struct ssh_login *l)
{
	static const struct { int method; const char *name; } names[] = {
		{ SSH_AUTH_METHOD_PUBLICKEY, "publickey" },
		{ SSH_AUTH_METHOD_INTERACTIVE, "keyboard-interactive" },
		{ SSH_AUTH_METHOD_PASSWORD, "password" },
		{ SSH_AUTH_METHOD_HOSTBASED, "hostbased" },
		{ SSH_AUTH_METHOD_GSSAPI_MIC, "gssapi-with-mic" },
	};
	const int takes = ssh_userauth_list(l->session, NULL);
	char list[128] = "";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (takes & names[i].method)
			snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s",
				 *list ? ", " : "", names[i].name);
	return ssh_login_fail(l, -EACCES, "%s: permission denied (the server takes: %s)", l->where,
			      *list ? list : "nothing");
}

static void next_method(struct ssh_auth *a, unsigned method)
{
	a->method = method;
	a->tries = 0;
}

/* What the outcome of a try means. -EAGAIN with *ret_more: go on at once. */
static int conclude(struct ssh_login *l, int rc, bool *ret_more)
{
	struct ssh_auth *a = &l->auth;

	a->pending = rc == SSH_AUTH_AGAIN;
	*ret_more = !a->pending;
	switch (rc) {
	case SSH_AUTH_SUCCESS:
		return 0;
	case SSH_AUTH_AGAIN:
		return -EAGAIN;
	case SSH_AUTH_PARTIAL:
		if (++a->partial > SSH_PARTIAL_MAX)
			return refused(l);
		next_method(a, 0);
		return -EAGAIN;
	case SSH_AUTH_DENIED:
		if (++a->tries >= methods[a->method].tries)
			next_method(a, a->method + 1);
		return -EAGAIN;
	default:
		return ssh_login_fail(l, ssh_is_connected(l->session) ? -EACCES : -ECONNRESET, "%s: %s",
				      l->where, ssh_login_error(l, "the server ended the login"));
	}
}

int ssh_auth_step(struct ssh_login *l)
{
	struct ssh_auth *a = &l->auth;
	bool more = true;
	int err = -EAGAIN, rc;

	if (!a->started) {
		l->callbacks = (struct ssh_callbacks_struct){ .userdata = l,
							      .auth_function = on_passphrase };
		ssh_callbacks_init(&l->callbacks);
		ssh_set_callbacks(l->session, &l->callbacks);
		rc = ssh_userauth_none(l->session, NULL);
		a->started = rc != SSH_AUTH_AGAIN;
		if (rc != SSH_AUTH_DENIED)
			return conclude(l, rc, &more);
	}
	while (err == -EAGAIN && more) {
		if (a->method == METHODS)
			return refused(l);
		if (!a->pending && !(ssh_userauth_list(l->session, NULL) & methods[a->method].method))
			next_method(a, a->method + 1);
		else
			err = conclude(l, methods[a->method].try(l), &more);
	}
	return err;
}
