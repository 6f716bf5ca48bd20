// SPDX-License-Identifier: GPL-2.0-or-later
/* Workers in slots. A slot is empty or holds a worker that nobody uses. */
#include "cipher_pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "secret.h"

enum {
	POOL_SLOTS = 32,	/* a power of 2 */
	CACHE_LINE = 64,
};

struct slot {
	_Alignas(CACHE_LINE) _Atomic(struct worker *) worker;	/* [atomic] */
};

struct cipher_pool {
	struct slot slots[POOL_SLOTS];
	struct cipher_spec spec;	/* [init only] */
	uint8_t *key;			/* [init only] secret */
};

/* Where the calling thread looks first; the same at every call. */
static unsigned home_slot(void)
{
	uint64_t self = (uint64_t)(uintptr_t)pthread_self();

	return (unsigned)(self * 0x9e3779b97f4a7c15u >> 32) % POOL_SLOTS;
}

static void worker_free(struct worker *w)
{
	if (!w)
		return;
	cipher_free(w->cipher);
	free(w->buf);
	free(w);
}

static struct worker *worker_new(const struct cipher_pool *pool)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->buf = malloc(WORKER_BUF_LEN);
	if (!w->buf || cipher_new(&pool->spec, pool->key, &w->cipher)) {
		worker_free(w);
		return NULL;
	}
	return w;
}

struct worker *cipher_pool_get(struct cipher_pool *pool)
{
	unsigned home = home_slot();

	for (unsigned i = 0; i < POOL_SLOTS; i++) {
		struct slot *s = &pool->slots[(home + i) % POOL_SLOTS];
		struct worker *w;

		if (!atomic_load_explicit(&s->worker, memory_order_relaxed))
			continue;
		w = atomic_exchange_explicit(&s->worker, NULL, memory_order_acquire);
		if (w)
			return w;
	}
	return worker_new(pool);
}

void cipher_pool_put(struct cipher_pool *pool, struct worker *worker)
{
	unsigned home = home_slot();

	for (unsigned i = 0; i < POOL_SLOTS; i++) {
		struct slot *s = &pool->slots[(home + i) % POOL_SLOTS];
		struct worker *empty = NULL;

		if (atomic_compare_exchange_strong_explicit(&s->worker, &empty, worker,
							    memory_order_release,
							    memory_order_relaxed))
			return;
	}
	worker_free(worker);
}

int cipher_pool_new(const struct cipher_spec *spec, const void *key, struct cipher_pool **ret)
{
	struct cipher_pool *pool = aligned_alloc(CACHE_LINE, sizeof(*pool));
	struct worker *first;

	if (!pool)
		return -ENOMEM;
	memset(pool, 0, sizeof(*pool));
	pool->spec = *spec;
	pool->key = secret_new(spec->key_len);
	if (!pool->key) {
		cipher_pool_free(pool);
		return -ENOMEM;
	}
	memcpy(pool->key, key, spec->key_len);
	first = cipher_pool_get(pool);
	if (!first) {
		cipher_pool_free(pool);
		return -ENOMEM;
	}
	cipher_pool_put(pool, first);
	*ret = pool;
	return 0;
}

void cipher_pool_free(struct cipher_pool *pool)
{
	if (!pool)
		return;
	for (unsigned i = 0; i < POOL_SLOTS; i++)
		worker_free(atomic_load(&pool->slots[i].worker));
	secret_free(pool->key);
	free(pool);
}
