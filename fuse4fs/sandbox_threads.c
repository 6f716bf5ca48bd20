// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A function on every thread; see sandbox_int.h.
 *
 * As libc does it for setuid(2): a signal to each, whose handler runs the function. What to
 * run comes with the signal, so there is nothing global.
 */
#include "sandbox_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

enum { PATIENCE_SEC = 30 };

struct job {
	void (*run)(void *arg);
	void *arg;
	sem_t done;
};

static void on_signal(int sig, siginfo_t *info, void *context)
{
	const int saved = errno;
	struct job *job = info->si_value.sival_ptr;

	(void)sig, (void)context;
	if (info->si_code == SI_QUEUE && info->si_pid == getpid()) {
		job->run(job->arg);
		sem_post(&job->done);
	}
	errno = saved;
}

/* 1: it has been told; 0: it is not there any more. */
static int tell(struct job *job, int sig, pid_t tid)
{
	siginfo_t info = { .si_signo = sig, .si_code = SI_QUEUE };

	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_ptr = job;
	if (!syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, sig, &info))
		return 1;
	return errno == ESRCH ? 0 : -errno;
}

static int await(struct job *job, unsigned n)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_SEC;
	while (n) {
		if (!sem_timedwait(&job->done, &until))
			n--;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

int sandbox_threads_open(int *ret_fd)
{
	int fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int tell_all(struct job *job, int sig, DIR *dir)
{
	const pid_t self = (pid_t)syscall(SYS_gettid);
	struct dirent *entry;
	unsigned told = 0;
	int n = 0, err;

	while (n >= 0 && (entry = readdir(dir))) {
		pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (tid <= 0 || tid == self)
			continue;
		n = tell(job, sig, tid);
		told += n > 0;
	}
	err = await(job, told);
	return n < 0 ? n : err;
}

int sandbox_threads(int fd, void (*run)(void *arg), void *arg)
{
	const int sig = THREAD_SIGNAL;
	struct sigaction act = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct job *job = calloc(1, sizeof(*job));
	DIR *dir = fdopendir(fd);
	int err;

	if (!job || !dir) {
		free(job);
		if (dir)
			closedir(dir);
		else
			close(fd);
		return -ENOMEM;
	}
	job->run = run;
	job->arg = arg;
	sem_init(&job->done, 0, 0);
	sigfillset(&act.sa_mask);
	sigaction(sig, &act, NULL);
	err = tell_all(job, sig, dir);
	closedir(dir);
	if (err)
		return err;	/* a late handler may still look at the job */
	signal(sig, SIG_IGN);
	sem_destroy(&job->done);
	free(job);
	return 0;
}
