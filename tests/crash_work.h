/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A workload that knows what a crash must leave of it.
 *
 * Several threads work in a directory each, on files whose every sector says whose it is,
 * where it belongs and which write it is from. A file's owner number is its identity, so
 * an inode tells it whatever its name. What fsync has promised is remembered together
 * with the number of device writes by then; so is what was changed later.
 */
#ifndef TESTS_CRASH_WORK_H
#define TESTS_CRASH_WORK_H

#include "dev_record.h"
#include "fs.h"

struct crash_work;

/* Runs `steps` random steps in each of `threads` threads on an fs over the recording
 * device. Aborts when an operation fails. */
struct crash_work *crash_work_run(struct fs *fs, struct blkdev *record, uint64_t seed,
				  unsigned threads, unsigned steps);
void crash_work_free(struct crash_work *w);
/*
 * Judges a recovered file system: the image held what had been flushed when `ncalls` calls
 * had reached the device, and any part of the rest. 0, or -1 with a sentence in why.
 */
int crash_work_check(const struct crash_work *w, struct fs *fs, size_t ncalls, char *why,
		     size_t why_len);
/* fsyncs that promised something. */
size_t crash_work_promises(const struct crash_work *w);

#endif
