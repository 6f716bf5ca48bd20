/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connecting to a host by name, one address after the other, without waiting.
 *
 * Only the first look-up of a name blocks, as long as the resolver does. Addresses are kept
 * from one attempt to the next and tried first; when none of them takes us the name is looked
 * up again, by a thread, and not more often than every TCP_LOOK_UP_MS.
 */
#ifndef TRANSPORT_TCP_H
#define TRANSPORT_TCP_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Attempts at one host, one after the other. Zeros are none yet. */
struct tcp_attempt {
	struct addrinfo *addresses, *next;	/* of the last look-up; those not tried yet */
	char host[256], service[16];	/* what they are of; host "" before the first */
	int64_t looked_up_ns;		/* when that began, CLOCK_BOOTTIME */
	struct lookup *lookup;		/* another one, asked for by a thread; or NULL */
	bool active, may_look_up;
	int fd;			/* connecting, valid while active; -1 none */
	int64_t until_ns;	/* then the next address is tried, CLOCK_BOOTTIME */
	int err;		/* of the last address that failed */
};

/*
 * tcp_start - begin with the first address of host, looked up if there are none of an attempt before
 *
 * port  1 .. 65535
 * why   on failure what the resolver says
 *
 * Returns 0; -EHOSTUNREACH no such name; -EAGAIN the resolver has no answer now; -ENOMEM;
 * -ENAMETOOLONG.
 */
int tcp_start(struct tcp_attempt *a, const char *host, unsigned port, char *why, size_t why_len);
/*
 * tcp_step - go on
 *
 * *ret_fd: connected, close-on-exec, non-blocking, without Nagle's delay, given up by the
 * kernel after TCP_DEAD_MS without an answer. Belongs to the caller; the attempt is over.
 * Returns 0; -EAGAIN wait for a->fd (-1: none) to be writable or until_ns; -errno of the last
 * address, none is left.
 */
int tcp_step(struct tcp_attempt *a, int *ret_fd);
/* Ends the attempt and keeps the addresses and the question for others. */
void tcp_abort(struct tcp_attempt *a);
/* Forgets them, too; does not wait for the resolver. */
void tcp_fini(struct tcp_attempt *a);
/* Closes with a reset: what is under way in either direction is dropped. */
void tcp_reset(int fd);
int64_t tcp_now_ns(void);

enum { TCP_DEAD_MS = 30000, TCP_ADDRESS_MS = 5000, TCP_LOOK_UP_MS = 60000, TCP_RESOLVER_MS = 50 };

#endif
