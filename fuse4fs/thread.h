/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads of our own that take no signal: those are the main thread's. */
#ifndef FUSE4FS_THREAD_H
#define FUSE4FS_THREAD_H

#include <pthread.h>
#include <signal.h>

#include "util.h"

/* As pthread_create, with all signals blocked but the one that confines (THREAD_SIGNAL). 0 or
 * -errno of pthread_create. */
static inline int thread_start(pthread_t *ret, void *(*run)(void *arg), void *arg)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	sigdelset(&all, THREAD_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(ret, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

#endif
