/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tool_luks [-H HEADER] [-k KEYSLOT] [-d] VERB IMAGE [PASSPHRASE]
 *
 * The crypto layer from the command line, for scripts that compare it with other programs:
 * info prints the header, read writes the decrypted device to standard output, write takes it
 * from standard input (up to its end), size prints its bytes. Exit status: 0; 2 wrong
 * passphrase; 1 anything else, with a sentence.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/crypto.h"
#include "crypto/luks.h"
#include "transport/file.h"

enum { PIECE = 1000 * 1000 };	/* not a multiple of any sector: parts are exercised */

struct args {
	const char *header, *verb, *image, *pass;
	int keyslot;
	bool discards;
};

static int fail(const char *what, int err, const char *why)
{
	fprintf(stderr, "%s: %s (%s)\n", what, why, strerror(-err));
	return err == -EKEYREJECTED ? 2 : 1;
}

static void print_info(const struct luks_info *info)
{
	printf("version %d uuid %s label '%s' cipher %s hash %s key %u\n", info->version,
	       info->uuid, info->label, info->cipher, info->hash, info->key_bits);
	printf("data %llu+%llu sector %u copy %d%s%s flags '%s' requirements '%s'\n",
	       (unsigned long long)info->data_off, (unsigned long long)info->data_len,
	       info->sector_len, info->copy, info->copy_damage[0] ? " " : "", info->copy_damage,
	       info->flags, info->requirements);
	for (unsigned i = 0; i < info->nkeyslots; i++) {
		const struct luks_keyslot_info *k = &info->keyslots[i];

		printf("keyslot %d priority %d %s %s %llu %llu KiB x%u af %u %s area %llu+%llu %s %u%s%s\n",
		       k->number, k->priority, k->kdf, k->kdf_hash,
		       (unsigned long long)k->iterations, (unsigned long long)k->memory_kib,
		       k->lanes, k->af_stripes, k->af_hash, (unsigned long long)k->area_off,
		       (unsigned long long)k->area_len, k->area_cipher, k->area_key_bits,
		       k->refused[0] ? " refused: " : "", k->refused);
	}
	if (info->refused[0])
		printf("refused: %s\n", info->refused);
}

static int copy_out(struct blkdev *dev, char *buf)
{
	for (uint64_t off = 0; off < blkdev_size(dev);) {
		uint64_t left = blkdev_size(dev) - off;
		size_t n = left < PIECE ? (size_t)left : PIECE;
		int err = blkdev_read(dev, buf, n, off);

		if (err)
			return fail("read", err, "failed");
		if (fwrite(buf, 1, n, stdout) != n)
			return 1;
		off += n;
	}
	return fflush(stdout) ? 1 : 0;
}

static int copy_in(struct blkdev *dev, char *buf)
{
	uint64_t off = 0;
	size_t n;
	int err;

	while ((n = fread(buf, 1, PIECE, stdin)) > 0) {
		err = blkdev_write(dev, buf, n, off);
		if (err)
			return fail("write", err, "failed");
		off += n;
	}
	err = blkdev_flush(dev);
	return err ? fail("flush", err, "failed") : 0;
}

static int use(const struct args *a, struct blkdev *dev)
{
	char *buf = malloc(PIECE);
	int status;

	if (!strcmp(a->verb, "size"))
		status = printf("%llu\n", (unsigned long long)blkdev_size(dev)) < 0;
	else
		status = !strcmp(a->verb, "write") ? copy_in(dev, buf) : copy_out(dev, buf);
	free(buf);
	return status;
}

static void notice(void *arg, const char *text)
{
	(void)arg;
	if (getenv("TOOL_LUKS_NOTICE"))
		fprintf(stderr, "%s\n", text);
}

static int unlock(const struct args *a, struct luks *luks, struct blkdev *lower,
		  struct blkdev *header)
{
	const struct luks_notice n = { notice, NULL };
	struct luks_key *key = NULL;
	struct blkdev *dev = NULL;
	char why[LUKS_WHY_LEN] = "";
	int err, status;

	err = luks_unlock(luks, header ? header : lower, a->pass, strlen(a->pass), a->keyslot, &n,
			  &key, why, sizeof(why));
	if (!err)
		err = luks_device_new(luks, key, lower, a->discards ? LUKS_ALLOW_DISCARDS : 0, &dev,
				      why, sizeof(why));
	if (err) {
		luks_key_free(key);
		blkdev_close(lower);
		return fail("unlock", err, why);
	}
	status = use(a, dev);
	return blkdev_close(dev) ? 1 : status;
}

static int run(const struct args *a)
{
	bool writes = !strcmp(a->verb, "write");
	struct blkdev *lower, *header = NULL;
	char why[LUKS_WHY_LEN] = "";
	struct luks *luks = NULL;
	int err = file_dev_open(a->image, -1, !writes, &lower), status = 0;

	if (err)
		return fail(a->image, err, "cannot be opened");
	if (a->header && (err = file_dev_open(a->header, -1, true, &header)))
		return fail(a->header, err, "cannot be opened");
	err = luks_load(lower, header, NULL, &luks, why, sizeof(why));
	if (err) {
		status = fail("load", err, why);
		blkdev_close(lower);
	} else if (!strcmp(a->verb, "info")) {
		print_info(luks_describe(luks));
		blkdev_close(lower);
	} else {
		status = unlock(a, luks, lower, header);
	}
	luks_free(luks);
	blkdev_close(header);
	return status;
}

int main(int argc, char **argv)
{
	struct args a = { .keyslot = LUKS_ANY_KEYSLOT, .pass = "" };
	char why[LUKS_WHY_LEN] = "";
	int c, err;

	while ((c = getopt(argc, argv, "H:k:d")) != -1) {
		if (c == 'H')
			a.header = optarg;
		else if (c == 'k')
			a.keyslot = atoi(optarg);
		else if (c == 'd')
			a.discards = true;
		else
			return 1;
	}
	if (argc - optind < 2)
		return 1;
	a.verb = argv[optind];
	a.image = argv[optind + 1];
	if (argc - optind > 2)
		a.pass = argv[optind + 2];
	err = crypto_init(why, sizeof(why));
	return err ? fail("init", err, why) : run(&a);
}
