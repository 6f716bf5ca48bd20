// SPDX-License-Identifier: GPL-2.0-or-later
/* --status, the client's side. */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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

uint64_t status_pid_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) ? 0 : st.st_ino;
}

static uint64_t number(struct json_object *o, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(o, key, &value) ? (uint64_t)json_object_get_int64(value) : 0;
}

int status_server(const char *mountpoint, int *ret_pid, char *image, size_t image_size)
{
	const uint64_t here = status_pid_namespace();
	struct json_object *o, *path;
	char buf[STATUS_BYTES];
	int err = status_query(mountpoint, true, buf);

	if (err)
		return err;
	o = json_tokener_parse(buf);
	if (o && json_object_object_get_ex(o, "image", &path))
		snprintf(image, image_size, "%s", json_object_get_string(path));
	else
		err = -ENOTTY;
	if (!err)
		*ret_pid = here && number(o, "pid_namespace") == here ? (int)number(o, "pid") : 0;
	json_object_put(o);
	return err;
}

int status_progress(const char *mountpoint, struct status_progress *ret)
{
	struct json_object *o, *g;
	char buf[STATUS_BYTES];
	int err = status_query(mountpoint, true, buf);

	if (err)
		return err;
	o = json_tokener_parse(buf);
	if (!o || !json_object_object_get_ex(o, "remote", &g)) {
		json_object_put(o);
		return -ENOENT;
	}
	*ret = (struct status_progress){
		.unsynced_len = number(g, "unsynced_bytes"), .write_rate = number(g, "write_rate"),
		.outage_ms = number(g, "outage_ms"),
	};
	json_object_put(o);
	return 0;
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
