/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For struct fs_options: nothing is committed but when it is asked for, or too much. */
#ifndef TESTS_NO_COMMITS_H
#define TESTS_NO_COMMITS_H

#include "fs.h"

#define NO_COMMITS .commit_sec = 1000, .idle_ms = FS_NEVER_IDLE

#endif
