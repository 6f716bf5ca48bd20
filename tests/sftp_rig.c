/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See sftp_rig.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sftp_rig.h"

enum { OPEN_DEADLINE_S = 5 };	/* less is reached on a busy machine while it opens */

static const char *const servers[] = {
	"/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server",
	"/usr/lib/ssh/sftp-server", "/usr/libexec/sftp-server",
};

static void note(void *arg, enum sftp_state state, const char *line)
{
	struct sftp_rig *rig = arg;
	size_t have;

	pthread_mutex_lock(&rig->lock);
	have = strlen(rig->notes);
	snprintf(rig->notes + have, sizeof(rig->notes) - have, "%s: %s\n", sftp_state_name(state),
		 line);
	pthread_mutex_unlock(&rig->lock);
	if (state == SFTP_LOST && rig->on_lost)
		rig->on_lost(rig);
	if (getenv("SFTP_RIG_VERBOSE"))
		fprintf(stderr, "%s: %s\n", sftp_state_name(state), line);
}

bool rig_init(struct sftp_rig *rig, uint64_t size)
{
	int fd;

	memset(rig, 0, sizeof(*rig));
	pthread_mutex_init(&rig->lock, NULL);
	for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]) && !rig->argv[0]; i++) {
		if (access(servers[i], X_OK) == 0)
			rig->argv[0] = servers[i];
	}
	if (!rig->argv[0])
		return false;
	strcpy(rig->dir, access("/dev/shm", W_OK) == 0 ? "/dev/shm/sftp_rig.XXXXXX" :
						       "/tmp/sftp_rig.XXXXXX");
	if (!mkdtemp(rig->dir))
		abort();
	snprintf(rig->image, sizeof(rig->image), "%s/image", rig->dir);
	snprintf(rig->lock_file, sizeof(rig->lock_file), "%s.fuse4fs-lock", rig->image);
	fd = open(rig->image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		abort();
	close(fd);
	rig->opt = (struct sftp_options){ .path = rig->image, .deadline_s = 15, .timeout_s = 20,
					  .notify = note, .notify_arg = rig };
	return true;
}

void rig_serve(struct sftp_rig *rig, ...)
{
	const char *dir = getenv("BUILDDIR");
	int n = 1;
	va_list ap;

	snprintf(rig->tool, sizeof(rig->tool), "%s/tests/tool_sftpd", dir ? dir : ".");
	rig->argv[0] = rig->tool;
	va_start(ap, rig);
	while (n < RIG_ARGS - 1 && (rig->argv[n] = va_arg(ap, const char *)))
		n++;
	va_end(ap);
	rig->argv[n] = NULL;
}

int rig_open_once(struct sftp_rig *rig)
{
	struct stream *stream;
	int err = stream_cmd_new(rig->argv, &stream);

	return err ? err : sftp_dev_open(stream, &rig->opt, &rig->dev, rig->why, sizeof(rig->why));
}

int rig_open(struct sftp_rig *rig)
{
	int err = rig_open_once(rig);
	char counts[128];

	snprintf(counts, sizeof(counts), "%s.count", rig->image);
	for (int i = 0; i < 9 && err == -ETIMEDOUT && rig->opt.deadline_s < OPEN_DEADLINE_S; i++) {
		/* A lock that names us is never dead. And --fail counts from the start again. */
		unlink(rig->lock_file);
		unlink(counts);
		err = rig_open_once(rig);
	}
	return err;
}

void rig_close(struct sftp_rig *rig)
{
	blkdev_close(rig->dev);
	rig->dev = NULL;
}

void rig_fini(struct sftp_rig *rig)
{
	char path[512];
	struct dirent *e;
	DIR *d;

	if (rig->dev)
		rig_close(rig);
	d = rig->dir[0] ? opendir(rig->dir) : NULL;
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", rig->dir, e->d_name);
		unlink(path);
	}
	if (d)
		closedir(d);
	rmdir(rig->dir);
}

void rig_peek(struct sftp_rig *rig, void *buf, size_t len, uint64_t off)
{
	int fd = open(rig->image, O_RDONLY | O_CLOEXEC);

	if (pread(fd, buf, len, (off_t)off) != (ssize_t)len)
		abort();
	close(fd);
}

void rig_poke(struct sftp_rig *rig, const void *buf, size_t len, uint64_t off)
{
	int fd = open(rig->image, O_WRONLY | O_CLOEXEC);

	if (pwrite(fd, buf, len, (off_t)off) != (ssize_t)len)
		abort();
	close(fd);
}

void rig_put_lock(struct sftp_rig *rig, const char *line)
{
	char aside[160];
	FILE *f;

	snprintf(aside, sizeof(aside), "%s.aside", rig->lock_file);
	f = fopen(aside, "we");
	if (!f || fprintf(f, "%-511s\n", line) != 512 || fclose(f) || rename(aside, rig->lock_file))
		abort();
}

static bool is_zombie(long pid)
{
	char path[64], text[512] = "", *name_end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	name_end = strrchr(text, ')');
	return name_end && !strncmp(name_end, ") Z", 3);
}

/* Our children that are not ended: the server processes. */
int rig_signal(struct sftp_rig *rig, int sig)
{
	char path[64], text[4096];
	FILE *f;
	int n = 0;
	long pid;

	(void)rig;
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *e;

	while (tasks && (e = readdir(tasks))) {
		snprintf(path, sizeof(path), "/proc/self/task/%.20s/children", e->d_name);
		f = fopen(path, "re");
		if (f && fgets(text, sizeof(text), f)) {
			for (char *p = text; (pid = strtol(p, &p, 10)) > 0;)
				n += !is_zombie(pid) && kill((pid_t)pid, sig) == 0;
		}
		if (f)
			fclose(f);
	}
	if (tasks)
		closedir(tasks);
	return n;
}

void rig_await_halt(void)
{
	siginfo_t info;

	if (waitid(P_ALL, 0, &info, WSTOPPED | WNOWAIT))
		abort();
}

bool rig_noted(struct sftp_rig *rig, const char *text)
{
	bool noted;

	pthread_mutex_lock(&rig->lock);
	noted = strstr(rig->notes, text) != NULL;
	pthread_mutex_unlock(&rig->lock);
	return noted;
}

struct sftp_status rig_status(struct sftp_rig *rig)
{
	struct sftp_status st;

	sftp_dev_status(rig->dev, &st);
	return st;
}

uint64_t rig_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

bool rig_await(struct sftp_rig *rig, enum sftp_state state, int ms)
{
	for (uint64_t end = rig_now_us() + (uint64_t)ms * 1000; rig_now_us() < end;) {
		if (rig_status(rig).state == state)
			return true;
		usleep(2000);
	}
	return false;
}
