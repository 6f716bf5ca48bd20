// SPDX-License-Identifier: GPL-2.0-or-later
/* The first directories that were listed, in the order of their listings. */
#include "op_listed.h"

bool op_listed_wanted(const struct op_listed *l)
{
	return atomic_load_explicit(&l->n, memory_order_relaxed) < LISTED_MAX;
}

void op_listed_add(struct op_listed *l, uint32_t ino, uint64_t size)
{
	unsigned i;

	if (size >= LISTED_LARGE || !op_listed_wanted(l))
		return;
	i = atomic_fetch_add_explicit(&l->n, 1, memory_order_relaxed);
	if (i < LISTED_MAX)
		atomic_store_explicit(&l->ino[i], ino, memory_order_relaxed);
}

bool op_listed_enough(struct op_listed *l, uint32_t ino)
{
	const unsigned n = atomic_load_explicit(&l->n, memory_order_relaxed);
	unsigned times = 0;

	if (n >= LISTED_MAX)
		return true;
	for (unsigned i = 0; i < n; i++)
		times += atomic_load_explicit(&l->ino[i], memory_order_relaxed) == ino;
	return times >= LISTED_OFTEN;
}
