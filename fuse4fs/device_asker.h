/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who answers an SSH server's questions: a person at the terminal, once, and afterwards
 * secret memory, so that a connection that is lost can be made again without anybody there.
 */
#ifndef FUSE4FS_DEVICE_ASKER_H
#define FUSE4FS_DEVICE_ASKER_H

#include "transport/ssh_login.h"

struct asker;

/* say(arg, line): what the user should know; may be NULL. NULL: no memory. */
struct asker *asker_new(void (*say)(void *arg, const char *line), void *arg);
/* Wipes all answers. NULL is a no-op. */
void asker_free(struct asker *a);
/* The calls for a login; a must outlive it. One thread at a time. */
struct ssh_asker asker_calls(struct asker *a);

#endif
