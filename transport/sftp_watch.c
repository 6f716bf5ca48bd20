/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a connection that works asks now and then, beside the heartbeat, and nobody waits for:
 * is the lock file that we renew still the one that others see, and how much room has the
 * server's file system. Who has taken the lock over made a file of his own, which our handle
 * does not show: the name is opened, read and closed again.
 */
#include "sftp_int.h"

static int ask_lock(struct sftp_dev *dev)
{
	struct sftp_watch *w = &dev->watch;
	struct sftp_enc e = req_head();
	int err;

	w->asked_ms = boot_ms();
	sftp_enc_open(&e, 0, dev->lock_path, SSH_FXF_READ);
	err = req_ctl(dev, 0, &e, NULL, 0, &w->lock);
	w->state = err ? WATCH_IDLE : WATCH_OPENING;
	return 0;	/* no slot, no memory: the next beat asks again */
}

static void ask_space(struct sftp_dev *dev)
{
	struct sftp_enc e = req_head();

	sftp_enc_statvfs(&e, 0, dev->path);
	dev->watch.space_asked = !req_ctl(dev, 0, &e, NULL, 0, &dev->watch.space);
}

void watch_begin(struct sftp_dev *dev)
{
	if (dev->locked && dev->watch.state == WATCH_IDLE)
		ask_lock(dev);
	if (dev->version.statvfs && !dev->dev.info.readonly && !dev->watch.space_asked)
		ask_space(dev);
}

static void take_space(struct sftp_dev *dev)
{
	const struct ctl *ctl = &dev->watch.space;
	struct sftp_statvfs st;

	dev->watch.space_asked = false;
	if (ctl->err || ctl->reply.type != SSH_FXP_EXTENDED_REPLY ||
	    sftp_dec_statvfs(&ctl->reply.extended, &st))
		return;
	mutex_lock(&dev->lock);
	dev->knows_free = true;
	if (__builtin_mul_overflow(st.frsize, st.bavail, &dev->free_len))
		dev->free_len = UINT64_MAX;
	mutex_unlock(&dev->lock);
}

/* The name is open, or there is no such file any more: -ESTALE. */
static int read_it(struct sftp_dev *dev)
{
	struct sftp_watch *w = &dev->watch;

	w->state = WATCH_IDLE;
	if (w->lock.err)
		return w->lock.reply.type == SSH_FXP_STATUS &&
		       w->lock.status == SSH_FX_NO_SUCH_FILE ? -ESTALE : 0;
	if (w->lock.reply.type != SSH_FXP_HANDLE)
		return 0;
	w->handle = w->lock.reply.handle;
	if (!req_peek(dev, 0, &w->handle, 0, w->text, LOCK_LINE_MAX, &w->lock))
		w->state = WATCH_READING;
	return 0;
}

static int judge_it(struct sftp_dev *dev)
{
	struct sftp_watch *w = &dev->watch;
	struct sftp_enc e = req_head();
	uint32_t len = MIN(w->lock.got, (uint32_t)LOCK_LINE_MAX);

	w->state = WATCH_IDLE;
	if (w->lock.err) {
		free(e.buf);
		return 0;
	}
	sftp_enc_close(&e, 0, &w->handle);
	(void)req_ctl(dev, 0, &e, NULL, 0, NULL);	/* the connection's end closes it, too */
	w->text[len] = '\0';
	lockfile_seen(dev, w->text, w->asked_ms);
	return lockfile_is_others(dev, w->text) ? -ESTALE : 0;
}

int watch_run(struct sftp_dev *dev)
{
	struct sftp_watch *w = &dev->watch;

	if (w->space_asked && w->space.done)
		take_space(dev);
	if (w->state == WATCH_IDLE || !w->lock.done)
		return 0;
	return w->state == WATCH_OPENING ? read_it(dev) : judge_it(dev);
}
