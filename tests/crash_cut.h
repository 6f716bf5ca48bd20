/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images as a power cut can have left them.
 *
 * What had returned before a flush was called that has returned is durable. Of the rest, also
 * of calls under way, any part may be there: none, all, some, all but one, some torn into
 * sectors. A later write may be there without an earlier one: that is what reordering means
 * for a disk. The superblock (bytes 1024 to 2047) is taken to be written as a whole.
 */
#ifndef TESTS_CRASH_CUT_H
#define TESTS_CRASH_CUT_H

#include <stdbool.h>

#include "crash_log.h"

enum cut_kind { CUT_NOTHING, CUT_ALL, CUT_SOME, CUT_TORN, CUT_LOST, CUT_KINDS };

struct cut_point {
	size_t at;		/* after so many records */
	enum cut_kind kind;
};

/* Every flush, as it returns and right before, and each place between two writes, with the
 * kinds that make a difference there. To be freed. */
struct cut_point *cut_points(const struct crash_log *log, size_t *ret_n);

/* The image at growing places of a log. */
struct cutter {
	const struct crash_log *log;
	uint8_t *durable;
	uint64_t size;
	size_t at, flushed;	/* flushed: last flush that returned was called here */
	size_t *pending;	/* calls, in order */
	size_t npending, room;
};

/* base: the image before the log, size bytes; stays the caller's. */
void cutter_init(struct cutter *c, const struct crash_log *log, const uint8_t *base, uint64_t size);
void cutter_fini(struct cutter *c);
/* Forward only. */
void cutter_seek(struct cutter *c, size_t at);

/*
 * cutter_image - what is there at this place, with this part of what is not durable
 *
 * out      c->size bytes
 * rnd      decides what is there
 * is_head  says of a write that what counts of it is in its first sector; may be NULL
 * without  such a write to leave out completely, else as in the call with SIZE_MAX
 * Returns such a write of which the first sector is there and another is not; SIZE_MAX: none.
 */
size_t cutter_image(const struct cutter *c, uint8_t *out, enum cut_kind kind, uint64_t rnd,
		    bool (*is_head)(void *arg, const struct crash_entry *e), void *arg,
		    size_t without);

#endif
