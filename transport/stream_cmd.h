/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stream whose channels are child processes that speak SFTP on their standard input and
 * output: `ssh -s HOST sftp` for ssh_command=, or an SFTP server itself in tests.
 *
 * Every channel is one child, and so, with ssh(1), one login of its own. What the children
 * write to standard error is kept for why(); they may ask on the terminal while there is one.
 */
#ifndef TRANSPORT_STREAM_CMD_H
#define TRANSPORT_STREAM_CMD_H

#include "transport/stream.h"

/*
 * argv  program (looked up in PATH) and arguments, NULL at the end; copied
 *
 * Nothing is started yet. Returns 0; -EINVAL no program; -ENOMEM.
 */
int stream_cmd_new(const char *const *argv, struct stream **ret);

#endif
