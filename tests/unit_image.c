/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mke2fs, debugfs and e2fsck on devices in memory. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit_image.h"

enum { CHUNK = 64 * 1024, PAGE = 4096, COMMAND_SIZE = 4096, OUTPUT_MAX = 1 << 20, MAX_WORDS = 64 };

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

/* Whether each page of a mapping has ever been touched; looking there would touch it. */
static uint64_t *touched_pages(const uint8_t *data, size_t npages)
{
	uint64_t *map = calloc(npages, sizeof(*map));
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	size_t len = npages * sizeof(*map);

	if (!map)
		unit_die("no memory");
	if (fd < 0 || pread(fd, map, len, (off_t)((uintptr_t)data / PAGE * sizeof(*map))) != (ssize_t)len)
		memset(map, 0xff, len);
	close(fd);
	return map;
}

static struct tool_file tool_file_of(struct blkdev *dev)
{
	struct tool_file f = tool_file_open(blkdev_size(dev));
	const uint8_t *data = dev_mem_data(dev);
	size_t npages = div_up(blkdev_size(dev), PAGE);
	AUTOFREE uint64_t *touched = touched_pages(data, npages);

	for (size_t i = 0; i < npages; i++) {
		uint64_t off = (uint64_t)i * PAGE, len = MIN(blkdev_size(dev) - off, (uint64_t)PAGE);

		if (touched[i] >> 62 && !is_zero(data + off, len) &&
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

/* Splits text at blanks; argv ends with NULL. */
static void split(char *text, char **argv, unsigned max)
{
	unsigned n = 0;

	for (char *word = strtok(text, " "); word && n < max - 1; word = strtok(NULL, " "))
		argv[n++] = word;
	argv[n] = NULL;
}

static int spawn(char **argv, const char *output)
{
	posix_spawn_file_actions_t actions;
	int status = 0, err;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, 1, 2);
	err = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	while (!err && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return err || !WIFEXITED(status) ? -1 : WEXITSTATUS(status);
}

/* Runs a command of words, tail being the last one (or NULL); output and errors go to
 * *ret_output (to be freed). Exit status. */
static int run(char **ret_output, const char *tail, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int run(char **ret_output, const char *tail, const char *fmt, ...)
{
	char command[COMMAND_SIZE], *argv[MAX_WORDS + 1], path[PATH_MAX];
	struct tool_file out = tool_file_open(0);
	unsigned n = 0;
	va_list ap;
	int status;

	va_start(ap, fmt);
	if (vsnprintf(command, sizeof(command), fmt, ap) >= (int)sizeof(command))
		unit_die("command too long");
	va_end(ap);
	if (!strstr(getenv("PATH"), "/sbin")) {
		snprintf(path, sizeof(path), "%s:/usr/sbin:/sbin", getenv("PATH"));
		setenv("PATH", path, 1);
	}
	split(command, argv, MAX_WORDS);
	while (argv[n])
		n++;
	argv[n] = (char *)tail;
	argv[n + 1] = NULL;
	status = spawn(argv, out.path);
	*ret_output = read_all(out.fd);
	close(out.fd);
	if (status < 0)
		unit_die("cannot run %s\n%s", argv[0], *ret_output);
	return status;
}

struct blkdev *unit_mkfs(uint64_t size, const char *args)
{
	struct tool_file f = tool_file_open(size);
	AUTOFREE char *output = NULL;
	struct blkdev *dev;

	if (run(&output, f.path, "mke2fs -q -F -E nodiscard %s", args))
		unit_die("mke2fs %s: %s", args, output);
	if (dev_mem_open(size, &dev))
		unit_die("no memory for an image");
	tool_file_load(&f, dev);
	close(f.fd);
	return dev;
}

struct blkdev *unit_copy(struct blkdev *dev, uint64_t size)
{
	size_t npages = div_up(size, PAGE);
	AUTOFREE uint64_t *touched = NULL;
	struct blkdev *copy;

	if (dev_mem_open(size, &copy))
		unit_die("no memory for an image");
	dev_mem_hold(dev);
	touched = touched_pages(dev_mem_data(dev), npages);
	for (size_t i = 0; i < npages; i++) {
		uint64_t off = (uint64_t)i * PAGE, len = MIN(size - off, (uint64_t)PAGE);

		if (touched[i] >> 62 && !is_zero(dev_mem_data(dev) + off, len))
			memcpy(dev_mem_data(copy) + off, dev_mem_data(dev) + off, len);
	}
	dev_mem_release(dev);
	return copy;
}

void unit_debugfs(struct blkdev *dev, const char *commands)
{
	struct tool_file f = tool_file_of(dev), script = tool_file_open(0);
	AUTOFREE char *output = NULL;

	if (pwrite(script.fd, commands, strlen(commands), 0) != (ssize_t)strlen(commands))
		unit_die("no memory");
	run(&output, f.path, "debugfs -w -f %s", script.path);
	tool_file_load(&f, dev);
	close(script.fd);
	close(f.fd);
}

char *unit_debugfs_ask(struct blkdev *dev, const char *command)
{
	struct tool_file f = tool_file_of(dev), script = tool_file_open(0);
	char *output = NULL, *line;

	if (pwrite(script.fd, command, strlen(command), 0) != (ssize_t)strlen(command))
		unit_die("no memory");
	run(&output, f.path, "debugfs -f %s", script.path);
	/* Behind its version comes the command, then the answer. */
	line = strstr(output, command);
	line = line ? strchr(line, '\n') : NULL;
	if (line)
		memmove(output, line + 1, strlen(line));
	close(script.fd);
	close(f.fd);
	return output;
}

int unit_fsck(struct blkdev *dev, const char *flags, int allowed)
{
	struct tool_file f = tool_file_of(dev);
	AUTOFREE char *output = NULL;
	int status = run(&output, f.path, "e2fsck %s", flags);

	if (status & ~allowed)
		fprintf(stderr, "e2fsck %s: status %d\n%s", flags, status, output);
	if (!strstr(flags, "-fn"))
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

bool unit_is_clean_once_mounted(struct blkdev *dev)
{
	const struct ext2_super_block *sb = unit_super(dev);

	if (sb->s_last_orphan ||
	    sb->s_feature_ro_compat & htole32(EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT)) {
		struct fs *fs = unit_fs_must_open(dev, NULL);

		if (fs_close(fs))
			return false;
	}
	return unit_is_clean(dev);
}
