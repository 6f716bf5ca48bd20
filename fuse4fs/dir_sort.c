/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entries in hash order: a merge sort, because qsort's calls for each comparison were an
 * eighth of the cost of a listing. Equals are ranked in the order they were added, which is
 * that of their places.
 */
#include <errno.h>

#include "dir_sort.h"

enum { SHORT_RUN = 8 };

/* Sorts each run of SHORT_RUN where it stands; equals stay in order. */
static void sort_short_runs(struct sort_ent *v, unsigned n)
{
	for (unsigned i = 1; i < n; i++) {
		const struct sort_ent e = v[i];
		const unsigned low = i & ~(unsigned)(SHORT_RUN - 1);
		unsigned j = i;

		for (; j > low && v[j - 1].key > e.key; j--)
			v[j] = v[j - 1];
		v[j] = e;
	}
}

/* Merges neighbouring runs of len entries from one array into the other. */
static void merge_runs(const struct sort_ent *from, struct sort_ent *to, unsigned n, unsigned len)
{
	for (unsigned start = 0; start < n; start += 2 * len) {
		unsigned a = start, a_end = MIN(start + len, n);
		unsigned b = a_end, b_end = MIN(a_end + len, n);

		for (unsigned i = start; i < b_end; i++)
			to[i] = b == b_end || (a < a_end && from[a].key <= from[b].key) ?
				from[a++] : from[b++];
	}
}

/* By key, equals in the order they came. The entries end up in s->v. */
static void merge_sort(struct dir_sort *s)
{
	sort_short_runs(s->v, s->n);
	for (unsigned len = SHORT_RUN; len < s->n; len *= 2) {
		struct sort_ent *to = s->spare;

		merge_runs(s->v, to, s->n, len);
		s->spare = s->v;
		s->v = to;
	}
}

int dir_sort_init(struct dir_sort *s, unsigned cap)
{
	*s = (struct dir_sort){ .cap = MAX(cap, 4 * SORT_RANKS), .limit = UINT64_MAX };
	s->mem = malloc(2 * s->cap * sizeof(*s->mem));
	if (!s->mem)
		return -ENOMEM;
	s->v = s->mem;
	s->spare = s->mem + s->cap;
	return 0;
}

void dir_sort_fini(struct dir_sort *s)
{
	free(s->mem);
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

	merge_sort(s);
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
