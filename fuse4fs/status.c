// SPDX-License-Identifier: GPL-2.0-or-later
/* --status, the server's side: one tree of values, printed as text or as JSON. */
#include "status.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "blkdev.h"
#include "loop.h"
#include "server.h"
#include "server_sandbox.h"
#include "transport/sftp.h"

/* By the number of the request in the protocol. */
static const char *const op_names[LOOP_OPCODES] = {
	[0] = "other", [1] = "lookup", [2] = "forget", [3] = "getattr", [4] = "setattr",
	[5] = "readlink", [6] = "symlink", [8] = "mknod", [9] = "mkdir", [10] = "unlink",
	[11] = "rmdir", [12] = "rename", [13] = "link", [14] = "open", [15] = "read",
	[16] = "write", [17] = "statfs", [18] = "release", [20] = "fsync", [21] = "setxattr",
	[22] = "getxattr", [23] = "listxattr", [24] = "removexattr", [25] = "flush",
	[26] = "init", [27] = "opendir", [28] = "readdir", [29] = "releasedir",
	[30] = "fsyncdir", [34] = "access", [35] = "create", [36] = "interrupt", [37] = "bmap",
	[39] = "ioctl", [42] = "batch_forget", [43] = "fallocate", [44] = "readdirplus",
	[45] = "rename2", [46] = "lseek", [47] = "copy_file_range", [50] = "syncfs",
	[51] = "tmpfile", [52] = "statx",
};

void status_add_int(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_int64((int64_t)value));
}

void status_add_string(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

struct json_object *status_add_group(struct json_object *o, const char *key)
{
	struct json_object *group = json_object_new_object();

	json_object_object_add(o, key, group);
	return group;
}

void status_add_fs(struct server *srv, struct json_object *o)
{
	struct vfs_stats s;
	struct json_object *g;

	vfs_get_stats(&srv->vfs, &s);
	status_add_string(o, "state", s.errors ? "error" : s.cache_dirty ? "dirty" : "clean");
	status_add_string(o, "access", s.state);
	status_add_int(o, "errors", s.errors);
	status_add_string(o, "label", s.label);
	status_add_string(o, "uuid", s.uuid);
	status_add_int(o, "block_size", s.block_size);
	status_add_int(o, "blocks", s.blocks);
	status_add_int(o, "free_blocks", s.free_blocks);
	g = status_add_group(o, "cache");
	status_add_int(g, "hits", s.cache_hits);
	status_add_int(g, "misses", s.cache_misses);
	status_add_int(g, "bytes", s.cache_bytes);
	status_add_int(g, "limit", s.cache_limit);
	status_add_int(g, "dirty_bytes", s.cache_dirty);
	g = status_add_group(o, "inodes");
	status_add_int(g, "cached", s.inodes_cached);
	status_add_int(g, "hits", s.inode_hits);
	status_add_int(g, "misses", s.inode_misses);
	status_add_int(g, "known_to_kernel", s.nodes_known);
	g = status_add_group(o, "journal");
	status_add_string(g, "kind", s.has_journal ? "jbd2" : "none");
	status_add_string(g, "aborted", s.journal_aborted ? "yes" : "no");
	status_add_int(g, "commits", s.commits);
	status_add_int(g, "blocks", s.commit_blocks);
	status_add_int(g, "blocks_per_commit", s.commits ? s.commit_blocks / s.commits : 0);
	status_add_int(g, "last_commit_us", s.last_commit_us);
	status_add_int(g, "running_blocks", s.running_blocks);
	if (!s.has_journal)
		return;
	status_add_int(g, "log_blocks", s.log_blocks);
	status_add_int(g, "log_free", s.log_free);
	status_add_int(g, "checkpoints", s.checkpoints);
	status_add_int(g, "checkpoint_blocks", s.checkpoint_blocks);
	status_add_int(g, "checkpoint_lag", s.checkpoint_lag);
}

static void add_device(struct json_object *o, struct blkdev *dev)
{
	struct json_object *g = status_add_group(o, "device");

	status_add_int(g, "bytes", dev->info.size);
	status_add_int(g, "reads", atomic_load(&dev->stats.reads));
	status_add_int(g, "read_bytes", atomic_load(&dev->stats.read_bytes));
	status_add_int(g, "writes", atomic_load(&dev->stats.writes));
	status_add_int(g, "write_bytes", atomic_load(&dev->stats.write_bytes));
	status_add_int(g, "flushes", atomic_load(&dev->stats.flushes));
	status_add_int(g, "discards", atomic_load(&dev->stats.discards));
	status_add_int(g, "errors", atomic_load(&dev->stats.errors));
}

static void add_crypt(struct json_object *o, const struct device_crypt *c)
{
	struct json_object *g;
	char type[16];

	if (!c->version)
		return;
	g = status_add_group(o, "crypt");
	snprintf(type, sizeof(type), "luks%d", c->version);
	status_add_string(g, "type", type);
	status_add_string(g, "cipher", c->cipher);
	status_add_int(g, "key_bits", c->key_bits);
	status_add_int(g, "sector_bytes", c->sector_len);
	status_add_int(g, "keyslot", (uint64_t)c->keyslot);
	status_add_string(g, "discards", c->discards ? "yes" : "no");
	status_add_string(g, "uuid", c->uuid);
}

/* The link to an image on an SSH server. */
static void add_remote(struct json_object *o, struct blkdev *remote)
{
	struct sftp_status s;
	struct json_object *g;

	if (!remote)
		return;
	sftp_dev_status(remote, &s);
	g = status_add_group(o, "remote");
	status_add_string(g, "state", sftp_state_name(s.state));
	status_add_int(g, "outage_ms", s.outage_ms);
	status_add_int(g, "reconnects", s.reconnects);
	status_add_int(g, "channels", s.channels);
	status_add_int(g, "rtt_us", s.rtt_us);
	status_add_int(g, "read_rate", s.read_rate);
	status_add_int(g, "write_rate", s.write_rate);
	status_add_int(g, "unsynced_bytes", s.unsynced_len);
	status_add_int(g, "buffer_bytes", s.buffer_len);
	status_add_string(g, "fsync", s.nofsync ? "no" : "yes");
	status_add_string(g, "locked", s.locked ? "yes" : "no");
	if (s.knows_free)
		status_add_int(g, "far_free_bytes", s.free_len);
}

static void add_requests(struct json_object *o, struct loop *loop)
{
	struct loop_stats s;
	struct json_object *g;

	loop_get_stats(loop, &s);
	status_add_int(o, "threads", s.threads);
	g = status_add_group(o, "leads");
	status_add_int(g, "handed_on", s.handed_on);
	status_add_int(g, "taken_over", s.taken_over);
	status_add_int(g, "slept", s.slept);
	g = status_add_group(o, "requests");
	status_add_int(g, "total", s.total);
	for (int op = 0; op < LOOP_OPCODES; op++)
		if (s.requests[op])
			status_add_int(g, op_names[op] ? op_names[op] : "other", s.requests[op]);
}

static struct json_object *collect(struct server *srv)
{
	struct json_object *o = json_object_new_object();
	char options[1024];
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	options_print(srv->opt, options, sizeof(options));
	status_add_string(o, "image", srv->image);
	status_add_string(o, "mountpoint", srv->mountpoint);
	status_add_string(o, "options", options);
	status_add_int(o, "pid", (uint64_t)getpid());
	status_add_int(o, "pid_namespace", srv->pid_namespace);
	status_add_int(o, "uptime_sec", (uint64_t)(now.tv_sec - srv->started.tv_sec));
	srv->role->add_status(srv, o);
	add_device(o, srv->dev);
	add_remote(o, srv->device.remote);
	add_crypt(o, &srv->device.crypt);
	status_add_int(o, "fuse_minor", srv->proto_minor);
	server_sandbox_status(srv, o);
	add_requests(o, srv->loop);
	return o;
}

/* "key: value" lines; a group is "key: name value, name value". */
static void print_text(struct json_object *o, FILE *out)
{
	json_object_object_foreach(o, key, value) {
		if (!json_object_is_type(value, json_type_object)) {
			fprintf(out, "%-12s %s\n", key, json_object_get_string(value));
			continue;
		}
		const char *comma = "";

		fprintf(out, "%-12s ", key);
		json_object_object_foreach(value, name, number) {
			fprintf(out, "%s%s %s", comma, name, json_object_get_string(number));
			comma = ", ";
		}
		fprintf(out, "\n");
	}
}

size_t status_print(struct server *srv, bool json, char *buf, size_t size)
{
	struct json_object *o = collect(srv);
	FILE *out = fmemopen(buf, size, "w");

	memset(buf, 0, size);
	if (o && out) {
		if (json)
			fprintf(out, "%s\n", json_object_to_json_string_ext(o,
				JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
				JSON_C_TO_STRING_NOSLASHESCAPE));
		else
			print_text(o, out);
	}
	if (out)
		fclose(out);
	json_object_put(o);
	buf[size - 1] = '\0';
	return strlen(buf) + 1;
}
