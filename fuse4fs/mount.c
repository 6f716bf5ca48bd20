// SPDX-License-Identifier: GPL-2.0-or-later
/* Making and ending the session's mount; see mount.h. */
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mount_make.h"
#include "op.h"

enum { OPTIONS_BYTES = 2 * PATH_MAX + 512 };

/* libfuse splits at commas and takes "\," for one in a value. */
static void escape(const char *text, char *out, size_t size)
{
	size_t n = 0;

	for (; *text && n + 2 < size; text++) {
		if (*text == ',' || *text == '\\')
			out[n++] = '\\';
		out[n++] = *text;
	}
	out[n] = '\0';
}

static const char *yes_no(int tristate, bool otherwise, const char *yes, const char *no)
{
	return (tristate == OPT_UNSET ? otherwise : tristate == OPT_YES) ? yes : no;
}

static void kernel_options(const struct server *srv, char *out, size_t size)
{
	const struct options *o = srv->opt;
	const bool root = geteuid() == 0;
	char name[2 * PATH_MAX];

	escape(srv->image, name, sizeof(name));
	snprintf(out, size, "fsname=%s,subtype=fuse4fs,default_permissions,%s,%s,%s%s%s%s%s%s",
		 name, o->readonly ? "ro" : "rw",
		 yes_no(root ? o->suid : OPT_NO, false, "suid", "nosuid"),
		 yes_no(root ? o->dev : OPT_NO, false, "dev", "nodev"),
		 o->exec == OPT_NO ? ",noexec" : "",
		 o->atime == OPT_NOATIME ? ",noatime" : "",
		 o->sync ? ",sync" : "", o->dirsync ? ",dirsync" : "",
		 (o->allow_other || (root && !o->allow_root)) ? ",allow_other" :
		 o->allow_root ? ",allow_root" : "");
}

static struct fuse_session *new_session(struct server *srv)
{
	char options[OPTIONS_BYTES], program[] = "fuse4fs", with_options[] = "-o", debug[] = "-d";
	char *argv[] = { program, with_options, options, debug, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(srv->opt->debug ? 4 : 3, argv);
	struct fuse_session *se;

	kernel_options(srv, options, sizeof(options));
	se = fuse_session_new(&args, srv->role->ops, sizeof(*srv->role->ops), srv);
	fuse_opt_free_args(&args);
	return se;
}

int mount_session(struct server *srv, char *why, size_t why_len)
{
	int err;

	srv->se = new_session(srv);
	if (!srv->se) {
		snprintf(why, why_len, "cannot start a FUSE session");
		return -EINVAL;
	}
	err = mount_make(srv, why, why_len);
	if (!err && srv->opt->nosymfollow) {
		err = mount_nosymfollow(srv);
		if (err) {
			snprintf(why, why_len, "nosymfollow: %s (only root can have it)",
				 strerror(-err));
			fuse_session_unmount(srv->se);
		}
	}
	if (err) {
		fuse_session_destroy(srv->se);
		srv->se = NULL;
	}
	return err;
}

/*
 * libfuse unmounts by name unless it sees the connection gone: somebody else's mount may have
 * that name by now, and what it runs for users a confined process cannot. So it is shown a
 * descriptor that looks like that, in the place of /dev/fuse, which ends the connection.
 */
static bool cut_connection(struct fuse_session *se)
{
	struct pollfd p = { .fd = fuse_session_fd(se) };
	int fds[2], fd;

	if (poll(&p, 1, 0) == 1 && (p.revents & POLLERR))
		return true;
	if (pipe2(fds, O_CLOEXEC))
		return false;
	close(fds[0]);
	fd = dup3(fds[1], p.fd, O_CLOEXEC);
	close(fds[1]);
	return fd >= 0;
}

void mount_end(struct server *srv)
{
	if (cut_connection(srv->se))
		fuse_session_unmount(srv->se);
	fuse_session_destroy(srv->se);
	srv->se = NULL;
}
