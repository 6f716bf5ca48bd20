/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LUKS containers in memory for the tests of headers: made once by cryptsetup, copied, damaged,
 * loaded, unlocked. A test that needs them is skipped without cryptsetup.
 */
#ifndef TESTS_LUKS_FIXTURE_H
#define TESTS_LUKS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/hash.h"
#include "crypto/luks.h"
#include "crypto/luks2_format.h"
#include "dev_mem.h"

#define FIXTURE_PASS "pass"

enum {
	FIXTURE_SIZE = 1024 * 1024 + 64 * 1024,	/* the container: header, then some data */
	FIXTURE_HDR = 16 * 1024,		/* one copy of LUKS2's header */
};

/* A container as cryptsetup wrote it. */
struct fixture {
	uint8_t bytes[FIXTURE_SIZE];
};

static inline int fixture_make(struct fixture *f, const char *args)
{
	char path[] = "/tmp/f4t-luks-XXXXXX", command[1024];
	int fd = mkstemp(path), bad;

	if (fd < 0 || ftruncate(fd, FIXTURE_SIZE))
		return -1;
	snprintf(command, sizeof(command), "printf %%s " FIXTURE_PASS " | PATH=$PATH:/usr/sbin:/sbin "
		 "cryptsetup luksFormat -q --key-file - %s %s >/dev/null 2>&1", args, path);
	bad = system(command) || pread(fd, f->bytes, FIXTURE_SIZE, 0) != FIXTURE_SIZE;
	close(fd);
	unlink(path);
	return bad ? -1 : 0;
}

#define FIXTURE_LUKS1 "--type luks1 --key-size 128 --cipher aes-cbc-essiv:sha256 " \
	"--pbkdf-force-iterations 1000 --align-payload 2048"
#define FIXTURE_LUKS2 "--type luks2 --luks2-metadata-size 16k --luks2-keyslots-size 288k --offset 2048 " \
	"--pbkdf argon2id --pbkdf-force-iterations 4 --pbkdf-memory 32 --pbkdf-parallel 1"

/* Low: a header that wants more is refused at once. */
static inline struct luks_limits fixture_limits(void)
{
	return (struct luks_limits){ .kdf_memory_kib = 4096, .argon2_cost_kib = 8192,
				     .pbkdf2_iterations = 20000, .kdf_lanes = 4 };
}

static inline struct blkdev *fixture_dev(const uint8_t *bytes, size_t len)
{
	struct blkdev *dev;

	assert_int_equal(dev_mem_open(len, &dev), 0);
	memcpy(dev_mem_data(dev), bytes, len);
	return dev;
}

/* Makes the checksum of the LUKS2 header copy at off right again. */
static inline void fixture_sum_len(uint8_t *bytes, size_t off, size_t len)
{
	struct iovec all = { bytes + off, len };
	uint8_t *csum = bytes + off + offsetof(struct luks2_disk, csum);
	struct hash *hash;

	memset(csum, 0, LUKS2_CSUM_LEN);
	assert_int_equal(hash_new(hash_find("sha256"), &hash), 0);
	hash_compute(hash, &all, 1, csum);
	hash_free(hash);
}

static inline void fixture_sum(uint8_t *bytes, size_t off)
{
	fixture_sum_len(bytes, off, FIXTURE_HDR);
}

static inline char *fixture_json(uint8_t *bytes, size_t off)
{
	return (char *)bytes + off + LUKS2_BIN_LEN;
}

/* Replaces the first `from` in the JSON of both copies and sums them. */
static inline void fixture_replace(uint8_t *bytes, const char *from, const char *to)
{
	for (size_t off = 0; off <= FIXTURE_HDR; off += FIXTURE_HDR) {
		char *json = fixture_json(bytes, off), *at = strstr(json, from), *rest;

		assert_non_null(at);
		rest = strdup(at + strlen(from));
		assert_true((size_t)(at - json) + strlen(to) + strlen(rest) <
			    FIXTURE_HDR - LUKS2_BIN_LEN);
		memset(at, 0, FIXTURE_HDR - LUKS2_BIN_LEN - (size_t)(at - json));
		strcpy(at, to);
		strcat(at, rest);
		free(rest);
		fixture_sum(bytes, off);
	}
}

#endif
