/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recording_fuse4fs is fuse4fs with one device more in the stack, which logs every change to
 * the file that CRASH_LOG names.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dev_log.h"
#include "server_layer.h"

int server_layer(struct blkdev **dev, char *why, size_t why_len)
{
	const char *path = getenv("CRASH_LOG");
	int err = path ? dev_log_open(*dev, path, dev) : 0;

	if (err)
		snprintf(why, why_len, "%s: %s", path, strerror(-err));
	return err;
}
