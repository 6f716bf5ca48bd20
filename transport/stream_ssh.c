// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Channels of one libssh session as a stream.
 *
 * libssh does all its work inside a call that looks at the socket, and from there calls back
 * with data. Bytes to be sent wait in a buffer of each channel and are handed to libssh only
 * by pump(), and only while its own buffer is empty: otherwise that would grow without
 * bound, and a write could call back into a driver that is in the middle of something.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#include "compat_ssh.h"
#include "stream_ssh.h"

enum {
	OUT_LEN = 512 * 1024,		/* bytes of a channel waiting to be sent */
	WRITE_LEN = 128 * 1024,		/* bytes of one channel handed over before the next's */
	PUMP_LEN = 4 << 20,		/* bytes moved in one pump() */
};

enum chan_state { CHAN_NONE, CHAN_OPENING, CHAN_REQUESTING, CHAN_OPEN, CHAN_CLOSED };

struct chan {
	struct stream_ssh *owner;
	enum chan_state state;
	ssh_channel channel;
	struct ssh_channel_callbacks_struct callbacks;
	uint8_t *out;			/* OUT_LEN bytes; what waits is out[head .. head + len) */
	size_t head, len;
	bool writing;			/* libssh is reading out: it may not be moved */
	size_t window_used;		/* consumed since the window was widened */
};

struct stream_ssh {
	struct stream stream;
	struct ssh_login *login;
	unsigned channels;		/* 0: DOWN */
	struct stream_sink sink;
	struct chan chans[STREAM_MAX_CHANNELS];
	struct ssh_counter_struct raw;	/* bytes of the socket */
	size_t window_step;		/* [init only] see compat_ssh.h */
	void *window_scratch;		/* [init only] NULL where window_step is 0 */
	char why[512];
};

static struct stream_ssh *to_ssh(struct stream *s)
{
	return (struct stream_ssh *)s;
}

static int fail(struct stream_ssh *s, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct stream_ssh *s, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->why, sizeof(s->why), fmt, ap);
	va_end(ap);
	for (char *c = s->why; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';
	return err;
}

static int fail_login(struct stream_ssh *s, int err)
{
	return fail(s, err, "%s", ssh_login_why(s->login));
}

static ssh_session session_of(struct stream_ssh *s)
{
	return ssh_login_session(s->login);
}

static int on_data(ssh_session session, ssh_channel channel, void *data, uint32_t len, int is_stderr,
		   void *userdata)
{
	struct chan *c = userdata;
	struct stream_ssh *s = c->owner;

	/* What the server's program complains of is not part of the protocol. */
	if (!is_stderr && c->state == CHAN_OPEN)
		s->sink.data(s->sink.arg, (unsigned)(c - s->chans), data, len);
	c->window_used += len;
	return (int)len;
}

static void chan_closed(struct chan *c, int err)
{
	struct stream_ssh *s = c->owner;

	c->state = CHAN_CLOSED;
	c->len = 0;
	s->sink.closed(s->sink.arg, (unsigned)(c - s->chans), err);
}

static bool is_lost(struct stream_ssh *s)
{
	const int status = ssh_get_status(session_of(s));

	return status & (SSH_CLOSED | SSH_CLOSED_ERROR) || !ssh_is_connected(session_of(s));
}

static int lost(struct stream_ssh *s)
{
	const char *text = ssh_get_error(session_of(s));

	return fail(s, -ECONNRESET, "%s", text && *text ? text : "the connection was lost");
}

static int chan_start(struct chan *c)
{
	struct stream_ssh *s = c->owner;

	c->channel = ssh_channel_new(session_of(s));
	if (!c->out)
		c->out = malloc(OUT_LEN);
	if (!c->channel || !c->out)
		return fail(s, -ENOMEM, "out of memory");
	c->callbacks = (struct ssh_channel_callbacks_struct){ .userdata = c,
							      .channel_data_function = on_data };
	ssh_callbacks_init(&c->callbacks);
	if (ssh_set_channel_callbacks(c->channel, &c->callbacks))
		return fail(s, -ENOMEM, "out of memory");
	c->state = CHAN_OPENING;
	return 0;
}

/* One call of libssh that opens. Returns SSH_OK, SSH_AGAIN, SSH_ERROR. */
static int chan_call(struct chan *c)
{
	return c->state == CHAN_OPENING ? ssh_channel_open_session(c->channel)
					: ssh_channel_request_subsystem(c->channel, "sftp");
}

static int chan_opening(struct chan *c)
{
	struct stream_ssh *s = c->owner;
	int rc;

	while (c->state == CHAN_OPENING || c->state == CHAN_REQUESTING) {
		rc = chan_call(c);
		if (rc == SSH_AGAIN)
			return 0;
		if (rc != SSH_OK && is_lost(s))
			return lost(s);
		if (rc != SSH_OK) {
			chan_closed(c, c->state == CHAN_OPENING ? -EMFILE : -EOPNOTSUPP);
			return 0;
		}
		if (c->state == CHAN_OPENING) {
			c->state = CHAN_REQUESTING;
			continue;
		}
		c->state = CHAN_OPEN;
		s->sink.opened(s->sink.arg, (unsigned)(c - s->chans));
	}
	return 0;
}

/* Hands waiting bytes to libssh. */
static int chan_write(struct chan *c)
{
	struct stream_ssh *s = c->owner;
	size_t done = 0;

	while (c->state == CHAN_OPEN && c->len && done < WRITE_LEN &&
	       !(ssh_get_poll_flags(session_of(s)) & SSH_WRITE_PENDING)) {
		size_t window = ssh_channel_window_size(c->channel);
		size_t n = c->len < WRITE_LEN ? c->len : WRITE_LEN;
		int rc;

		if (window == 0)
			return 0;
		c->writing = true;
		rc = ssh_channel_write(c->channel, c->out + c->head, (uint32_t)(n < window ? n : window));
		c->writing = false;
		if (rc < 0)
			return is_lost(s) ? lost(s) : 0;	/* a closed channel: found below */
		if (rc == 0)
			return 0;
		/* A call back may have closed the channel or sent more. */
		c->head += c->len ? (size_t)rc : 0;
		c->len -= c->len ? (size_t)rc : 0;
		done += (size_t)rc;
	}
	if (c->len == 0)
		c->head = 0;
	return 0;
}

static int chan_check(struct chan *c)
{
	struct stream_ssh *s = c->owner;

	if (c->state != CHAN_OPEN)
		return 0;
	if (ssh_channel_is_eof(c->channel) || ssh_channel_is_closed(c->channel)) {
		chan_closed(c, -EPIPE);
		return 0;
	}
	if (s->window_step && c->window_used >= s->window_step) {
		c->window_used = 0;
		if (compat_ssh_widen_window(c->channel, s->window_scratch) != SSH_OK && is_lost(s))
			return lost(s);
	}
	return 0;
}

/* One look at the socket, for all channels, through one that is not at its end. */
static int look(struct stream_ssh *s)
{
	for (unsigned i = 0; i < s->channels; i++) {
		struct chan *c = &s->chans[i];

		if (c->state != CHAN_OPEN || ssh_channel_is_eof(c->channel))
			continue;
		if (ssh_channel_poll(c->channel, 0) == SSH_ERROR && is_lost(s))
			return lost(s);
		break;
	}
	return is_lost(s) ? lost(s) : 0;
}

static int for_channels(struct stream_ssh *s, int (*what)(struct chan *))
{
	for (unsigned i = 0; i < s->channels; i++) {
		int err = what(&s->chans[i]);

		if (err)
			return err;
	}
	return 0;
}

static int move_bytes(struct stream_ssh *s)
{
	const uint64_t start = s->raw.in_bytes + s->raw.out_bytes;
	uint64_t before, now = start;
	int err;

	do {
		before = now;
		err = for_channels(s, chan_write);
		if (!err)
			err = look(s);
		if (!err)
			err = for_channels(s, chan_check);
		if (err)
			return err;
		now = s->raw.in_bytes + s->raw.out_bytes;
	} while (now != before && now - start < PUMP_LEN);
	return 0;
}

static int begin_channels(struct stream_ssh *s)
{
	memset(&s->raw, 0, sizeof(s->raw));
	ssh_set_counters(session_of(s), &s->raw, NULL);
	return for_channels(s, chan_start);
}

static int ssh_stream_pump(struct stream *stream)
{
	struct stream_ssh *s = to_ssh(stream);
	int err;

	if (s->channels == 0)
		return fail(s, -ENOTCONN, "not started");
	if (!ssh_login_is_up(s->login)) {
		err = ssh_login_step(s->login);
		if (err == -EAGAIN)
			return 0;
		if (err)
			return fail_login(s, err);
	}
	if (s->chans[0].state == CHAN_NONE) {
		err = begin_channels(s);
		if (err)
			return err;
	}
	err = for_channels(s, chan_opening);
	return err ? err : move_bytes(s);
}

static void ssh_stream_drop(struct stream *stream)
{
	struct stream_ssh *s = to_ssh(stream);

	/* Channels are the session's and go with it. */
	ssh_login_drop(s->login);
	for (unsigned i = 0; i < STREAM_MAX_CHANNELS; i++) {
		struct chan *c = &s->chans[i];

		free(c->out);
		*c = (struct chan){ .owner = s };
	}
	s->channels = 0;
	s->sink = (struct stream_sink){ 0 };
}

static int ssh_stream_start(struct stream *stream, unsigned channels, const struct stream_sink *sink)
{
	struct stream_ssh *s = to_ssh(stream);
	int err;

	if (channels == 0 || channels > STREAM_MAX_CHANNELS || s->channels)
		return fail(s, -EINVAL, "started wrongly");
	if (ssh_login_is_up(s->login) && is_lost(s))
		ssh_stream_drop(stream);
	if (!ssh_login_is_up(s->login)) {
		err = ssh_login_start(s->login);
		if (err)
			return fail_login(s, err);
	}
	s->channels = channels;
	s->sink = *sink;
	return 0;
}

static unsigned ssh_stream_pollfds(struct stream *stream, struct pollfd *fds, int *ret_timeout_ms)
{
	struct stream_ssh *s = to_ssh(stream);
	bool opening = false;

	if (s->channels == 0)
		return 0;
	if (!ssh_login_is_up(s->login))
		return ssh_login_pollfd(s->login, fds, ret_timeout_ms);
	fds[0] = (struct pollfd){ .fd = (int)ssh_get_fd(session_of(s)), .events = POLLIN };
	if (ssh_get_poll_flags(session_of(s)) & SSH_WRITE_PENDING)
		fds[0].events |= POLLOUT;
	opening = s->chans[0].state == CHAN_NONE;
	for (unsigned i = 0; i < s->channels; i++) {
		struct chan *c = &s->chans[i];

		if (c->state == CHAN_OPEN && c->len && !(fds[0].events & POLLOUT) &&
		    ssh_channel_window_size(c->channel) > 0)
			opening = true;
	}
	if (opening)
		*ret_timeout_ms = 0;
	return 1;
}

static ssize_t ssh_stream_send(struct stream *stream, unsigned chan, const struct iovec *iov, int niov)
{
	struct stream_ssh *s = to_ssh(stream);
	struct chan *c = &s->chans[chan];
	size_t taken = 0;

	if (chan >= s->channels || c->state != CHAN_OPEN)
		return -EPIPE;
	for (int i = 0; i < niov; i++) {
		size_t n = iov[i].iov_len;

		if (n > OUT_LEN - c->len)
			n = OUT_LEN - c->len;
		if (n > OUT_LEN - c->len - c->head && !c->writing) {
			memmove(c->out, c->out + c->head, c->len);
			c->head = 0;
		}
		if (n > OUT_LEN - c->len - c->head)
			n = OUT_LEN - c->len - c->head;
		memcpy(c->out + c->head + c->len, iov[i].iov_base, n);
		c->len += n;
		taken += n;
		if (n < iov[i].iov_len)
			break;
	}
	return (ssize_t)taken;
}

static void ssh_stream_free(struct stream *stream)
{
	struct stream_ssh *s = to_ssh(stream);

	ssh_stream_drop(stream);
	ssh_login_free(s->login);
	free(s->window_scratch);
	free(s);
}

static const char *ssh_stream_why(struct stream *stream)
{
	return to_ssh(stream)->why;
}

static const struct stream_ops ssh_ops = {
	.start = ssh_stream_start,
	.pollfds = ssh_stream_pollfds,
	.pump = ssh_stream_pump,
	.send = ssh_stream_send,
	.drop = ssh_stream_drop,
	.free = ssh_stream_free,
	.why = ssh_stream_why,
};

static struct stream_ssh *stream_new(const struct ssh_login_options *opt)
{
	struct stream_ssh *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	if (ssh_login_new(opt, &s->login)) {
		free(s);
		return NULL;
	}
	s->stream.ops = &ssh_ops;
	s->window_step = compat_ssh_window_step();
	if (s->window_step)
		s->window_scratch = malloc(COMPAT_SSH_WINDOW);
	if (!s->window_scratch)
		s->window_step = 0;	/* slower, that is all */
	for (unsigned i = 0; i < STREAM_MAX_CHANNELS; i++)
		s->chans[i].owner = s;
	return s;
}

int stream_ssh_open(const struct ssh_login_options *opt, struct stream **ret,
		    bool *ret_programs, char *why, size_t why_len)
{
	struct stream_ssh *s = stream_new(opt);
	int err;

	if (!s) {
		snprintf(why, why_len, "out of memory");
		return -ENOMEM;
	}
	err = ssh_login_now(s->login);
	if (err) {
		snprintf(why, why_len, "%s", ssh_login_why(s->login));
		ssh_stream_free(&s->stream);
		return err;
	}
	*ret_programs = ssh_login_has_proxy(s->login);
	*ret = &s->stream;
	return 0;
}
