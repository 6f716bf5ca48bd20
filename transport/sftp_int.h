/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of the SFTP device, for its own files only.
 *
 *   sftp_dev.c    struct blkdev_ops: callers copy, queue and wait here
 *   sftp_sched.c  which queued work becomes a request, on which channel
 *   sftp_req.c    requests: ids, sending, answers
 *   sftp_link.c   the connection: channels, loss, new attempts, heartbeat; the I/O thread
 *   sftp_patience.c  how long silence is waited for
 *   sftp_login.c  one attempt to set it up
 *   sftp_ident.c  is this still our file
 *   sftp_guard.c  late writes of dead connections
 *   sftp_lock.c   the lock file
 *   sftp_owner.c  who is named in it, and does he live
 *   sftp_watch.c  what is asked with every heartbeat: the lock's name, the room there
 *   sftp_ahead.c  what to read before it is asked for
 *   sftp_window.c how many bytes of writes may be on their way
 *   wlog.c, rcache.c, rmap.c, sftp_codec.c: memory and bytes, no threads
 *
 * Two kinds of threads: callers, and the one I/O thread, which alone touches the stream and
 * everything marked [io]. They meet under dev->lock, which is held over memory only.
 */
#ifndef TRANSPORT_SFTP_INT_H
#define TRANSPORT_SFTP_INT_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "fuse4fs/lock.h"
#include "fuse4fs/util.h"
#include "transport/sftp.h"
#include "transport/rcache.h"
#include "transport/sftp_codec.h"
#include "transport/wlog.h"

enum {
	SLOT_BITS = 9,
	SLOTS = 1 << SLOT_BITS,			/* requests in flight on one channel */
	SMALL_LEN = 32 * 1024,			/* reads up to this go first */
	READ_CAP = 4 * 1024 * 1024,		/* bytes asked for on one channel */
	WRITE_CAP = 4 * 1024 * 1024,		/* bytes of writes not answered on one channel */
	EXPRESS_CAP = 256 * 1024,		/* bulk of either kind on channel 0 */
	SYNC_CAP = 256 * 1024,			/* writes that go where the fsync after them goes */
	UNSENT_CAP = 512 * 1024,		/* bytes the stream has not taken yet */
	/* length, type, id, "fsync@openssh.com", handle; READ and WRITE are shorter */
	REQ_HEAD_MAX = 4 + 1 + 4 + 4 + 17 + 4 + SFTP_HANDLE_MAX,
	HEARTBEAT_MS = 15 * 1000,
	LOGIN_MS = 60 * 1000,
	STALL = 4,		/* deadlines that one of several server processes may be silent */
	HOPELESS = 8,		/* losses, and timeout_ms, that a caller may wait through */
	OVERDUE_LOSSES = HOPELESS / 2,	/* what the loss of an overdue request counts for */
	REGIONS_WATCHED = 64,
	LOCK_LINE_MAX = 512,
};

/* Pieces of a caller's read end here. On the caller's stack. [lock] */
struct sftp_op {
	unsigned pending;
	int err;
	int64_t since_ms;	/* when it began to wait, and dev->losses then */
	unsigned losses;
	struct cond done;
};

/* Some bytes of a read that have to come from the server. [lock] until it is a request */
struct piece {
	struct list link;	/* queue of the device, or waiters of a cache entry */
	struct sftp_op *op;
	uint64_t off;
	uint32_t len;
	uint8_t *dest;
};

/* A caller in flush. On its stack. [lock] */
struct flush_op {
	struct list link;
	uint64_t seq;		/* all writes up to this one */
	int err;
	bool done;
	struct cond wake;
};

/* The I/O thread's own requests: what it waits for in a straight line. [io] */
struct ctl {
	bool done;
	int err;		/* -errno of a loss or of a status */
	uint32_t status;	/* if a status came */
	struct sftp_reply reply;
	uint8_t extended[128];	/* reply.extended points here */
	uint32_t got;		/* bytes, of a read */
};

/* The first three move image bytes. */
enum req_kind { REQ_READ, REQ_FILL, REQ_WRITE, REQ_FSYNC, REQ_CTL, REQ_PEEK, REQ_BEAT, REQ_INIT };

/* In flight, or about to be. [io] */
struct req {
	struct list link;	/* sending, of its channel */
	struct list flight;	/* in dev->flights: transfers of image bytes */
	enum req_kind kind;
	uint32_t id;
	uint8_t chan;
	uint64_t off;
	uint32_t len;
	uint32_t got;		/* of a read */
	uint32_t last_got;	/* payload of the DATA packet in progress */
	uint8_t *dest;		/* of a read: its first byte */
	const struct sftp_handle *handle;	/* of a read; NULL: the channel's image */
	int64_t sent_us;
	int64_t due_ms;		/* by dev->up_ms; not for an fsync */
	union {
		struct piece *piece;	/* READ, owned */
		struct rcache_ent *ent;	/* FILL */
		struct wlog_buf *buf;	/* WRITE: one reference; NULL: payload is elsewhere */
		struct ctl *ctl;	/* CTL, PEEK; NULL: nobody waits */
	};
	const uint8_t *payload;	/* WRITE, or CTL with bytes */
	uint32_t payload_len, payload_sent;
	uint32_t head_len, head_sent;
	uint8_t *head;		/* own_head, or heap for long ones */
	uint8_t own_head[REQ_HEAD_MAX];
	uint64_t first_seq;	/* WRITE: of the extent */
	uint64_t cover_no;	/* WRITE: number of the last fsync sent behind it */
	uint64_t sync_seq;	/* FSYNC: what it covers */
};

/*
 *   NONE --> INIT --> OPENING --> PROBING --> READY       the first one is READY at once:
 *                                    |                    login_attempt looks at its file
 *                                    +------> REFUSED     it has another file open
 */
enum chan_state { CHAN_NONE, CHAN_INIT, CHAN_OPENING, CHAN_PROBING, CHAN_READY, CHAN_REFUSED };

/* A range whose durable bytes are known, to recognise the file by. */
struct sentinel {
	uint64_t off;
	uint32_t len;		/* 0: unused */
	uint64_t hash;
};

enum { SENTINEL_LEN = 4096 };


/* [io] */
struct sftp_chan {
	struct sftp_dev *dev;	/* [init only] */
	uint8_t nr;		/* [init only] */
	enum chan_state state;
	struct sftp_handle handle;
	struct sftp_rx rx;
	struct list sending;
	size_t unsent;		/* bytes in sending */
	size_t read_out, write_out;	/* bytes of image data asked for, not answered */
	unsigned used;		/* slots */
	int64_t heard_ms;	/* as dev->heard_ms, of this server process */
	uint32_t gen;
	struct req *slot[SLOTS];
	struct ctl open;	/* of the image */
	struct ctl stat, peek;	/* PROBING */
	unsigned probes, probe_nr;	/* how many; the sentinel that is looked for first */
	struct sentinel probe;	/* what peek reads; hash 0: nothing was known yet */
	uint8_t probe_bytes[SENTINEL_LEN];
};

/*
 * The start of a range that others may write (blkdev_uncache), to be noticed by: they may have
 * done so while we were away. While a write of ours is under way it may be either.
 */
struct shared_range {
	uint64_t off;
	uint32_t len;		/* 0: none */
	bool known;		/* hash is that of durable bytes */
	bool pending;		/* next is that of bytes not known to be durable */
	uint64_t hash, next;
};

enum {
	SENTINELS = 64,		/* the first HEAD_SENTINELS are the head of the image */
	HEAD_SENTINELS = 16,
	GUARDS = 256,
};

/* A sequential reader. [lock] */
struct ahead_track {
	uint64_t next_off;	/* where it would go on */
	uint64_t ahead_off;	/* read ahead up to here */
	uint64_t window_len;
	uint64_t used;		/* clock of the last match */
};

enum { AHEAD_TRACKS = 8 };

/* [lock] */
struct sftp_meter {
	uint64_t bytes;		/* since start_us */
	int64_t start_us;
	uint64_t rate;		/* bytes per second */
	bool rising;		/* it was a good deal more than before */
};

/* Range of an unanswered write of a dead connection. [lock] */
struct guard {
	uint64_t off;
	uint32_t len;
};

/* [io] */
struct sftp_window {
	size_t len;		/* bytes of writes not answered, on all channels */
	int64_t changed_us;	/* it was made smaller; 0: not yet */
	int64_t heard_us;	/* the last answer to a write */
};

enum watch_state { WATCH_IDLE, WATCH_OPENING, WATCH_READING };

/* [io] */
struct sftp_watch {
	enum watch_state state;
	struct ctl lock, space;
	bool space_asked;
	int64_t asked_ms;	/* for the lock */
	struct sftp_handle handle;
	char text[LOCK_LINE_MAX + 1];
};

struct sftp_dev {
	struct blkdev dev;	/* first */
	/* [init only] */
	struct stream *stream;	/* used by [io] */
	char *path;
	char *lock_path;
	char *name;
	bool allow_nofsync;
	unsigned want_channels;
	int64_t timeout_ms;	/* 0: for ever */
	int64_t deadline_ms;
	int64_t hung_ms;	/* how long the server may owe an fsync; 0: for ever */
	int64_t due_ms;		/* and any other answer, when nothing else is under way */
	size_t buffer_len;
	enum sftp_lock_mode lock_mode;
	void (*notify)(void *arg, enum sftp_state state, const char *line);
	void *notify_arg;
	int wake_fd;
	pthread_t thread;

	struct mutex lock;
	/* [lock] */
	enum sftp_state state;
	int open_err;		/* why CONNECTING failed */
	char why[512];		/* the same as a sentence part */
	bool closing;
	bool broken;		/* state is BROKEN whenever it could be UP; set by [io] */
	bool sleeping;		/* the I/O thread polls: wake it */
	struct cond changed;	/* state has changed; writers wait for room here, too */
	struct wlog log;
	struct rcache cache;
	struct list small;	/* pieces, by time */
	struct list bulk;
	struct list hints;	/* cache entries not sent: what blkdev_prefetch asked for */
	struct list fills;	/* the same: what a sequential reader will want */
	struct list flushes;
	bool sync_now;		/* the buffer wants to be emptied */
	struct sentinel sentinels[SENTINELS];
	unsigned next_sentinel;
	struct shared_range shared;
	struct guard guards[GUARDS];
	unsigned guard_count;
	bool guard_all;		/* more than fit: everything is kept */
	int64_t guard_until_ms;	/* 0: no guard */
	int64_t guard_check_ms;	/* next one */
	bool guard_last;	/* somebody waits for the look before the end */
	bool guard_missed;	/* he did not wait until it was over */
	uint64_t look_no;	/* of the last one */
	struct ahead_track tracks[AHEAD_TRACKS];
	uint64_t clock;		/* of tracks */
	struct sftp_meter reading, writing;
	int64_t rtt_us[2];	/* smallest of this and the last window; 0: none */
	int64_t rtt_start_us;
	int64_t acked_us;	/* when the first bytes were ACKED that no fsync has been sent behind, about */
	uint64_t reconnects;
	unsigned losses;
	int64_t stuck_ms;	/* since when somebody waits for an fsync, 0: nobody */
	unsigned stuck_losses;	/* dev->losses then */
	int64_t lost_ms;	/* when; 0: connected */
	unsigned channels;	/* ready ones */
	bool nofsync;
	bool locked;
	bool knows_free;
	uint64_t free_len;	/* bytes the server's file system has left for us */

	/* [io] */
	struct look *look;	/* of sftp_guard.c, under way; or NULL */
	struct sftp_watch watch;
	struct sftp_chan chans[STREAM_MAX_CHANNELS];
	struct list flights;
	struct sftp_version version;
	struct sftp_limits limits;
	uint32_t read_max, write_max;	/* of one request */
	bool reached;		/* was UP once */
	unsigned in_flight;	/* slots used, of all channels */
	size_t write_out;	/* the channels' together */
	struct sftp_window window;
	bool syncing;		/* an fsync is in flight */
	int64_t round_ms;	/* of the last round while connected */
	int64_t up_ms;		/* sum of all rounds: time during which we sent and listened */
	int64_t sync_ms;	/* the same with an fsync in flight, since one was answered */
	bool disordered;	/* the server has overtaken: fsyncs wait for all answers */
	unsigned sync_chan;	/* where the last fsync or the writes before the next one went */
	bool sync_pinned;	/* an fsync has failed on channel sync_pin of this connection */
	unsigned sync_pin;
	uint64_t sync_no;	/* of the last fsync sent, and its sync_acks */
	uint64_t sync_acks;
	unsigned patience;	/* doublings of the deadline while it is */
	unsigned sync_failures;	/* since retry_seq was not durable */
	uint64_t retry_seq;	/* what has to be durable to forget the failure */
	int64_t retry_us;	/* since when everything is being sent again */
	bool suspect;		/* the machine slept: a short deadline until we hear something */
	int64_t slept_ms;	/* BOOTTIME ahead of MONOTONIC */
	int64_t heard_ms;	/* bytes moved, or the wait for them began */
	int64_t beat_ms;	/* next heartbeat */
	bool beating;		/* one is not answered */
	int64_t attempt_ms;	/* next login */
	int64_t backoff_ms;
	struct ctl lock_open;	/* of making the lock file */
	struct sftp_handle lock_handle;
	uint64_t lock_beat;
	char lock_line[LOCK_LINE_MAX];	/* what the file says */
	char lock_id[33];	/* ours */
	bool lock_stands;	/* the last beat was answered with an error */
	bool lock_ours;		/* was taken: after every loss it has to be ours */
	int64_t lock_ok_ms;	/* when it was certainly ours: the last beat answered was sent */
	int sink_err;		/* what a callback of the stream found */
};

static inline struct sftp_dev *to_sftp(struct blkdev *dev)
{
	return (struct sftp_dev *)dev;
}

static inline bool sftp_dead(const struct sftp_dev *dev)
{
	return dev->state == SFTP_FAILED || dev->state == SFTP_FENCED;
}

/* Milliseconds and microseconds that go on while the machine sleeps. */
int64_t boot_ms(void);
int64_t boot_us(void);

/* sftp_dev.c */
void sftp_wake_locked(struct sftp_dev *dev) REQUIRES(dev->lock);
/* One of the op's pieces has come, or not. Frees the piece. */
void piece_done_locked(struct piece *piece, int err);
/* Where a piece has to be asked for. */
void piece_queue_locked(struct sftp_dev *dev, struct piece *piece) REQUIRES(dev->lock);
/* Everything that waits ends with -EIO. */
void sftp_fail_waiters_locked(struct sftp_dev *dev) REQUIRES(dev->lock);
/* Somebody begins to wait for an fsync. */
void sftp_stuck_locked(struct sftp_dev *dev) REQUIRES(dev->lock);
void sftp_end_flushes_locked(struct sftp_dev *dev, int err) REQUIRES(dev->lock);

/* sftp_ahead.c */
/* A caller has read this. Queues fills. */
void ahead_read_locked(struct sftp_dev *dev, uint64_t off, uint64_t len) REQUIRES(dev->lock);
/* Queues on hints or fills what is in neither log nor cache. */
void ahead_fill_locked(struct sftp_dev *dev, struct list *queue, uint64_t off, uint64_t len)
	REQUIRES(dev->lock);
void meter_add(struct sftp_meter *m, uint64_t bytes, int64_t now_us);
/* 0 when nothing came lately. */
uint64_t meter_rate(const struct sftp_meter *m, int64_t now_us);
void rtt_note_locked(struct sftp_dev *dev, int64_t us, int64_t now_us);
uint64_t rtt_locked(const struct sftp_dev *dev);

/* sftp_window.c; all for the I/O thread */
/* Another connection, of which nothing is known. */
void window_reset(struct sftp_dev *dev);
bool window_full(struct sftp_dev *dev);
/* The longest write that is sent now. */
uint32_t window_piece(const struct sftp_dev *dev);
/* A write of this connection has been answered and is not in flight any more. */
void window_answered(struct sftp_dev *dev, const struct req *req, uint64_t rtt_us);

/* sftp_req.c; all for the I/O thread */
struct req *req_new(enum req_kind kind);
/* Queues it on a channel that has a free slot; its head is encoded. */
void req_submit(struct sftp_dev *dev, unsigned chan, struct req *req);
/* Greets the server on a channel that has just been opened. -ENOMEM: nothing is sent. */
int req_init(struct sftp_dev *dev, unsigned chan);
/* Memory for the head of a control request; the id is filled in later. */
struct sftp_enc req_head(void);
/* A control request. head: from req_head, consumed. payload and ctl (which may be NULL)
 * live until ctl->done. Returns 0; -EMSGSIZE, -ENOMEM, -EAGAIN no slot. */
int req_ctl(struct sftp_dev *dev, unsigned chan, struct sftp_enc *head, const void *payload,
	    uint32_t payload_len, struct ctl *ctl);
/* h: NULL for the image, else it lives until ctl->done. Less than len: the file ends there. */
int req_peek(struct sftp_dev *dev, unsigned chan, const struct sftp_handle *h, uint64_t off,
	     void *dest, uint32_t len, struct ctl *ctl);
bool req_slot_free(const struct sftp_chan *ch);
/* Something in flight is older than any line and any disk explain. */
bool req_overdue(const struct sftp_dev *dev);
/* Gives the stream what it takes. */
int req_flush(struct sftp_dev *dev);
void req_sink_data(void *arg, unsigned chan, const void *buf, size_t len);
/* The channel, or all, is gone: puts back what callers wait for. */
void req_abandon(struct sftp_dev *dev, unsigned chan);
void req_abandon_all(struct sftp_dev *dev);

/* sftp_sched.c; all for the I/O thread */
void sched_run_locked(struct sftp_dev *dev) REQUIRES(dev->lock);
/* An answer to an fsync, or what stands for it. */
void sched_synced(struct sftp_dev *dev, const struct req *req, int err);
void sched_write_failed(struct sftp_dev *dev, const struct req *req, uint32_t status);

/* sftp_patience.c; all for the I/O thread */
/* Somebody has waited for timeout_ms, through so many losses that he will get no answer. */
bool patience_ended_locked(const struct sftp_dev *dev) REQUIRES(dev->lock);
/* An fsync has been out for too long, over all connections. */
bool patience_hung(const struct sftp_dev *dev);
/* -ETIMEDOUT, -ETIME: the server, or one process of it, has been silent for too long; 0:
 * *ret_end_ms is when that will be. There is something in flight. */
int patience_silence(const struct sftp_dev *dev, int64_t now, int64_t *ret_end_ms);

/* sftp_link.c */
/* A channel's server has told what it can; its image is to be opened. */
int link_version(struct sftp_chan *ch, const struct sftp_version *version);
void *link_main(void *arg);	/* the device */
/* Polls once, at most wait_ms, and moves bytes. -errno: the connection is lost. */
int link_step(struct sftp_dev *dev, int64_t wait_ms);
/*
 * Steps until ctl is done: 0. Or -ETIMEDOUT, -ECANCELED (closing), or a loss; then the
 * connection has been ended, and no request is in flight.
 */
int link_wait(struct sftp_dev *dev, struct ctl *ctl);
/* Starts the stream; until the first channel's file is open, or cannot be opened. */
int link_start(struct sftp_dev *dev);
/* Ends the connection; no request is in flight afterwards. */
void link_end(struct sftp_dev *dev);
void link_set_state(struct sftp_dev *dev, enum sftp_state state, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Keeps the sentence for sftp_dev_open, or tells it if that has returned. Returns err. */
int link_explain(struct sftp_dev *dev, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void link_warn(struct sftp_dev *dev, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* sftp_login.c */
/* On failure everything is as before, and link_explain() has been called. */
int login_attempt(struct sftp_dev *dev);

/* sftp_ident.c */
struct ident_probe;
/* Asks for the known bytes, at the first connection for the head. */
int ident_begin(struct sftp_dev *dev, struct ident_probe **ret);
/* When all its requests are answered. Learns, or -ESTALE: it is another file. */
int ident_end(struct sftp_dev *dev, struct ident_probe *ip);
/* All its requests are answered; nothing is learned. */
int ident_wait(struct sftp_dev *dev, struct ident_probe *ip);
/* A further channel's file is open: asks for its size and for bytes that are known, or will be
 * when the first connection is UP. Returns the state that follows. */
enum chan_state ident_chan_begin(struct sftp_dev *dev, struct sftp_chan *ch);
/* Judges a PROBING channel, when the answers are there. Returns its state; REFUSED was said. */
enum chan_state ident_chan_end(struct sftp_dev *dev, struct sftp_chan *ch);
/* After ident_end or _wait, or when the requests have been abandoned. NULL is fine. */
void ident_free(struct ident_probe *probe);
void ident_written_locked(struct sftp_dev *dev, const uint8_t *bytes, uint32_t len, uint64_t off)
	REQUIRES(dev->lock);
/* Others may write this range. */
void ident_share_locked(struct sftp_dev *dev, uint64_t off, uint64_t len) REQUIRES(dev->lock);
void ident_durable_locked(struct sftp_dev *dev, const struct wlog_ext *ext) REQUIRES(dev->lock);

/* sftp_guard.c */
/* Connected again after that outage. */
void guard_begin_locked(struct sftp_dev *dev, int64_t outage_ms) REQUIRES(dev->lock);
/* Before wlog_resend: remembers what a dead connection may still write. */
void guard_lost_locked(struct sftp_dev *dev, const struct req *req) REQUIRES(dev->lock);
bool guard_covers_locked(const struct sftp_dev *dev, uint64_t off, uint64_t len)
	REQUIRES(dev->lock);
/* Goes on with a look at guarded ranges, or begins one when it is time; never waits. What is
 * not as it should be becomes DIRTY. Returns the milliseconds until it wants to be called. */
int64_t guard_run(struct sftp_dev *dev);
/*
 * The device is about to be closed: the I/O thread looks once more, and this waits until what
 * that put right is durable; for the look not longer than some seconds, and not at all without
 * a connection. -EIO: something was put right, and the device failed before it was durable.
 */
int guard_finish(struct sftp_dev *dev);
/* The I/O thread's last word: says if that look was not finished. */
void guard_end(struct sftp_dev *dev);
/* When no request is in flight any more. */
void guard_free(struct sftp_dev *dev);

/* sftp_lock.c */
/* Asks for the lock, so that the answer comes with others. */
int lockfile_begin(struct sftp_dev *dev);
/*
 * Takes the lock or sees that it is still ours. -EBUSY, -ESTALE. *ret_late: somebody else had
 * it when this began, so what was read until now may be old.
 */
int lockfile_take(struct sftp_dev *dev, bool *ret_late);
/* The image cannot be opened: no lock stays behind. */
void lockfile_undo(struct sftp_dev *dev);
int lockfile_beat(struct sftp_dev *dev);
/* A beat that was sent then has been answered well. */
void lockfile_beaten(struct sftp_dev *dev, int64_t sent_ms);
/* One has been answered with an error. */
void lockfile_not_beaten(struct sftp_dev *dev);
/* What the file said some time after asked_ms. */
void lockfile_seen(struct sftp_dev *dev, const char *text, int64_t asked_ms);
/* For so long no beat was answered that somebody may have taken it: nothing may be written. */
bool lockfile_expired(const struct sftp_dev *dev);
void lockfile_drop(struct sftp_dev *dev);
/* The text of a lock file names somebody else. */
bool lockfile_is_others(const struct sftp_dev *dev, const char *text);

/* sftp_owner.c */
struct owner {
	char id[33], host[65], boot[37], pidns[24];
	long pid;
	unsigned long long started;	/* in ticks since boot; tells a pid used again */
};

enum owner_life { LIFE_DEAD, LIFE_ALIVE, LIFE_UNKNOWN };

/* This process, with an id that no other has. */
void owner_self(struct owner *me);
/* A whole lock file: padded, with a newline, not terminated. */
void owner_print(const struct owner *o, uint64_t beat, char line[LOCK_LINE_MAX]);
/* text: terminated. False: it is not a lock of this kind. */
bool owner_parse(const char *text, struct owner *ret);
/* UNKNOWN unless it was a process of this machine's name space for processes. */
enum owner_life owner_life(const struct owner *o);

/* sftp_watch.c */
/* Asks what is not being asked. */
void watch_begin(struct sftp_dev *dev);
/* Takes in what was answered. -ESTALE: the lock file is another one, or gone. */
int watch_run(struct sftp_dev *dev);

#endif
