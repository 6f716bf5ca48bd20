/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connecting by name (transport/tcp.c): when the resolver, which may block, is asked. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "transport/tcp.h"

/* The resolver of this program: one address, or none; slow: once it is allowed to answer. */
static atomic_uint asked;
static _Atomic in_port_t answer_be16;
static atomic_bool slow;
static sem_t allowed, answered;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		struct addrinfo **ret)
{
	struct addrinfo *ai;
	struct sockaddr_in *in;

	(void)node;
	(void)service;
	asked++;
	if (slow) {
		sem_wait(&allowed);
		sem_post(&answered);
	}
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

static int listen_here(_Atomic in_port_t *ret_be16)
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
		int64_t left_ns = a->until_ns - tcp_now_ns();

		assert_true(left_ns <= TCP_DEAD_MS * INT64_C(1000000));
		poll(&p, 1, left_ns > 0 ? (int)(left_ns / 1000000) + 1 : 0);
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

/* Nor when it is given up. */
static void a_resolver_that_does_not_answer_holds_nobody_up(void **state)
{
	struct tcp_attempt a = { 0 };
	int server = listen_here(&answer_be16), fd, other;
	char why[200];

	(void)state;
	sem_init(&allowed, 0, 0);
	sem_init(&answered, 0, 0);
	assert_int_equal(try_it(&a, "host"), 0);
	close(server);
	for (int round = 0; round < 2; round++) {
		asked = 0;
		slow = true;
		old_enough(&a);
		assert_int_equal(tcp_start(&a, "host", 22, why, sizeof(why)), 0);
		/* It is asked, and waited for. */
		for (int i = 0; i < 4; i += asked, usleep(TCP_RESOLVER_MS * 1000))
			assert_int_equal(tcp_step(&a, &fd), -EAGAIN);
		/* The next attempt waits for the same answer. */
		tcp_abort(&a);
		assert_int_equal(tcp_start(&a, "host", 22, why, sizeof(why)), 0);
		assert_int_equal(tcp_step(&a, &fd), -EAGAIN);
		assert_int_equal(asked, 1);
		slow = false;
		if (round == 1)
			break;
		other = listen_here(&answer_be16);
		sem_post(&allowed);
		tcp_abort(&a);
		assert_int_equal(try_it(&a, "host"), 0);
		assert_int_equal(asked, 1);
		close(other);
	}
	tcp_fini(&a);
	sem_post(&allowed);
	sem_wait(&answered);
	sem_wait(&answered);
	usleep(100 * 1000);	/* the answer nobody waits for is freed, as the sanitizer sees */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dead_resolver_is_not_asked_again),
		cmocka_unit_test(a_host_that_has_moved_is_found),
		cmocka_unit_test(a_resolver_that_does_not_answer_holds_nobody_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
