/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A libFuzzer target for LUKS headers; not part of the suite. `make fuzz-luks` builds it with
 * clang; run tests/fuzz_luks CORPUS-FOLDER -dict=... for as long as wanted.
 *
 * The first byte modulo 3 chooses: 0 the input is a device as it is; 1 it is laid over a LUKS1 header's
 * place behind the magic; else it is the JSON text of a LUKS2 header, whose binary headers and
 * checksums are made right, so that the fuzzer need not find them.
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "crypto/hash.h"
#include "crypto/luks.h"
#include "crypto/luks2_format.h"
#include "dev_mem.h"

enum { DEVICE = 1024 * 1024, HDR = LUKS2_HDR_MIN };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void put_luks2(uint8_t *bytes, size_t off, const uint8_t *text, size_t len)
{
	struct luks2_disk d = {
		.version_be16 = htobe16(2), .hdr_len_be64 = htobe64(HDR), .seqid_be64 = htobe64(1),
		.csum_alg = "sha256", .hdr_off_be64 = htobe64(off),
	};
	struct iovec all = { bytes + off, HDR };
	struct hash *hash;

	memcpy(d.magic, off ? LUKS2_MAGIC_SECONDARY : LUKS_MAGIC, LUKS_MAGIC_LEN);
	memcpy(bytes + off, &d, sizeof(d));
	memcpy(bytes + off + sizeof(d), text, len < HDR - sizeof(d) ? len : HDR - sizeof(d));
	if (hash_new(hash_find("sha256"), &hash))
		abort();
	hash_compute(hash, &all, 1, bytes + off + offsetof(struct luks2_disk, csum));
	hash_free(hash);
}

static void put_input(uint8_t *bytes, int kind, const uint8_t *data, size_t len)
{
	static const uint8_t luks1[] = LUKS_MAGIC "\0\1";

	len = len < DEVICE / 2 ? len : DEVICE / 2;
	if (kind == 0) {
		memcpy(bytes, data, len);
	} else if (kind == 1) {
		memcpy(bytes, luks1, 8);
		memcpy(bytes + 8, data, len);
	} else {
		put_luks2(bytes, 0, data, len);
		put_luks2(bytes, HDR, data, len);
	}
}

static void use(const struct luks *luks, struct blkdev *dev)
{
	struct luks_key *key = NULL;
	char why[LUKS_WHY_LEN], byte = 0;

	if (luks_unlock(luks, dev, "pass", 4, LUKS_ANY_KEYSLOT, NULL, &key, why, sizeof(why)) ||
	    luks_device_new(luks, key, dev, 0, &dev, why, sizeof(why)))
		luks_key_free(key);
	else if (blkdev_read(dev, &byte, 1, 0))
		abort();
	blkdev_close(dev);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct luks_limits limits = { 64, 128, 100, 2 };
	struct luks *luks = NULL;
	char why[LUKS_WHY_LEN];
	struct blkdev *dev;

	if (len < 1 || crypto_init(why, sizeof(why)) || dev_mem_open(DEVICE, &dev))
		return 0;
	put_input(dev_mem_data(dev), data[0] % 3, data + 1, len - 1);
	if (luks_load(dev, NULL, &limits, &luks, why, sizeof(why)))
		blkdev_close(dev);
	else
		use(luks, dev);
	luks_free(luks);
	return 0;
}
