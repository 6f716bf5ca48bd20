/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a crash at some place of a log may have left, and nothing else.
 *
 * Of names, modes, links and attributes a tree must be what each worker had made after its
 * first k operations, k at least what an fsync has promised and at most what had begun; and
 * when one of them is there, so is everything that had ended before it began, whoever did it.
 * Of contents every sector is what was last synced or written later, zeros only where zeros
 * were last synced or made later; sizes alike.
 */
#ifndef TESTS_CRASH_ORACLE_H
#define TESTS_CRASH_ORACLE_H

#include "crash_log.h"
#include "crash_model.h"
#include "crash_tree.h"

struct crash_timed_op {
	struct crash_op op;
	size_t begin, end;	/* places in the log; end SIZE_MAX: not known to have returned */
	bool refused;
	size_t floor;		/* when it has ended, so many operations are durable */
};

struct crash_worker {
	uint32_t worker;
	struct crash_timed_op *ops;
	size_t nops;
	size_t base_nops;	/* base: the model after so many, all durable at the last cut */
	struct crash_model base;
};

struct crash_oracle {
	struct crash_worker **workers;
	unsigned nworkers;
	size_t npromises;
};

void crash_oracle_init(struct crash_oracle *o, const struct crash_log *log);
void crash_oracle_fini(struct crash_oracle *o);
/*
 * Judges what was recovered from a cut after the first `cut` records. Later cuts must not be
 * followed by earlier ones. 0, or -1 with a sentence in why.
 */
int crash_oracle_check(struct crash_oracle *o, const struct crash_tree *t, size_t cut, char *why,
		       size_t why_len);

/* crash_oracle_data.c: one file of worker w. */
int crash_oracle_check_file(const struct crash_worker *w, const struct crash_node *node, size_t cut,
			    char *why, size_t why_len);

#endif
