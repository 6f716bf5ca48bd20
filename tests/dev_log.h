/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A block device that writes into a common log (crash_log.h) what changes the one below. */
#ifndef TESTS_DEV_LOG_H
#define TESTS_DEV_LOG_H

#include "transport/blkdev.h"

/* Takes lower over; path: of the log, which is made. A call that cannot be logged fails and
 * does nothing. 0; -ENOMEM; those of open(2). */
int dev_log_open(struct blkdev *lower, const char *path, struct blkdev **ret);

#endif
