// SPDX-License-Identifier: GPL-2.0-or-later
/* From a URL and options to a device on an SSH server; see device_remote.h. */
#include "device_remote.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device_asker.h"
#include "device_unlock.h"
#include "transport/sftp.h"
#include "transport/sshurl.h"
#include "transport/stream_cmd.h"
#include "transport/stream_ssh.h"

enum { COMMAND_WORDS_MAX = 64 };

struct device_remote {
	struct asker *asker;
	void (*say)(void *arg, const char *line);
	void *say_arg;
	bool programs;
};

/* Everything that opening one image needs. */
struct opening {
	const struct device_options *opt;
	struct sshurl url;
	struct device_remote *remote;
	char *why;
	size_t why_len;
};

static int fail(struct opening *o, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct opening *o, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(o->why, o->why_len, fmt, ap);
	va_end(ap);
	return err;
}

bool device_remote_is(const char *image)
{
	return sshurl_is_remote(image);
}

bool device_remote_programs(const struct device_remote *r)
{
	return r->programs;
}

void device_remote_free(struct device_remote *r)
{
	if (!r)
		return;
	asker_free(r->asker);
	free(r);
}

/* Through libssh, asking where needed. */
static int open_login(struct opening *o, struct stream **ret)
{
	const struct device_remote_options *r = &o->opt->remote;
	const struct ssh_login_options login = {
		.host = o->url.host, .user = o->url.user,
		.port = o->url.port ? o->url.port : r->port,
		.config = r->ssh_config, .identity = r->identity, .known_hosts = r->known_hosts,
		.ciphers = r->ciphers, .unknown_host = r->unknown_host,
		.asker = asker_calls(o->remote->asker),
	};

	/* Passwords and private keys live in this process as long as it may have to log in again. */
	device_guard_process();
	return stream_ssh_open(&login, ret, &o->remote->programs, o->why, o->why_len);
}

/* The words of ssh_command=, cut at blanks outside of quotes, in place. -E2BIG, -EINVAL. */
static int split_words(char *text, const char **words, unsigned max, unsigned *ret_n)
{
	unsigned n = 0;
	char *out;

	for (text += strspn(text, " \t"); *text; text += strspn(text, " \t")) {
		char quote = 0;

		if (n == max)
			return -E2BIG;
		words[n++] = out = text;
		for (; *text && (quote || (*text != ' ' && *text != '\t')); text++) {
			if (quote ? *text == quote : *text == '\'' || *text == '"')
				quote = quote ? 0 : *text;
			else
				*out++ = *text;
		}
		if (quote)
			return -EINVAL;
		if (*text)
			text++;
		*out = '\0';
	}
	*ret_n = n;
	return n ? 0 : -EINVAL;
}

struct words {
	const char *list[COMMAND_WORDS_MAX + 32];
	unsigned n;
};

static void add_word(struct words *w, const char *option, const char *value)
{
	if (!value)
		return;
	if (option)
		w->list[w->n++] = option;
	w->list[w->n++] = value;
}

/* ssh(1) by the words of ssh_command= and what the other options say, as sshfs runs it. */
static int open_command(struct opening *o, struct stream **ret)
{
	const struct device_remote_options *r = &o->opt->remote;
	const unsigned port = o->url.port ? o->url.port : r->port;
	char *text = strdup(r->ssh_command), number[16], hosts[1200];
	struct words w = { .n = 0 };
	int err = text ? split_words(text, w.list, COMMAND_WORDS_MAX, &w.n) : -ENOMEM;

	if (err) {
		free(text);
		return fail(o, err, "ssh_command=%s: %s", r->ssh_command,
			    err == -EINVAL ? "is not a command" : strerror(-err));
	}
	snprintf(number, sizeof(number), "%u", port);
	snprintf(hosts, sizeof(hosts), "-oUserKnownHostsFile=%s", r->known_hosts ? r->known_hosts : "");
	add_word(&w, NULL, "-x");
	add_word(&w, NULL, "-a");
	add_word(&w, NULL, "-oClearAllForwardings=yes");
	add_word(&w, "-F", r->ssh_config);
	add_word(&w, "-p", port ? number : NULL);
	add_word(&w, "-l", o->url.user);
	add_word(&w, "-i", r->identity);
	add_word(&w, "-c", r->ciphers);
	add_word(&w, NULL, r->known_hosts ? hosts : NULL);
	add_word(&w, NULL, "-s");
	add_word(&w, NULL, "--");
	add_word(&w, NULL, o->url.host);
	add_word(&w, NULL, "sftp");
	err = stream_cmd_new(w.list, ret);
	o->remote->programs = true;
	free(text);
	return err ? fail(o, err, "ssh_command=%s: %s", r->ssh_command, strerror(-err)) : 0;
}

static void on_notify(void *arg, enum sftp_state state, const char *line)
{
	const struct device_remote *r = arg;

	(void)state;
	if (r->say)
		r->say(r->say_arg, line);
}

static int open_file(struct opening *o, struct stream *stream, struct blkdev **ret)
{
	static const enum sftp_lock_mode modes[] = {
		[IMGLOCK_WAIT] = SFTP_LOCK_WAIT, [IMGLOCK_FAIL] = SFTP_LOCK_TAKE,
		[IMGLOCK_NONE] = SFTP_LOCK_NONE,
	};
	const struct device_remote_options *r = &o->opt->remote;
	const struct sftp_options file = {
		.path = o->url.path, .name = o->opt->image, .readonly = o->opt->readonly,
		.unsafe_nofsync = r->unsafe_nofsync, .channels = r->channels,
		.timeout_s = r->has_timeout ? r->timeout_s : SFTP_TIMEOUT_S,
		.deadline_s = r->deadline_s, .buffer_len = r->buffer_len,
		.lock = r->break_lock ? SFTP_LOCK_BREAK : modes[o->opt->lock],
		.notify = on_notify, .notify_arg = o->remote,
	};
	char phrase[512] = "";
	int err = sftp_dev_open(stream, &file, ret, phrase, sizeof(phrase));

	return err ? fail(o, err, "%s: %s", o->opt->image, *phrase ? phrase : strerror(-err)) : 0;
}

static int open_parsed(struct opening *o, struct blkdev **ret)
{
	struct stream *stream = NULL;
	int err;

	o->remote = calloc(1, sizeof(*o->remote));
	if (!o->remote)
		return fail(o, -ENOMEM, "out of memory");
	o->remote->say = o->opt->say;
	o->remote->say_arg = o->opt->say_arg;
	o->remote->asker = asker_new(o->opt->say, o->opt->say_arg);
	if (!o->remote->asker)
		return fail(o, -ENOMEM, "out of memory");
	err = o->opt->remote.ssh_command ? open_command(o, &stream) : open_login(o, &stream);
	return err ? err : open_file(o, stream, ret);
}

int device_remote_open(const struct device_options *opt, struct blkdev **ret,
		       struct device_remote **ret_more, char *why, size_t why_len)
{
	struct opening o = { .opt = opt, .why = why, .why_len = why_len };
	int err = sshurl_parse(opt->image, &o.url, why, why_len);

	if (err == -ENOMEM)
		return fail(&o, err, "out of memory");
	if (err)
		return err;
	err = open_parsed(&o, ret);
	/* Not the kind of key that opens a container. */
	if (err == -EKEYREJECTED)
		err = -EACCES;
	sshurl_fini(&o.url);
	if (err) {
		device_remote_free(o.remote);
		return err;
	}
	*ret_more = o.remote;
	return 0;
}
