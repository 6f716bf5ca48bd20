/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The judges of the crash tests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash_judge.h"
#include "dev_record.h"
#include "unit_image.h"
#include "unit_walk.h"

static int judge_ours(struct judge *j, const struct judge_cut *cut, struct blkdev **ret_record,
		      struct crash_tree *ours, char *why, size_t why_len)
{
	if (recover_by_us(&j->place, "ours", false, ret_record, ours, why, why_len) ||
	    crash_oracle_check(j->oracle, ours, cut->at, why, why_len))
		return -1;
	return recover_is_clean(&j->place, "ours", why, why_len);
}

static int must_agree(const struct crash_tree *a, const struct crash_tree *b, const char *who, char *why,
		      size_t why_len)
{
	char what[512];

	if (!crash_tree_compare(a, b, what, sizeof(what)))
		return 0;
	snprintf(why, why_len, "%s differ: %s", who, what);
	return -1;
}

static int judge_kernel(struct judge *j, const struct crash_tree *ours, char *why, size_t why_len)
{
	struct crash_tree theirs;
	int err;

	if (!j->place.kernel)
		return 0;
	err = recover_by_kernel(&j->place, &theirs, why, why_len);
	if (!err)
		err = must_agree(ours, &theirs, "we and the kernel", why, why_len);
	crash_tree_fini(&theirs);
	return err ? err : recover_is_clean(&j->place, "kernels", why, why_len);
}

/* It must recover what we do of the image; or, where it drops the last transaction because of
 * a torn commit block, of the one that has no such block. */
static int judge_e2fsck(struct judge *j, const struct judge_cut *cut, const struct crash_tree *ours,
			char *why, size_t why_len)
{
	struct crash_tree theirs, without = { 0 };
	uint32_t dropped;
	int err = recover_by_e2fsck(&j->place, &theirs, &dropped, why, why_len);

	if (!err && dropped && dropped != cut->tid) {
		snprintf(why, why_len, "e2fsck drops transaction %u", dropped);
		err = -1;
	}
	if (!err && dropped) {
		memcpy(j->place.ours, cut->without, j->place.size);
		err = judge_ours(j, cut, NULL, &without, why, why_len);
	}
	if (!err)
		err = must_agree(dropped ? &without : ours, &theirs,
				 dropped ? "without the last transaction we and e2fsck" :
					   "we and e2fsck", why, why_len);
	crash_tree_fini(&theirs);
	crash_tree_fini(&without);
	return err;
}

static int judge_all(struct judge *j, const struct judge_cut *cut, struct blkdev **ret_record,
		     struct crash_tree *ours, char *why, size_t why_len)
{
	const size_t size = j->place.size;
	int err;

	memcpy(j->place.ours, cut->image, size);
	memcpy(j->place.theirs, cut->image, size);
	if (j->place.kernel)
		memcpy(j->place.kernels, cut->image, size);
	err = judge_ours(j, cut, ret_record, ours, why, why_len);
	if (!err)
		err = judge_kernel(j, ours, why, why_len);
	return err ? err : judge_e2fsck(j, cut, ours, why, why_len);
}

/* Nothing but what is still to be deleted or cut off may make a difference: those blocks are
 * left out. */
static int judge_readonly(struct judge *j, const struct judge_cut *cut, const struct crash_tree *ours,
			  char *why, size_t why_len)
{
	struct crash_tree t;
	int err;

	memcpy(j->place.ours, cut->image, j->place.size);
	err = recover_by_us(&j->place, "ours", true, NULL, &t, why, why_len);
	if (!err && memcmp(j->place.ours, cut->image, j->place.size)) {
		snprintf(why, why_len, "a read-only mount has written");
		err = -1;
	}
	crash_tree_forget_blocks(&t, ours);
	if (!err)
		err = must_agree(ours, &t, "we and we read-only", why, why_len);
	crash_tree_fini(&t);
	return err;
}

/* The image as it may be when our recovery has made some of its calls. */
static void cut_again(struct blkdev *record, uint8_t *image, uint64_t rnd)
{
	size_t at = unit_random(&rnd) % (dev_record_count(record) + 1);
	size_t durable = dev_record_durable(record, at);

	for (size_t i = 0; i < at; i++) {
		struct dev_record_entry e = dev_record_get(record, i);

		if (i >= durable && unit_random(&rnd) & 1)
			continue;
		if (e.op == DEV_RECORD_WRITE)
			memcpy(image + e.off, e.data, e.len);
		else if (e.op == DEV_RECORD_DISCARD)
			memset(image + e.off, 0, e.len);
	}
}

static int judge_again(struct judge *j, const struct judge_cut *cut, struct blkdev *record,
		       const struct crash_tree *ours, char *why, size_t why_len)
{
	uint8_t *image = malloc(j->place.size);
	struct judge_cut second = { .image = image, .at = cut->at };
	struct crash_tree t = { 0 };
	char what[900] = "";
	int err;

	if (!image)
		unit_die("no memory");
	memcpy(image, cut->image, j->place.size);
	cut_again(record, image, cut->again);
	err = judge_all(j, &second, NULL, &t, what, sizeof(what));
	if (!err)
		err = must_agree(ours, &t, "the two recoveries", what, sizeof(what));
	if (err)
		snprintf(why, why_len, "cut again while we recovered: %s", what);
	crash_tree_fini(&t);
	free(image);
	return err;
}

int judge(struct judge *j, const struct judge_cut *cut, char *why, size_t why_len)
{
	bool again = cut->again && !cut->tid;
	struct blkdev *record = NULL;
	struct crash_tree ours;
	int err = judge_all(j, cut, again ? &record : NULL, &ours, why, why_len);

	if (!err && again)
		err = judge_readonly(j, cut, &ours, why, why_len);
	if (!err && again)
		err = judge_again(j, cut, record, &ours, why, why_len);
	blkdev_close(record);
	crash_tree_fini(&ours);
	return err;
}
