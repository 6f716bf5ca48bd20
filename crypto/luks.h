/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LUKS1 and LUKS2 containers: find, describe, unlock, serve.
 *
 * Headers are hostile input. They are read into plain buffers, bounded, and decoded before
 * anything in them is believed: areas lie inside the header and do not overlap, the segment
 * lies inside the device, costs of key derivation are compared with limits before memory
 * or time is spent. A container that is well formed but cannot be served (integrity, OPAL, a
 * reencryption in progress, an unknown requirement or cipher) still loads, so that it can be
 * described; unlocking it is refused by name.
 *
 * Nothing here writes to the container but the device of luks_device_new, and that
 * only inside the data segment. Nothing logs: sentences for the user go to `why`.
 *
 * Call crypto_init (crypto.h) first. A struct luks is constant after luks_load: any
 * number of threads may use it.
 *
 * Sources: LUKS1 On-Disk Format Specification 1.2.3; LUKS2 On-Disk Format Specification 1.1.3
 * (both in cryptsetup's docs/).
 */
#ifndef CRYPTO_LUKS_H
#define CRYPTO_LUKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blkdev;
struct luks;
struct luks_key;

enum {
	LUKS_KEYSLOTS_MAX = 32,		/* LUKS1 has 8 */
	LUKS_SEGMENTS_MAX = 32,
	LUKS_NAME_LEN = 64,		/* cipher and hash names, with the final 0 */
	LUKS_WHY_LEN = 256,		/* a `why` this long is never cut */
	LUKS_ANY_KEYSLOT = -1,
	LUKS_COST_OF_ALL = 8,		/* 32 keyslots of a quarter of the limits */
};

/*
 * What a passphrase may cost per keyslot. A slot that wants more is refused before it starts, and
 * so is one that would make all that are tried in a row cost more than LUKS_COST_OF_ALL such.
 */
struct luks_limits {
	uint64_t kdf_memory_kib;	/* Argon2's memory; also never more than the machine has */
	uint64_t argon2_cost_kib;	/* Argon2's memory times its passes */
	uint64_t pbkdf2_iterations;	/* times the hash blocks of the key */
	uint32_t kdf_lanes;		/* Argon2's parallelism; threads are at most the CPUs */
};

/* 4 GiB, 64 GiB, 200 million, 16: above whatever cryptsetup's benchmark picks on its own. */
struct luks_limits luks_default_limits(void);

/* ---- what is there ---- */

struct luks_probe {
	int version;		/* 0: no LUKS container, 1, 2; or with unknown whatever it says */
	bool unknown;		/* LUKS's magic with a version that is none of these */
	bool secondary_only;	/* LUKS2's primary magic is gone, a valid secondary was found:
				 * look for another format at the start before believing it */
};

/*
 * luks_probe - what a device or header file starts with
 *
 * Returns 0 (ret->version 0 when there is none, also on a device too small); -EIO the start cannot
 * be read and there is no secondary; whatever else reading returns. A secondary that
 * cannot be read is none. Reads at most 10 short pieces.
 */
int luks_probe(struct blkdev *dev, struct luks_probe *ret);

enum luks_copy { LUKS_COPY_PRIMARY, LUKS_COPY_SECONDARY };

enum luks_priority { LUKS_PRIORITY_IGNORE, LUKS_PRIORITY_NORMAL, LUKS_PRIORITY_PREFER };

struct luks_keyslot_info {
	int number;
	enum luks_priority priority;	/* IGNORE: used only when asked for by number */
	unsigned key_bits;		/* of the key it holds */
	bool opens_segment;		/* its key is the one of the data */
	char kdf[LUKS_NAME_LEN];	/* "pbkdf2", "argon2i", "argon2id" or what the header says */
	char kdf_hash[LUKS_NAME_LEN];	/* pbkdf2 only */
	uint64_t iterations;		/* pbkdf2: iterations; argon2: passes */
	uint64_t memory_kib;		/* argon2 only */
	unsigned lanes;			/* argon2 only */
	unsigned af_stripes;
	char af_hash[LUKS_NAME_LEN];
	char area_cipher[LUKS_NAME_LEN];
	unsigned area_key_bits;
	uint64_t area_off, area_len;	/* bytes, in the header device */
	char refused[LUKS_WHY_LEN];	/* why it cannot be used, by name; "" when it can */
};

struct luks_segment_info {
	int number;
	char type[LUKS_NAME_LEN];	/* "crypt", "linear", ... */
	char cipher[LUKS_NAME_LEN];	/* "aes-xts-plain64" */
	uint64_t off;			/* bytes, in the data device */
	uint64_t len;			/* bytes; dynamic: up to the end of the device */
	bool dynamic;
	unsigned sector_len;		/* bytes, 512 .. 4096 */
	uint64_t iv_tweak;		/* added to sector numbers, in 512-byte units */
	char integrity[LUKS_NAME_LEN];	/* "" for none */
};

/* All of a container that needs no key. */
struct luks_info {
	int version;
	char uuid[40];
	char label[48], subsystem[48];	/* LUKS2; "" when unset; any bytes of the user's but 0 */
	char cipher[LUKS_NAME_LEN];	/* of the data segment */
	char hash[LUKS_NAME_LEN];	/* of the digest (LUKS1: of everything) */
	unsigned key_bits;		/* of the data; 0 when no keyslot says */
	struct luks_segment_info segments[LUKS_SEGMENTS_MAX];
	unsigned nsegments;
	struct luks_keyslot_info keyslots[LUKS_KEYSLOTS_MAX];	/* ascending numbers */
	unsigned nkeyslots;
	bool allow_discards;		/* a persistent flag of LUKS2 */
	char flags[LUKS_WHY_LEN];	/* all persistent flags, with spaces between */
	char requirements[LUKS_WHY_LEN];	/* mandatory ones, with spaces between */
	enum luks_copy copy;		/* the header copy that serves */
	bool copies_differ;		/* the other one is damaged or older */
	char copy_damage[LUKS_WHY_LEN];	/* "primary header: checksum does not match"; "" */
	uint64_t seqid;			/* LUKS2 */
	uint64_t header_len;		/* bytes of one header copy with its JSON area */
	uint64_t data_off, data_len;	/* bytes; of the decrypted device; 0 when refused */
	unsigned sector_len;		/* of the data segment */
	char refused[LUKS_WHY_LEN];	/* why it cannot be unlocked, by name; "" when it can */
};

/* ---- load, unlock, serve ---- */

/*
 * luks_load - read and check the headers of a container
 *
 * dev     the container; lent until the call returns
 * header  the device that holds a detached header, or NULL: at the start of dev. Lent.
 * limits  NULL: the default
 * ret     the caller's, luks_free
 * why     on failure a sentence naming the damaged part; both copies when both are
 *
 * A LUKS2 header is served from the newer valid copy; see copy_damage of luks_describe.
 * Returns 0; -EINVAL no LUKS container; -EUCLEAN damaged, every copy; -ENOMEM; what
 * reading returns.
 */
int luks_load(struct blkdev *dev, struct blkdev *header, const struct luks_limits *limits,
	      struct luks **ret, char *why, size_t why_len);
void luks_free(struct luks *luks);

/* Lives as long as luks. */
const struct luks_info *luks_describe(const struct luks *luks);

/* Called before each slow key derivation with, e.g., "unlocking keyslot 0, argon2id, 1 GiB". */
struct luks_notice {
	void (*fn)(void *arg, const char *text);
	void *arg;
};

/*
 * luks_unlock - find the volume key
 *
 * header    the device luks_load read the header from (dev when not detached); lent
 * pass      0 .. 8 MiB of any bytes; the caller's, keep it in secret memory
 * keyslot   its number, or LUKS_ANY_KEYSLOT: by priority, those to ignore left out
 * notice    may be NULL
 * ret_key   the caller's, luks_key_free
 *
 * Blocks for seconds, by design of the KDF; uses up to the memory and lanes of the limits.
 * Returns 0; -EKEYREJECTED no keyslot that was tried opens with that passphrase (why: the first
 * one that could not be, and the reason; "" when all were); -ENOKEY no such keyslot, or none in
 * use. When no slot could be tried, why the first was not: -EOPNOTSUPP what it needs is not
 * there, -E2BIG its costs are above the limits, -EINVAL they have no meaning, -ENOMEM, what
 * reading its area returns. -EUCLEAN, -EOPNOTSUPP as info->refused says.
 */
int luks_unlock(const struct luks *luks, struct blkdev *header, const void *pass,
		size_t pass_len, int keyslot, const struct luks_notice *notice,
		struct luks_key **ret_key, char *why, size_t why_len);
/*
 * luks_unlock_check - whether any passphrase could open it, before somebody is asked for one
 *
 * Returns 0 when a keyslot would be tried; else what luks_unlock would, and why.
 */
int luks_unlock_check(const struct luks *luks, int keyslot, char *why, size_t why_len);
/* The keyslot that gave it. */
int luks_key_slot(const struct luks_key *key);
/* Wipes. NULL is a no-op. */
void luks_key_free(struct luks_key *key);

enum {
	LUKS_ALLOW_DISCARDS = 1,	/* beside what the header's flag allows */
	LUKS_NO_DISCARDS = 2,		/* whatever the header's flag allows */
};

/*
 * luks_device_new - the decrypted device
 *
 * key    moved in on success: do not free or use it any more
 * lower  the container; on success the device's, whose close closes it
 * flags  of the enum above
 *
 * Its size is that of the data segment, its io_min the sector size or more, read-only as
 * lower is. Transfers of any alignment; part of a sector is read, changed and
 * written under a lock of that sector. Runs in the calling thread; flush, prefetch and
 * read_nowait go to lower. luks may be freed before the device.
 * Returns 0; -EUCLEAN lower is smaller than at luks_load; -ENOMEM; -EOPNOTSUPP.
 */
int luks_device_new(const struct luks *luks, struct luks_key *key, struct blkdev *lower,
		    unsigned flags, struct blkdev **ret, char *why, size_t why_len);

#endif
