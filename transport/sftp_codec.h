/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SFTP packets as bytes: requests are encoded into a buffer, replies decoded from one, and a
 * stream of bytes is cut into packets. Knows no connection and allocates nothing. Everything
 * that comes from the server is checked here; nothing decoded points outside the packet.
 */
#ifndef TRANSPORT_SFTP_CODEC_H
#define TRANSPORT_SFTP_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/sftp_format.h"

/* A file handle, opaque to us. */
struct sftp_handle {
	uint32_t len;		/* 0: none */
	uint8_t bytes[SFTP_HANDLE_MAX];
};

/* Bytes inside a packet; not terminated. */
struct sftp_str {
	const uint8_t *p;
	uint32_t len;
};

/* Where a request is put. Starts as { buf, cap }; err turns -EMSGSIZE when it does not fit. */
struct sftp_enc {
	uint8_t *buf;
	size_t cap, len;
	int err;
};

/* Each encodes one whole packet; write's payload of len bytes follows by other means. */
void sftp_enc_init(struct sftp_enc *e);
void sftp_enc_open(struct sftp_enc *e, uint32_t id, const char *path, uint32_t pflags);
void sftp_enc_close(struct sftp_enc *e, uint32_t id, const struct sftp_handle *h);
void sftp_enc_read(struct sftp_enc *e, uint32_t id, const struct sftp_handle *h, uint64_t off,
		   uint32_t len);
void sftp_enc_write(struct sftp_enc *e, uint32_t id, const struct sftp_handle *h, uint64_t off,
		    uint32_t len);
void sftp_enc_fstat(struct sftp_enc *e, uint32_t id, const struct sftp_handle *h);
void sftp_enc_remove(struct sftp_enc *e, uint32_t id, const char *path);
/* fsync@openssh.com */
void sftp_enc_fsync(struct sftp_enc *e, uint32_t id, const struct sftp_handle *h);
/* limits@openssh.com */
void sftp_enc_limits(struct sftp_enc *e, uint32_t id);
/* statvfs@openssh.com */
void sftp_enc_statvfs(struct sftp_enc *e, uint32_t id, const char *path);
/* Does not replace a file that is there. */
void sftp_enc_rename(struct sftp_enc *e, uint32_t id, const char *from, const char *to);

/* What a VERSION packet advertises, as far as it is of use. */
struct sftp_version {
	uint32_t version;
	bool fsync, limits, statvfs, posix_rename;
	bool is_openssh;	/* or one that offers what it alone does */
};

struct sftp_attrs {
	uint32_t flags;		/* which of the others are there */
	uint64_t size;
	uint32_t permissions;
	uint32_t mtime;
};

struct sftp_limits {
	uint64_t packet_len, read_len, write_len, handles;	/* 0: no limit told */
};

struct sftp_statvfs {
	uint64_t frsize, blocks, bavail;
	bool readonly;
};

/* A reply other than VERSION and DATA. */
struct sftp_reply {
	uint8_t type;
	uint32_t id;
	uint32_t status;		/* STATUS */
	struct sftp_str message;	/* STATUS; may be empty */
	struct sftp_handle handle;	/* HANDLE */
	struct sftp_attrs attrs;	/* ATTRS */
	struct sftp_str extended;	/* EXTENDED_REPLY: the rest */
};

/* body begins at the type byte. Each returns 0, or -EPROTO with *ret in any state. */
int sftp_dec_version(const uint8_t *body, size_t len, struct sftp_version *ret);
int sftp_dec_reply(const uint8_t *body, size_t len, struct sftp_reply *ret);
int sftp_dec_limits(const struct sftp_str *rest, struct sftp_limits *ret);
int sftp_dec_statvfs(const struct sftp_str *rest, struct sftp_statvfs *ret);

/* What a status means to a caller here. Nothing is 0 except SSH_FX_OK. */
int sftp_errno(uint32_t status);

/* Hears of the packets in a stream. Every function returns 0, or -errno to stop for good. */
struct sftp_rx_ops {
	/*
	 * DATA for request id with len payload bytes begins. *ret_dest takes them as they
	 * arrive and must stay until data_end or the end of the stream; NULL skips them.
	 */
	int (*data_begin)(void *arg, uint32_t id, uint32_t len, uint8_t **ret_dest);
	int (*data_end)(void *arg, uint32_t id);
	/* Any other packet, whole, from its type byte on; body ends with the call. */
	int (*packet)(void *arg, const uint8_t *body, size_t len);
};

struct sftp_rx {
	uint32_t packet_left;	/* bytes of the packet not seen, once its length is known */
	uint32_t data_left;	/* payload bytes not seen */
	uint32_t data_id;
	uint8_t *dest;
	bool in_data;
	uint32_t have;		/* bytes in small */
	uint8_t small[4 + SFTP_BODY_MAX];
};

void sftp_rx_init(struct sftp_rx *rx);
/* Returns 0; -EPROTO a packet that cannot be; what ops return. After a failure only init. */
int sftp_rx_feed(struct sftp_rx *rx, const void *buf, size_t len, const struct sftp_rx_ops *ops,
		 void *arg);

#endif
