/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Encoding and decoding of SFTP packets.
 *
 * Decoding goes through struct dec, whose takers never move past the end: after the first
 * shortage everything taken is zero and empty and the error stays.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "sftp_codec.h"

static void put_bytes(struct sftp_enc *e, const void *p, size_t len)
{
	if (e->err || len > e->cap - e->len) {
		e->err = -EMSGSIZE;
		return;
	}
	memcpy(e->buf + e->len, p, len);
	e->len += len;
}

static void put_u8(struct sftp_enc *e, uint8_t v)
{
	put_bytes(e, &v, 1);
}

static void put_u32(struct sftp_enc *e, uint32_t v)
{
	uint32_t be = htobe32(v);

	put_bytes(e, &be, sizeof(be));
}

static void put_u64(struct sftp_enc *e, uint64_t v)
{
	uint64_t be = htobe64(v);

	put_bytes(e, &be, sizeof(be));
}

static void put_str(struct sftp_enc *e, const void *p, size_t len)
{
	put_u32(e, (uint32_t)len);
	put_bytes(e, p, len);
}

static void put_text(struct sftp_enc *e, const char *text)
{
	size_t len = strlen(text);

	if (len > SFTP_PATH_MAX)
		e->err = -EMSGSIZE;
	else
		put_str(e, text, len);
}

static void begin(struct sftp_enc *e, uint8_t type, uint32_t id)
{
	e->len = 0;
	e->err = 0;
	put_u32(e, 0);
	put_u8(e, type);
	put_u32(e, id);
}

/* The length in front counts what follows it, payload_len bytes of which come later. */
static void end(struct sftp_enc *e, uint32_t payload_len)
{
	uint32_t be = htobe32((uint32_t)(e->len - 4 + payload_len));

	if (!e->err)
		memcpy(e->buf, &be, sizeof(be));
}

static void begin_handle(struct sftp_enc *e, uint8_t type, uint32_t id,
			 const struct sftp_handle *h)
{
	begin(e, type, id);
	put_str(e, h->bytes, h->len);
}

static void begin_extended(struct sftp_enc *e, uint32_t id, const char *name)
{
	begin(e, SSH_FXP_EXTENDED, id);
	put_text(e, name);
}

void sftp_enc_init(struct sftp_enc *e)
{
	begin(e, SSH_FXP_INIT, SFTP_VERSION);
	end(e, 0);
}

void sftp_enc_open(struct sftp_enc *e, uint32_t id, const char *path, uint32_t pflags)
{
	begin(e, SSH_FXP_OPEN, id);
	put_text(e, path);
	put_u32(e, pflags);
	if (pflags & SSH_FXF_CREAT) {
		put_u32(e, SSH_FILEXFER_ATTR_PERMISSIONS);
		put_u32(e, 0644);
	} else {
		put_u32(e, 0);
	}
	end(e, 0);
}

void sftp_enc_close(struct sftp_enc *e, uint32_t id, const struct sftp_handle *h)
{
	begin_handle(e, SSH_FXP_CLOSE, id, h);
	end(e, 0);
}

void sftp_enc_read(struct sftp_enc *e, uint32_t id, const struct sftp_handle *h, uint64_t off,
		   uint32_t len)
{
	begin_handle(e, SSH_FXP_READ, id, h);
	put_u64(e, off);
	put_u32(e, len);
	end(e, 0);
}

void sftp_enc_write(struct sftp_enc *e, uint32_t id, const struct sftp_handle *h, uint64_t off,
		    uint32_t len)
{
	begin_handle(e, SSH_FXP_WRITE, id, h);
	put_u64(e, off);
	put_u32(e, len);
	end(e, len);
}

void sftp_enc_fstat(struct sftp_enc *e, uint32_t id, const struct sftp_handle *h)
{
	begin_handle(e, SSH_FXP_FSTAT, id, h);
	end(e, 0);
}

void sftp_enc_remove(struct sftp_enc *e, uint32_t id, const char *path)
{
	begin(e, SSH_FXP_REMOVE, id);
	put_text(e, path);
	end(e, 0);
}

void sftp_enc_fsync(struct sftp_enc *e, uint32_t id, const struct sftp_handle *h)
{
	begin_extended(e, id, "fsync@openssh.com");
	put_str(e, h->bytes, h->len);
	end(e, 0);
}

void sftp_enc_limits(struct sftp_enc *e, uint32_t id)
{
	begin_extended(e, id, "limits@openssh.com");
	end(e, 0);
}

void sftp_enc_statvfs(struct sftp_enc *e, uint32_t id, const char *path)
{
	begin_extended(e, id, "statvfs@openssh.com");
	put_text(e, path);
	end(e, 0);
}

void sftp_enc_rename(struct sftp_enc *e, uint32_t id, const char *from, const char *to)
{
	begin(e, SSH_FXP_RENAME, id);
	put_text(e, from);
	put_text(e, to);
	end(e, 0);
}

struct dec {
	const uint8_t *p;
	size_t left;
	int err;
};

static void take_bytes(struct dec *d, void *ret, size_t len)
{
	memset(ret, 0, len);
	if (d->err || d->left < len) {
		d->err = -EPROTO;
		return;
	}
	memcpy(ret, d->p, len);
	d->p += len;
	d->left -= len;
}

static uint8_t take_u8(struct dec *d)
{
	uint8_t v;

	take_bytes(d, &v, sizeof(v));
	return v;
}

static uint32_t take_u32(struct dec *d)
{
	uint32_t be;

	take_bytes(d, &be, sizeof(be));
	return be32toh(be);
}

static uint64_t take_u64(struct dec *d)
{
	uint64_t be;

	take_bytes(d, &be, sizeof(be));
	return be64toh(be);
}

static struct sftp_str take_str(struct dec *d)
{
	struct sftp_str s = { .len = take_u32(d) };

	if (d->err || s.len > d->left) {
		d->err = -EPROTO;
		return (struct sftp_str){ .p = d->p };
	}
	s.p = d->p;
	d->p += s.len;
	d->left -= s.len;
	return s;
}

static bool str_is(const struct sftp_str *s, const char *text)
{
	return s->len == strlen(text) && memcmp(s->p, text, s->len) == 0;
}

static void note_extension(struct sftp_version *v, const struct sftp_str *name,
			   const struct sftp_str *value)
{
	if (str_is(name, "fsync@openssh.com") && str_is(value, "1"))
		v->fsync = true;
	else if (str_is(name, "limits@openssh.com") && str_is(value, "1"))
		v->limits = true;
	else if (str_is(name, "statvfs@openssh.com") && str_is(value, "2"))
		v->statvfs = true;
	else if (str_is(name, "posix-rename@openssh.com") && str_is(value, "1"))
		v->posix_rename = true;
	else if (str_is(name, "lsetstat@openssh.com") && str_is(value, "1"))
		v->is_openssh = true;
}

int sftp_dec_version(const uint8_t *body, size_t len, struct sftp_version *ret)
{
	struct dec d = { .p = body, .left = len };

	*ret = (struct sftp_version){ 0 };
	if (take_u8(&d) != SSH_FXP_VERSION)
		return -EPROTO;
	ret->version = take_u32(&d);
	while (!d.err && d.left) {
		struct sftp_str name = take_str(&d), value = take_str(&d);

		if (!d.err)
			note_extension(ret, &name, &value);
	}
	return d.err;
}

static void dec_attrs(struct dec *d, struct sftp_attrs *ret)
{
	*ret = (struct sftp_attrs){ .flags = take_u32(d) };
	if (ret->flags & SSH_FILEXFER_ATTR_SIZE)
		ret->size = take_u64(d);
	if (ret->flags & SSH_FILEXFER_ATTR_UIDGID)
		take_u64(d);
	if (ret->flags & SSH_FILEXFER_ATTR_PERMISSIONS)
		ret->permissions = take_u32(d);
	if (ret->flags & SSH_FILEXFER_ATTR_ACMODTIME) {
		take_u32(d);
		ret->mtime = take_u32(d);
	}
	/* Extended attributes may follow; nobody needs them. */
}

static void dec_handle(struct dec *d, struct sftp_handle *ret)
{
	struct sftp_str s = take_str(d);

	if (d->err || s.len == 0 || s.len > SFTP_HANDLE_MAX) {
		d->err = -EPROTO;
		return;
	}
	ret->len = s.len;
	memcpy(ret->bytes, s.p, s.len);
}

int sftp_dec_reply(const uint8_t *body, size_t len, struct sftp_reply *ret)
{
	struct dec d = { .p = body, .left = len };

	ret->type = take_u8(&d);
	ret->id = take_u32(&d);
	if (d.err)
		return d.err;
	switch (ret->type) {
	case SSH_FXP_STATUS:
		ret->status = take_u32(&d);
		/* Old servers end here. */
		ret->message = (struct sftp_str){ .p = d.p };
		if (!d.err && d.left)
			ret->message = take_str(&d);
		return d.err;
	case SSH_FXP_HANDLE:
		dec_handle(&d, &ret->handle);
		return d.err;
	case SSH_FXP_ATTRS:
		dec_attrs(&d, &ret->attrs);
		return d.err;
	case SSH_FXP_EXTENDED_REPLY:
		ret->extended = (struct sftp_str){ .p = d.p, .len = (uint32_t)d.left };
		return 0;
	default:
		return -EPROTO;
	}
}

int sftp_dec_limits(const struct sftp_str *rest, struct sftp_limits *ret)
{
	struct dec d = { .p = rest->p, .left = rest->len };

	ret->packet_len = take_u64(&d);
	ret->read_len = take_u64(&d);
	ret->write_len = take_u64(&d);
	ret->handles = take_u64(&d);
	return d.err;
}

int sftp_dec_statvfs(const struct sftp_str *rest, struct sftp_statvfs *ret)
{
	struct dec d = { .p = rest->p, .left = rest->len };
	uint64_t field[11];

	/* bsize frsize blocks bfree bavail files ffree favail fsid flag namemax */
	for (size_t i = 0; i < sizeof(field) / sizeof(field[0]); i++)
		field[i] = take_u64(&d);
	ret->frsize = field[1];
	ret->blocks = field[2];
	ret->bavail = field[4];
	ret->readonly = field[9] & 1;
	return d.err;
}

int sftp_errno(uint32_t status)
{
	switch (status) {
	case SSH_FX_OK:
		return 0;
	case SSH_FX_NO_SUCH_FILE:
		return -ENOENT;
	case SSH_FX_PERMISSION_DENIED:
		return -EACCES;
	case SSH_FX_OP_UNSUPPORTED:
		return -EOPNOTSUPP;
	default:
		return -EIO;
	}
}

void sftp_rx_init(struct sftp_rx *rx)
{
	rx->packet_left = rx->data_left = rx->have = 0;
	rx->in_data = false;
	rx->dest = NULL;
}

static uint32_t get_be32(const uint8_t *p)
{
	uint32_t be;

	memcpy(&be, p, sizeof(be));
	return be32toh(be);
}

enum {
	LENGTH_LEN = 4,			/* in front of every packet */
	DATA_HEAD_LEN = 4 + 1 + 4 + 4,	/* length, type, id, payload length */
};

/* Moves what is missing up to `upto` bytes into small. True when they are there. */
static bool gather(struct sftp_rx *rx, const uint8_t **p, size_t *len, uint32_t upto)
{
	uint32_t n = upto - rx->have;

	if (n > *len)
		n = (uint32_t)*len;
	memcpy(rx->small + rx->have, *p, n);
	rx->have += n;
	*p += n;
	*len -= n;
	return rx->have == upto;
}

static int finish_data(struct sftp_rx *rx, const struct sftp_rx_ops *ops, void *arg)
{
	rx->in_data = false;
	rx->have = 0;
	return ops->data_end(arg, rx->data_id);
}

static int begin_data(struct sftp_rx *rx, const struct sftp_rx_ops *ops, void *arg)
{
	uint32_t packet_len = get_be32(rx->small);
	uint32_t payload_len = get_be32(rx->small + 9);
	int err;

	if (payload_len > SFTP_IO_MAX || payload_len > packet_len - (DATA_HEAD_LEN - LENGTH_LEN))
		return -EPROTO;
	rx->data_id = get_be32(rx->small + 5);
	rx->dest = NULL;
	err = ops->data_begin(arg, rx->data_id, payload_len, &rx->dest);
	if (err)
		return err;
	rx->in_data = true;
	rx->data_left = payload_len;
	rx->packet_left = packet_len - (DATA_HEAD_LEN - LENGTH_LEN);
	return rx->packet_left ? 0 : finish_data(rx, ops, arg);
}

/* Payload, and behind it what some servers append. */
static int feed_data(struct sftp_rx *rx, const uint8_t **p, size_t *len,
		     const struct sftp_rx_ops *ops, void *arg)
{
	uint32_t n = rx->data_left < *len ? rx->data_left : (uint32_t)*len;

	if (n && rx->dest) {
		memcpy(rx->dest, *p, n);
		rx->dest += n;
	}
	rx->data_left -= n;
	if (!rx->data_left) {
		uint32_t rest = rx->packet_left - n;
		size_t left = *len - n;

		n += rest < left ? rest : (uint32_t)left;
	}
	rx->packet_left -= n;
	*p += n;
	*len -= n;
	return rx->packet_left ? 0 : finish_data(rx, ops, arg);
}

static int feed_packet(struct sftp_rx *rx, const uint8_t **p, size_t *len,
		       const struct sftp_rx_ops *ops, void *arg)
{
	uint32_t packet_len;
	int err;

	if (rx->have < LENGTH_LEN + 1 && !gather(rx, p, len, LENGTH_LEN + 1))
		return 0;
	packet_len = get_be32(rx->small);
	if (rx->small[LENGTH_LEN] == SSH_FXP_DATA) {
		if (packet_len < DATA_HEAD_LEN - LENGTH_LEN ||
		    packet_len > SFTP_IO_MAX + SFTP_BODY_MAX)
			return -EPROTO;
		return gather(rx, p, len, DATA_HEAD_LEN) ? begin_data(rx, ops, arg) : 0;
	}
	if (packet_len < 5 || packet_len > SFTP_BODY_MAX)
		return -EPROTO;
	if (!gather(rx, p, len, LENGTH_LEN + packet_len))
		return 0;
	err = ops->packet(arg, rx->small + LENGTH_LEN, packet_len);
	rx->have = 0;
	return err;
}

int sftp_rx_feed(struct sftp_rx *rx, const void *buf, size_t len, const struct sftp_rx_ops *ops,
		 void *arg)
{
	const uint8_t *p = buf;
	int err = 0;

	while (len && !err)
		err = rx->in_data ? feed_data(rx, &p, &len, ops, arg) :
				    feed_packet(rx, &p, &len, ops, arg);
	return err;
}
