// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Secret memory: one private mapping per piece, with its description in front.
 *
 *     | struct piece, padded to HEAD bytes | the caller's bytes ... | rest of the page |
 *
 * The mapping is the unit of locking, of leaving out of dumps and of giving back, so pieces
 * never share a page and unlocking one cannot unlock another.
 */
#include "secret.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	HEAD = 64,			/* keeps the bytes on a cache line's boundary */
	BIG = 4 * 1024 * 1024,		/* locked page by page as touched, in huge pages */
};

struct piece {
	size_t map_len, len;		/* [init only] bytes */
	bool locked;			/* [init only] */
};

_Static_assert(sizeof(struct piece) <= HEAD, "the description fits in front");

static struct piece *piece_of(const void *secret)
{
	return (struct piece *)((uintptr_t)secret - HEAD);
}

/* A big piece is work area: its pages come as they are touched, by all who touch them. */
static bool lock_pages(void *map, size_t map_len)
{
	if (map_len < BIG)
		return mlock2(map, map_len, 0) == 0;
	(void)madvise(map, map_len, MADV_HUGEPAGE);
	return mlock2(map, map_len, MLOCK_ONFAULT) == 0;
}

bool secret_lockable(size_t len)
{
	/* cppcheck-suppress invalidFunctionArg ; -1 is what an anonymous mapping takes */
	void *map = mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool can;

	if (map == MAP_FAILED)
		return false;
	can = mlock2(map, len, MLOCK_ONFAULT) == 0;
	munmap(map, len);
	return can;
}

void *secret_new(size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), map_len;
	struct piece *p;

	if (!len || len > SIZE_MAX / 2)
		return NULL;
	map_len = (HEAD + len + page - 1) / page * page;
	/* cppcheck-suppress invalidFunctionArg ; -1 is what an anonymous mapping takes */
	p = mmap(NULL, map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	/* Advice may be refused by an old kernel; the program is not dumpable anyway. */
	(void)madvise(p, map_len, MADV_DONTDUMP);
	p->locked = lock_pages(p, map_len);
	p->map_len = map_len;
	p->len = len;
	return (char *)p + HEAD;
}

void secret_free(void *secret)
{
	struct piece *p;

	if (!secret)
		return;
	p = piece_of(secret);
	secret_wipe(secret, p->len);
	munmap(p, p->map_len);
}

size_t secret_len(const void *secret)
{
	return piece_of(secret)->len;
}

bool secret_is_locked(const void *secret)
{
	return piece_of(secret)->locked;
}

void secret_wipe(void *buf, size_t len)
{
	explicit_bzero(buf, len);
}

bool secret_equal(const void *a, const void *b, size_t len)
{
	const volatile unsigned char *x = a, *y = b;
	unsigned char diff = 0;

	for (size_t i = 0; i < len; i++)
		diff |= x[i] ^ y[i];
	return diff == 0;
}
