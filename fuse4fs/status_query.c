// SPDX-License-Identifier: GPL-2.0-or-later
/* --status, the client's side. */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "status.h"

int status_query(const char *mountpoint, bool json, char *buf)
{
	int fd = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, json ? STATUS_IOC_JSON : STATUS_IOC_TEXT, buf) < 0)
		err = -errno;
	close(fd);
	buf[STATUS_BYTES - 1] = '\0';
	return err;
}

int status_pid(const char *mountpoint)
{
	char buf[STATUS_BYTES];
	struct json_object *o, *pid;
	int ret = status_query(mountpoint, true, buf);

	if (ret)
		return ret;
	o = json_tokener_parse(buf);
	ret = o && json_object_object_get_ex(o, "pid", &pid) ? json_object_get_int(pid) : -ENOTTY;
	json_object_put(o);
	return ret;
}

int status_main(const char *mountpoint, bool json)
{
	char buf[STATUS_BYTES];
	int err = status_query(mountpoint, json, buf);

	if (!err) {
		fputs(buf, stdout);
		return fflush(stdout) ? MNT_EX_SYSERR : MNT_EX_OK;
	}
	if (err == -ENOTTY || err == -EINVAL)
		fprintf(stderr, "fuse4fs: %s: is not a fuse4fs mount\n", mountpoint);
	else if (err == -ENOTCONN)
		fprintf(stderr, "fuse4fs: %s: its server is gone (fuse4fs -u -l %s cleans up)\n",
			mountpoint, mountpoint);
	else
		fprintf(stderr, "fuse4fs: %s: %s\n", mountpoint, strerror(-err));
	return MNT_EX_FAIL;
}
