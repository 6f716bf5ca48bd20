/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of block ranges that a transaction remembers. */
#include <errno.h>

#include "txn_mgr.h"

int ranges_add(struct ranges *rs, uint64_t pblk, uint64_t n)
{
	struct range *last = rs->n ? &rs->r[rs->n - 1] : NULL;

	if (last && last->pblk + last->n == pblk) {
		last->n += n;
		return 0;
	}
	if (last && pblk + n == last->pblk) {
		last->pblk = pblk;
		last->n += n;
		return 0;
	}
	if (!rs->r || rs->n == rs->cap) {
		size_t cap = MAX(16, 2 * rs->cap);
		struct range *r = reallocarray(rs->r, cap, sizeof(*r));

		if (!r)
			return -ENOMEM;
		rs->r = r;
		rs->cap = cap;
	}
	rs->r[rs->n++] = (struct range){ .pblk = pblk, .n = n };
	return 0;
}

static int by_pblk(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return (x->pblk > y->pblk) - (x->pblk < y->pblk);
}

void ranges_normalize(struct ranges *rs)
{
	size_t out = 0;

	if (rs->n < 2)
		return;
	qsort(rs->r, rs->n, sizeof(*rs->r), by_pblk);
	for (size_t i = 1; i < rs->n; i++) {
		struct range *last = &rs->r[out];

		if (last->pblk + last->n == rs->r[i].pblk)
			last->n += rs->r[i].n;
		else
			rs->r[++out] = rs->r[i];
	}
	rs->n = out + 1;
}

void ranges_fini(struct ranges *rs)
{
	free(rs->r);
	*rs = (struct ranges){ 0 };
}
