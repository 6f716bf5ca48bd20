/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long the SFTP device waits for a server that says nothing, or not everything. */
#include "sftp_int.h"

enum { SUSPECT_MS = 3000 };	/* of silence after this machine has slept */

/*
 * Every connection dies before somebody gets an answer: of what he asks for, perhaps. True
 * when that has gone on for as long as an outage may last.
 */
bool patience_ended_locked(const struct sftp_dev *dev)
{
	const struct list *const queues[] = { &dev->small, &dev->bulk };
	int64_t start = boot_ms() - dev->timeout_ms;

	if (!dev->timeout_ms)
		return false;
	if (dev->stuck_ms && dev->stuck_ms < start && dev->losses - dev->stuck_losses >= HOPELESS)
		return true;
	for (unsigned i = 0; i < ARRAY_LEN(queues); i++) {
		for (struct list *l = queues[i]->next; l != queues[i]; l = l->next) {
			const struct sftp_op *op = container_of(l, struct piece, link)->op;

			if (op->since_ms < start && dev->losses - op->losses >= HOPELESS)
				return true;
		}
	}
	return false;
}

/* Without an answer to an fsync the server may be as lively as it likes. */
bool patience_hung(const struct sftp_dev *dev)
{
	return dev->hung_ms && dev->sync_ms >= dev->hung_ms;
}

/* Of silence, from which it is too much. */
static int64_t silence_limit(const struct sftp_dev *dev)
{
	return dev->deadline_ms << (dev->syncing ? dev->patience : 0);
}

/* When the server will have been silent for too long; the past: it has. */
static int64_t silence_end(const struct sftp_dev *dev)
{
	int64_t limit = silence_limit(dev);

	return dev->heard_ms + (dev->suspect ? MIN(SUSPECT_MS, limit) : limit);
}

/*
 * The same for one channel: each has a process of its own there, which may stop alone. -ETIMEDOUT
 * when it is the one that syncs, which may take its time (patience_hung), else -ETIME; 0: *ret_end_ms
 * is the soonest.
 */
static int stalled(const struct sftp_dev *dev, int64_t now, int64_t *ret_end_ms)
{
	*ret_end_ms = INT64_MAX;
	for (unsigned i = 0; i < dev->want_channels; i++) {
		int64_t end = dev->chans[i].heard_ms + STALL * silence_limit(dev);

		if (!dev->chans[i].used)
			continue;
		if (now >= end)
			return dev->syncing && i == dev->sync_chan ? -ETIMEDOUT : -ETIME;
		*ret_end_ms = MIN(*ret_end_ms, end);
	}
	return 0;
}

int patience_silence(const struct sftp_dev *dev, int64_t now, int64_t *ret_end_ms)
{
	int64_t end = silence_end(dev);
	int err = now >= end ? -ETIMEDOUT : stalled(dev, now, ret_end_ms);

	if (!err)
		*ret_end_ms = MIN(end, *ret_end_ms);
	return err;
}
