// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Logs in through stream_ssh and sends bytes to channels whose far end is cat(1), so that
 * each must come back as it was sent.
 *
 *   tool_stream [-F CONFIG] [-i IDENTITY] [-k KNOWN_HOSTS] [-u USER] [-p PORT] [-c CIPHERS]
 *               [-a ask|refuse|add] [-n CHANNELS] [-b BYTES] [-r RELOGINS] HOST
 *
 * SECRETS in the environment holds the answers for prompts, one a line; YES=1 says yes.
 * Prompts go to standard output as "? PROMPT", messages as "! LINE", and at the end, for each
 * login, "up CHANNELS refused CHANNELS echoed BYTES in MS". Exit status 1: "failed ERRNO WHY".
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "transport/stream_ssh.h"

enum { PIECE = 64 * 1024, PATIENCE_MS = 30000 };

struct echo {
	struct stream *stream;
	unsigned channels, up, refused, done;
	uint64_t want, sent[STREAM_MAX_CHANNELS], back[STREAM_MAX_CHANNELS];
	bool open[STREAM_MAX_CHANNELS], wrong;
};

struct answers {
	char *next, given[8][256], prompts[8][512];
	unsigned n;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Byte off of what a channel sends. */
static uint8_t pattern(unsigned chan, uint64_t off)
{
	return (uint8_t)((off * 2654435761u >> 13) + chan);
}

static void on_opened(void *arg, unsigned chan)
{
	struct echo *e = arg;

	e->open[chan] = true;
	e->up++;
	e->done += e->want == 0;
}

static void on_data(void *arg, unsigned chan, const void *buf, size_t len)
{
	struct echo *e = arg;
	const uint8_t *b = buf;

	for (size_t i = 0; i < len; i++)
		e->wrong |= b[i] != pattern(chan, e->back[chan] + i);
	e->back[chan] += len;
	e->done += e->want && e->back[chan] == e->want;
}

static void on_closed(void *arg, unsigned chan, int err)
{
	struct echo *e = arg;

	printf("! channel closed: %s\n", strerror(-err));
	if (!e->open[chan])
		e->refused++;
	e->open[chan] = false;
}

static void feed(struct echo *e, unsigned chan)
{
	static uint8_t piece[PIECE];

	while (e->open[chan] && e->sent[chan] < e->want) {
		uint64_t left = e->want - e->sent[chan];
		size_t n = left < PIECE ? (size_t)left : PIECE;
		struct iovec iov[2] = { { piece, n / 3 }, { piece + n / 3, n - n / 3 } };
		ssize_t taken;

		for (size_t i = 0; i < n; i++)
			piece[i] = pattern(chan, e->sent[chan] + i);
		taken = e->stream->ops->send(e->stream, chan, iov, 2);
		if (taken <= 0)
			return;
		e->sent[chan] += (uint64_t)taken;
	}
}

static int drive(struct echo *e)
{
	const int64_t until = now_ms() + PATIENCE_MS;
	struct pollfd fds[STREAM_MAX_POLLFDS];
	int err = 0;

	while (!err && e->done + e->refused < e->channels) {
		int timeout_ms = 1000;
		unsigned n = e->stream->ops->pollfds(e->stream, fds, &timeout_ms);

		if (poll(fds, n, timeout_ms) < 0 && errno != EINTR)
			return -errno;
		err = e->stream->ops->pump(e->stream);
		for (unsigned i = 0; i < e->channels; i++)
			feed(e, i);
		if (!err && now_ms() > until)
			err = -ETIMEDOUT;
	}
	return err;
}

/* One login. */
static int echo_once(struct stream *stream, unsigned channels, uint64_t bytes)
{
	struct echo e = { .stream = stream, .channels = channels, .want = bytes };
	const struct stream_sink sink = { .opened = on_opened, .data = on_data,
					  .closed = on_closed, .arg = &e };
	int64_t start = now_ms();
	int err = stream->ops->start(stream, channels, &sink);

	if (!err)
		err = drive(&e);
	if (!err && e.wrong)
		err = -EILSEQ;
	if (err) {
		printf("failed %s: %s\n", strerror(-err), stream->ops->why(stream));
		return err;
	}
	printf("up %u refused %u echoed %llu in %lld\n", e.up, e.refused,
	       (unsigned long long)(bytes * e.up), (long long)(now_ms() - start));
	return 0;
}

/* Remembers, as the program does. */
static int on_secret(void *arg, const char *prompt, bool echo, bool again, bool fresh,
		     const char **ret_answer)
{
	struct answers *a = arg;
	unsigned i = 0;

	while (i < a->n && strcmp(a->prompts[i], prompt) != 0)
		i++;
	if (i == a->n || again) {
		if (!fresh || !a->next || i == 8)
			return -ENOTTY;
		printf("? %s%s\n", prompt, again ? "(again)" : "");
		snprintf(a->prompts[i], sizeof(a->prompts[i]), "%s", prompt);
		snprintf(a->given[i], sizeof(a->given[i]), "%.*s", (int)strcspn(a->next, "\n"), a->next);
		a->next = strchr(a->next, '\n') ? strchr(a->next, '\n') + 1 : NULL;
		a->n += i == a->n;
	}
	*ret_answer = a->given[i];
	return 0;
}

static int on_confirm(void *arg, const char *text)
{
	printf("? %s\n", text);
	return getenv("YES") ? atoi(getenv("YES")) : -ENOTTY;
}

static void on_tell(void *arg, const char *line)
{
	printf("! %s\n", line);
}

int main(int argc, char **argv)
{
	struct answers answers = { .next = getenv("SECRETS") };
	struct ssh_login_options opt = { .asker = { on_secret, on_confirm, on_tell, &answers } };
	unsigned channels = 1, relogins = 0;
	uint64_t bytes = 0;
	struct stream *stream;
	char why[512];
	bool programs;
	int c, err;

	/* As in the program: a peer that has gone is an error. */
	signal(SIGPIPE, SIG_IGN);
	while ((c = getopt(argc, argv, "F:i:k:u:p:c:a:n:b:r:")) != -1) {
		switch (c) {
		case 'F': opt.config = optarg; break;
		case 'i': opt.identity = optarg; break;
		case 'k': opt.known_hosts = optarg; break;
		case 'u': opt.user = optarg; break;
		case 'p': opt.port = (unsigned)atoi(optarg); break;
		case 'c': opt.ciphers = optarg; break;
		case 'a': opt.unknown_host = *optarg == 'r' ? SSH_UNKNOWN_REFUSE :
					     optarg[1] == 'd' ? SSH_UNKNOWN_ADD : SSH_UNKNOWN_ASK; break;
		case 'n': channels = (unsigned)atoi(optarg); break;
		case 'b': bytes = strtoull(optarg, NULL, 10); break;
		case 'r': relogins = (unsigned)atoi(optarg); break;
		default: return 2;
		}
	}
	if (optind >= argc)
		return 2;
	opt.host = argv[optind];
	setvbuf(stdout, NULL, _IOLBF, 0);
	err = stream_ssh_open(&opt, &stream, &programs, why, sizeof(why));
	if (err) {
		printf("failed %s: %s\n", strerror(-err), why);
		return 1;
	}
	err = echo_once(stream, channels, bytes);
	for (unsigned i = 0; !err && i < relogins; i++) {
		stream->ops->drop(stream);
		err = echo_once(stream, channels, bytes);
	}
	stream->ops->free(stream);
	return err != 0;
}
