/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A login on another machine with several byte channels, each talking to an SFTP server.
 *
 * Two implementations: channels of one libssh session (stream_ssh.h), and child processes
 * such as ssh(1), one for each channel, behind socket pairs (stream_cmd.h). Both are driven
 * by one thread, never wait, and can be started again after every loss.
 *
 *     DOWN --start()--> STARTING --sink->opened(0)--> UP (more channels may open, or be refused)
 *      ^                   |                           |
 *      +-------drop()------+--pump() returns -errno----+
 *
 * A stream is born DOWN. One whose first login has to ask the user (passwords, unknown host
 * keys) does so while it is made, in the foreground, and keeps the session: start() then
 * only opens channels. What later logins need is kept in locked memory; they never ask.
 *
 * Every call comes from the thread that drives the stream (free may come from another one
 * after that has ended). The sink is called from inside pump() and from nowhere else; it
 * may call send(), but not pump(), start(), drop() or free().
 */
#ifndef TRANSPORT_STREAM_H
#define TRANSPORT_STREAM_H

#include <poll.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

enum {
	STREAM_MAX_CHANNELS = 8,
	STREAM_MAX_POLLFDS = 2 * STREAM_MAX_CHANNELS,
};

/* What the driver wants to hear, from inside pump(). chan < the number given to start(). */
struct stream_sink {
	/* The channel's SFTP server was started: bytes may be sent. Once for each channel. */
	void (*opened)(void *arg, unsigned chan);
	/* Bytes that arrived, in order. All of them are consumed; buf ends with the call. */
	void (*data)(void *arg, unsigned chan, const void *buf, size_t len);
	/*
	 * The channel is gone and stays so until drop() and start(): -EMFILE refused by a limit
	 * of the server (before opened), -EPIPE the server's program ended, other -errno. The
	 * login may live on.
	 */
	void (*closed)(void *arg, unsigned chan, int err);
	void *arg;
};

struct stream;

struct stream_ops {
	/*
	 * Begins to log in and to open that many channels, 1 .. STREAM_MAX_CHANNELS; the rest
	 * happens in pump(). sink lives until drop(). Returns 0, or -errno as pump() does;
	 * then the stream is DOWN.
	 */
	int (*start)(struct stream *s, unsigned channels, const struct stream_sink *sink);
	/*
	 * Fills fds with what to poll(2) for before the next pump(), at most
	 * STREAM_MAX_POLLFDS, and returns how many. POLLOUT is among the events where a login
	 * step or bytes taken by send() wait for it, and after a send() that took less than
	 * it was offered if room is signalled that way. *ret_timeout_ms is lowered, never
	 * raised, if pump() should be called sooner; -1 stands for no limit.
	 */
	unsigned (*pollfds)(struct stream *s, struct pollfd *fds, int *ret_timeout_ms);
	/*
	 * Goes as far as it can without waiting: login, opening of channels, bytes in both
	 * directions, calling the sink. One call moves a bounded number of bytes (some MiB);
	 * if more is ready, pollfds() asks for a timeout of 0 or poll(2) returns at once.
	 * After it, send() may be tried again where it took less than it was offered.
	 * Returns 0; -errno the login failed or was lost, drop() has to follow:
	 * -EKEYREJECTED the host key is not the one of the first login, -EACCES the server
	 * refuses our credentials; everything else is worth another attempt.
	 */
	int (*pump)(struct stream *s);
	/*
	 * Gives bytes to an open channel: the iov in order, as far as there is room. Bytes
	 * taken are sent without further calls except pump(). The memory is free to be changed
	 * on return. Returns the number taken, 0 if there is no room now; -errno the channel
	 * is gone (closed() follows from pump(), or pump() fails).
	 */
	ssize_t (*send)(struct stream *s, unsigned chan, const struct iovec *iov, int niov);
	/*
	 * Ends the login, or the attempt, at once: nothing buffered is sent any more, TCP
	 * connections are reset (SO_LINGER 0), children are killed and reaped. The sink is
	 * not called. DOWN afterwards, whatever it was.
	 */
	void (*drop)(struct stream *s);
	/* drop() and free the memory. */
	void (*free)(struct stream *s);
	/* Why the last start() or pump() failed, one line for a log; until the next call. */
	const char *(*why)(struct stream *s);
};

/* First member of an implementation's own struct. */
struct stream {
	const struct stream_ops *ops;	/* [init only] */
};

#endif
