/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The I/O thread: serves while the connection is UP, makes a new one after a loss.
 *
 * Channels other than the first join when they are ready, or never. The transitions of enum sftp_state are all in this file and in
 * failed_once_more() of sftp_sched.c.
 */
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "sftp_int.h"

enum {
	POLL_MS = 5000,		/* at most: poll's clock stands still while the machine sleeps */
	FIRST_MS = 40,		/* after a loss; most are short */
	BACKOFF_MIN_MS = 200,
	BACKOFF_MAX_MS = 10000,
	SLEPT_MS = 2000,	/* a jump of the clock that is a sleep */
	CLOSE_MS = 10000,
	PATIENCE_MAX = 5,
};

static int64_t clock_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t boot_us(void)
{
	return clock_us(CLOCK_BOOTTIME);
}

int64_t boot_ms(void)
{
	return boot_us() / 1000;
}

const char *sftp_state_name(enum sftp_state state)
{
	static const char *const names[] = {
		[SFTP_CONNECTING] = "connecting", [SFTP_UP] = "up", [SFTP_LOST] = "lost",
		[SFTP_CHECKING] = "checking", [SFTP_BROKEN] = "broken",
		[SFTP_FAILED] = "failed", [SFTP_FENCED] = "fenced",
	};

	return (size_t)state < ARRAY_LEN(names) ? names[state] : "?";
}

static void tell(struct sftp_dev *dev, const char *line)
{
	if (dev->notify)
		dev->notify(dev->notify_arg, dev->state, line);
}

void link_set_state(struct sftp_dev *dev, enum sftp_state state, const char *fmt, ...)
{
	char line[400] = "";
	va_list ap;

	if (fmt) {
		va_start(ap, fmt);
		vsnprintf(line, sizeof(line), fmt, ap);
		va_end(ap);
	}
	mutex_lock(&dev->lock);
	dev->state = state;
	if (state == SFTP_BROKEN)
		sftp_end_flushes_locked(dev, -EIO);
	if (sftp_dead(dev))
		sftp_fail_waiters_locked(dev);
	cond_broadcast(&dev->changed);
	mutex_unlock(&dev->lock);
	if (line[0])
		tell(dev, line);
}

int link_explain(struct sftp_dev *dev, int err, const char *fmt, ...)
{
	char line[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (!dev->reached) {
		mutex_lock(&dev->lock);
		snprintf(dev->why, sizeof(dev->why), "%s", line);
		mutex_unlock(&dev->lock);
	} else if (err == -ESTALE) {
		tell(dev, line);
	}
	return err;
}

void link_warn(struct sftp_dev *dev, const char *fmt, ...)
{
	char line[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	tell(dev, line);
}

/* The stream's calls. */

static void sink_opened(void *arg, unsigned chan)
{
	struct sftp_dev *dev = arg;
	struct sftp_chan *ch = &dev->chans[chan];

	ch->state = CHAN_INIT;
	sftp_rx_init(&ch->rx);
	if (req_init(dev, chan)) {
		ch->state = CHAN_REFUSED;
		if (chan == 0)
			dev->sink_err = -ENOMEM;
	}
}

static void sink_closed(void *arg, unsigned chan, int err)
{
	struct sftp_dev *dev = arg;
	struct sftp_chan *ch = &dev->chans[chan];

	/* One that was in use takes the connection with it; extra ones may be refused. */
	if (chan == 0 || ch->state == CHAN_READY)
		dev->sink_err = err ? err : -EPIPE;
	else
		req_abandon(dev, chan);
}

int link_version(struct sftp_chan *ch, const struct sftp_version *version)
{
	struct sftp_dev *dev = ch->dev;
	/* Servers that keep no file open while it is written, such as rclone's without a cache,
	 * truncate it when it is opened for writing: not before it is clear that we may write. */
	const bool write = !dev->dev.info.readonly && (version->fsync || dev->allow_nofsync);
	struct sftp_enc e = req_head();

	if (version->version != SFTP_VERSION) {
		free(e.buf);
		return -EPROTO;
	}
	if (ch->nr == 0)
		dev->version = *version;
	sftp_enc_open(&e, 0, dev->path, SSH_FXF_READ | (write ? SSH_FXF_WRITE : 0));
	ch->state = CHAN_OPENING;
	return req_ctl(dev, ch->nr, &e, NULL, 0, &ch->open);
}

/* Channels whose file has been opened, and is the right one, can work. The first one's failure is
 * for log_in(). */
static void settle_channels(struct sftp_dev *dev)
{
	unsigned ready = 0;

	for (unsigned i = 0; i < dev->want_channels; i++) {
		struct sftp_chan *ch = &dev->chans[i];

		if (ch->state == CHAN_OPENING && ch->open.done && !ch->open.err &&
		    ch->open.reply.type == SSH_FXP_HANDLE) {
			ch->handle = ch->open.reply.handle;
			ch->probes = ch->probe_nr = 0;
			ch->state = i ? ident_chan_begin(dev, ch) : CHAN_READY;
		} else if (ch->state == CHAN_PROBING) {
			ch->state = ident_chan_end(dev, ch);
		}
		ready += ch->state == CHAN_READY;
	}
	if (ready == dev->channels)
		return;
	mutex_lock(&dev->lock);
	dev->channels = ready;
	mutex_unlock(&dev->lock);
}

static void drain_wakes(struct sftp_dev *dev)
{
	uint64_t n;

	/* Empty when somebody else's wake was taken for this one. */
	if (read(dev->wake_fd, &n, sizeof(n)) < 0)
		return;
}

int link_step(struct sftp_dev *dev, int64_t wait_ms)
{
	struct pollfd fds[1 + STREAM_MAX_POLLFDS];
	int timeout = -1, n, err;

	err = req_flush(dev);
	if (err)
		return err;
	n = (int)dev->stream->ops->pollfds(dev->stream, fds + 1, &timeout);
	fds[0] = (struct pollfd){ .fd = dev->wake_fd, .events = POLLIN };
	wait_ms = MAX(0, MIN(wait_ms, POLL_MS));
	if (timeout < 0 || timeout > wait_ms)
		timeout = (int)wait_ms;
	if (poll(fds, n + 1, timeout) > 0 && fds[0].revents)
		drain_wakes(dev);
	/* Before anything that waits to be sent: this process may have been stopped for long.
	 * An fsync under way keeps beats from being answered; it shall end first. */
	if (dev->state == SFTP_UP && !dev->syncing && lockfile_expired(dev))
		return -ENOLCK;
	err = dev->stream->ops->pump(dev->stream);
	if (!err)
		err = dev->sink_err;
	settle_channels(dev);
	return err;
}

static bool is_closing(struct sftp_dev *dev)
{
	bool closing;

	mutex_lock(&dev->lock);
	closing = dev->closing;
	mutex_unlock(&dev->lock);
	return closing;
}

/* When an attempt that has begun now has to be over. */
static int64_t attempt_end(const struct sftp_dev *dev)
{
	int64_t end = boot_ms() + LOGIN_MS;

	if (dev->lost_ms && dev->timeout_ms)
		end = MIN(end, dev->lost_ms + dev->timeout_ms);
	return end;
}

static bool is_over(const struct sftp_dev *dev, int64_t now, int64_t end)
{
	return now >= end || (dev->in_flight && now - dev->heard_ms >= dev->deadline_ms);
}

static int wait_until(struct sftp_dev *dev, const bool *done, int64_t end)
{
	bool late = false;

	while (!*done) {
		int64_t now = boot_ms();
		int err;

		/* It may be this thread that stood still: what has come meanwhile is heard first. */
		if (is_over(dev, now, end) && late)
			return -ETIMEDOUT;
		late = is_over(dev, now, end);
		/* lockfile_drop() talks while closing, within CLOSE_MS. */
		if (is_closing(dev) && end - now > CLOSE_MS)
			return -ECANCELED;
		err = link_step(dev, end - now);
		if (err)
			return err;
	}
	return 0;
}

void link_end(struct sftp_dev *dev)
{
	dev->stream->ops->drop(dev->stream);
	req_abandon_all(dev);
	dev->watch.state = WATCH_IDLE;
	dev->watch.space_asked = false;
	settle_channels(dev);
}

int link_wait(struct sftp_dev *dev, struct ctl *ctl)
{
	/* The deadline is for silence; bytes may be slow. */
	int64_t end = boot_ms() + (is_closing(dev) ? CLOSE_MS : STALL * dev->deadline_ms);
	int err = wait_until(dev, &ctl->done, end);

	/* Requests point to what the caller has on its stack: none may stay in flight. */
	if (err)
		link_end(dev);
	return err;
}

/* Starts the stream; until the first channel's file is open, or cannot be opened. */
int link_start(struct sftp_dev *dev)
{
	const struct stream_sink sink = { sink_opened, req_sink_data, sink_closed, dev };
	struct ctl *open = &dev->chans[0].open;
	int err;

	dev->sink_err = 0;
	*open = (struct ctl){ .done = false };
	err = dev->stream->ops->start(dev->stream, dev->want_channels, &sink);
	if (!err)
		err = wait_until(dev, &open->done, attempt_end(dev));
	settle_channels(dev);
	return err;
}

static void connected(struct sftp_dev *dev)
{
	int64_t now = boot_ms(), outage;
	bool again = dev->reached;

	mutex_lock(&dev->lock);
	outage = dev->lost_ms ? now - dev->lost_ms : 0;
	dev->lost_ms = 0;
	dev->reconnects += again;
	if (again)
		guard_begin_locked(dev, outage);
	mutex_unlock(&dev->lock);
	dev->reached = true;
	dev->heard_ms = dev->round_ms = now;
	dev->beat_ms = now + MIN(HEARTBEAT_MS, dev->deadline_ms);
	dev->backoff_ms = 0;
	dev->suspect = false;
	/* What they have to show is known now. */
	settle_channels(dev);
	watch_begin(dev);
	if (again)
		link_set_state(dev, dev->broken ? SFTP_BROKEN : SFTP_UP,
			       "connected again after %lld.%lld s", (long long)outage / 1000,
			       (long long)outage % 1000 / 100);
	else
		link_set_state(dev, SFTP_UP, NULL);
}

/* Some time around ms, so that many clients of one server do not return at once. */
static int64_t jitter(int64_t ms)
{
	uint16_t r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) < 0)
		r = 0x8000;
	return ms / 2 + ms * r / 0x10000;
}

static void plan_attempt(struct sftp_dev *dev)
{
	dev->attempt_ms = boot_ms() + jitter(dev->backoff_ms ? dev->backoff_ms : FIRST_MS);
	dev->backoff_ms = MIN(BACKOFF_MAX_MS, MAX(BACKOFF_MIN_MS, 2 * dev->backoff_ms));
}

static void give_up(struct sftp_dev *dev)
{
	if (patience_hung(dev))
		link_set_state(dev, SFTP_FAILED, "the server answers, but has not synced the image "
			       "to its disk for %lld s: given up; all input and output fails from "
			       "now on", (long long)dev->sync_ms / 1000);
	else
		link_set_state(dev, SFTP_FAILED, "one answer that somebody waits for did not come, "
			       "through several connections: given up; all input and output fails "
			       "from now on");
}

static void lost(struct sftp_dev *dev, int err)
{
	bool is_hopeless, is_overdue;
	char how[160];

	/* A disk may need longer than the deadline, and every time we do not wait for it. */
	if (err == -ETIMEDOUT && dev->syncing)
		dev->patience = MIN(dev->patience + 1, (unsigned)PATIENCE_MAX);
	snprintf(how, sizeof(how), "%s", *dev->stream->ops->why(dev->stream) ?
		 dev->stream->ops->why(dev->stream) : strerror(-err));
	link_end(dev);
	mutex_lock(&dev->lock);
	if (!dev->lost_ms)
		dev->lost_ms = boot_ms();
	if (!dev->broken)
		wlog_resend(&dev->log);
	/* An answer was owed for long, and not because the machine slept. */
	is_overdue = (err == -ETIME || err == -ENOLCK) && !dev->suspect;
	dev->losses += is_overdue ? OVERDUE_LOSSES : 1;
	is_hopeless = patience_ended_locked(dev);
	mutex_unlock(&dev->lock);
	if (is_hopeless || patience_hung(dev)) {
		give_up(dev);
		return;
	}
	plan_attempt(dev);
	link_set_state(dev, SFTP_LOST, "the connection is lost: %s%s",
		       err == -ETIMEDOUT ? "the server has been silent for too long" :
		       err == -ETIME ? "the server owes an answer for too long" :
		       err == -EPROTO ? "an answer that SFTP does not allow" :
		       err == -ENOLCK ? "its lock was not renewed in time" :
		       err == -ESTALE ? "its lock was taken away" : how,
		       dev->broken ? "" : "; waiting for another");
}

/* LOST: until the next attempt or the end. */
static void wait_lost(struct sftp_dev *dev)
{
	struct pollfd fd = { .fd = dev->wake_fd, .events = POLLIN };
	int64_t now = boot_ms(), until = dev->attempt_ms;
	int err;

	if (dev->timeout_ms && now >= dev->lost_ms + dev->timeout_ms) {
		link_set_state(dev, SFTP_FAILED, "no connection for %lld s: given up; all input "
			       "and output fails from now on", (long long)(now - dev->lost_ms) / 1000);
		return;
	}
	if (dev->timeout_ms)
		until = MIN(until, dev->lost_ms + dev->timeout_ms);
	if (now < until) {
		if (poll(&fd, 1, (int)MIN(until - now, POLL_MS)) > 0)
			drain_wakes(dev);
		return;
	}
	err = login_attempt(dev);
	if (!err) {
		connected(dev);
	} else if (err == -ESTALE || err == -EKEYREJECTED) {
		link_set_state(dev, SFTP_FENCED, "%s: nothing is read or written any more",
			       err == -ESTALE ? "this is not the image that was mounted" :
						"the server has another host key now");
	} else {
		link_set_state(dev, SFTP_LOST, NULL);
		plan_attempt(dev);
	}
}

/* The machine may have slept: then the connection is probably gone, and nobody says so. */
static void notice_sleep(struct sftp_dev *dev)
{
	int64_t slept = (clock_us(CLOCK_BOOTTIME) - clock_us(CLOCK_MONOTONIC)) / 1000;

	if (slept > dev->slept_ms + SLEPT_MS) {
		dev->suspect = true;
		dev->heard_ms = boot_ms();
		for (unsigned i = 0; i < dev->want_channels; i++)
			dev->chans[i].heard_ms = dev->heard_ms;
		dev->beat_ms = dev->heard_ms;
	}
	dev->slept_ms = slept;
}

static int beat(struct sftp_dev *dev)
{
	struct sftp_enc e;
	int err;

	dev->beat_ms = boot_ms() + MIN(HEARTBEAT_MS, dev->deadline_ms);
	watch_begin(dev);
	if (dev->beating)
		return 0;
	dev->beating = true;
	if (dev->locked)
		return lockfile_beat(dev);
	e = req_head();
	sftp_enc_fstat(&e, 0, &dev->chans[0].handle);
	err = req_ctl(dev, 0, &e, NULL, 0, NULL);
	/* No slot: there is traffic enough to notice a loss by. */
	dev->beating = !err;
	return 0;
}

/* A round that took long is one of a process that was stopped, or of a machine that slept. */
static void count_time(struct sftp_dev *dev, int64_t now)
{
	int64_t step = MIN(now - dev->round_ms, (int64_t)2 * POLL_MS);

	dev->round_ms = now;
	dev->up_ms += step;
	if (dev->syncing)
		dev->sync_ms += step;
}

/* What time asks for. Returns how long to wait, or -errno: the connection is not to be used. */
static int64_t keep_time(struct sftp_dev *dev)
{
	int64_t now = boot_ms(), wait, end;
	int err;

	notice_sleep(dev);
	if (watch_run(dev))
		return -ESTALE;
	count_time(dev, now);
	if (patience_hung(dev))
		return -ETIMEDOUT;
	if (now >= dev->beat_ms && req_overdue(dev))
		return -ETIME;
	if (now >= dev->beat_ms && beat(dev))
		return -EIO;
	wait = dev->beat_ms - now;
	if (!dev->in_flight) {
		dev->suspect = false;
		return wait;
	}
	err = patience_silence(dev, now, &end);
	return err ? err : MIN(wait, end - now);
}

/* UP or BROKEN: one round. */
static int serve(struct sftp_dev *dev)
{
	int64_t guard_wait = guard_run(dev), wait = keep_time(dev);

	if (wait == -ETIMEDOUT || wait == -ETIME) {
		/* As in wait_until(). */
		int err = link_step(dev, 0);

		wait = err ? err : keep_time(dev);
	}
	if (wait < 0)
		return (int)wait;
	mutex_lock(&dev->lock);
	sched_run_locked(dev);
	dev->sleeping = true;
	mutex_unlock(&dev->lock);
	return link_step(dev, MIN(wait, guard_wait));
}

/* Nothing left to do but to be closed. */
static void wait_closed(struct sftp_dev *dev)
{
	struct pollfd fd = { .fd = dev->wake_fd, .events = POLLIN };

	if (poll(&fd, 1, -1) > 0)
		drain_wakes(dev);
}

void *link_main(void *arg)
{
	struct sftp_dev *dev = arg;
	int err = login_attempt(dev);

	if (err) {
		mutex_lock(&dev->lock);
		dev->open_err = err;
		mutex_unlock(&dev->lock);
		link_set_state(dev, SFTP_FAILED, NULL);
		return NULL;
	}
	notice_sleep(dev);
	connected(dev);
	while (!is_closing(dev)) {
		if (dev->state == SFTP_LOST) {
			wait_lost(dev);
		} else if (sftp_dead(dev)) {
			wait_closed(dev);
		} else {
			err = serve(dev);
			if (err)
				lost(dev, err);
		}
	}
	guard_end(dev);
	if (dev->state == SFTP_UP || dev->state == SFTP_BROKEN)
		lockfile_drop(dev);
	link_end(dev);
	return NULL;
}
