// SPDX-License-Identifier: GPL-2.0-or-later
/* What the caller left open; see inherited.h. */
#include "inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "options.h"
#include "util.h"
#include "why.h"

enum { NAMED_MAX = 9, KEPT_MAX = 2, FUSE_MAJOR = 10, FUSE_MINOR = 229 };

struct named {
	int fds[NAMED_MAX + KEPT_MAX];	/* all above the standard streams */
	unsigned n;
};

/* The number after the prefix, up to the end or a slash; -1: it is no such name. */
static int number_after(const char *text, const char *prefix)
{
	const char *digits = text + strlen(prefix);
	const size_t len = strncmp(text, prefix, strlen(prefix)) ? 0 : strspn(digits, "0123456789");

	if (!len || len > 9 || (digits[len] && digits[len] != '/'))
		return -1;
	return (int)strtoul(digits, NULL, 10);
}

static void add(struct named *named, int fd)
{
	if (fd > STDERR_FILENO)
		named->fds[named->n++] = fd;
}

/* Shells write <(COMMAND) so. */
static int number_of_path(const char *path)
{
	const int fd = path ? number_after(path, "/dev/fd/") : -1;

	return path && fd < 0 ? number_after(path, "/proc/self/fd/") : fd;
}

/* All that is opened by a name. */
struct paths {
	const char *list[7];
};

static struct paths all_paths(const struct options *opt)
{
	return (struct paths){ { opt->image, opt->mountpoint, opt->header, opt->keyfile, opt->identity,
				 opt->ssh_config, opt->known_hosts } };
}

static struct named find_named(const struct options *opt)
{
	const struct paths paths = all_paths(opt);
	struct named named = { .n = 0 };

	for (size_t i = 0; i < ARRAY_LEN(paths.list); i++)
		add(&named, number_of_path(paths.list[i]));
	add(&named, number_after(opt->image, "fd:"));
	if (opt->has_passfd)
		add(&named, (int)opt->passfd);
	return named;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int check_mountpoint(const char *name, const struct why *why)
{
	const int fd = number_after(name, "/dev/fd/");
	struct stat st;

	if (strncmp(name, "/dev/fd/", 8) != 0)
		return 0;
	if (fd < 0 || strchr(name + 8, '/'))
		return why_fail(why, -EINVAL, "%s: no mount point: /dev/fd/ is followed by the number of "
				"an open descriptor", name);
	if (fd <= STDERR_FILENO)
		return why_fail(why, -EINVAL, "%s: no mount point: 0, 1 and 2 are the standard streams "
				"(pass /dev/fuse as 3 or more)", name);
	if (fstat(fd, &st))
		return why_fail(why, -EBADF, "%s: no mount point: is not an open descriptor (pass "
				"/dev/fuse, open, by that number)", name);
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(FUSE_MAJOR, FUSE_MINOR))
		return why_fail(why, -ENODEV, "%s: no mount point: is not /dev/fuse (open that and mount "
				"it by its number)", name);
	return 0;
}

int inherited_check(const struct options *opt, char *why_text, size_t why_len)
{
	const struct why why = { why_text, why_len };
	const int image = number_after(opt->image, "fd:");
	const struct paths paths = all_paths(opt);
	int err;

	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (!is_open(fd) && open("/dev/null", O_RDWR) < 0 && memfd_create("null", 0) < 0)
			return why_fail(&why, -errno, "cannot replace a closed standard stream: %s",
					strerror(errno));
	err = check_mountpoint(opt->mountpoint, &why);
	if (err)
		return err;
	if (image > STDERR_FILENO && !is_open(image))
		return why_fail(&why, -EBADF, "%s: is not an open descriptor", opt->image);
	if (opt->has_passfd && !is_open((int)opt->passfd))
		return why_fail(&why, -EBADF, "passfd=%d: is not an open descriptor", (int)opt->passfd);
	for (size_t i = 0; i < ARRAY_LEN(paths.list); i++) {
		const int fd = number_of_path(paths.list[i]);

		if (fd >= 0 && !is_open(fd))
			return why_fail(&why, -EBADF, "%s: is not an open descriptor", paths.list[i]);
	}
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

void inherited_close(const struct options *opt, const int *kept, unsigned n)
{
	struct named named = find_named(opt);
	unsigned next = STDERR_FILENO + 1;

	for (unsigned i = 0; i < n && i < KEPT_MAX; i++)
		add(&named, kept[i]);
	qsort(named.fds, named.n, sizeof(named.fds[0]), by_number);
	for (unsigned i = 0; i < named.n; i++) {
		const unsigned fd = (unsigned)named.fds[i];

		if (fd > next)
			close_range(next, fd - 1, 0);
		next = fd + 1;
	}
	close_range(next, ~0U, 0);
}

void inherited_leave(const struct options *opt)
{
	const struct named named = find_named(opt);

	for (unsigned i = 0; i < named.n; i++)
		close(named.fds[i]);
}
