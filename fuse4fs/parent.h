/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process that started this one, and its end.
 *
 * A descriptor tells of it for sure, but only who polls. The kernel's signal tells at once, but
 * also when only the thread that started us has ended.
 */
#ifndef FUSE4FS_PARENT_H
#define FUSE4FS_PARENT_H

#include <signal.h>
#include <sys/types.h>

#include "util.h"

/* Sent by the kernel after parent_signal. */
#define PARENT_SIGNAL	(THREAD_SIGNAL + 1)

/*
 * A descriptor that becomes readable when this process's parent is gone. 0; -ECHILD it lives in
 * another PID namespace; -ESRCH it is gone already; -errno it cannot be watched.
 */
int parent_watch(int *ret_fd);

/* The same of any process: the descriptor, or -errno. */
int parent_open_process(pid_t pid);

/* sig comes when the parent, or its thread that started us, ends; at once when getppid() is not
 * parent any more. Until parent_no_signal. */
void parent_signal(pid_t parent, int sig);
void parent_no_signal(void);

#endif
