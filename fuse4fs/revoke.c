/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A sorted array: records are only appended while the journal is read and only looked up
 * afterwards. It is compacted now and then, to one record (the latest) per block, so that
 * what a journal revokes again and again takes no memory.
 */
#include "revoke.h"

#include <errno.h>
#include <stdlib.h>

#include "jbd2_format.h"

enum { MIN_SIZE = 256, MAX_RECORDS = 8 << 20 };

void revoke_init(struct revoke_set *set)
{
	*set = (struct revoke_set){ .compact_at = MIN_SIZE };
}

void revoke_fini(struct revoke_set *set)
{
	free(set->records);
	revoke_init(set);
}

int revoke_add(struct revoke_set *set, uint64_t pblk, uint32_t tid)
{
	if (set->len == set->size) {
		size_t size = set->size ? set->size * 2 : MIN_SIZE;
		struct revoke_record *records;

		if (size > MAX_RECORDS)
			return -ENOMEM;
		records = realloc(set->records, size * sizeof(*records));
		if (!records)
			return -ENOMEM;
		set->records = records;
		set->size = size;
	}
	set->records[set->len++] = (struct revoke_record){ pblk, tid };
	return 0;
}

/* By block, the latest transaction first. */
static int compare(const void *a, const void *b)
{
	const struct revoke_record *x = a, *y = b;

	if (x->pblk != y->pblk)
		return x->pblk < y->pblk ? -1 : 1;
	return jbd2_tid_cmp(y->tid, x->tid);
}

/* Only what is committed may be there. */
static void compact(struct revoke_set *set)
{
	size_t kept = 0;

	if (!set->len)
		return;
	qsort(set->records, set->len, sizeof(*set->records), compare);
	for (size_t i = 0; i < set->len; i++)
		if (i == 0 || set->records[i].pblk != set->records[i - 1].pblk)
			set->records[kept++] = set->records[i];
	set->len = set->committed = kept;
}

void revoke_commit(struct revoke_set *set)
{
	set->committed = set->len;
	if (set->committed < set->compact_at)
		return;
	compact(set);
	set->compact_at = 2 * set->committed + MIN_SIZE;
}

void revoke_finish(struct revoke_set *set)
{
	set->len = set->committed;
	compact(set);
}

bool revoke_test(const struct revoke_set *set, uint64_t pblk, uint32_t tid)
{
	size_t lo = 0, hi = set->len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (set->records[mid].pblk < pblk)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < set->len && set->records[lo].pblk == pblk &&
	       jbd2_tid_cmp(tid, set->records[lo].tid) <= 0;
}
