// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The mount's backing-device settings in /sys/class/bdi/MAJOR:MINOR.
 *
 * The kernel caps a FUSE mount's readahead at 128 KiB and its dirty pages at a hundredth of
 * the system's, because it does not trust the server not to stall write-back. Root, who
 * started this server, may: then large requests and ordinary write-back apply.
 */
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server.h"

enum { MAX_RATIO_PERCENT = 50, READAHEAD_KIB_MAX = 8192 };

static void write_setting(const char *dev, const char *name, unsigned value)
{
	char path[128], text[16];
	int fd, n = snprintf(text, sizeof(text), "%u", value);

	snprintf(path, sizeof(path), "/sys/class/bdi/%s/%s", dev, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, text, (size_t)n) < 0)
		errno = 0;	/* a wish, not a need */
	close(fd);
}

void mount_tune(const struct server *srv)
{
	char dev[32];

	if (!mount_device(srv->mountpoint, dev, sizeof(dev)))
		return;
	write_setting(dev, "read_ahead_kb", READAHEAD_KIB_MAX / 8);
	write_setting(dev, "max_ratio", MAX_RATIO_PERCENT);
	write_setting(dev, "strict_limit", 0);
}

int mount_nosymfollow(const struct server *srv)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSYMFOLLOW };

	/* Who passes a descriptor mounts it himself. */
	if (server_passed_on(srv))
		return -EINVAL;
	if (syscall(SYS_mount_setattr, AT_FDCWD, srv->mountpoint, AT_SYMLINK_NOFOLLOW, &attr,
		    sizeof(attr)))
		return -errno;
	return 0;
}
