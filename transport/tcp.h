/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connecting to a host by name, one address after the other, without waiting.
 *
 * Name resolution alone blocks, as long as the resolver does.
 */
#ifndef TRANSPORT_TCP_H
#define TRANSPORT_TCP_H

#include <netdb.h>
#include <stddef.h>
#include <stdint.h>

enum { TCP_DEAD_MS = 30000, TCP_ADDRESS_MS = 5000, TCP_NAME_LEN = 300 };

/* Attempts on one host, one after the other. Before the first: zeros, and fd -1. */
struct tcp_attempt {
	struct addrinfo *addresses, *next;	/* those that were found last */
	char name[TCP_NAME_LEN];	/* whose they are */
	int fd;			/* connecting, or -1 */
	int64_t until_ns;	/* then the next address is tried, CLOCK_BOOTTIME */
	int err;		/* of the last address that failed */
};

/*
 * tcp_start - resolve host and begin with its first address
 *
 * Where the resolver does not know it now, the addresses of last time have to do.
 *
 * port  1 .. 65535
 * why   on failure what the resolver says
 *
 * Returns 0; -EHOSTUNREACH no such name; -EAGAIN the resolver has no answer now; -ENOMEM.
 */
int tcp_start(struct tcp_attempt *a, const char *host, unsigned port, char *why, size_t why_len);
/*
 * tcp_step - go on
 *
 * *ret_fd: connected, close-on-exec, non-blocking, without Nagle's delay, given up by the
 * kernel after TCP_DEAD_MS without an answer. Belongs to the caller; the attempt is over.
 * Returns 0; -EAGAIN wait for a->fd to be writable or until_ns; -errno of the last
 * address, none is left.
 */
int tcp_step(struct tcp_attempt *a, int *ret_fd);
void tcp_abort(struct tcp_attempt *a);
/* The same, for good. */
void tcp_fini(struct tcp_attempt *a);
/* Closes with a reset: what is under way in either direction is dropped. */
void tcp_reset(int fd);
int64_t tcp_now_ns(void);

#endif
