/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --private: a command with the image mounted in a mount namespace of its own.
 *
 *     caller --- fuse4fs --private (waits) -+- server --- monitor
 *                                           +- COMMAND
 *
 * Nobody outside sees the mount. Who may not make a mount namespace gets a user namespace
 * around it, in which he is who he was and nobody else exists.
 */
#ifndef FUSE4FS_PRIVATE_H
#define FUSE4FS_PRIVATE_H

struct options;

/*
 * Runs the server in the process that calls it, until command_fd is readable, tells ready_fd the
 * outcome in one byte (an exit status), and returns the server's exit status.
 */
typedef int (*private_serve)(const struct options *opt, int ready_fd, int command_fd);

/*
 * private_main - the whole of `fuse4fs --private`
 *
 * The command is forked first and let go when there is a mount. Its end, whatever has become of
 * us, ends the mount, cleanly: what it wrote is in the image on return. Our death sends it
 * SIGTERM; so does our parent's, or SIGKILL with die_with_parent.
 * Returns COMMAND's exit status, or 128 and its signal; 127 it does not exist, 126 it cannot be
 * run; MNT_EX_* there was no mount, or not everything could be written by a command that
 * succeeded.
 */
int private_main(const struct options *opt, private_serve serve);

#endif
