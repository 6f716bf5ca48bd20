/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of the sandbox, for sandbox.c. Each returns 0 or -errno. */
#ifndef FUSE4FS_SANDBOX_INT_H
#define FUSE4FS_SANDBOX_INT_H

#include <stdint.h>

#include "sandbox.h"

/* The libraries of sanitizers make calls of their own, and write reports. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* Which argument of clone(2) has the flags. */
#if defined(__s390__) || defined(__CRIS__)
enum { CLONE_FLAGS_ARG = 1 };
#else
enum { CLONE_FLAGS_ARG = 0 };
#endif

/* sandbox_calls.c: filters the calls of all threads; they have no_new_privs. landlock: all have it. */
int sandbox_calls(const struct sandbox_needs *needs, bool landlock);
/* sandbox_action.c: what meets a call that is not listed, as seccomp.h has it. Tests link
 * another one. */
uint32_t sandbox_unlisted(void);

/* sandbox.c: gives up the calling thread's capabilities but those in keep, bits of the first 32. Also
 * from a signal handler. */
int sandbox_capabilities(uint32_t keep);

/* sandbox_files.c: a set of rules; each thread confines itself to it, and it is closed. */
int sandbox_files_open(const struct sandbox_needs *needs, int *ret_fd);
int sandbox_files_enter(int fd);

/* sandbox_mounts.c: moves the calling thread to a namespace without a file; ret_fd names it. */
int sandbox_mounts_open(int *ret_fd);
/* Moves another one there. */
int sandbox_mounts_enter(int fd);

/* sandbox_threads.c: where the kernel lists the threads. */
int sandbox_threads_open(int *ret_fd);
/*
 * Has every other thread of the process run a function from a signal handler: it may use
 * system calls and atomics only. Takes fd. Returns when all have; -ETIMEDOUT some did not.
 */
int sandbox_threads(int fd, void (*run)(void *arg), void *arg);

#endif
