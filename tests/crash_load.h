/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One worker process of the crash tests: random steps on a mount, each told to the log. */
#ifndef TESTS_CRASH_LOAD_H
#define TESTS_CRASH_LOAD_H

#include "crash_model.h"

enum {
	LOAD_OPEN = 6, LOAD_FILES = 14, LOAD_DIRS = 5, LOAD_MAX_SECTORS = 160,	/* written */
	LOAD_FAR_SECTORS = 4800,	/* allocated */
};

struct load {
	uint32_t worker;
	int log;		/* crash_log_append */
	uint64_t rnd;
	bool killed_is_end;	/* the server may die: that ends the worker well */
	uint32_t last_id, last_op, last_version;
	struct crash_model model;	/* after the operations that ended */
	struct load_open {	/* unlinked files kept open */
		int fd;
		uint32_t id;
	} open[LOAD_OPEN];
};

/* Below n. */
unsigned load_pick(struct load *l, unsigned n);
/* Logs the beginning of op, which gets its number. */
void load_begin(struct load *l, struct crash_op *op);
/* Logs its end and applies it; ret < 0: it failed, which ends the process. */
void load_end(struct load *l, const struct crash_op *op, int ret);
/* It has failed and changed nothing. */
void load_refused(struct load *l, const struct crash_op *op);
/* What was not logged has failed: ends the process. */
void load_fail(struct load *l, const char *what) __attribute__((noreturn));

/* Runs one random step; mix chooses which are frequent. */
void load_step(struct load *l, unsigned mix);
/* Makes the worker's directory in the current one. */
void load_start(struct load *l);
const char *load_mix_name(unsigned mix);	/* NULL: no such mix */

#endif
