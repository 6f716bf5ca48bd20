/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The blocks of the live log, by number.
 *
 * A commit's content is copied here, so that it can go home whatever later transactions
 * do to the bufs: the checkpointer never looks at a buf. A block logged again and again
 * keeps one copy, the newest. When it is home, the entry stays until the tail has passed
 * the transaction: as long as a replay could write the block, freeing it needs a revoke.
 */
#include <errno.h>

#include "journal_int.h"

enum { MAX_BUCKETS = 1 << 16, MAX_SPARE = 1024 };

static struct entry **bucket(const struct table *t, uint64_t pblk)
{
	return &t->buckets[(pblk * UINT64_C(0x9e3779b97f4a7c15) >> 40) & t->mask];
}

int table_init(struct table *t, uint32_t block_size, uint32_t log_nblks)
{
	size_t n = 1;

	while (n < log_nblks && n < MAX_BUCKETS)
		n *= 2;
	*t = (struct table){ .block_size = block_size, .mask = n - 1 };
	t->buckets = calloc(n, sizeof(*t->buckets));
	return t->buckets ? 0 : -ENOMEM;
}

static void give_data(struct table *t, void *data)
{
	if (t->nspare_data >= MAX_SPARE) {
		free(data);
		return;
	}
	*(void **)data = t->spare_data;
	t->spare_data = data;
	t->nspare_data++;
}

static void *take_data(struct table *t)
{
	void *data = t->spare_data;

	t->spare_data = *(void **)data;
	t->nspare_data--;
	return data;
}

static void give_entry(struct table *t, struct entry *e)
{
	if (t->nspare >= MAX_SPARE) {
		free(e);
		return;
	}
	e->next = t->spare;
	t->spare = e;
	t->nspare++;
}

static struct entry *take_entry(struct table *t)
{
	struct entry *e = t->spare;

	t->spare = e->next;
	t->nspare--;
	return e;
}

int table_reserve(struct table *t, size_t n)
{
	while (t->nspare < n) {
		struct entry *e = malloc(sizeof(*e));

		if (!e)
			return -ENOMEM;
		e->next = t->spare;
		t->spare = e;
		t->nspare++;
	}
	while (t->nspare_data < n) {
		void *data = malloc(t->block_size);

		if (!data)
			return -ENOMEM;
		*(void **)data = t->spare_data;
		t->spare_data = data;
		t->nspare_data++;
	}
	return 0;
}

struct entry *table_find(const struct table *t, uint64_t pblk)
{
	struct entry *e = *bucket(t, pblk);

	while (e && e->pblk != pblk)
		e = e->next;
	return e;
}

static struct entry *add(struct table *t, uint64_t pblk)
{
	struct entry **head = bucket(t, pblk), *e = take_entry(t);

	*e = (struct entry){ .next = *head, .pblk = pblk };
	*head = e;
	t->count++;
	return e;
}

void table_put(struct table *t, struct copy *k, struct logged *in)
{
	struct entry *e = table_find(t, k->pblk);

	if (!e)
		e = add(t, k->pblk);
	if (e->data) {
		e->in->pending--;
	} else {
		e->data = take_data(t);
		t->npending++;
	}
	e->in = in;
	in->pending++;
	memcpy(e->data, k->data, t->block_size);
	/* Freed and back to life meanwhile, the block may have another buf. */
	if (e->buf == k->buf)
		return;
	if (e->buf)
		cache_unpin(e->buf);
	e->buf = k->buf;
	k->buf = NULL;
}

void table_settle(struct table *t, struct entry *e)
{
	if (!e->data)
		return;
	give_data(t, e->data);
	e->data = NULL;
	e->in->pending--;
	t->npending--;
	cache_unpin(e->buf);
	e->buf = NULL;
}

static void unlink_entry(struct table *t, struct entry **link)
{
	struct entry *e = *link;

	table_settle(t, e);
	*link = e->next;
	t->count--;
	give_entry(t, e);
}

void table_remove(struct table *t, uint64_t pblk)
{
	struct entry **link = bucket(t, pblk);

	while (*link && (*link)->pblk != pblk)
		link = &(*link)->next;
	if (!*link)
		return;
	if ((*link)->buf)
		cache_forget((*link)->buf);
	unlink_entry(t, link);
}

void table_sweep(struct table *t)
{
	for (size_t i = 0; i <= t->mask; i++) {
		struct entry **link = &t->buckets[i];

		while (*link) {
			if ((*link)->in->gone)
				unlink_entry(t, link);
			else
				link = &(*link)->next;
		}
	}
}

static void free_all(struct table *t)
{
	for (size_t i = 0; i <= t->mask; i++)
		while (t->buckets[i])
			unlink_entry(t, &t->buckets[i]);
}

void table_fini(struct table *t)
{
	if (!t->buckets)
		return;
	free_all(t);
	while (t->nspare)
		free(take_entry(t));
	while (t->nspare_data)
		free(take_data(t));
	free(t->buckets);
	t->buckets = NULL;
}
