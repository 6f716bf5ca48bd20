/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For struct fs_options: nothing happens but when it is asked for, or when there is too much. */
#ifndef TESTS_NO_COMMITS_H
#define TESTS_NO_COMMITS_H

#include "fs.h"

/* Nothing is committed. */
#define NO_COMMITS .commit_sec = 1000, .idle_ms = FS_NEVER_IDLE
/* And what has been stays in the journal. */
#define NO_WRITES NO_COMMITS, .checkpoint_ms = FS_NEVER_IDLE

#endif
