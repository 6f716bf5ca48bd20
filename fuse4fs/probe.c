// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * --probe: looks at the image and at each partition for a container and a file system; see
 * probe.h. A file system is believed before an old container's second header, a container
 * and a file system before a partition table.
 */
#include "probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crypto/crypto.h"
#include "crypto/luks.h"
#include "device_options.h"
#include "fs_probe.h"
#include "options.h"
#include "probe_luks.h"
#include "probe_print.h"
#include "probe_sandbox.h"
#include "transport/file.h"
#include "transport/overlay.h"
#include "transport/partition.h"
#include "transport/slice.h"

enum { WHY_BYTES = 512 };

struct probe {
	const struct options *opt;
	struct blkdev *header;	/* detached, or NULL */
	bool writable;		/* the image, by this user */
	char why[WHY_BYTES];	/* what could not be read */
};

static void add_time(struct json_object *o, const char *key, uint64_t sec)
{
	time_t t = (time_t)sec;
	char text[64];
	struct tm tm;

	if (!sec || !gmtime_r(&t, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		return;
	probe_add_text(o, key, text);
}

static void add_fs(struct json_object *o, const struct fs_probe *fs)
{
	struct json_object *list;

	probe_add_text(o, "type", fs->type);
	probe_add_text(o, "uuid", fs->uuid);
	probe_add_if(o, "label", fs->label);
	list = probe_add_list(o, "features");
	for (unsigned i = 0; i < fs->nfeatures; i++)
		probe_append_text(list, fs->features[i]);
	probe_add_text(o, "state", fs->errors ? "errors" : fs->unmounted ? "clean"
							  : "not cleanly unmounted");
	if (fs->error_count)
		probe_add_int(o, "error_count", fs->error_count);
	probe_add_text(o, "journal", fs->journal);
	probe_add_int(o, "block_bytes", fs->block_size);
	probe_add_int(o, "blocks", fs->blocks);
	probe_add_int(o, "free_blocks", fs->free_blocks);
	probe_add_int(o, "inode_bytes", fs->inode_size);
	probe_add_int(o, "inodes", fs->inodes);
	probe_add_int(o, "free_inodes", fs->free_inodes);
	probe_add_if(o, "last_mounted_on", fs->last_mounted);
	add_time(o, "last_mounted", fs->mounted_sec);
	add_time(o, "last_written", fs->written_sec);
	add_time(o, "last_checked", fs->checked_sec);
}

static void add_mount(struct probe *p, struct json_object *o, const struct fs_probe *fs)
{
	struct json_object *mount = probe_add_group(o, "mount"), *list;
	const bool denied = !p->writable && !strcmp(fs->mount, "rw");

	probe_add_text(mount, "would_be", denied ? "ro" : fs->mount);
	probe_add_if(mount, "because", denied ? "this user may not write the image" : fs->why);
	if (!fs->nnotes)
		return;
	list = probe_add_list(mount, "notes");
	for (unsigned i = 0; i < fs->nnotes; i++)
		probe_append_text(list, fs->notes[i]);
}

static int probe_fs(struct probe *p, struct blkdev *dev, struct json_object *o, bool *ret_found,
		    bool *ret_usable)
{
	struct fs_probe *fs = malloc(sizeof(*fs));
	int err = fs ? fs_probe(dev, fs) : -ENOMEM;

	*ret_found = !err && fs->found;
	if (*ret_found) {
		probe_add_text(o, "type", fs->type);
		add_fs(probe_add_group(o, "filesystem"), fs);
		add_mount(p, o, fs);
		*ret_usable = strcmp(fs->mount, "refused") != 0;
	}
	free(fs);
	return err;
}

/* True with an old container's second header behind a file system. */
static bool only_a_relic(struct blkdev *dev, bool fs_there)
{
	struct luks_probe found;

	return fs_there && !luks_probe(dev, &found) && found.version && found.secondary_only;
}

/* A container or a file system. */
static int probe_content(struct probe *p, struct blkdev *dev, struct json_object *o,
			 bool *ret_found, bool *ret_usable)
{
	struct json_object *fs = json_object_new_object();
	bool fs_found = false, fs_usable = false;
	int err = probe_fs(p, dev, fs, &fs_found, &fs_usable);

	*ret_found = *ret_usable = false;
	if (!err && (p->header || !only_a_relic(dev, fs_found)))
		err = probe_luks(dev, p->header, o, ret_found, ret_usable);
	if (!err && !*ret_found && fs_found) {
		json_object_object_foreach(fs, key, value)
			json_object_object_add(o, key, json_object_get(value));
		*ret_found = true;
		*ret_usable = fs_usable;
	}
	json_object_put(fs);
	return err;
}

/* A window on dev whose close leaves dev alone. */
static int open_window(struct blkdev *dev, const struct partition_entry *e, struct blkdev **ret)
{
	struct blkdev *view;
	int err = overlay_dev_open(dev, false, 1, &view);

	if (err)
		return err;
	err = slice_dev_open(view, e->off, e->len, ret);
	if (err)
		blkdev_close(view);
	return err;
}

static int probe_partition(struct probe *p, struct blkdev *dev, const struct partition_entry *e,
			   struct json_object *o, bool *ret_usable)
{
	struct blkdev *slice;
	bool found;
	int err;

	probe_add_int(o, "number", e->number);
	probe_add_int(o, "offset", e->off);
	probe_add_int(o, "bytes", e->len);
	probe_add_text(o, "partition_type", e->extended ? "extended" : e->type);
	probe_add_if(o, "name", e->name);
	probe_add_if(o, "partition_uuid", e->uuid);
	*ret_usable = false;
	if (e->outside)
		probe_add_text(o, "type", "cut off: it reaches beyond the image");
	if (e->extended || e->outside || !e->len)
		return 0;
	err = open_window(dev, e, &slice);
	if (err)
		return err;
	err = probe_content(p, slice, o, &found, ret_usable);
	if (!err && !found)
		probe_add_text(o, "type", "unknown");
	blkdev_close(slice);
	return err;
}

static void add_way(struct json_object *o, const char *would, const char *because)
{
	struct json_object *mount = probe_add_group(o, "mount");

	probe_add_text(mount, "would_be", would);
	probe_add_text(mount, "because", because);
}

static int add_partitions(struct probe *p, struct blkdev *dev, const struct partition_table *t,
			  struct json_object *o, bool *ret_usable)
{
	struct json_object *group, *list;
	bool usable;
	int err = 0;

	probe_add_text(o, "type", "partition table");
	group = probe_add_group(o, "table");
	probe_add_text(group, "type", t->type);
	probe_add_if(group, "uuid", t->uuid);
	if (t->nleft_out)
		probe_add_int(group, "left_out", t->nleft_out);
	list = probe_add_list(group, "partitions");
	for (unsigned i = 0; i < t->nentries && !err; i++) {
		err = probe_partition(p, dev, &t->entries[i], probe_append_group(list), &usable);
		*ret_usable |= usable;
	}
	add_way(o, *ret_usable ? "by partition" : "refused",
		*ret_usable ? "give partition=N" : "no partition of it can be mounted");
	return err;
}

static int probe_table(struct probe *p, struct blkdev *dev, struct json_object *o,
		       bool *ret_usable)
{
	struct partition_table *t = malloc(sizeof(*t));
	int err = t ? partition_list(dev, t, p->why, sizeof(p->why)) : -ENOMEM;

	if (!err) {
		err = add_partitions(p, dev, t, o, ret_usable);
	} else if (err == -ENODATA || err == -EUCLEAN) {
		probe_add_text(o, "type", err == -ENODATA ? "unknown" : "partition table");
		add_way(o, "refused", err == -ENODATA ?
			"no ext2, ext3 or ext4 file system, LUKS container or partition table" :
			p->why);
		err = 0;
	}
	free(t);
	return err;
}

static int probe_all(struct probe *p, struct blkdev *dev, struct json_object *o, bool *ret_usable)
{
	bool found = false;
	int err;

	probe_add_text(o, "image", p->opt->image);
	probe_add_int(o, "bytes", blkdev_size(dev));
	err = probe_content(p, dev, o, &found, ret_usable);
	if (!err && !found)
		err = probe_table(p, dev, o, ret_usable);
	return err;
}

static void say(void *arg, const char *line)
{
	(void)arg;
	fprintf(stderr, "fuse4fs: %s\n", line);
}

static int open_image(struct probe *p, struct device *ret)
{
	const struct options *o = p->opt;
	const struct device_options dev = {
		.image = o->image, .readonly = true, .offset = o->offset,
		.sizelimit = o->sizelimit, .partition = (int)o->partition,
		.lock = IMGLOCK_NONE, .unlock = { .nocrypt = true, .passfd = -1 },
		.remote = device_remote_options(o), .say = say,
	};
	int err = device_open(&dev, ret, p->why, sizeof(p->why));

	p->writable = !err && !o->readonly &&
		      (!strncmp(o->image, "fd:", 3) || ret->remote || !access(o->image, W_OK));
	return err;
}

static int open_header(struct probe *p)
{
	const char *path = p->opt->header;
	int err = path ? file_dev_open(path, -1, true, &p->header) : 0;

	if (err)
		snprintf(p->why, sizeof(p->why), "header=%s: %s", path, strerror(-err));
	return err;
}

static int report(struct probe *p, struct blkdev *dev)
{
	struct json_object *o = json_object_new_object();
	bool usable = false;
	int err = o ? probe_all(p, dev, o, &usable) : -ENOMEM;

	if (err) {
		fprintf(stderr, "fuse4fs: %s: %s\n", p->opt->image, strerror(-err));
	} else {
		probe_print(o, p->opt->json, stdout);
		if (fflush(stdout))
			err = -EIO;
	}
	json_object_put(o);
	return err ? MNT_EX_SYSERR : usable ? MNT_EX_OK : MNT_EX_FAIL;
}

int probe_main(const struct options *opt)
{
	struct probe p = { .opt = opt, .header = NULL };
	struct device d;
	int status;

	if (crypto_init(p.why, sizeof(p.why)) || open_header(&p) || open_image(&p, &d)) {
		fprintf(stderr, "fuse4fs: %s\n", p.why);
		blkdev_close(p.header);
		return MNT_EX_FAIL;
	}
	status = probe_sandbox(opt, &d) ? MNT_EX_FAIL : report(&p, d.dev);
	device_close(&d);
	blkdev_close(p.header);
	return status;
}
