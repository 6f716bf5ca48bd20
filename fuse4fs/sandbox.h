/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sandbox: what the server gives up when everything has been opened (P7).
 *
 * Its parts, each of which the kernel may not have or allow:
 *   capabilities  none are left, and none can come back
 *   privileges    no_new_privs: no program gives more rights than the process has
 *   calls         a seccomp filter with a list of the system calls that serving needs
 *   files         Landlock: no file can be opened by name, but those a remote image needs;
 *                 no TCP for a local image
 *   mounts        an empty mount namespace (where no file is needed, and the process may make one)
 * What the parts forbid overlaps on purpose. Descriptors that are open go on working.
 */
#ifndef FUSE4FS_SANDBOX_H
#define FUSE4FS_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

enum sandbox_part {
	SANDBOX_CAPABILITIES, SANDBOX_PRIVILEGES, SANDBOX_CALLS, SANDBOX_FILES, SANDBOX_MOUNTS,
	SANDBOX_PARTS,
};

/* What serving needs beyond open descriptors. */
struct sandbox_needs {
	bool network;			/* to connect and log in again */
	bool agent;			/* to talk to local services: with network */
	bool programs;			/* to start them: leaves out all parts they would inherit */
	bool probing;			/* to look for partitions */
	bool names;			/* to open some files by their names from the root */
	const char *const *read;	/* files and directories that may be read, NULL at the end;
					 * those that do not exist are left out; NULL: none */
};

/* What came of it: 0, or -errno why the part is missing. -EOPNOTSUPP: not asked for. */
struct sandbox_state {
	int err[SANDBOX_PARTS];
};

/* For messages and --status. */
const char *sandbox_part_name(enum sandbox_part part);

/*
 * sandbox_enter - give up everything but needs, in all threads, for good
 *
 * Parts that cannot be had are left out and noted in ret. Call it from the first thread while
 * no thread is being started. Uses one real-time signal, whose handler it sets and resets;
 * calls of other threads may return EINTR. A crash leaves nothing behind.
 */
void sandbox_enter(const struct sandbox_needs *needs, struct sandbox_state *ret);
/*
 * sandbox_enter_monitor - the same for a process that unmounts, has one thread and starts no program
 *
 * Keeps CAP_SYS_ADMIN, and CAP_DAC_READ_SEARCH for the way to the mount point. Who has not got
 * the former unmounts by a program that has, and gives up nothing. 0 or -errno.
 */
int sandbox_enter_monitor(void);
/* Whether the state is what was asked for: -EPERM and -ENOENT for mounts are, they
 * need a privilege and /proc. */
bool sandbox_missing(const struct sandbox_state *state, enum sandbox_part part);
/* "no NAME, NAME (why), no NAME (why)"; empty when nothing is missing. Truncates. */
void sandbox_describe_missing(const struct sandbox_state *state, char *buf, size_t size);

#endif
