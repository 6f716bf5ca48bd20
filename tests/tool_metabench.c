/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tool_metabench DIR COUNT: metadata operations on COUNT files in one fresh directory of
 * DIR. Prints "NAME OPERATIONS-PER-SECOND" a line for each phase; removes what it made.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct bench {
	int dir;	/* descriptor of the directory worked in */
	int count;
};

typedef int (*phase_fn)(const struct bench *b, int i);

static void name_of(char *buf, size_t size, const char *prefix, int i)
{
	snprintf(buf, size, "%s%07d", prefix, i);
}

static int do_create(const struct bench *b, int i)
{
	static const char block[4096] = "block";
	char name[32];
	int fd, ok;

	name_of(name, sizeof name, "f", i);
	fd = openat(b->dir, name, O_CREAT | O_EXCL | O_WRONLY, 0644);
	if (fd < 0)
		return -1;
	ok = write(fd, block, sizeof block) == (ssize_t)sizeof block;
	return close(fd) == 0 && ok ? 0 : -1;
}

static int do_stat(const struct bench *b, int i)
{
	struct stat st;
	char name[32];

	name_of(name, sizeof name, "f", i);
	return fstatat(b->dir, name, &st, 0);
}

static int do_read(const struct bench *b, int i)
{
	char name[32], buf[4096];
	int fd, ok;

	name_of(name, sizeof name, "f", i);
	fd = openat(b->dir, name, O_RDONLY);
	if (fd < 0)
		return -1;
	ok = read(fd, buf, sizeof buf) == (ssize_t)sizeof buf;
	return close(fd) == 0 && ok ? 0 : -1;
}

static int do_rename(const struct bench *b, int i)
{
	char from[32], to[32];

	name_of(from, sizeof from, "f", i);
	name_of(to, sizeof to, "r", i);
	return renameat(b->dir, from, b->dir, to);
}

static int do_unlink(const struct bench *b, int i)
{
	char name[32];

	name_of(name, sizeof name, "r", i);
	return unlinkat(b->dir, name, 0);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void phase(const struct bench *b, const char *name, phase_fn fn)
{
	double start = seconds();
	int i;

	for (i = 0; i < b->count; i++) {
		if (fn(b, i)) {
			fprintf(stderr, "tool_metabench: %s %d: %s\n", name, i, strerror(errno));
			exit(1);
		}
	}
	printf("%s %.1f\n", name, b->count / (seconds() - start));
	fflush(stdout);
}

static void phase_readdir(const struct bench *b, const char *row)
{
	double start = seconds();
	int fd = openat(b->dir, ".", O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int n = 0;

	if (!d) {
		perror("tool_metabench: readdir");
		exit(1);
	}
	while (readdir(d))
		n++;
	closedir(d);
	/* Not every server lists "." and "..". */
	if (n != b->count + 2 && n != b->count) {
		fprintf(stderr, "tool_metabench: readdir saw %d of %d\n", n, b->count + 2);
		exit(1);
	}
	printf("%s %.1f\n", row, n / (seconds() - start));
}

int main(int argc, char **argv)
{
	struct bench b;

	if (argc != 3 || chdir(argv[1]) || mkdir("metabench", 0755)) {
		fprintf(stderr, "usage: tool_metabench DIR COUNT\n");
		return 1;
	}
	b.count = atoi(argv[2]);
	b.dir = open("metabench", O_RDONLY | O_DIRECTORY);
	if (b.dir < 0 || b.count < 1)
		return 1;
	phase(&b, "create", do_create);
	syncfs(b.dir);
	phase(&b, "stat", do_stat);
	phase(&b, "stat-warm", do_stat);
	phase_readdir(&b, "readdir");
	phase_readdir(&b, "readdir-second");
	phase_readdir(&b, "readdir-third");
	phase_readdir(&b, "readdir-fourth");
	phase_readdir(&b, "readdir-warm");
	phase(&b, "open-read-close", do_read);
	phase(&b, "rename", do_rename);
	phase(&b, "unlink", do_unlink);
	close(b.dir);
	return rmdir("metabench") ? 1 : 0;
}
