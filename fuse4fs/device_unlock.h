/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The LUKS layer of the device stack; for device.c. What guards secrets, for all of it. */
#ifndef FUSE4FS_DEVICE_UNLOCK_H
#define FUSE4FS_DEVICE_UNLOCK_H

#include "device.h"

/*
 * device_unlock - replace *dev by the decrypted device when it is a LUKS container
 *
 * On failure *dev is as it was. Errors: those of device_open.
 */
int device_unlock(const struct device_options *opt, struct blkdev **dev,
		  struct device_crypt *ret, char *why, size_t why_len);

/*
 * device_guard_process - keep secrets that are about to come in: from now on no core dump of this
 * process is written and its user's other programs cannot look into it
 */
void device_guard_process(void);

#endif
