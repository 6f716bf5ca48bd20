/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mke2fs, debugfs and e2fsck on devices in memory. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit_image.h"

enum { CHUNK = 64 * 1024, COMMAND_SIZE = 4096, OUTPUT_MAX = 1 << 20 };

void unit_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

/* An unnamed file that tools open by path. */
struct tool_file {
	int fd;
	char path[64];
};

static struct tool_file tool_file_open(uint64_t size)
{
	struct tool_file f;

	f.fd = memfd_create("image", 0);
	if (f.fd < 0 || ftruncate(f.fd, (off_t)size))
		unit_die("no file in memory: %s", strerror(errno));
	snprintf(f.path, sizeof(f.path), "/proc/%d/fd/%d", getpid(), f.fd);
	return f;
}

static bool is_zero(const uint8_t *p, size_t len)
{
	return !p[0] && !memcmp(p, p + 1, len - 1);
}

static struct tool_file tool_file_of(struct blkdev *dev)
{
	struct tool_file f = tool_file_open(blkdev_size(dev));
	const uint8_t *data = dev_mem_data(dev);
	uint64_t len;

	for (uint64_t off = 0; off < blkdev_size(dev); off += len) {
		len = MIN(blkdev_size(dev) - off, (uint64_t)CHUNK);
		if (!is_zero(data + off, len) &&
		    pwrite(f.fd, data + off, len, (off_t)off) != (ssize_t)len)
			unit_die("no memory for an image");
	}
	return f;
}

/* Copies what differs back, so that untouched pages stay shared between forks. */
static void tool_file_load(const struct tool_file *f, struct blkdev *dev)
{
	static __thread uint8_t buf[CHUNK];
	uint8_t *data = dev_mem_data(dev);
	uint64_t len;

	for (uint64_t off = 0; off < blkdev_size(dev); off += len) {
		len = MIN(blkdev_size(dev) - off, (uint64_t)CHUNK);
		memset(buf, 0, len);
		if (pread(f->fd, buf, len, (off_t)off) < 0)
			unit_die("read of an image: %s", strerror(errno));
		if (memcmp(data + off, buf, len))
			memcpy(data + off, buf, len);
	}
}

static char *read_all(int fd)
{
	char *text = calloc(1, OUTPUT_MAX + 1);
	ssize_t n;

	if (!text)
		unit_die("no memory");
	n = pread(fd, text, OUTPUT_MAX, 0);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* Runs a command; output and errors go to *ret_output (to be freed). Exit status. */
static int run(char **ret_output, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int run(char **ret_output, const char *fmt, ...)
{
	char command[COMMAND_SIZE], full[COMMAND_SIZE + 128];
	struct tool_file out = tool_file_open(0);
	va_list ap;
	int status;

	va_start(ap, fmt);
	if (vsnprintf(command, sizeof(command), fmt, ap) >= (int)sizeof(command))
		unit_die("command too long");
	va_end(ap);
	snprintf(full, sizeof(full), "PATH=$PATH:/usr/sbin:/sbin; export PATH; exec 1>%s 2>&1 </dev/null\n%s",
		 out.path, command);
	status = system(full);
	*ret_output = read_all(out.fd);
	close(out.fd);
	if (status == -1 || !WIFEXITED(status) || WEXITSTATUS(status) == 127)
		unit_die("cannot run: %s\n%s", command, *ret_output);
	return WEXITSTATUS(status);
}

struct blkdev *unit_mkfs(uint64_t size, const char *args)
{
	struct tool_file f = tool_file_open(size);
	AUTOFREE char *output = NULL;
	struct blkdev *dev;

	if (run(&output, "MKE2FS_SYNC=0 mke2fs -q -F -E nodiscard %s %s", args, f.path))
		unit_die("mke2fs %s: %s", args, output);
	if (dev_mem_open(size, &dev))
		unit_die("no memory for an image");
	tool_file_load(&f, dev);
	close(f.fd);
	return dev;
}

struct blkdev *unit_copy(struct blkdev *dev, uint64_t size)
{
	struct blkdev *copy;
	uint64_t len;

	if (dev_mem_open(size, &copy))
		unit_die("no memory for an image");
	for (uint64_t off = 0; off < size; off += len) {
		len = MIN(size - off, (uint64_t)CHUNK);
		if (!is_zero(dev_mem_data(dev) + off, len))
			memcpy(dev_mem_data(copy) + off, dev_mem_data(dev) + off, len);
	}
	return copy;
}

void unit_debugfs(struct blkdev *dev, const char *commands)
{
	struct tool_file f = tool_file_of(dev), script = tool_file_open(0);
	AUTOFREE char *output = NULL;

	if (pwrite(script.fd, commands, strlen(commands), 0) != (ssize_t)strlen(commands))
		unit_die("no memory");
	run(&output, "debugfs -w -f %s %s", script.path, f.path);
	tool_file_load(&f, dev);
	close(script.fd);
	close(f.fd);
}

char *unit_debugfs_ask(struct blkdev *dev, const char *command)
{
	struct tool_file f = tool_file_of(dev);
	char *output = NULL;

	run(&output, "debugfs -R '%s' %s 2>/dev/null", command, f.path);
	close(f.fd);
	return output;
}

int unit_fsck(struct blkdev *dev, const char *flags, int allowed)
{
	struct tool_file f = tool_file_of(dev);
	AUTOFREE char *output = NULL;
	int status = run(&output, "e2fsck %s %s", flags, f.path);

	if (status & ~allowed)
		fprintf(stderr, "e2fsck %s: status %d\n%s", flags, status, output);
	tool_file_load(&f, dev);
	close(f.fd);
	return status;
}

static void drop_message(void *arg, enum fs_log level, const char *line)
{
}

int unit_fs_open(struct blkdev *dev, const struct fs_options *opt, struct fs **ret)
{
	struct fs_options o = opt ? *opt : (struct fs_options){ 0 };
	char why[256] = "";
	int err;

	if (!o.log && !getenv("UNIT_VERBOSE"))
		o.log = drop_message;
	err = fs_open(dev, &o, ret, why, sizeof(why));
	if (err && getenv("UNIT_VERBOSE"))
		fprintf(stderr, "fs_open: %s (%s)\n", strerror(-err), why);
	return err;
}

struct fs *unit_fs_must_open(struct blkdev *dev, const struct fs_options *opt)
{
	struct fs_options o = opt ? *opt : (struct fs_options){ 0 };
	char why[256] = "";
	struct fs *fs;
	int err;

	if (!o.log && !getenv("UNIT_VERBOSE"))
		o.log = drop_message;
	err = fs_open(dev, &o, &fs, why, sizeof(why));
	if (err)
		unit_die("fs_open: %s (%s)", strerror(-err), why);
	return fs;
}
