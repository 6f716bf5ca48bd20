/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One allocation that fails. A test that has oom.c among its sources is linked with
 * $(oom_ldflags), which lead malloc and its kin here; those inside shared libraries stay.
 */
#ifndef TESTS_OOM_H
#define TESTS_OOM_H

#include <stdbool.h>

/* From now on: n allocations succeed, one fails, all others succeed. */
void oom_arm(long n);
/* From now on: one of every n allocations fails. */
void oom_arm_every(long n);
/* None fails any more. */
void oom_disarm(void);
/* Has one failed since oom_arm? */
bool oom_fired(void);

#endif
