/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --status: what a server is doing, asked through its own mount.
 *
 * The question is an ioctl on the mount's root directory, so who may enter may ask, no
 * socket is left behind, and it works across namespaces.
 */
#ifndef FUSE4FS_STATUS_H
#define FUSE4FS_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

struct json_object;
struct server;

enum { STATUS_BYTES = 8192 };
#define STATUS_IOC_TEXT		_IOC(_IOC_READ, 0xe4, 1, STATUS_BYTES)
#define STATUS_IOC_JSON		_IOC(_IOC_READ, 0xe4, 2, STATUS_BYTES)

/* The server's side: writes the answer with its NUL, at most size bytes; its length. */
size_t status_print(struct server *srv, bool json, char *buf, size_t size);
/* For a role's add_status: one value, a group of values, and what server_fs_role says. */
void status_add_int(struct json_object *o, const char *key, uint64_t value);
void status_add_string(struct json_object *o, const char *key, const char *value);
struct json_object *status_add_group(struct json_object *o, const char *key);
void status_add_fs(struct server *srv, struct json_object *o);

/*
 * The client's side: asks the server of mountpoint. buf: STATUS_BYTES. 0; -ENOTTY it is
 * not one of ours; -ENOTCONN its server is gone; -errno of open(2).
 */
int status_query(const char *mountpoint, bool json, char *buf);
/* The whole of `fuse4fs --status`; exit status. */
int status_main(const char *mountpoint, bool json);
/*
 * Who serves mountpoint: its image, and its process id, 0 if it lives in another PID
 * namespace, where the number says nothing. 0 or -errno.
 */
int status_server(const char *mountpoint, int *ret_pid, char *image, size_t image_size);
/* How far a server with an image elsewhere is with sending. */
struct status_progress {
	uint64_t unsynced_len;		/* bytes not known to be durable there */
	uint64_t write_rate;		/* bytes a second */
	uint64_t outage_ms;		/* without a connection; 0: there is one */
};

/* 0; -ENOENT the image is local; else as status_query. */
int status_progress(const char *mountpoint, struct status_progress *ret);
/* Names this process's PID namespace; 0 where /proc does not tell. */
uint64_t status_pid_namespace(void);

#endif
