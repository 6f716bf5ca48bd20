/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Containers for crash tests; see crash_luks.h. */
#include "crash_luks.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crypto/crypto.h"
#include "crypto/luks.h"
#include "dev_mem.h"
#include "dev_record.h"
#include "unit_image.h"

enum { HEADER_LEN = 16 << 20, PIECE = 1 << 20 };

static const char pass[] = "crash";

struct crash_luks {
	struct blkdev *start;	/* ciphertext before the workload */
	struct blkdev *record;	/* owned by live */
	struct blkdev *live;
	uint64_t data_off;
};

bool crash_luks_possible(void)
{
	return !system("command -v cryptsetup >/dev/null 2>&1");
}

/* A container for size bytes, in memory. */
static struct blkdev *format(uint64_t size)
{
	int fd = memfd_create("container", 0);
	struct blkdev *dev;
	char command[512];

	if (fd < 0 || ftruncate(fd, HEADER_LEN + (off_t)size))
		unit_die("no file in memory: %s", strerror(errno));
	snprintf(command, sizeof(command), "printf %s | cryptsetup luksFormat -q --type luks2 "
		 "--sector-size 512 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /proc/%d/fd/%d -",
		 pass, getpid(), fd);
	if (system(command))
		unit_die("cryptsetup luksFormat failed");
	if (dev_mem_open(HEADER_LEN + size, &dev) ||
	    pread(fd, dev_mem_data(dev), HEADER_LEN, 0) != HEADER_LEN)
		unit_die("no memory for a container");
	close(fd);
	return dev;
}

/* The decrypted device on lower, which belongs to it. */
static struct blkdev *unlock(struct blkdev *lower, uint64_t *ret_data_off)
{
	char why[LUKS_WHY_LEN] = "";
	struct luks_key *key;
	struct blkdev *dev;
	struct luks *luks;

	if (crypto_init(why, sizeof(why)) ||
	    luks_load(lower, NULL, NULL, &luks, why, sizeof(why)) ||
	    luks_unlock(luks, lower, pass, strlen(pass), LUKS_ANY_KEYSLOT, NULL, &key, why,
			sizeof(why)) ||
	    luks_device_new(luks, key, lower, 0, &dev, why, sizeof(why)))
		unit_die("the container does not open: %s", why);
	*ret_data_off = luks_describe(luks)->data_off;
	luks_free(luks);
	return dev;
}

static void copy(struct blkdev *from, struct blkdev *to)
{
	const uint8_t *data = dev_mem_data(from);

	for (uint64_t off = 0; off < blkdev_size(from); off += PIECE) {
		uint64_t len = blkdev_size(from) - off;

		if (blkdev_write(to, data + off, len < PIECE ? len : PIECE, off))
			unit_die("cannot fill the container");
	}
}

struct crash_luks *crash_luks_open(struct blkdev *base, struct blkdev **ret_live,
				   struct blkdev **ret_record)
{
	struct crash_luks *c = calloc(1, sizeof(*c));
	struct blkdev *container = format(blkdev_size(base));

	if (!c || dev_record_open(container, true, &c->record))
		unit_die("no memory");
	c->live = unlock(c->record, &c->data_off);
	copy(base, c->live);
	dev_record_clear(c->record);
	c->start = unit_copy(container, blkdev_size(container));
	*ret_live = c->live;
	*ret_record = c->record;
	return c;
}

/* Does one recorded call to the plain record, its bytes read through plain_view. */
static void decrypt_call(const struct crash_luks *c, const struct dev_record_entry *e,
			 struct blkdev *plain_view, struct blkdev *plain)
{
	uint64_t off = e->off - c->data_off;
	void *buf;

	switch (e->op) {
	case DEV_RECORD_FLUSH:
		blkdev_flush(plain);
		return;
	case DEV_RECORD_DISCARD:
		unit_die("a discard got through the container");
	default:
		break;
	}
	if (e->off < c->data_off)
		unit_die("%" PRIu64 " bytes were written to the header", e->len);
	buf = malloc(e->len);
	if (!buf || blkdev_read(plain_view, buf, e->len, off) ||
	    blkdev_write(plain, buf, e->len, off))
		unit_die("cannot decrypt a recorded write");
	free(buf);
}

struct blkdev *crash_luks_decrypt(struct crash_luks *c, struct blkdev *base)
{
	struct blkdev *view, *plain, *cipher = c->start;
	uint64_t data_off;

	if (dev_record_open(unit_copy(base, blkdev_size(base)), true, &plain))
		unit_die("no memory");
	view = unlock(cipher, &data_off);
	for (size_t i = 0; i < dev_record_count(c->record); i++) {
		struct dev_record_entry e = dev_record_get(c->record, i);

		dev_record_apply(&e, cipher, UINT64_MAX);
		decrypt_call(c, &e, view, plain);
	}
	blkdev_close(view);
	blkdev_close(c->live);
	free(c);
	return plain;
}
