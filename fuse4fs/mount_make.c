// SPDX-License-Identifier: GPL-2.0-or-later
/* Mounting; see mount_make.h. */
#include "mount_make.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "op.h"

enum { SAID_BYTES = 4096 };

/* The last thing libfuse or fusermount3 complained about. */
static _Thread_local struct complaint {
	char text[256];
	pid_t pid;		/* a child has its own copy, and writes instead */
} *complaint;

static void complain(struct complaint *c, const char *line)
{
	/* Each begins with its own name; ours stands there already. */
	static const char *const names[] = { "fuse: ", "fusermount3: ", "fusermount: " };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(line, names[i], strlen(names[i])))
			line += strlen(names[i]);
	snprintf(c->text, sizeof(c->text), "%.*s", (int)strcspn(line, "\n"), line);
}

static void take_complaint(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char line[sizeof(complaint->text)];

	if (!complaint || level > FUSE_LOG_WARNING || complaint->pid != getpid()) {
		vfprintf(stderr, fmt, ap);
		return;
	}
	vsnprintf(line, sizeof(line), fmt, ap);
	complain(complaint, line);
}

/* Standard error, while it goes into memory. */
struct capture {
	int fd, before;		/* or -1 */
};

static struct capture capture_begin(void)
{
	struct capture c = { .fd = memfd_create("stderr", MFD_CLOEXEC) };

	c.before = c.fd < 0 ? -1 : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (c.before >= 0)
		dup2(c.fd, STDERR_FILENO);
	return c;
}

/* What fusermount3 wrote is a complaint; the rest goes where it should have gone. */
static void capture_end(const struct capture *c, struct complaint *said)
{
	char text[SAID_BYTES], *line = text, *next;
	ssize_t n;

	if (c->before >= 0) {
		dup2(c->before, STDERR_FILENO);
		close(c->before);
	}
	n = c->fd < 0 ? -1 : pread(c->fd, text, sizeof(text) - 1, 0);
	if (c->fd >= 0)
		close(c->fd);
	text[n < 0 ? 0 : n] = '\0';
	for (; *line; line = next) {
		next = line + strcspn(line, "\n");
		next += *next == '\n';
		if (!strncmp(line, "fusermount", 10) || !strncmp(line, "fuse: ", 6))
			complain(said, line);
		else
			fprintf(stderr, "%.*s", (int)(next - line), line);
	}
}

static const char *way_out(const char *said)
{
	static const struct { const char *said, *way; } ways[] = {
		{ "user_allow_other", " (or leave allow_other and allow_root out)" },
		{ "allow_other", " (root allows it by user_allow_other in /etc/fuse.conf)" },
		{ "write access", " (take a directory that this user may write to)" },
		{ "owned", " (take a directory of this user's)" },
		{ "exec fusermount", " (install fuse3, or use --private)" },
		{ "posix_spawn", " (install fuse3, or use --private)" },
		{ "mount_max", "" },
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strstr(said, ways[i].said))
			return ways[i].way;
	if (access("/dev/fuse", F_OK))
		return " (load the fuse module, or give the container /dev/fuse)";
	if (access("/dev/fuse", R_OK | W_OK))
		return " (this user may not open /dev/fuse)";
	if (strstr(said, "not permitted"))
		return " (fusermount3 has to be set-user-ID root; or use --private)";
	return "";
}

/* An empty directory that nobody can write to. Without it the mount is as good. */
static void cover(const char *mountpoint)
{
	if (mount("none", mountpoint, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "mode=555,size=4k"))
		errno = 0;
}

int mount_make(struct server *srv, char *why, size_t why_len)
{
	struct complaint said = { .text = "", .pid = getpid() };
	struct capture capture;
	int err;

	if (srv->opt->private && !server_passed_on(srv))
		cover(srv->mountpoint);
	complaint = &said;
	fuse_set_log_func(take_complaint);
	capture = capture_begin();
	errno = 0;
	err = fuse_session_mount(srv->se, srv->mountpoint) ? (errno ? -errno : -EIO) : 0;
	capture_end(&capture, &said);
	complaint = NULL;
	if (err)
		snprintf(why, why_len, "cannot mount: %s%s",
			 said.text[0] ? said.text : strerror(-err), way_out(said.text));
	return err;
}
