/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See oom.h. */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "oom.h"

static _Atomic long left = -1;	/* how many succeed until one fails; < 0: all do */
static _Atomic long every;	/* 0: no */
static _Atomic unsigned long count;
static atomic_bool fired;

void *__real_malloc(size_t len);
void *__real_calloc(size_t n, size_t len);
void *__real_realloc(void *p, size_t len);
void *__real_reallocarray(void *p, size_t n, size_t len);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t n, size_t len);
void *__wrap_realloc(void *p, size_t len);
void *__wrap_reallocarray(void *p, size_t n, size_t len);
char *__wrap_strdup(const char *s);

void oom_arm(long n)
{
	fired = false;
	left = n;
}

void oom_arm_every(long n)
{
	fired = false;
	every = n;
}

void oom_disarm(void)
{
	left = -1;
	every = 0;
}

bool oom_fired(void)
{
	return fired;
}

static bool fails(void)
{
	long n = every;

	if (n ? ++count % (unsigned long)n :
	    atomic_load(&left) < 0 || atomic_fetch_sub(&left, 1) != 0)
		return false;
	fired = true;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t len)
{
	return fails() ? NULL : __real_malloc(len);
}

void *__wrap_calloc(size_t n, size_t len)
{
	return fails() ? NULL : __real_calloc(n, len);
}

void *__wrap_realloc(void *p, size_t len)
{
	return fails() ? NULL : __real_realloc(p, len);
}

void *__wrap_reallocarray(void *p, size_t n, size_t len)
{
	return fails() ? NULL : __real_reallocarray(p, n, len);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}
