// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * In place of sandbox_action.c: what CONFINED_UNLISTED says. "kill": a call that the tables
 * lack ends the process, so that it shows. "log": it is allowed, so that the sandbox's other
 * parts show. Else as the program.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "fuse4fs/sandbox_int.h"

uint32_t sandbox_unlisted(void)
{
	const char *what = getenv("CONFINED_UNLISTED");

	if (what && !strcmp(what, "kill"))
		return SCMP_ACT_KILL_PROCESS;
	return what && !strcmp(what, "log") ? SCMP_ACT_LOG : SCMP_ACT_ERRNO(EPERM);
}
