/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LUKS containers in the report of --probe. */
#ifndef FUSE4FS_PROBE_LUKS_H
#define FUSE4FS_PROBE_LUKS_H

#include <stdbool.h>

struct blkdev;
struct json_object;

/*
 * Adds "luks" and "mount" to o when dev (header: or that, unless NULL) is a container.
 * ret_found, ret_usable  it is one; a passphrase could open it
 * Returns 0 or what reading returns.
 */
int probe_luks(struct blkdev *dev, struct blkdev *header, struct json_object *o,
	       bool *ret_found, bool *ret_usable);

#endif
