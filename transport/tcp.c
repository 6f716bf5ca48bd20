// SPDX-License-Identifier: GPL-2.0-or-later
/* Connecting to a host by name; see tcp.h. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fuse4fs/thread.h"
#include "tcp.h"

/* Who of the two, the thread that asks and the attempt that waits, frees it: the later one. */
enum lookup_state { LOOKUP_RUNS, LOOKUP_DONE, LOOKUP_ABANDONED };

struct lookup {
	_Atomic enum lookup_state state;
	char host[256], service[16];
	int err;			/* the resolver's own, 0 none; from LOOKUP_DONE on */
	struct addrinfo *found;		/* the same */
};

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
				ms = a->next || a->may_look_up || a->lookup ? TCP_ADDRESS_MS :
								      TCP_DEAD_MS;
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

static int resolve(const char *host, const char *service, struct addrinfo **ret)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };

	return getaddrinfo(host, service, &hints, ret);
}

static void lookup_free(struct lookup *l)
{
	if (l->found)
		freeaddrinfo(l->found);
	free(l);
}

static void *lookup_main(void *arg)
{
	struct lookup *l = arg;

	l->err = resolve(l->host, l->service, &l->found);
	if (atomic_exchange(&l->state, LOOKUP_DONE) == LOOKUP_ABANDONED)
		lookup_free(l);
	return NULL;
}

static struct lookup *lookup_start(const struct tcp_attempt *a)
{
	struct lookup *l = calloc(1, sizeof(*l));
	pthread_t thread;

	if (!l)
		return NULL;
	memcpy(l->host, a->host, sizeof(l->host));
	memcpy(l->service, a->service, sizeof(l->service));
	if (thread_start(&thread, lookup_main, l)) {
		free(l);
		return NULL;
	}
	pthread_detach(thread);
	return l;
}

static void lookup_abandon(struct lookup *l)
{
	if (l && atomic_exchange(&l->state, LOOKUP_ABANDONED) == LOOKUP_DONE)
		lookup_free(l);
}

/* What the resolver has now takes the place of what it had. */
static void use_addresses(struct tcp_attempt *a, struct addrinfo *found)
{
	if (a->addresses)
		freeaddrinfo(a->addresses);
	a->addresses = a->next = found;
}

/* The first addresses of a host, waited for. The resolver's own error, 0 none. */
static int look_up(struct tcp_attempt *a)
{
	struct addrinfo *found = NULL;
	int err = resolve(a->host, a->service, &found);

	a->may_look_up = false;
	a->looked_up_ns = tcp_now_ns();
	if (!err)
		use_addresses(a, found);
	return err;
}

/* All addresses have failed, or will: other ones. -EAGAIN until the resolver has answered. */
static int await_lookup(struct tcp_attempt *a)
{
	struct lookup *l = a->lookup;

	if (atomic_load(&l->state) == LOOKUP_RUNS) {
		a->until_ns = tcp_now_ns() + TCP_RESOLVER_MS * INT64_C(1000000);
		return -EAGAIN;
	}
	a->lookup = NULL;
	if (!l->err) {
		use_addresses(a, l->found);
		l->found = NULL;
	}
	lookup_free(l);
	return 0;
}

/* The next address, if need be of another look-up. */
static int go_on(struct tcp_attempt *a)
{
	int err = next_address(a);

	if (err == -EAGAIN)
		return err;
	if (a->may_look_up && !a->lookup) {
		a->looked_up_ns = tcp_now_ns();
		a->lookup = lookup_start(a);
	}
	a->may_look_up = false;
	if (!a->lookup)
		return err;
	err = await_lookup(a);
	return err ? err : next_address(a);
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
	lookup_abandon(a->lookup);
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
