// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Entering the sandbox; see sandbox.h.
 *
 * Capabilities, Landlock and mount namespaces belong to threads, and the server has some by
 * the time that all is open. So what can fail for reasons of its own is prepared once, and the
 * rest is a few system calls that every thread makes for itself. The filter of calls comes
 * last: it forbids the others, and the kernel puts it on all threads at once.
 */
#include "sandbox_int.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the threads share; see confine_thread. */
struct confinement {
	int files_fd, mounts_fd;		/* or -1 */
	bool programs;
	_Atomic int err[SANDBOX_PARTS];		/* the first one */
};

const char *sandbox_part_name(enum sandbox_part part)
{
	static const char *const names[SANDBOX_PARTS] = {
		[SANDBOX_CAPABILITIES] = "capabilities", [SANDBOX_PRIVILEGES] = "no_new_privs",
		[SANDBOX_CALLS] = "seccomp", [SANDBOX_FILES] = "landlock",
		[SANDBOX_MOUNTS] = "mount_namespace",
	};

	return names[part];
}

/* Also the bounding set, while we may: no_new_privs alone forbids to use it. */
int sandbox_capabilities(uint32_t keep)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct left[2] = { { .effective = keep, .permitted = keep } };

	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if ((cap > 31 || !(keep >> cap & 1)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			break;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &head, left) ? -errno : 0;
}

static void note(struct confinement *c, enum sandbox_part part, int err)
{
	int none = 0;

	if (err)
		atomic_compare_exchange_strong(&c->err[part], &none, err);
}

/* Of the calling thread. Also from a signal handler. */
static void confine_thread(struct confinement *c)
{
	note(c, SANDBOX_CAPABILITIES, sandbox_capabilities(0));
	if (c->programs)
		return;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		note(c, SANDBOX_PRIVILEGES, -errno);
	if (c->files_fd >= 0)
		note(c, SANDBOX_FILES, sandbox_files_enter(c->files_fd));
}

static void confine_other(void *arg)
{
	struct confinement *c = arg;

	if (c->mounts_fd >= 0)
		note(c, SANDBOX_MOUNTS, sandbox_mounts_enter(c->mounts_fd));
	confine_thread(c);
}

static void prepare(const struct sandbox_needs *needs, struct confinement *c)
{
	/* Programs need their own rights and files. */
	const bool files = needs->programs || needs->names;

	note(c, SANDBOX_PRIVILEGES, needs->programs ? -EOPNOTSUPP : 0);
	note(c, SANDBOX_CALLS, needs->programs ? -EOPNOTSUPP : 0);
	note(c, SANDBOX_FILES, needs->programs ? -EOPNOTSUPP :
					sandbox_files_open(needs, &c->files_fd));
	note(c, SANDBOX_MOUNTS, files ? -EOPNOTSUPP : sandbox_mounts_open(&c->mounts_fd));
}

static bool has_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	return syscall(SYS_capget, &head, data) || data[0].permitted || data[1].permitted;
}

/* What the other threads have not done if they could not be told, as without /proc. */
static void note_threads(struct confinement *c, int err)
{
	note(c, SANDBOX_CAPABILITIES, has_capabilities() ? err : 0);
	note(c, SANDBOX_FILES, err);
	note(c, SANDBOX_MOUNTS, err);
}

static void enter(struct confinement *c, const struct sandbox_needs *needs, int *ret_err)
{
	/* First of all: later there are no files. */
	int list_fd = -1, err = sandbox_threads_open(&list_fd);

	prepare(needs, c);
	if (!err)
		err = sandbox_threads(list_fd, confine_other, c);
	note_threads(c, err);
	confine_thread(c);
	if (c->files_fd >= 0)
		close(c->files_fd);
	if (c->mounts_fd >= 0)
		close(c->mounts_fd);
	if (!needs->programs)
		note(c, SANDBOX_CALLS, sandbox_calls(needs, !atomic_load(&c->err[SANDBOX_FILES])));
	*ret_err = err;
}

void sandbox_enter(const struct sandbox_needs *needs, struct sandbox_state *ret)
{
	struct confinement *c = calloc(1, sizeof(*c));
	int err = -ENOMEM;

	if (c) {
		c->files_fd = c->mounts_fd = -1;
		c->programs = needs->programs;
		enter(c, needs, &err);
	}
	for (int i = 0; i < SANDBOX_PARTS; i++)
		ret->err[i] = c ? atomic_load(&c->err[i]) : err;
	/* A thread that has not answered may still come and look. */
	if (!err)
		free(c);
}

bool sandbox_missing(const struct sandbox_state *state, enum sandbox_part part)
{
	const int err = state->err[part];

	return err && !(part == SANDBOX_MOUNTS && (err == -EPERM || err == -EOPNOTSUPP || err == -ENOENT));
}

static const char *reason(int err)
{
	return err == -EOPNOTSUPP ? "a program logs in for us" : strerror(-err);
}

void sandbox_describe_missing(const struct sandbox_state *state, char *buf, size_t size)
{
	size_t used = 0;
	int last = 0;

	buf[0] = '\0';
	for (int i = 0; i <= SANDBOX_PARTS && used < size; i++) {
		const int err = i < SANDBOX_PARTS ? state->err[i] : 0;

		if (i < SANDBOX_PARTS && !sandbox_missing(state, i))
			continue;
		/* The reason stands behind the last part that it is one for. */
		if (last && err != last)
			used += (size_t)snprintf(buf + used, size - used, " (%s)", reason(last));
		if (err && used < size)
			used += (size_t)snprintf(buf + used, size - used, "%s%s%s", used ? ", " : "",
						 err == last ? "" : "no ", sandbox_part_name(i));
		last = err;
	}
}
