/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A crash test's workload on a LUKS2 container.
 *
 * What is recorded is what reaches the container's device, as ciphertext. Its cipher works
 * sector by sector, so any part of the recorded writes, decrypted, is what a cut there would
 * leave for a file system to find: the record is decrypted call by call into a record of
 * the same calls on the plain image, which the cuts are then made from.
 */
#ifndef TESTS_CRASH_LUKS_H
#define TESTS_CRASH_LUKS_H

#include <stdbool.h>

#include "transport/blkdev.h"

struct crash_luks;

/* cryptsetup, which makes the header, is there. */
bool crash_luks_possible(void);
/*
 * A container that holds base's bytes. ret_live: the decrypted device for the workload;
 * ret_record: the recorded device below it, empty so far. Both belong to the result.
 */
struct crash_luks *crash_luks_open(struct blkdev *base, struct blkdev **ret_live,
				   struct blkdev **ret_record);
/* A record of the same calls, index by index, on a copy of base; the container is gone. */
struct blkdev *crash_luks_decrypt(struct crash_luks *c, struct blkdev *base);

#endif
