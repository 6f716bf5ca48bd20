/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entries in hash order. Equals are ranked by their place, which changes rarely. */
#include <errno.h>

#include "dir_sort.h"

static int by_key(const void *a, const void *b)
{
	const struct sort_ent *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	if (x->lblk != y->lblk)
		return x->lblk < y->lblk ? -1 : 1;
	return x->off < y->off ? -1 : x->off > y->off;
}

int dir_sort_init(struct dir_sort *s, unsigned cap)
{
	*s = (struct dir_sort){ .cap = MAX(cap, 4 * SORT_RANKS), .limit = UINT64_MAX };
	s->v = malloc(s->cap * sizeof(*s->v));
	return s->v ? 0 : -ENOMEM;
}

void dir_sort_fini(struct dir_sort *s)
{
	free(s->v);
}

void dir_sort_reset(struct dir_sort *s, uint64_t from)
{
	s->n = 0;
	s->from = from & ~(uint64_t)(SORT_RANKS - 1);
	s->limit = UINT64_MAX;
}

/* Sorts; of each group of equals only as many stay as there are ranks. */
static void sort_groups(struct dir_sort *s)
{
	unsigned to = 0, rank = 0;

	qsort(s->v, s->n, sizeof(*s->v), by_key);
	for (unsigned i = 0; i < s->n; i++) {
		rank = to && s->v[to - 1].key == s->v[i].key ? rank + 1 : 0;
		if (rank < SORT_RANKS)
			s->v[to++] = s->v[i];
		else
			s->overrun = true;
	}
	s->n = to;
}

/* Makes room: at most the lower half stays, whole groups only. */
static void squeeze(struct dir_sort *s)
{
	unsigned cut = s->cap / 2;

	sort_groups(s);
	if (s->n <= cut)
		return;
	while (cut > 0 && s->v[cut].key == s->v[cut - 1].key)
		cut--;
	s->limit = s->v[cut].key;
	s->n = cut;
}

void dir_sort_add(struct dir_sort *s, uint64_t key, uint32_t lblk, uint32_t off)
{
	if (key < s->from || key >= s->limit)
		return;
	if (s->n == s->cap) {
		squeeze(s);
		if (key >= s->limit)
			return;
	}
	s->v[s->n++] = (struct sort_ent){ key, lblk, off };
}

void dir_sort_finish(struct dir_sort *s)
{
	uint64_t key = 0;
	unsigned rank = 0;

	sort_groups(s);
	for (unsigned i = 0; i < s->n; i++) {
		rank = i && s->v[i].key == key ? rank + 1 : 0;
		key = s->v[i].key;
		s->v[i].key |= rank;
	}
}
