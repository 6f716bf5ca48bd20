/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Single operations of a worker, on the mount that is its current directory: each is logged,
 * done, logged, and applied to the model. What fails ends the process. Pointers into the model
 * are good until the next operation.
 */
#ifndef TESTS_CRASH_OPS_H
#define TESTS_CRASH_OPS_H

#include <sys/types.h>

#include "crash_load.h"

enum { LOAD_PATH_LEN = 512 };

/* Paths from the mount's root; parent 0 is the root. */
const char *load_path_in(struct load *l, uint32_t parent, const char *name,
			 char path[LOAD_PATH_LEN]);
const char *load_path(struct load *l, const struct crash_name *n, char path[LOAD_PATH_LEN]);

/* A random name of this type, not the worker's own directory; NULL: there is none. */
struct crash_name *load_some_name(struct load *l, mode_t type);
/* Objects of this type that have names. */
unsigned load_count(struct load *l, mode_t type);
/* The worker's directory, or one in it. */
uint32_t load_some_dir(struct load *l);
/* A file; now and then a new one. */
struct crash_name *load_some_file(struct load *l);
/* A name that is not taken. */
void load_free_name(struct load *l, uint32_t parent, char name[CRASH_NAME_LEN]);

/* mode has the type. The new id. */
uint32_t load_make(struct load *l, uint32_t parent, const char *name, mode_t mode);
void load_remove(struct load *l, const struct crash_name *n);
/* kind: CRASH_RENAME or CRASH_EXCHANGE. */
void load_rename(struct load *l, const struct crash_name *n, uint32_t parent, const char *name,
		 enum crash_kind kind);
int load_open(struct load *l, const struct crash_name *n, int flags);
void load_write(struct load *l, int fd, uint32_t id, unsigned from, unsigned nsectors);
void load_write_some(struct load *l, int fd, uint32_t id);
void load_append(struct load *l, int fd, uint32_t id);
/* kind: CRASH_FSYNC or CRASH_FDATASYNC. */
void load_sync(struct load *l, int fd, uint32_t id, enum crash_kind kind);
void load_sync_dir(struct load *l, uint32_t id);

#endif
