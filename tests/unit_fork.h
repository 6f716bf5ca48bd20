/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cases in processes of their own: a crash, a hang or a flood of memory is a failed case,
 * and what a case does to an image in memory is gone when it ends, for free.
 */
#ifndef TESTS_UNIT_FORK_H
#define TESTS_UNIT_FORK_H

#include <stdbool.h>
#include <stddef.h>

enum {
	UNIT_PASS = 0,		/* and whatever else a body returns below UNIT_FAIL */
	UNIT_FAIL = 100,	/* the body said so, or a UNIT_CHECK did */
	UNIT_LEAK,		/* the sanitizer found memory that nobody freed */
	UNIT_CRASH,
	UNIT_HANG,
	UNIT_FLOOD,		/* more memory than allowed */
};
typedef int (*unit_body)(void *arg);

/*
 * unit_fork - run body(arg) in a child
 *
 * seconds     of wall time it may take
 * max_mbytes  of resident memory beyond what the parent has; 0: any
 * Prints what went wrong. Returns the body's result or UNIT_*.
 */
int unit_fork(unit_body body, void *arg, unsigned seconds, unsigned max_mbytes);

/* Runs body(arg, i) for 0 <= i < n in children, as many at a time as there are processors.
 * Number of those that returned anything but UNIT_PASS. */
unsigned unit_fork_all(int (*body)(void *arg, unsigned i), void *arg, unsigned n);

/* Inside a body: ends it as failed when cond does not hold. */
#define UNIT_CHECK(cond, ...) \
	do { \
		if (!(cond)) \
			unit_failed(__FILE__, __LINE__, #cond, __VA_ARGS__); \
	} while (0)
void unit_failed(const char *file, int line, const char *cond, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 4, 5)));

/* UNIT_name in the environment, or def. */
unsigned unit_env(const char *name, unsigned def);

#endif
