// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One round of Argon2 is a job per lane, then a wait for all. Jobs are collected; the wait
 * starts a thread per CPU, at most one less than jobs, and works along: rounds take
 * milliseconds, so threads that live for one round cost nothing that matters. A thread that
 * cannot be started is done without.
 */
#include "kdf_threads.h"

#include <errno.h>
#include <gcrypt.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { HELPERS_MAX = 63 };

struct job {
	gcry_kdf_job_fn_t fn;
	void *arg;
};

struct kdf_threads {
	gcry_kdf_thread_ops_t ops;	/* [init only] */
	uint32_t lanes;			/* [init only] */
	uint32_t helpers;		/* [init only] threads beside the caller's */
	uint32_t njobs;			/* the caller's thread, while no helper runs */
	_Atomic uint32_t next;		/* [atomic] the first job nobody has taken */
	struct job jobs[];		/* lanes of them; as njobs */
};

static void *work(void *arg)
{
	struct kdf_threads *t = arg;
	uint32_t i;

	while ((i = atomic_fetch_add(&t->next, 1)) < t->njobs)
		t->jobs[i].fn(t->jobs[i].arg);
	return NULL;
}

static int wait_all(void *context)
{
	struct kdf_threads *t = context;
	pthread_t helper[HELPERS_MAX];
	uint32_t n = 0;

	atomic_store(&t->next, 0);
	while (n < t->helpers && n + 1 < t->njobs && !pthread_create(&helper[n], NULL, work, t))
		n++;
	work(t);
	while (n)
		pthread_join(helper[--n], NULL);
	t->njobs = 0;
	return 0;
}

static int dispatch(void *context, gcry_kdf_job_fn_t fn, void *arg)
{
	struct kdf_threads *t = context;

	if (t->njobs == t->lanes)
		wait_all(t);
	t->jobs[t->njobs++] = (struct job){ fn, arg };
	return 0;
}

int kdf_threads_new(uint32_t lanes, struct kdf_threads **ret)
{
	struct kdf_threads *t = calloc(1, sizeof(*t) + lanes * sizeof(t->jobs[0]));
	cpu_set_t cpus;
	int ncpus = 1;

	if (!t)
		return -ENOMEM;
	if (!sched_getaffinity(0, sizeof(cpus), &cpus))
		ncpus = CPU_COUNT(&cpus);
	t->lanes = lanes;
	t->helpers = ncpus - 1 < HELPERS_MAX ? (uint32_t)ncpus - 1 : HELPERS_MAX;
	t->ops = (gcry_kdf_thread_ops_t){ t, dispatch, wait_all };
	*ret = t;
	return 0;
}

const struct gcry_kdf_thread_ops *kdf_threads_ops(const struct kdf_threads *threads)
{
	return &threads->ops;
}

void kdf_threads_free(struct kdf_threads *threads)
{
	free(threads);
}
