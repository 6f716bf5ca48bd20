/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many bytes of writes may be on their way, all channels together.
 *
 * What is asked for behind them, a read or the heartbeat that keeps the lock, waits until the
 * link has carried them: about SLOW_US, so this is the link's rate times that. The rate is
 * not asked for; how long a write takes from its queue to its answer says the same. The
 * window starts small, trebles in a round trip while answers come at once, and shrinks when
 * they are late. A link that is as far as BASE_US is not taken for a slow one.
 *
 * Writes are cut so that several fit: a slow link would answer one long one every ten seconds.
 */
#include "sftp_int.h"

enum {
	WINDOW_MIN = 256 * 1024,
	WINDOW_START = 512 * 1024,
	PIECES = 4,
	PIECE_MIN = 32 * 1024,
	FAST_US = 500 * 1000,
	SLOW_US = 2000 * 1000,
	BASE_US = 1000 * 1000,
	IDLE_US = 60 * 1000 * 1000,	/* what was true then need not be true now */
};

void window_reset(struct sftp_dev *dev)
{
	dev->window.len = WINDOW_START;
	dev->window.changed_us = 0;
}

uint32_t window_piece(const struct sftp_dev *dev)
{
	return (uint32_t)MIN(MAX(dev->window.len / PIECES, (size_t)PIECE_MIN), dev->write_max);
}

bool window_full(struct sftp_dev *dev)
{
	struct sftp_window *w = &dev->window;

	if (dev->write_out)
		return dev->write_out + window_piece(dev) > w->len;
	if (w->len > WINDOW_START && boot_us() - w->heard_us > IDLE_US)
		window_reset(dev);
	return false;
}

static void shrink(struct sftp_window *w, uint64_t took_us, uint64_t limit_us)
{
	uint64_t len = w->len * limit_us / took_us;

	w->len = MAX(len, MAX(w->len / 2, (size_t)WINDOW_MIN));
}

void window_answered(struct sftp_dev *dev, const struct req *req, uint64_t rtt_us)
{
	struct sftp_window *w = &dev->window;
	const size_t most = (size_t)dev->want_channels * WRITE_CAP;
	const uint64_t base_us = MIN(rtt_us, (uint64_t)BASE_US);
	int64_t now = boot_us();
	uint64_t took_us = (uint64_t)(now - req->sent_us);

	w->heard_us = now;
	if (took_us < base_us + FAST_US) {
		/* One that is not used up says nothing about a larger one. */
		if (2 * (dev->write_out + req->len) >= w->len)
			w->len = MIN(w->len + 2 * (size_t)req->len, most);
		return;
	}
	/* Those sent before the last change are late because of what was before it. */
	if (took_us < base_us + SLOW_US || req->sent_us < w->changed_us)
		return;
	shrink(w, took_us, base_us + SLOW_US);
	w->changed_us = now;
}
