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
		int64_t ms;

		a->next = ai->ai_next;
		a->fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
			       ai->ai_protocol);
		if (a->fd >= 0) {
			tune(a->fd);
			if (!connect(a->fd, ai->ai_addr, ai->ai_addrlen) || errno == EINPROGRESS) {
				ms = a->next || a->may_look_up ? TCP_ADDRESS_MS : TCP_DEAD_MS;
				a->until_ns = tcp_now_ns() + ms * 1000000;
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

/* What the resolver has now takes the place of what it had. Its own error, 0 none. */
static int look_up(struct tcp_attempt *a)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	int err = getaddrinfo(a->host, a->service, &hints, &found);

	a->may_look_up = false;
	a->looked_up_ns = tcp_now_ns();
	if (err)
		return err;
	if (a->addresses)
		freeaddrinfo(a->addresses);
	a->addresses = a->next = found;
	return 0;
}

/* The next address, if need be of another look-up. */
static int go_on(struct tcp_attempt *a)
{
	int err = next_address(a);

	if (err != -EAGAIN && a->may_look_up && !look_up(a))
		err = next_address(a);
	return err;
}

static void use_host(struct tcp_attempt *a, const char *host, const char *service)
{
	if (!strcmp(a->host, host) && !strcmp(a->service, service))
		return;
	tcp_fini(a);
	snprintf(a->host, sizeof(a->host), "%s", host);
	snprintf(a->service, sizeof(a->service), "%s", service);
}

int tcp_start(struct tcp_attempt *a, const char *host, unsigned port, char *why, size_t why_len)
{
	char service[sizeof(a->service)];
	int err = 0;

	tcp_abort(a);
	if (strlen(host) >= sizeof(a->host)) {
		snprintf(why, why_len, "%s: the name is too long", host);
		return -ENAMETOOLONG;
	}
	snprintf(service, sizeof(service), "%u", port);
	use_host(a, host, service);
	a->err = -EHOSTUNREACH;
	a->next = a->addresses;
	a->may_look_up = tcp_now_ns() - a->looked_up_ns >= TCP_LOOK_UP_MS * INT64_C(1000000);
	if (!a->addresses)
		err = look_up(a);
	if (err) {
		snprintf(why, why_len, "%s: %s", host,
			 err == EAI_SYSTEM ? strerror(errno) : gai_strerror(err));
		return err == EAI_MEMORY ? -ENOMEM : err == EAI_AGAIN ? -EAGAIN : -EHOSTUNREACH;
	}
	a->active = true;
	go_on(a);	/* tcp_step tells */
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
	return go_on(a);
}

void tcp_abort(struct tcp_attempt *a)
{
	if (a->active && a->fd >= 0)
		close(a->fd);
	a->fd = -1;
	a->active = false;
}

void tcp_fini(struct tcp_attempt *a)
{
	tcp_abort(a);
	if (a->addresses)
		freeaddrinfo(a->addresses);
	*a = (struct tcp_attempt){ .fd = -1 };
}

void tcp_reset(int fd)
{
	const struct linger hard = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
}
