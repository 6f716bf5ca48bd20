// SPDX-License-Identifier: GPL-2.0-or-later
/* Differences between versions of libssh; see compat_ssh.h. */
#include "compat_ssh.h"

/* The library that runs counts, not the header that was compiled with. */
size_t compat_ssh_window_step(void)
{
	return ssh_version(SSH_VERSION_INT(0, 11, 0)) ? 0 : COMPAT_SSH_WINDOW / 4;
}

int compat_ssh_widen_window(ssh_channel channel, void *scratch)
{
	if (!compat_ssh_window_step())
		return SSH_OK;
	return ssh_channel_read_timeout(channel, scratch, COMPAT_SSH_WINDOW, 0, 0) < 0 ? SSH_ERROR
										     : SSH_OK;
}
