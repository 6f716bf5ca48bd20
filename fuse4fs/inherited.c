// SPDX-License-Identifier: GPL-2.0-or-later
/* What the caller left open; see inherited.h. */
#include "inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "options.h"
#include "why.h"

enum { NAMED_MAX = 8, KEPT_MAX = 2, FUSE_MAJOR = 10, FUSE_MINOR = 229 };

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
static void add_path(struct named *named, const char *path)
{
	static const char *const folders[] = { "/dev/fd/", "/proc/self/fd/" };

	for (size_t i = 0; path && i < sizeof(folders) / sizeof(folders[0]); i++)
		add(named, number_after(path, folders[i]));
}

static struct named find_named(const struct options *opt)
{
	const char *const paths[] = { opt->image, opt->mountpoint, opt->header, opt->keyfile,
				      opt->identity, opt->ssh_config, opt->known_hosts };
	struct named named = { .n = 0 };

	_Static_assert(sizeof(paths) / sizeof(paths[0]) < NAMED_MAX, "and passfd=");
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		add_path(&named, paths[i]);
	if (number_after(opt->image, "fd:") >= 0)
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

	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (!is_open(fd) && open("/dev/null", O_RDWR) < 0)
			return why_fail(&why, -errno, "/dev/null: %s (a standard stream is closed)",
					strerror(errno));
	if (image > STDERR_FILENO && !is_open(image))
		return why_fail(&why, -EBADF, "%s: is not an open descriptor", opt->image);
	if (opt->has_passfd && !is_open((int)opt->passfd))
		return why_fail(&why, -EBADF, "passfd=%d: is not an open descriptor", (int)opt->passfd);
	return check_mountpoint(opt->mountpoint, &why);
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
