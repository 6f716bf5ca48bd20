// SPDX-License-Identifier: GPL-2.0-or-later
/* Waiting for a server to finish; see mount_wait.h. */
#include "mount_wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mount.h"
#include "status.h"
#include "transport/imglock.h"

enum {
	PATIENCE_MS = 5000,	/* before anything is said */
	ELSEWHERE_MS = 55000,	/* for those who have it in other mount namespaces */
	LIMIT_MS = 600000,	/* for what is still to be written */
	STAT_STATE = 3, STAT_EXIT_CODE = 52,	/* fields of /proc/PID/stat, from 1 */
};

/* Of <linux/pidfd.h>, which has the last field since Linux 6.15. */
struct exit_info {
	uint64_t mask, cgroup;
	uint32_t ids[11];
	int32_t exit_status;
};
_Static_assert(sizeof(struct exit_info) == 64, "the first version of struct pidfd_info");
#define EXIT_INFO_GET	_IOWR(0xff, 11, struct exit_info)
enum { EXIT_INFO_STATUS = 1 << 3 };

void mount_wait_init(struct awaited *a, const char *mountpoint)
{
	char path[64], point[PATH_MAX];

	*a = (struct awaited){ .pid_fd = -1, .bdi_fd = -1 };
	if (status_server(mountpoint, &a->pid, a->image, sizeof(a->image))) {
		a->image[0] = '\0';
		return;
	}
	if (a->pid > 0)
		a->pid_fd = (int)syscall(SYS_pidfd_open, a->pid, 0);
	if (!mount_device(mountpoint, a->device, sizeof(a->device)))
		return;
	a->shared = mount_count(a->device, point, sizeof(point)) > 1;
	snprintf(path, sizeof(path), "/sys/class/bdi/%s", a->device);
	a->bdi_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void mount_wait_fini(struct awaited *a)
{
	if (a->pid_fd >= 0)
		close(a->pid_fd);
	if (a->bdi_fd >= 0)
		close(a->bdi_fd);
}

/* The number alone could be that of a new mount, somebody else's, by now. */
bool mount_wait_other(const struct awaited *a, char *point, size_t size)
{
	return a->shared && mount_count(a->device, point, size) > 0;
}

/* Of no use to find the other mounts, but cannot be mistaken for a new one. */
static bool is_mounted_somewhere(const struct awaited *a)
{
	return a->bdi_fd >= 0 && !faccessat(a->bdi_fd, "read_ahead_kb", F_OK, 0);
}

static int wait_some(const struct awaited *a, int timeout_ms)
{
	struct pollfd p = { .fd = a->pid_fd, .events = POLLIN };

	if (a->pid_fd < 0)
		return imglock_wait_free(a->image, (unsigned)timeout_ms);
	return poll(&p, 1, timeout_ms) == 1 ? 0 : -ETIMEDOUT;
}

int mount_wait_end(const struct awaited *a, const char *name)
{
	int err = wait_some(a, PATIENCE_MS);
	bool kept = is_mounted_somewhere(a);

	if (err == -ETIMEDOUT && kept) {
		fprintf(stderr, "fuse4fs: %s: unmounted, but another mount namespace has it, too; "
			"waiting %d s for that\n", name, ELSEWHERE_MS / 1000);
		err = wait_some(a, ELSEWHERE_MS);
		kept = is_mounted_somewhere(a);
	}
	if (err != -ETIMEDOUT || kept)
		return err;
	fprintf(stderr, "fuse4fs: %s: unmounted; waiting for the server, which writes the rest\n",
		name);
	return wait_some(a, LIMIT_MS);
}

/* A field behind the second, which is the name in parentheses; "" when there is none. */
static const char *stat_field(const char *text, int field)
{
	const char *p = strrchr(text, ')');

	for (int i = 2; p && i < field; i++)
		p = strchr(p + 1, ' ');
	return p ? p + 1 : "";
}

/* While the parent has not taken notice. Not of another process that has the number by now. */
static bool zombie_status(const struct awaited *a, int *ret_status)
{
	char path[32], text[1024], *end;
	const char *code;
	long status;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", a->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n < 0 || syscall(SYS_pidfd_send_signal, a->pid_fd, 0, NULL, 0))
		return false;
	text[n] = '\0';
	code = stat_field(text, STAT_EXIT_CODE);
	status = strtol(code, &end, 10);
	if (*stat_field(text, STAT_STATE) != 'Z' || end == code)
		return false;
	*ret_status = (int)status;
	return true;
}

/* Afterwards. Kernels tell since Linux 6.15. */
static bool reaped_status(const struct awaited *a, int *ret_status)
{
	struct exit_info info = { .mask = EXIT_INFO_STATUS };

	if (ioctl(a->pid_fd, EXIT_INFO_GET, &info) || !(info.mask & EXIT_INFO_STATUS))
		return false;
	*ret_status = info.exit_status;
	return true;
}

bool mount_wait_succeeded(const struct awaited *a, int *ret_status)
{
	*ret_status = 0;
	if (a->pid_fd >= 0 && !zombie_status(a, ret_status) && !reaped_status(a, ret_status))
		*ret_status = 0;
	return !*ret_status;
}
