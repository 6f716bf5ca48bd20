// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Landlock: what may be done to files by name, and to TCP.
 *
 * A set of rules says which rights it is about, those that the running kernel knows, and
 * grants some of them beneath paths; all others are denied. Rights of descriptors that are
 * open stay. The numbers are the kernel's: headers of the build may be older than it.
 * Source: linux Documentation/userspace-api/landlock.rst
 */
#include "sandbox_int.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	CALL_CREATE = 444, CALL_ADD = 445, CALL_RESTRICT = 446,	/* on all architectures */
	GET_VERSION = 1,
	RULE_PATH = 1,
	SCOPES = 3,			/* abstract sockets and signals, version 6 */
	TCP_BIND = 1, TCP_CONNECT = 2,	/* version 4 */
	VERSION_TCP = 4, VERSION_SCOPES = 6,
};

enum { READ_FILE = 1 << 2, READ_DIR = 1 << 3 };

/* Rights on files by version, from 1: execute .. symlink, refer, truncate, -, device ioctl. */
static const uint64_t fs_rights[] = { 0, 0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff };

struct attributes {
	uint64_t fs, net, scopes;
};

struct __attribute__((packed)) path_rule {
	uint64_t allowed;
	int32_t parent_fd;
};

/* As much of the struct as the version knows. */
static size_t attributes_len(long version)
{
	return version >= VERSION_SCOPES ? 24 : version >= VERSION_TCP ? 16 : 8;
}

static struct attributes attributes_for(long version, const struct sandbox_needs *needs)
{
	const long last = (long)(sizeof(fs_rights) / sizeof(fs_rights[0])) - 1;

	return (struct attributes){
		.fs = fs_rights[version < last ? version : last],
		.net = needs->network ? TCP_BIND : TCP_BIND | TCP_CONNECT,
		.scopes = SCOPES,
	};
}

static int allow_reading(int set, const char *path)
{
	const int fd = open(path, O_PATH | O_CLOEXEC);
	struct path_rule rule = { .parent_fd = fd };
	struct stat st;
	int err = 0;

	if (fd < 0)
		return 0;	/* what is not there cannot be read */
	if (fstat(fd, &st)) {
		err = -errno;
	} else {
		rule.allowed = S_ISDIR(st.st_mode) ? READ_FILE | READ_DIR : READ_FILE;
		if (syscall(CALL_ADD, set, RULE_PATH, &rule, 0))
			err = -errno;
	}
	close(fd);
	return err;
}

int sandbox_files_open(const struct sandbox_needs *needs, int *ret_fd)
{
	const long version = syscall(CALL_CREATE, NULL, 0, GET_VERSION);
	struct attributes attr;
	int set, err = 0;

	if (version < 1)
		return version < 0 ? -errno : -ENOSYS;
	attr = attributes_for(version, needs);
	set = (int)syscall(CALL_CREATE, &attr, attributes_len(version), 0);
	if (set < 0)
		return -errno;
	for (const char *const *p = needs->read; p && *p && !err; p++)
		err = allow_reading(set, *p);
	if (err) {
		close(set);
		return err;
	}
	*ret_fd = set;
	return 0;
}

int sandbox_files_enter(int fd)
{
	return syscall(CALL_RESTRICT, fd, 0) ? -errno : 0;
}
