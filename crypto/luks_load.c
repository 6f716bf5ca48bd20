// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading headers and choosing the copy that serves.
 *
 * LUKS2 keeps two copies. One is valid when its binary header, checksum, JSON and places are.
 * Of two valid ones the higher seqid serves, the primary on a tie. The secondary lies
 * behind the primary's length; when no primary with a good checksum says that, every length
 * there is is tried: not before, as what lies elsewhere is an older container's. What cannot
 * be read is not valid. Nothing is repaired: the image may be in use by a newer program.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "luks2_bin.h"
#include "luks_int.h"
#include "transport/blkdev.h"

/* One copy of a LUKS2 header: decoded, or what is wrong with it. */
struct copy {
	struct luks *luks;	/* NULL: not valid */
	uint64_t hdr_len;	/* 0: the binary header does not say */
	bool summed;		/* the checksum matches, so that hdr_len can be believed */
	char why[LUKS_WHY_LEN];
};

static const char unreadable[] = "it cannot be read: input/output error";

static struct luks *new_luks(const struct luks_limits *limits)
{
	struct luks *luks = calloc(1, sizeof(*luks));

	if (!luks)
		return NULL;
	luks->limits = limits ? *limits : luks_default_limits();
	luks->data_digest = -1;
	luks->data_segment = -1;
	return luks;
}

void luks_free(struct luks *luks)
{
	free(luks);
}

const struct luks_info *luks_describe(const struct luks *luks)
{
	return &luks->info;
}

struct luks_limits luks_default_limits(void)
{
	return (struct luks_limits){
		.kdf_memory_kib = 4 * 1024 * 1024,
		.argon2_cost_kib = 64 * 1024 * 1024,
		.pbkdf2_iterations = 200 * 1000 * 1000,
		.kdf_lanes = 16,
	};
}

/* Bytes that are there and cannot be read: damage like any other, the other copy may serve. */
static int read_or_bad(struct blkdev *dev, void *buf, size_t len, uint64_t off, bool *ret_bad)
{
	int err = blkdev_read(dev, buf, len, off);

	*ret_bad = err == -EIO;
	return *ret_bad ? 0 : err;
}

/* ---- probe ---- */

static bool valid_secondary(struct blkdev *dev, uint64_t off, uint8_t *bin_buf, int *ret_err)
{
	char why[LUKS_WHY_LEN];
	struct luks2_bin bin;
	bool valid = false, bad;
	uint8_t *buf;

	if (off + LUKS2_BIN_LEN > blkdev_size(dev))
		return false;
	*ret_err = read_or_bad(dev, bin_buf, LUKS2_BIN_LEN, off, &bad);
	if (*ret_err || bad || luks2_bin_decode(bin_buf, off, &bin, why, sizeof(why)) ||
	    !bin.secondary || bin.hdr_len > blkdev_size(dev) - off)
		return false;
	buf = malloc(bin.hdr_len);
	if (!buf) {
		*ret_err = -ENOMEM;
		return false;
	}
	*ret_err = read_or_bad(dev, buf, bin.hdr_len, off, &bad);
	if (!*ret_err && !bad)
		valid = !luks2_csum_check(&bin, buf, why, sizeof(why));
	free(buf);
	return valid;
}

static int probe_secondaries(struct blkdev *dev, struct luks_probe *ret)
{
	uint8_t *bin_buf = malloc(LUKS2_BIN_LEN);
	int err = 0;

	if (!bin_buf)
		return -ENOMEM;
	/* All at once where a read is a round trip. */
	for (uint64_t off = LUKS2_HDR_MIN; off <= LUKS2_HDR_MAX; off *= 2)
		blkdev_prefetch(dev, off, LUKS2_BIN_LEN);
	for (uint64_t off = LUKS2_HDR_MIN; off <= LUKS2_HDR_MAX && !err; off *= 2)
		if (valid_secondary(dev, off, bin_buf, &err)) {
			*ret = (struct luks_probe){ .version = 2, .secondary_only = true };
			break;
		}
	free(bin_buf);
	return err;
}

int luks_probe(struct blkdev *dev, struct luks_probe *ret)
{
	uint8_t head[8];
	bool bad;
	int err;

	*ret = (struct luks_probe){ 0 };
	if (blkdev_size(dev) < sizeof(struct luks1_disk))
		return 0;
	err = read_or_bad(dev, head, sizeof(head), 0, &bad);
	if (err)
		return err;
	if (bad) {
		err = probe_secondaries(dev, ret);
		return err || ret->version ? err : -EIO;
	}
	if (!memcmp(head, LUKS1_MAGIC_REENCRYPT, LUKS_MAGIC_LEN)) {
		ret->version = 1;
		return 0;
	}
	if (memcmp(head, LUKS_MAGIC, LUKS_MAGIC_LEN) != 0)
		return probe_secondaries(dev, ret);
	if (!head[6] && (head[7] == 1 || head[7] == 2)) {
		ret->version = head[7];
		return 0;
	}
	err = probe_secondaries(dev, ret);
	if (!err && !ret->version)
		*ret = (struct luks_probe){ .version = head[6] << 8 | head[7], .unknown = true };
	return err;
}

/* ---- LUKS1 ---- */

static int load1(struct blkdev *header, const struct luks_place *place,
		 const struct luks_limits *limits, struct luks **ret, char *why, size_t why_len)
{
	uint8_t buf[sizeof(struct luks1_disk)];
	struct luks *luks;
	int err = blkdev_read(header, buf, sizeof(buf), 0);

	if (err)
		return err;
	if (!memcmp(buf, LUKS1_MAGIC_REENCRYPT, LUKS_MAGIC_LEN)) {
		snprintf(why, why_len, "LUKS1 header: a reencryption is in progress: finish it "
			 "with cryptsetup-reencrypt");
		return -EOPNOTSUPP;
	}
	luks = new_luks(limits);
	if (!luks)
		return -ENOMEM;
	err = luks1_decode(buf, sizeof(buf), luks, why, why_len);
	if (!err)
		err = luks_check(luks, place, why, why_len);
	if (err) {
		luks_free(luks);
		return err;
	}
	*ret = luks;
	return 0;
}

/* ---- LUKS2 ---- */

static void describe_bin(const struct luks2_bin *bin, struct luks_info *info)
{
	info->version = 2;
	info->copy = bin->secondary ? LUKS_COPY_SECONDARY : LUKS_COPY_PRIMARY;
	info->seqid = bin->seqid;
	info->header_len = bin->hdr_len;
	memcpy(info->uuid, bin->uuid, sizeof(info->uuid));
	memcpy(info->label, bin->label, sizeof(info->label));
	memcpy(info->subsystem, bin->subsystem, sizeof(info->subsystem));
}

static int decode_copy(const struct luks2_bin *bin, const uint8_t *buf,
		       const struct luks_place *place, const struct luks_limits *limits,
		       struct copy *copy)
{
	struct luks *luks;
	int err = luks2_csum_check(bin, buf, copy->why, sizeof(copy->why));

	if (err)
		return err;
	copy->summed = true;
	luks = new_luks(limits);
	if (!luks)
		return -ENOMEM;
	describe_bin(bin, &luks->info);
	err = luks2_json_decode((const char *)buf + LUKS2_BIN_LEN, bin->hdr_len - LUKS2_BIN_LEN,
				luks, copy->why, sizeof(copy->why));
	if (!err)
		err = luks_check(luks, place, copy->why, sizeof(copy->why));
	if (err)
		luks_free(luks);
	else
		copy->luks = luks;
	return err;
}

/* A copy that is damaged is no error: copy->why says what is wrong. */
static int load_copy(struct blkdev *header, uint64_t off, const struct luks_place *place,
		     const struct luks_limits *limits, struct copy *copy)
{
	uint8_t bin_buf[LUKS2_BIN_LEN], *buf;
	struct luks2_bin bin;
	bool bad;
	int err;

	snprintf(copy->why, sizeof(copy->why), "it reaches beyond the end of the device");
	if (off > place->header_size || place->header_size - off < sizeof(bin_buf))
		return 0;
	err = read_or_bad(header, bin_buf, sizeof(bin_buf), off, &bad);
	if (bad)
		snprintf(copy->why, sizeof(copy->why), "%s", unreadable);
	if (err || bad)
		return err;
	if (luks2_bin_decode(bin_buf, off, &bin, copy->why, sizeof(copy->why)))
		return 0;
	copy->hdr_len = bin.hdr_len;
	if (bin.secondary != (off != 0)) {
		snprintf(copy->why, sizeof(copy->why), "it has the other copy's magic");
		return 0;
	}
	snprintf(copy->why, sizeof(copy->why), "it reaches beyond the end of the device");
	if (bin.hdr_len > place->header_size - off)
		return 0;
	buf = malloc(bin.hdr_len);
	if (!buf)
		return -ENOMEM;
	err = read_or_bad(header, buf, bin.hdr_len, off, &bad);
	if (bad)
		snprintf(copy->why, sizeof(copy->why), "%s", unreadable);
	else if (!err)
		err = decode_copy(&bin, buf, place, limits, copy);
	free(buf);
	return err == -EUCLEAN ? 0 : err;
}

static int load_secondary(struct blkdev *header, const struct copy *first,
			  const struct luks_place *place, const struct luks_limits *limits,
			  struct copy *copy)
{
	int err = 0;

	if (first->hdr_len)
		err = load_copy(header, first->hdr_len, place, limits, copy);
	if (first->summed)
		return err;
	for (uint64_t off = LUKS2_HDR_MIN; off <= LUKS2_HDR_MAX && !err && !copy->luks; off *= 2) {
		struct copy tried = { 0 };

		err = load_copy(header, off, place, limits, &tried);
		if (tried.luks || tried.hdr_len)
			*copy = tried;
	}
	if (!copy->why[0])
		snprintf(copy->why, sizeof(copy->why), "there is none");
	return err;
}

/* Takes what is in both; NULL when neither is valid. */
static struct luks *choose_copy(struct copy *first, struct copy *second)
{
	struct luks *a = first->luks, *b = second->luks;
	struct luks *best = !a || (b && b->info.seqid > a->info.seqid) ? b : a;
	struct luks *other = best == a ? b : a;
	const struct copy *bad = best == a ? second : first;
	char *text;

	if (!best)
		return NULL;
	text = best->info.copy_damage;
	best->info.copies_differ = !other || other->info.seqid != best->info.seqid;
	if (!other)
		snprintf(text, LUKS_WHY_LEN, "%s header: %.200s",
			 best == a ? "secondary" : "primary", bad->why);
	else if (best->info.copies_differ)
		snprintf(text, LUKS_WHY_LEN, "%s header: older (sequence %llu, the other has %llu)",
			 best == a ? "secondary" : "primary", (unsigned long long)other->info.seqid,
			 (unsigned long long)best->info.seqid);
	luks_free(other);
	return best;
}

static int load2(struct blkdev *header, const struct luks_place *place,
		 const struct luks_limits *limits, struct luks **ret, char *why, size_t why_len)
{
	struct copy first = { 0 }, second = { 0 };
	struct luks *luks;
	int err = load_copy(header, 0, place, limits, &first);

	if (!err)
		err = load_secondary(header, &first, place, limits, &second);
	if (err) {
		luks_free(first.luks);
		luks_free(second.luks);
		return err;
	}
	luks = choose_copy(&first, &second);
	if (!luks) {
		snprintf(why, why_len, "LUKS2 header: primary: %.100s; secondary: %.100s", first.why,
			 second.why);
		return -EUCLEAN;
	}
	*ret = luks;
	return 0;
}

int luks_load(struct blkdev *dev, struct blkdev *header, const struct luks_limits *limits,
	      struct luks **ret, char *why, size_t why_len)
{
	struct luks_place place = {
		.header_size = blkdev_size(header ? header : dev),
		.data_size = blkdev_size(dev),
		.detached = header != NULL,
	};
	struct luks_probe probe;
	int err;

	if (!header)
		header = dev;
	snprintf(why, why_len, "LUKS header: cannot be read");
	err = luks_probe(header, &probe);
	if (err)
		return err;
	if (probe.unknown) {
		snprintf(why, why_len, "LUKS header: version %d is not known", probe.version);
		return -EOPNOTSUPP;
	}
	if (!probe.version) {
		snprintf(why, why_len, "no LUKS header");
		return -EINVAL;
	}
	return (probe.version == 1 ? load1 : load2)(header, &place, limits, ret, why, why_len);
}
