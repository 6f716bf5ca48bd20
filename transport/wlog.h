/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes that are not known to be durable on the server: the write-behind buffer and the log
 * from which everything is sent again after a loss. It holds the newest bytes of every range
 * written since the last fsync that covered it; older bytes of the same range are forgotten.
 *
 *   DIRTY --wlog_take--> SENT --wlog_ack--> ACKED --wlog_synced--> KEPT, or gone
 *     ^                   |                 |                     |
 *     +-------------------+---wlog_resend----+      wlog_rewrite ---+
 *
 * Bytes of a DIRTY extent may change in place, of others never: a write over them cuts them
 * and becomes an extent of its own. Writes that touch a DIRTY extent become part of it.
 * KEPT extents are durable; they are remembered while a late writer may still overwrite them
 * (sftp_guard.c).
 *
 * Not locked: the device's lock guards all of it.
 */
#ifndef TRANSPORT_WLOG_H
#define TRANSPORT_WLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fuse4fs/util.h"
#include "transport/rmap.h"

enum wlog_state { WLOG_DIRTY, WLOG_SENT, WLOG_ACKED, WLOG_KEPT };

/* Bytes shared by extents that were one, and by requests that carry them. */
struct wlog_buf {
	uint32_t refs;
	uint32_t cap;
	uint8_t bytes[];
};

struct wlog_ext {
	struct range r;		/* first: in the map */
	struct list link;	/* in the list of its state */
	struct wlog_buf *buf;
	uint32_t buf_off;
	enum wlog_state state;
	uint64_t first_seq;	/* of the oldest write inside */
	uint64_t ack_no;	/* ACKED: grows with every ack */
	uint64_t look_no;	/* KEPT: of the last look that saw it since (sftp_guard.c), or 0 */
};

struct wlog {
	struct rmap map;
	struct list dirty;	/* by first_seq */
	struct list sent;
	struct list acked;	/* by ack_no */
	struct list kept;
	uint64_t seq;		/* of the last write */
	uint64_t acks;		/* ack_no of the last ack */
	uint64_t synced_seq;	/* all writes up to this one are durable */
	size_t mem_len;		/* bytes of memory held */
	size_t acked_len;	/* bytes of ACKED extents */
	size_t dirty_len;	/* of DIRTY ones */
	size_t kept_len;	/* of KEPT ones */
	size_t sent_len;	/* of SENT ones */
};

/* Called for every extent that has become durable. Returns true to keep it. */
typedef bool wlog_keep_fn(void *arg, const struct wlog_ext *ext);

void wlog_init(struct wlog *log);
void wlog_fini(struct wlog *log);

/*
 * Takes a copy of bytes inside one region (rmap.h). Returns 0, or -ENOMEM with the log as
 * it was.
 */
int wlog_write(struct wlog *log, const void *bytes, uint32_t len, uint64_t off);

/* The extent with the lowest offset that has bytes in [off, end), or NULL. */
static inline struct wlog_ext *wlog_find(const struct wlog *log, uint64_t off, uint64_t end)
{
	return (struct wlog_ext *)rmap_find(&log->map, off, end);
}

static inline const uint8_t *wlog_bytes(const struct wlog_ext *ext)
{
	return ext->buf->bytes + ext->buf_off;
}

/*
 * Makes a DIRTY extent SENT, cut to max_len (what is left stays DIRTY, in its place). The
 * caller takes a reference on its buffer for the request. Returns 0; -ENOMEM nothing changed.
 */
int wlog_take(struct wlog *log, struct wlog_ext *ext, uint32_t max_len);
/* A request for these bytes of buf was answered well. */
void wlog_ack(struct wlog *log, const struct wlog_buf *buf, uint64_t off, uint32_t len);
/*
 * The same, by a server that keeps the order, with an fsync sent behind the request and not
 * answered yet: counts as if it had been answered before that fsync was sent, when log->acks
 * was acks.
 */
void wlog_ack_before(struct wlog *log, const struct wlog_buf *buf, uint64_t off, uint32_t len,
		     uint64_t acks);
/*
 * An fsync was answered that was sent when log->acks was acks and, according to
 * wlog_covered, all writes up to seq had been answered.
 */
void wlog_synced(struct wlog *log, uint64_t acks, uint64_t seq, wlog_keep_fn *keep, void *arg);
/* What is not durable is DIRTY again, before everything written since. */
void wlog_resend(struct wlog *log);
/* Bytes that are not durable. */
static inline uint64_t wlog_unsynced(const struct wlog *log)
{
	return (uint64_t)log->dirty_len + log->sent_len + log->acked_len;
}

/* A KEPT extent is DIRTY again, and counts as written now. */
void wlog_rewrite(struct wlog *log, struct wlog_ext *ext);
/* Forgets the KEPT extents. */
void wlog_drop_kept(struct wlog *log);

void wlog_buf_put(struct wlog *log, struct wlog_buf *buf);

#endif
