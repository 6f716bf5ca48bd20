// SPDX-License-Identifier: GPL-2.0-or-later
/* The process that started this one; see parent.h. */
#include "parent.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int parent_open_process(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

int parent_watch(int *ret_fd)
{
	const pid_t parent = getppid();
	int fd;

	if (!parent)
		return -ECHILD;
	fd = parent_open_process(parent);
	if (fd < 0)
		return fd;
	/* Gone meanwhile: the number may have been another process's. */
	if (getppid() != parent) {
		close(fd);
		return -ESRCH;
	}
	*ret_fd = fd;
	return 0;
}

void parent_signal(pid_t parent, int sig)
{
	prctl(PR_SET_PDEATHSIG, sig, 0, 0, 0);
	if (getppid() != parent)
		raise(sig);
}

void parent_no_signal(void)
{
	prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
}
