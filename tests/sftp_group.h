/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What cmocka tests on an SFTP rig have in common. Include it behind cmocka.h. */
#ifndef TESTS_SFTP_GROUP_H
#define TESTS_SFTP_GROUP_H

#include "sftp_rig.h"

/* *state is a rig, or NULL without an SFTP server. */
static inline int rig_setup(void **state, uint64_t size)
{
	static struct sftp_rig rig;

	*state = rig_init(&rig, size) ? &rig : NULL;
	return 0;
}

static inline int rig_teardown(void **state)
{
	if (*state)
		rig_fini(*state);
	return 0;
}

/* The test's rig; without one the test is skipped. */
static inline struct sftp_rig *rig_of(void **state)
{
	if (!*state)
		skip();
	return *state;
}

#endif
