// SPDX-License-Identifier: GPL-2.0-or-later
/* Connecting to a host by name; see tcp.h. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tcp.h"

int64_t tcp_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A server that goes without a word must not be waited for. */
static void tune(int fd)
{
	static const struct { int level, name, value; } options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 10 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 5 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 4 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, TCP_DEAD_MS },
		/* What waits in the kernel cannot be overtaken by what is urgent. */
		{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, 128 * 1024 },
	};

	/* Each is a help and not a need. */
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		setsockopt(fd, options[i].level, options[i].name, &options[i].value,
			   sizeof(options[i].value));
}

/* Begins with the next address that can be begun with. -EAGAIN, or -errno when none is left. */
static int next_address(struct tcp_attempt *a)
{
	while (a->next) {
		const struct addrinfo *ai = a->next;

		a->next = ai->ai_next;
		a->fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
			       ai->ai_protocol);
		if (a->fd >= 0) {
			tune(a->fd);
			if (!connect(a->fd, ai->ai_addr, ai->ai_addrlen) || errno == EINPROGRESS) {
				a->until_ns = tcp_now_ns() + (a->next ? TCP_ADDRESS_MS : TCP_DEAD_MS)
							     * INT64_C(1000000);
				return -EAGAIN;
			}
			a->err = -errno;
			close(a->fd);
			a->fd = -1;
		} else {
			a->err = -errno;
		}
	}
	return a->err;
}

int tcp_start(struct tcp_attempt *a, const char *host, unsigned port, char *why, size_t why_len)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	char service[16];
	int err;

	*a = (struct tcp_attempt){ .fd = -1, .err = -EHOSTUNREACH };
	snprintf(service, sizeof(service), "%u", port);
	err = getaddrinfo(host, service, &hints, &a->addresses);
	if (err) {
		snprintf(why, why_len, "%s: %s", host,
			 err == EAI_SYSTEM ? strerror(errno) : gai_strerror(err));
		a->addresses = NULL;
		return err == EAI_MEMORY ? -ENOMEM : err == EAI_AGAIN ? -EAGAIN : -EHOSTUNREACH;
	}
	a->next = a->addresses;
	next_address(a);	/* tcp_step tells */
	return 0;
}

/* 0 connected, -EAGAIN not yet, -errno it will not be. */
static int outcome(const struct tcp_attempt *a)
{
	struct pollfd p = { .fd = a->fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int err = 0;

	if (a->fd < 0)
		return a->err;
	if (poll(&p, 1, 0) <= 0)
		return tcp_now_ns() < a->until_ns ? -EAGAIN : -ETIMEDOUT;
	if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &err, &len))
		return -errno;
	return -err;
}

int tcp_step(struct tcp_attempt *a, int *ret_fd)
{
	int err = outcome(a);

	if (err == -EAGAIN)
		return err;
	if (!err) {
		*ret_fd = a->fd;
		a->fd = -1;
		tcp_abort(a);
		return 0;
	}
	a->err = err;
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
	return next_address(a);
}

void tcp_abort(struct tcp_attempt *a)
{
	if (!a->addresses)
		return;
	if (a->fd >= 0)
		close(a->fd);
	freeaddrinfo(a->addresses);
	*a = (struct tcp_attempt){ .fd = -1 };
}

void tcp_reset(int fd)
{
	const struct linger hard = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
}
