// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The life of a mount: device, what it is served as, session, threads, and back in reverse order.
 * The image is unlocked last.
 */
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device_options.h"
#include "loop.h"
#include "monitor.h"
#include "mount.h"
#include "op.h"
#include "server_end.h"
#include "server_layer.h"
#include "server_sandbox.h"
#include "status.h"

enum { WHY_BYTES = 512, AGREE_MS = 10000 };

static int status_of(int err)
{
	return err == -EKEYREJECTED ? MNT_EX_KEY : err == -ENOMEM ? MNT_EX_SYSERR : MNT_EX_FAIL;
}

/* why: about the image; "" has been said. */
static int fail(struct server *srv, int err, const char *why)
{
	if (*why)
		daemon_log(srv->daemon, VFS_LOG_ERR, why);
	return daemon_failed(srv->daemon, status_of(err));
}

static void say(void *arg, const char *line)
{
	struct server *srv = arg;

	daemon_log(srv->daemon, VFS_LOG_INFO, line);
}

/* Far away no read is short. */
static void before_wait(void *arg, bool is_short)
{
	const struct server *srv = arg;

	loop_before_wait(is_short && !srv->device.remote);
}

static void after_short_wait(void *arg)
{
	(void)arg;
	loop_after_short_wait();
}

static int open_device(struct server *srv, char *why)
{
	const struct options *o = srv->opt;
	static const enum imglock_mode modes[] = {
		[OPT_LOCK_WAIT] = IMGLOCK_WAIT, [OPT_LOCK_FAIL] = IMGLOCK_FAIL,
		[OPT_LOCK_NONE] = IMGLOCK_NONE, [OPT_LOCK_BREAK] = IMGLOCK_FAIL,
	};
	const struct device_options dev = {
		.image = o->image, .readonly = o->readonly, .offset = o->offset,
		.sizelimit = o->sizelimit, .partition = (int)o->partition, .lock = modes[o->lock],
		.unlock = device_unlock_options(o), .remote = device_remote_options(o),
		.say = say, .say_arg = srv, .progress = o->verbose || isatty(STDERR_FILENO),
	};
	int err = device_open(&dev, &srv->device, why, WHY_BYTES);

	if (err)
		return err;
	err = server_layer(&srv->device.dev, why, WHY_BYTES);
	if (err) {
		device_close(&srv->device);
		return err;
	}
	srv->dev = srv->device.dev;
	srv->dev->before_wait = before_wait;
	srv->dev->before_wait_arg = srv;
	srv->dev->after_short_wait = after_short_wait;
	return 0;
}

static int resolve_mountpoint(struct server *srv, char *why)
{
	const char *name = srv->opt->mountpoint;
	struct stat st;
	int err = 0;

	if (!strncmp(name, "/dev/fd/", 8)) {
		snprintf(srv->mountpoint, sizeof(srv->mountpoint), "%s", name);
		return 0;
	}
	if (!realpath(name, srv->mountpoint) || stat(srv->mountpoint, &st))
		err = -errno;
	else if (!S_ISDIR(st.st_mode))
		err = -ENOTDIR;
	if (err)
		snprintf(why, WHY_BYTES, "%s: no mount point: %s%s", name, strerror(-err),
			 err == -ENOTCONN ? " (a dead mount: fuse4fs -u -l removes it)" : "");
	return err;
}

/* Absolute names: the daemon leaves its directory, and mount tables want them. */
static int resolve_paths(struct server *srv, char *why)
{
	const char *image = srv->opt->image;

	if (!strncmp(image, "fd:", 3) || !realpath(image, srv->image))
		snprintf(srv->image, sizeof(srv->image), "%s", image);
	return resolve_mountpoint(srv, why);
}

bool server_passed_on(const struct server *srv)
{
	return !strncmp(srv->mountpoint, "/dev/fd/", 8);
}

/*
 * The mount is usable, and its limits can be changed, when the kernel has our answer to its
 * first request. Who passes a descriptor may mount it later.
 */
static void wait_until_agreed(struct server *srv)
{
	struct pollfd fds[] = { { .fd = srv->agreed_fd, .events = POLLIN },
				{ .fd = loop_done_fd(srv->loop), .events = POLLIN } };

	if (!server_passed_on(srv))
		poll(fds, 2, AGREE_MS);
}

static bool filter(void *arg, void *request, size_t len)
{
	struct server *srv = arg;

	return op_serve_init(srv, request, len) || srv->role->filter(srv, request, len);
}

/* Before anybody has been served. */
static void undo_mount(struct server *srv)
{
	mount_end(srv);
	if (!server_passed_on(srv))
		monitor_unmount(srv->daemon->monitor, true);
}

static int start_session(struct server *srv, int (*catch_signals)(void), int *ret_signal_fd,
			 char *why)
{
	const unsigned otherwise = srv->device.remote ? THREADS_REMOTE : THREADS_DEFAULT;
	const unsigned threads = srv->opt->threads ? (unsigned)srv->opt->threads : otherwise;
	const struct loop_hooks hooks = { srv, filter, srv->role->too_late, srv->role->spare };
	int err = catch_signals();

	if (err < 0) {
		snprintf(why, WHY_BYTES, "cannot catch signals: %s", strerror(-err));
		return err;
	}
	*ret_signal_fd = err;
	if (!server_passed_on(srv))
		monitor_expect(srv->daemon->monitor, srv->mountpoint, srv->opt->auto_unmount);
	err = mount_session(srv, why, WHY_BYTES);
	if (err) {
		fprintf(stderr, "fuse4fs: %s: %s\n", srv->mountpoint, why);
		*why = '\0';
		return err;
	}
	if (!server_passed_on(srv))
		monitor_mounted(srv->daemon->monitor);
	err = loop_start(srv->se, threads, &hooks, &srv->loop);
	if (err) {
		snprintf(why, WHY_BYTES, "cannot start threads: %s", strerror(-err));
		undo_mount(srv);
	}
	return err;
}

/* The session has threads. Confines them, and lets the world know. 0 or -errno. */
static int get_ready(struct server *srv, char *why)
{
	int err;

	wait_until_agreed(srv);
	mount_tune(srv);
	/* What others see of mounts is not about one that they do not see. */
	if (!server_passed_on(srv) && !srv->opt->private)
		mount_register(srv->image, srv->mountpoint);
	daemon_detach(srv->daemon);
	err = server_sandbox(srv, why, WHY_BYTES);
	if (err) {
		loop_stop(srv->loop);
		loop_join(srv->loop);
		undo_mount(srv);
		return err;
	}
	daemon_ready(srv->daemon);
	return 0;
}

/* What is served, from its recovery to its clean end. Exit status. */
static int serve(struct server *srv, int (*catch_signals)(void))
{
	char why[WHY_BYTES] = "";
	int signal_fd, err = srv->role->open(srv, why, sizeof(why));

	if (err)
		return fail(srv, err, *why ? why : strerror(-err));
	err = start_session(srv, catch_signals, &signal_fd, why);
	if (!err)
		err = get_ready(srv, why);
	if (err) {
		int status = fail(srv, err, why);

		srv->role->close(srv);
		return status;
	}
	server_wait_end(srv, signal_fd);
	err = srv->role->close(srv);
	if (!err)
		return MNT_EX_OK;
	daemon_printf(srv->daemon, VFS_LOG_ERR, "not everything could be written: %s",
		      strerror(-err));
	return MNT_EX_FAIL;
}

static void prepare_process(void)
{
	/* A connection that breaks is an error and not the end. */
	signal(SIGPIPE, SIG_IGN);
	/* Write-back must not wait for memory that only our own writes can free. Needs
	 * CAP_SYS_RESOURCE; without it the kernel's limits for FUSE mounts protect us. */
	if (geteuid() == 0)
		prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
}

static void free_server(struct server *srv)
{
	if (srv->agreed_fd >= 0)
		close(srv->agreed_fd);
	op_ahead_fini(&srv->ahead);
	free(srv);
}

int server_run(const struct options *opt, const struct server_role *role, struct daemon *daemon,
	       int (*catch_signals)(void))
{
	struct server *srv = calloc(1, sizeof(*srv));
	char why[WHY_BYTES] = "";
	int err, status;

	if (!srv)
		return daemon_failed(daemon, MNT_EX_SYSERR);
	srv->opt = opt;
	srv->role = role;
	srv->daemon = daemon;
	op_ahead_init(&srv->ahead);
	srv->agreed_fd = eventfd(0, EFD_CLOEXEC);
	clock_gettime(CLOCK_MONOTONIC, &srv->started);
	srv->pid_namespace = status_pid_namespace();
	prepare_process();
	err = resolve_paths(srv, why);
	if (!err)
		err = open_device(srv, why);
	if (err) {
		fprintf(stderr, "fuse4fs: %s\n", why);	/* names what it is about itself */
		free_server(srv);
		return daemon_failed(daemon, status_of(err));
	}
	status = serve(srv, catch_signals);
	err = device_close(&srv->device);
	if (err && status == MNT_EX_OK) {
		daemon_printf(daemon, VFS_LOG_ERR, "closing the image: %s", strerror(-err));
		status = MNT_EX_FAIL;
	}
	free_server(srv);
	return status;
}
