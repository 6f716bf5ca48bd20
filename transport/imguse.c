/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looks for the users of an image in /proc and /sys.
 *
 * What cannot be read (no privilege, no such kernel) is passed over: these answers
 * only add to what locks and O_EXCL decide. No call here can hang on a dead file
 * system: other processes' files are only asked for cached attributes.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "imguse.h"

/* First line of a small file, without its newline. False: unreadable. */
static bool read_line(int dirfd, const char *path, char *buf, size_t len)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, buf, len - 1);
	close(fd);
	if (n < 0)
		return false;
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return true;
}

static bool is_number(const char *s)
{
	return isdigit((unsigned char)*s);
}

/* "MAJOR:MINOR", as the kernel writes it. */
static bool parse_dev(const char *s, unsigned *ret_major, unsigned *ret_minor)
{
	char *colon, *end;
	unsigned long dev_major = strtoul(s, &colon, 10), dev_minor;

	if (colon == s || *colon != ':')
		return false;
	dev_minor = strtoul(colon + 1, &end, 10);
	if (end == colon + 1 || *end)
		return false;
	*ret_major = (unsigned)dev_major;
	*ret_minor = (unsigned)dev_minor;
	return true;
}

/* Mount points */

struct mount {
	unsigned major, minor;
	const char *where;	/* escaped */
	bool writable;
};

/* Cuts up a line of mountinfo; points into it. See proc(5). */
static bool parse_mount(char *line, struct mount *ret)
{
	char *tail = strstr(line, " - "), *save, *field;
	int n = 0;

	if (!tail)
		return false;
	*tail = '\0';
	tail += 3;
	for (field = strtok_r(line, " ", &save); field; field = strtok_r(NULL, " ", &save)) {
		n++;
		if (n == 3 && !parse_dev(field, &ret->major, &ret->minor))
			return false;
		if (n == 5)
			ret->where = field;
	}
	/* file-system type, source, options of the file system */
	for (n = 0, field = strtok_r(tail, " \n", &save); field && n < 2; n++)
		field = strtok_r(NULL, " \n", &save);
	ret->writable = field && strncmp(field, "rw", 2) == 0;
	return ret->where;
}

/* Undoes mountinfo's \ooo. */
static void unescape(const char *in, char *out, size_t len)
{
	size_t used = 0;

	while (*in && used + 1 < len) {
		if (in[0] == '\\' && in[1] && in[2] && in[3]) {
			out[used++] = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
			in += 4;
		} else {
			out[used++] = *in++;
		}
	}
	out[used] = '\0';
}

/* Whether block device major:minor is rdev or a partition of it. */
static bool is_part_of(unsigned major, unsigned minor, dev_t rdev)
{
	char path[64], have[32], want[32];

	if (makedev(major, minor) == rdev)
		return true;
	if (major == 0)
		return false;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev", major, minor);
	snprintf(want, sizeof(want), "%u:%u", major(rdev), minor(rdev));
	return read_line(AT_FDCWD, path, have, sizeof(have)) && strcmp(have, want) == 0;
}

/* A mount of rdev in this mount namespace. */
static bool is_in_sight(dev_t rdev, bool writable_only, char *where, size_t len)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	struct mount mount = { 0 };
	bool found = false;
	char *line = NULL;
	size_t room = 0;

	while (f && !found && getline(&line, &room, f) > 0) {
		mount.where = NULL;
		if (!parse_mount(line, &mount) || (writable_only && !mount.writable))
			continue;
		found = is_part_of(mount.major, mount.minor, rdev);
	}
	if (found && len) {
		int n = snprintf(where, len, "by the kernel, mounted on ");

		if ((size_t)n < len)
			unescape(mount.where, where + n, len - n);
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

/*
 * Whether ext4 has the block device of that name, in whatever mount namespace: these two
 * directories know of none. The first line of its options is "rw" or "ro".
 */
static bool ext4_has(const char *name, bool writable_only)
{
	char path[64 + NAME_MAX], line[16];

	snprintf(path, sizeof(path), "/proc/fs/ext4/%s/options", name);
	if (read_line(AT_FDCWD, path, line, sizeof(line)))
		return !writable_only || strcmp(line, "ro") != 0;
	snprintf(path, sizeof(path), "/sys/fs/ext4/%s", name);
	return access(path, F_OK) == 0;
}

static bool ext4_has_part(const char *disk, bool writable_only)
{
	DIR *dir = opendir(disk);
	struct dirent *entry;
	char attr[32 + NAME_MAX];
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		snprintf(attr, sizeof(attr), "%s/partition", entry->d_name);
		if (entry->d_name[0] != '.' && faccessat(dirfd(dir), attr, F_OK, 0) == 0)
			found = ext4_has(entry->d_name, writable_only);
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool is_out_of_sight(dev_t rdev, bool writable_only)
{
	char path[64], target[PATH_MAX];
	const char *name;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(rdev), minor(rdev));
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	name = strrchr(target, '/');
	return name && (ext4_has(name + 1, writable_only) || ext4_has_part(path, writable_only));
}

bool imguse_mounted(dev_t rdev, bool writable_only, char *where, size_t len)
{
	if (is_in_sight(rdev, writable_only, where, len))
		return true;
	if (!is_out_of_sight(rdev, writable_only))
		return false;
	snprintf(where, len, "by the kernel, mounted out of sight (in another mount namespace, or "
		 "detached while in use)");
	return true;
}

/* First entry of a directory; false if there is none. */
static bool first_entry(const char *path, char *name, size_t len)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, len, "%.*s", (int)len - 1, entry->d_name);
		found = true;
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool has_holder(dev_t rdev, char *name, size_t len)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/holders", major(rdev), minor(rdev));
	return first_entry(path, name, len);
}

void imguse_claimed(dev_t rdev, char *how, size_t len)
{
	char holder[64];

	if (imguse_mounted(rdev, false, how, len))
		return;
	if (has_holder(rdev, holder, sizeof(holder)))
		snprintf(how, len, "by the kernel as part of /dev/%s", holder);
	else
		snprintf(how, len, "by the kernel or a program that claimed it");
}

/* Loop devices */

/* Says whether the loop device called name serves the file; -1: cannot be asked. */
static int ask_loop(const char *name, const struct stat *st)
{
	struct loop_info64 info;
	char path[32 + NAME_MAX];
	int fd, err;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -1;
	err = ioctl(fd, LOOP_GET_STATUS64, &info);
	close(fd);
	if (err < 0)
		return -1;
	return info.lo_device == st->st_dev && info.lo_inode == st->st_ino;
}

/* The same by the name of the file, which may have changed since. sys: directory. */
static bool loop_names(int sys, const char *name, const struct stat *st)
{
	char attr[32 + NAME_MAX], file[4200];
	struct stat have;

	snprintf(attr, sizeof(attr), "%s/loop/backing_file", name);
	return read_line(sys, attr, file, sizeof(file)) && stat(file, &have) == 0 &&
	       have.st_dev == st->st_dev && have.st_ino == st->st_ino;
}

static bool loop_serves(int sys, const char *name, const struct stat *st)
{
	char attr[32 + NAME_MAX];
	int answer;

	/* This directory is there only while a file is attached. */
	snprintf(attr, sizeof(attr), "%s/loop", name);
	if (faccessat(sys, attr, F_OK, 0) < 0)
		return false;
	answer = ask_loop(name, st);
	return answer < 0 ? loop_names(sys, name, st) : answer;
}

/* Whether loop device `name`, which serves the image, forbids our use of it. */
static bool loop_forbids(int sys, const char *name, bool readonly, char *how, size_t len)
{
	char attr[32 + NAME_MAX], value[32], where[1024], holder[64];
	unsigned major, minor;
	bool writable, mounted, held;
	dev_t rdev;

	snprintf(attr, sizeof(attr), "%s/dev", name);
	if (!read_line(sys, attr, value, sizeof(value)) ||
	    !parse_dev(value, &major, &minor))
		return false;
	rdev = makedev(major, minor);
	snprintf(attr, sizeof(attr), "%s/ro", name);
	writable = !read_line(sys, attr, value, sizeof(value)) || value[0] != '1';
	mounted = imguse_mounted(rdev, readonly, where, sizeof(where));
	held = has_holder(rdev, holder, sizeof(holder));
	if (mounted)
		snprintf(how, len, "as /dev/%s, %s", name, where);
	else if (held && (writable || !readonly))
		snprintf(how, len, "as /dev/%s, part of /dev/%s", name, holder);
	else
		snprintf(how, len, "as /dev/%s", name);
	return mounted || (writable && (held || !readonly)) || (held && !readonly);
}

bool imguse_loop(const struct stat *st, bool readonly, char *how, size_t len)
{
	DIR *dir = opendir("/sys/block");
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "loop", 4) != 0)
			continue;
		if (loop_serves(dirfd(dir), entry->d_name, st))
			found = loop_forbids(dirfd(dir), entry->d_name, readonly, how, len);
	}
	if (dir)
		closedir(dir);
	return found;
}

int imguse_open_backing(dev_t rdev)
{
	static const char *const where[] = { "", "../" };
	char attr[96], file[4200];

	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		snprintf(attr, sizeof(attr), "/sys/dev/block/%u:%u/%sloop/backing_file", major(rdev),
			 minor(rdev), where[i]);
		if (read_line(AT_FDCWD, attr, file, sizeof(file)))
			return open(file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	return -1;
}

/* Processes */

/* proc: /proc/PID. Whether its descriptor fd is this file. */
static bool is_same_file(int proc, const char *fd, const struct stat *st)
{
	char path[32 + NAME_MAX];
	struct statx have;

	snprintf(path, sizeof(path), "fd/%s", fd);
	if (statx(proc, path, AT_STATX_DONT_SYNC, STATX_INO, &have) < 0)
		return false;
	return makedev(have.stx_dev_major, have.stx_dev_minor) == st->st_dev &&
	       have.stx_ino == st->st_ino;
}

static bool holds_lock(int proc, const char *fd)
{
	char path[32 + NAME_MAX], text[1024];
	int info;
	ssize_t n;

	snprintf(path, sizeof(path), "fdinfo/%s", fd);
	info = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return false;
	n = read(info, text, sizeof(text) - 1);
	close(info);
	if (n < 0)
		return false;
	text[n] = '\0';
	return strstr(text, "\nlock:");
}

static bool process_locks(int proc, const struct stat *st)
{
	int fds = openat(proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fds < 0 ? NULL : fdopendir(fds);
	struct dirent *entry;
	bool found = false;

	if (!dir) {
		if (fds >= 0)
			close(fds);
		return false;
	}
	while (!found && (entry = readdir(dir))) {
		if (is_number(entry->d_name) && is_same_file(proc, entry->d_name, st))
			found = holds_lock(proc, entry->d_name);
	}
	closedir(dir);
	return found;
}

pid_t imguse_find_locker(const struct stat *st)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	pid_t pid = 0;

	while (dir && !pid && (entry = readdir(dir))) {
		int proc;

		if (!is_number(entry->d_name))
			continue;
		proc = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (proc < 0)
			continue;
		if (process_locks(proc, st))
			pid = (pid_t)strtol(entry->d_name, NULL, 10);
		close(proc);
	}
	if (dir)
		closedir(dir);
	return pid;
}

void imguse_locker(const struct stat *st, pid_t pid, char *who, size_t len)
{
	char path[64], name[64];

	if (pid <= 0)
		pid = imguse_find_locker(st);
	if (pid <= 0) {
		snprintf(who, len, "by another process (whose name only its user or root sees)");
		return;
	}
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (read_line(AT_FDCWD, path, name, sizeof(name)))
		snprintf(who, len, "by process %d (%s)", (int)pid, name);
	else
		snprintf(who, len, "by process %d", (int)pid);
}
