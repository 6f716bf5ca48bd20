// SPDX-License-Identifier: GPL-2.0-or-later
/* The worker threads' beginning and end, and what they have counted. */
#include "compat_fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "loop_int.h"

enum {
	PAGE = 4096,
	BUFFER_BYTES = 2 * LOOP_TRANSFER_MAX + 2 * PAGE,
	STACK_BYTES = 1 << 20,
};

/*
 * The data of a WRITE comes after two headers: placed so that it starts on a page, for the
 * copies and ciphers below. Pages never touched cost nothing.
 */
static int alloc_buffers(struct worker *w)
{
	const size_t header = sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in);
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	/* cppcheck-suppress invalidFunctionArg; its table forbids fd -1, mmap(2) asks for it */
	void *mem = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (mem == MAP_FAILED)
		return -ENOMEM;
	w->mem = mem;
	w->in = w->mem + PAGE - header;
	w->out = w->mem + LOOP_TRANSFER_MAX + 2 * PAGE;
	return 0;
}

static void free_buffers(struct worker *w)
{
	if (w->mem)
		munmap(w->mem, BUFFER_BYTES);
}

static int start_worker(struct worker *w)
{
	pthread_attr_t attr;
	int err = alloc_buffers(w);

	if (err)
		return err;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	err = -pthread_create(&w->thread, &attr, loop_worker, w);
	pthread_attr_destroy(&attr);
	if (err)
		free_buffers(w);
	return err;
}

static unsigned cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) ? 1 : (unsigned)CPU_COUNT(&set);
}

static struct loop *alloc_loop(struct fuse_session *se, unsigned threads)
{
	struct loop *l = calloc(1, sizeof(*l) + threads * sizeof(l->workers[0]));

	if (!l)
		return NULL;
	l->se = se;
	l->fd = fuse_session_fd(se);
	l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->max_leaders = MAX(MIN(cpus(), 2U), cpus() / 2);
	l->may_spin = cpus() > 1;
	l->slots = 1;
	mutex_init(&l->lock);
	cond_init(&l->wake);
	cond_init(&l->tick);
	return l;
}

static void free_loop(struct loop *l)
{
	for (unsigned i = 0; i < l->nworkers; i++)
		free_buffers(&l->workers[i]);
	if (l->stop_fd >= 0)
		close(l->stop_fd);
	if (l->done_fd >= 0)
		close(l->done_fd);
	mutex_fini(&l->lock);
	cond_fini(&l->wake);
	cond_fini(&l->tick);
	free(l);
}

int loop_start(struct fuse_session *se, unsigned threads, const struct loop_hooks *hooks,
	       struct loop **ret)
{
	const bool single = threads == 1;
	struct loop *l = alloc_loop(se, threads += single);
	int flags, err = 0;

	if (!l)
		return -ENOMEM;
	l->single = single;
	if (single)
		l->max_leaders = 1;
	l->hooks = *hooks;
	flags = fcntl(l->fd, F_GETFL);
	if (l->stop_fd < 0 || l->done_fd < 0 || flags < 0 ||
	    fcntl(l->fd, F_SETFL, flags | O_NONBLOCK))
		err = -errno;
	if (!err)
		err = keeper_start(l);
	if (err) {
		free_loop(l);
		return err;
	}
	/* Nobody serves before all are there, and nworkers is what has started. */
	mutex_lock(&l->lock);
	while (l->nworkers < threads && !err) {
		struct worker *w = &l->workers[l->nworkers];

		w->loop = l;
		w->spin_score = LOOP_SPIN_SCORE;
		err = start_worker(w);
		l->nworkers += !err;
	}
	l->running = l->nworkers;
	if (l->nworkers)
		*ret = l;	/* a request may ask for it as soon as the lock is gone */
	mutex_unlock(&l->lock);
	if (!l->nworkers) {
		loop_stop(l);
		keeper_end(l);
		free_loop(l);
		return err;
	}
	return 0;
}

int loop_done_fd(const struct loop *l)
{
	return l->done_fd;
}

int loop_join(struct loop *l)
{
	int error;

	for (unsigned i = 0; i < l->nworkers; i++)
		pthread_join(l->workers[i].thread, NULL);
	keeper_end(l);
	error = l->error;
	free_loop(l);
	return error;
}

void loop_get_stats(struct loop *l, struct loop_stats *ret)
{
	*ret = (struct loop_stats){
		.threads = l->nworkers - l->single,
		.handed_on = atomic_load(&l->handed_on),
		.taken_over = atomic_load(&l->taken_over),
		.slept = atomic_load(&l->slept),
	};
	for (unsigned i = 0; i < l->nworkers; i++) {
		for (int op = 0; op < LOOP_OPCODES; op++)
			ret->requests[op] += atomic_load_explicit(&l->workers[i].counts[op],
								  memory_order_relaxed);
		ret->total += atomic_load_explicit(&l->workers[i].served, memory_order_relaxed);
	}
}
