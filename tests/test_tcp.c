/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connecting by name (transport/tcp.c): when the resolver, which may block, is asked. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "transport/tcp.h"

/* The resolver of this program: one address, or none. */
static unsigned asked;
static in_port_t answer_be16;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		struct addrinfo **ret)
{
	struct addrinfo *ai;
	struct sockaddr_in *in;

	(void)node;
	(void)service;
	asked++;
	if (!answer_be16)
		return EAI_AGAIN;
	ai = calloc(1, sizeof(*ai));
	in = calloc(1, sizeof(*in));
	assert_true(ai && in);
	in->sin_family = AF_INET;
	in->sin_port = answer_be16;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ai->ai_family = AF_INET;
	ai->ai_socktype = hints->ai_socktype;
	ai->ai_addr = (struct sockaddr *)in;
	ai->ai_addrlen = sizeof(*in);
	*ret = ai;
	return 0;
}

void freeaddrinfo(struct addrinfo *ai)
{
	free(ai->ai_addr);
	free(ai);
}

static int listen_here(in_port_t *ret_be16)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	*ret_be16 = in.sin_port;
	return fd;
}

/* 0 connected, or how it failed. */
static int try_it(struct tcp_attempt *a, const char *host)
{
	char why[200] = "";
	int fd, err = tcp_start(a, host, 22, why, sizeof(why));

	if (err)
		return err;
	while ((err = tcp_step(a, &fd)) == -EAGAIN) {
		struct pollfd p = { .fd = a->fd, .events = POLLOUT };

		assert_int_equal(poll(&p, 1, 5000), 1);
	}
	if (!err)
		close(fd);
	return err;
}

static void old_enough(struct tcp_attempt *a)
{
	a->looked_up_ns -= TCP_LOOK_UP_MS * INT64_C(1000000);
}

static void a_dead_resolver_is_not_asked_again(void **state)
{
	struct tcp_attempt a = { 0 };
	int server = listen_here(&answer_be16);

	(void)state;
	asked = 0;
	assert_int_equal(try_it(&a, "host"), 0);
	assert_int_equal(asked, 1);
	answer_be16 = 0;
	old_enough(&a);
	assert_int_equal(try_it(&a, "host"), 0);
	assert_int_equal(asked, 1);
	/* The host is away, too: once a minute. What is known stays known. */
	close(server);
	assert_int_equal(try_it(&a, "host"), -ECONNREFUSED);
	assert_int_equal(asked, 2);
	assert_int_equal(try_it(&a, "host"), -ECONNREFUSED);
	assert_int_equal(asked, 2);
	assert_non_null(a.addresses);
	/* Another host has no addresses yet. */
	assert_int_equal(try_it(&a, "other"), -EAGAIN);
	assert_int_equal(asked, 3);
	tcp_fini(&a);
}

static void a_host_that_has_moved_is_found(void **state)
{
	struct tcp_attempt a = { 0 };
	int server = listen_here(&answer_be16), other;

	(void)state;
	asked = 0;
	assert_int_equal(try_it(&a, "host"), 0);
	old_enough(&a);
	other = listen_here(&answer_be16);
	close(server);
	assert_int_equal(try_it(&a, "host"), 0);
	assert_int_equal(asked, 2);
	assert_int_equal(try_it(&a, "host"), 0);
	assert_int_equal(asked, 2);
	tcp_fini(&a);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dead_resolver_is_not_asked_again),
		cmocka_unit_test(a_host_that_has_moved_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
