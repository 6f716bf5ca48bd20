/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One container in memory that a test changes, loads and unlocks; state of the test program. */
#ifndef TESTS_LUKS_CASE_H
#define TESTS_LUKS_CASE_H

#include <endian.h>
#include <errno.h>

#include "crypto/crypto.h"
#include "luks_fixture.h"

enum { COPY = FIXTURE_SIZE };

static struct fixture luks1, luks2;
static uint8_t bytes[COPY];
static char why[LUKS_WHY_LEN];

static inline void take(const struct fixture *f)
{
	memcpy(bytes, f->bytes, COPY);
}

static inline int load(size_t len, struct luks **ret)
{
	struct blkdev *dev = fixture_dev(bytes, len);
	const struct luks_limits limits = fixture_limits();
	int err;

	*ret = NULL;
	strcpy(why, "");
	err = luks_load(dev, NULL, &limits, ret, why, sizeof(why));
	assert_int_equal(blkdev_close(dev), 0);
	return err;
}

/* Loads what is in bytes and unlocks it. */
static inline int unlock(const char *pass, int keyslot, int *ret_slot)
{
	struct luks_key *key = NULL;
	struct blkdev *dev;
	struct luks *luks;
	int err = load(COPY, &luks);

	if (err)
		return err;
	dev = fixture_dev(bytes, COPY);
	err = luks_unlock(luks, dev, pass, strlen(pass), keyslot, NULL, &key, why, sizeof(why));
	if (!err && ret_slot)
		*ret_slot = luks_key_slot(key);
	if (!err) {
		assert_int_equal(luks_device_new(luks, key, dev, 0, &dev, why, sizeof(why)), 0);
		assert_int_equal(blkdev_size(dev), luks_describe(luks)->data_len);
	}
	luks_free(luks);
	blkdev_close(dev);
	return err;
}

static inline int start(void **state)
{
	if (fixture_make(&luks1, FIXTURE_LUKS1) || fixture_make(&luks2, FIXTURE_LUKS2)) {
		fprintf(stderr, "skipped: cryptsetup makes no containers here\n");
		exit(77);
	}
	return crypto_init(why, sizeof(why));
}

#endif
