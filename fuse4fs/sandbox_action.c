// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What meets a system call that is not in the tables: EPERM.
 *
 * Killing the process would be the stricter answer. But what calls a C library makes differs
 * by its version and by how it fares (a lack of memory, a new kernel), and whoever holds the
 * mount pays for a table that is not complete with everything not yet written. A refused call
 * is an error that its caller handles; it gives an attacker nothing but another try at a list
 * that does not change. The tests' programs are killed instead, so that a gap shows there.
 */
#include "sandbox_int.h"

#include <errno.h>
#include <seccomp.h>

uint32_t sandbox_unlisted(void)
{
	return SCMP_ACT_ERRNO(EPERM);
}
