// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Finding, unlocking and stacking a LUKS container.
 *
 * Whatever can be refused is refused before anybody is asked for a passphrase. From then on
 * no core dump of this process is written and its user's other programs cannot look into
 * it; that stays so, because the volume key lives as long as the device.
 */
#include "device_unlock.h"

#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "crypto/crypto.h"
#include "crypto/luks.h"
#include "crypto/secret.h"
#include "keysource.h"
#include "transport/file.h"

enum {
	SUPER_MAGIC_OFF = 1024 + 56, SUPER_MAGIC = 0xef53, KIB = 1024, STACK_BYTES = 128 << 10,
	KEYS_BYTES = 1 << 20,	/* secrets beside Argon2's work area: passphrase, keys, a slot's area */
};

/* Everything that unlocking one container needs. */
struct unlock {
	const struct device_options *opt;
	struct blkdev *dev, *header;	/* header: NULL unless detached */
	struct luks *luks;
	char *why;
	size_t why_len;
};

static int fail(struct unlock *u, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct unlock *u, int err, const char *fmt, ...)
{
	int n = snprintf(u->why, u->why_len, "%s: ", u->opt->image);
	va_list ap;

	if (n < 0 || (size_t)n >= u->why_len)
		return err;
	va_start(ap, fmt);
	vsnprintf(u->why + n, u->why_len - (size_t)n, fmt, ap);
	va_end(ap);
	return err;
}

static void say(const struct unlock *u, const char *line)
{
	if (u->opt->say)
		u->opt->say(u->opt->say_arg, line);
}

static void on_notice(void *arg, const char *text)
{
	say(arg, text);
}

static int open_header(struct unlock *u)
{
	const char *path = u->opt->unlock.header;
	int err;

	if (!path)
		return 0;
	err = file_dev_open(path, -1, true, &u->header);
	return err ? fail(u, err, "header=%s: %s", path,
			  err == -ENODATA ? "the file is empty" : strerror(-err)) : 0;
}

/* A file system made over an old container may have left its second header in place. */
static bool has_file_system(struct blkdev *dev)
{
	uint16_t magic;

	return blkdev_size(dev) >= SUPER_MAGIC_OFF + sizeof(magic) &&
	       !blkdev_read(dev, &magic, sizeof(magic), SUPER_MAGIC_OFF) &&
	       le16toh(magic) == SUPER_MAGIC;
}

/* Who gives a key wants plain text here and cipher text in the image, not what lies there. */
static int refuse_key(struct unlock *u)
{
	const struct device_unlock_options *o = &u->opt->unlock;
	const char *name = o->keyfile ? "keyfile=" : o->passfd >= 0 ? "passfd=" :
			   o->one_keyslot ? "key-slot=" : NULL;

	if (!name)
		return 0;
	return fail(u, -EINVAL, "%s was given, but no LUKS container begins here: partition=, "
		    "offset= and header= say where one is, nocrypt instead of the key serves what "
		    "is there as it is", name);
}

static int find(struct unlock *u, bool *ret_found)
{
	struct luks_probe probe;
	int err = luks_probe(u->header ? u->header : u->dev, &probe);

	if (err)
		return fail(u, err, "cannot be searched for a LUKS header: %s", strerror(-err));
	*ret_found = probe.unknown ||
		     (probe.version &&
		      (u->header || !probe.secondary_only || !has_file_system(u->dev)));
	if (u->header && !*ret_found)
		return fail(u, -EINVAL, "header=%s: is no LUKS header", u->opt->unlock.header);
	return *ret_found ? 0 : refuse_key(u);
}

static struct luks_limits limits(const struct device_unlock_options *o)
{
	struct luks_limits l = luks_default_limits();

	if (o->kdf_memory)
		l.kdf_memory_kib = o->kdf_memory / KIB;
	if (o->kdf_cost)
		l.argon2_cost_kib = o->kdf_cost / KIB;
	if (o->kdf_iterations)
		l.pbkdf2_iterations = o->kdf_iterations;
	return l;
}

/* True when the keyslot can be tried; else its reason is in *refused. */
static bool usable(const struct luks_info *info, int number, const char **refused)
{
	for (unsigned i = 0; i < info->nkeyslots; i++) {
		const struct luks_keyslot_info *slot = &info->keyslots[i];

		if (number != LUKS_ANY_KEYSLOT ? slot->number != number :
		    slot->priority == LUKS_PRIORITY_IGNORE)
			continue;
		*refused = slot->refused;
		if (!slot->refused[0])
			return true;
	}
	return false;
}

static int wanted_keyslot(const struct device_unlock_options *o)
{
	return o->one_keyslot ? o->keyslot : LUKS_ANY_KEYSLOT;
}

/* err: of luks_unlock, with its sentence. */
static int fail_unlock(struct unlock *u, int err, const char *text)
{
	if (err == -E2BIG)
		return fail(u, err, "%s; kdf-memory=, kdf-cost= and kdf-iterations= are the limits",
			    text);
	return fail(u, err, "%s", *text ? text : strerror(-err));
}

static int check_costs(struct unlock *u, int keyslot)
{
	char text[LUKS_WHY_LEN] = "";
	int err = luks_unlock_check(u->luks, keyslot, text, sizeof(text));

	return err ? fail_unlock(u, err, text) : 0;
}

/* All that makes a passphrase pointless. */
static int check(struct unlock *u)
{
	const struct luks_info *info = luks_describe(u->luks);
	const int number = wanted_keyslot(&u->opt->unlock);
	const char *refused = NULL;

	if (info->refused[0])
		return fail(u, -EOPNOTSUPP, "%s", info->refused);
	if (usable(info, number, &refused))
		return check_costs(u, number);
	if (refused)
		return fail(u, -EOPNOTSUPP, "no keyslot can be used: %s", refused);
	if (number != LUKS_ANY_KEYSLOT)
		return fail(u, -ENOKEY, "key-slot=%d: there is no such keyslot", number);
	return fail(u, -ENOKEY, "the LUKS container has no keyslot to try");
}

static int load(struct unlock *u)
{
	const struct luks_limits l = limits(&u->opt->unlock);
	char text[LUKS_WHY_LEN] = "";
	const struct luks_info *info;
	int err = luks_load(u->dev, u->header, &l, &u->luks, text, sizeof(text));

	if (err)
		return fail(u, err, "%s", *text ? text : strerror(-err));
	info = luks_describe(u->luks);
	if (info->copy_damage[0]) {
		char line[LUKS_WHY_LEN + 64];

		snprintf(line, sizeof(line), "%s; the %s copy is used", info->copy_damage,
			 info->copy == LUKS_COPY_PRIMARY ? "primary" : "secondary");
		say(u, line);
	}
	return check(u);
}

void device_guard_process(void)
{
	const struct rlimit none = { 0, 0 };

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &none);
}

static int try_key(struct unlock *u, const struct keysource *src, struct luks_key **ret)
{
	const struct luks_notice notice = { on_notice, u };
	const bool progress = u->opt->progress;
	char text[512] = "";
	size_t len;
	void *pass;
	int err = keysource_read(src, &pass, &len, text, sizeof(text));

	if (err)
		return fail(u, err, "%s", text);
	err = luks_unlock(u->luks, u->header ? u->header : u->dev, pass, len,
			  wanted_keyslot(&u->opt->unlock), progress ? &notice : NULL, ret, text, sizeof(text));
	secret_free(pass);
	if (err == -EKEYREJECTED)
		return fail(u, err, "no key available with this %s%s%s%s",
			    src->keyfile ? "key file" : "passphrase",
			    *text ? " (not tried: " : "", text, *text ? ")" : "");
	return err ? fail_unlock(u, err, text) : 0;
}

/* Once, before anybody types a passphrase. */
static void tell_if_not_lockable(const struct unlock *u)
{
	const struct luks_info *info = luks_describe(u->luks);
	const int number = wanted_keyslot(&u->opt->unlock);
	const uint64_t most = limits(&u->opt->unlock).kdf_memory_kib;
	uint64_t kib = 0;
	char line[160];

	for (unsigned i = 0; i < info->nkeyslots; i++) {
		const struct luks_keyslot_info *slot = &info->keyslots[i];

		if ((number == LUKS_ANY_KEYSLOT || slot->number == number) &&
		    slot->memory_kib <= most && slot->memory_kib > kib)
			kib = slot->memory_kib;
	}
	kib += KEYS_BYTES / KIB;
	if (secret_lockable(kib * KIB))
		return;
	snprintf(line, sizeof(line), "secrets may be swapped out: %llu KiB of memory cannot be "
		 "locked (see ulimit -l)", (unsigned long long)kib);
	say(u, line);
}

static int find_key(struct unlock *u, struct luks_key **ret)
{
	const struct device_unlock_options *o = &u->opt->unlock;
	const struct keysource src = {
		.image = u->opt->image, .keyfile = o->keyfile, .keyfile_off = o->keyfile_off,
		.keyfile_len = o->keyfile_len, .passfd = o->passfd,
	};
	int tries = keysource_tries(&src), err;

	device_guard_process();
	tell_if_not_lockable(u);
	while ((err = try_key(u, &src, ret)) == -EKEYREJECTED && --tries > 0)
		say(u, "no key available with this passphrase");
	/* Whoever wrote to it may be waiting for its end. */
	if (src.passfd > STDERR_FILENO)
		close(src.passfd);
	return err;
}

static void describe(const struct luks_info *info, const struct blkdev *dev, int keyslot,
		     struct device_crypt *ret)
{
	*ret = (struct device_crypt){
		.version = info->version, .keyslot = keyslot, .key_bits = info->key_bits,
		.sector_len = info->sector_len, .discards = dev->info.can_discard,
	};
	snprintf(ret->cipher, sizeof(ret->cipher), "%s", info->cipher);
	snprintf(ret->uuid, sizeof(ret->uuid), "%s", info->uuid);
}

static int stack(struct unlock *u, struct blkdev **dev, struct device_crypt *ret)
{
	const bool allow = u->opt->unlock.allow_discards;
	char text[LUKS_WHY_LEN] = "";
	struct luks_key *key = NULL;
	int err, keyslot;

	err = find_key(u, &key);
	if (err)
		return err;
	keyslot = luks_key_slot(key);
	err = luks_device_new(u->luks, key, u->dev, allow ? LUKS_ALLOW_DISCARDS : 0, dev, text,
			      sizeof(text));
	if (err) {
		luks_key_free(key);
		return fail(u, err, "%s", *text ? text : strerror(-err));
	}
	describe(luks_describe(u->luks), *dev, keyslot, ret);
	return 0;
}

/*
 * Libraries wipe their own variables, but keys pass through vector registers, and the dynamic
 * linker saves those on the stack when it binds a function at its first call.
 */
static void __attribute__((noinline)) burn_stack(void)
{
	char below[STACK_BYTES];

	secret_wipe(below, sizeof(below));
}

int device_unlock(const struct device_options *opt, struct blkdev **dev,
		  struct device_crypt *ret, char *why, size_t why_len)
{
	struct unlock u = { .opt = opt, .dev = *dev, .why = why, .why_len = why_len };
	char text[LUKS_WHY_LEN];
	bool found = false;
	int err;

	if (opt->unlock.nocrypt)
		return 0;
	err = crypto_init(text, sizeof(text));
	if (err)
		return fail(&u, err, "%s", text);
	err = open_header(&u);
	if (!err)
		err = find(&u, &found);
	if (!err && found)
		err = load(&u);
	if (!err && found)
		err = stack(&u, dev, ret);
	burn_stack();
	luks_free(u.luks);
	blkdev_close(u.header);
	return err;
}
