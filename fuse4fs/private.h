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
 * private_main - the whole of `fuse4fs --private`
 *
 * serve: runs the server in the process that calls it, tells ready_fd the outcome in one byte
 * (an exit status), and returns the server's exit status.
 *
 * The command's end ends the mount, cleanly: what it wrote is in the image on return. So does
 * our death, and with die_with_parent our parent's, which also kills the command.
 * Returns COMMAND's exit status, or 128 and its signal; 127 it does not exist, 126 it cannot be
 * run; MNT_EX_* there was no mount, or not everything could be written by a command that
 * succeeded.
 */
int private_main(const struct options *opt, int (*serve)(const struct options *opt, int ready_fd));

/*
 * A descriptor that becomes readable when this process's parent is gone. 0; -ESRCH it is gone
 * already; -errno it cannot be watched.
 */
int private_watch_parent(int *ret_fd);

#endif
