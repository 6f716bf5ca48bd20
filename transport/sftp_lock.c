/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lock file IMAGE.fuse4fs-lock: one writer at a time, as far as SFTP can tell.
 *
 * SFTP has no locks; creating a file that must not exist is the one thing that only one of
 * two can do. The file has LOCK_LINE_MAX bytes of text: who, where, and a counter that is
 * rewritten with every heartbeat. A lock is dead when its owner ran on this machine, since
 * its last start, and is gone; or when its counter stood still for SFTP_LOCK_WATCH_S while
 * we looked. No clocks are compared. Taking over is: move the dead file aside, see that it is
 * the one that was judged and not a new one, create, wait, look again. The name itself is never
 * removed, unless the user says break: between any look at it and a REMOVE another taker may
 * have put his lock there. So of two that do it at once one wins, and the other one sees that,
 * however late its requests arrive; where a server cannot rename nobody takes over.
 */
#include <stdio.h>

#include "sftp_int.h"

enum {
	LOOK_EVERY_MS = 3000,
	AGAIN_MS = 200,
	SETTLE_MS = 1000,	/* after a takeover */
	LEASE_MS = 40 * 1000,	/* less than SFTP_LOCK_WATCH_S */
};

/* What read_lock() finds instead of bytes. */
enum { LOCK_NONE = -1, LOCK_HIDDEN = -2 };

/* A request by name; the answer in *ctl. */
static int call(struct sftp_dev *dev, struct sftp_enc *e, struct ctl *ctl)
{
	int err = req_ctl(dev, 0, e, NULL, 0, ctl);

	return err ? err : link_wait(dev, ctl);
}

static int open_path(struct sftp_dev *dev, const char *path, uint32_t pflags, struct ctl *ctl)
{
	struct sftp_enc e = req_head();

	sftp_enc_open(&e, 0, path, pflags);
	return call(dev, &e, ctl);
}

static int open_lock(struct sftp_dev *dev, uint32_t pflags, struct ctl *ctl)
{
	return open_path(dev, dev->lock_path, pflags, ctl);
}

static int close_handle(struct sftp_dev *dev, const struct sftp_handle *h)
{
	struct sftp_enc e = req_head();

	sftp_enc_close(&e, 0, h);
	return req_ctl(dev, 0, &e, NULL, 0, NULL);
}

static int remove_path(struct sftp_dev *dev, const char *path)
{
	struct sftp_enc e = req_head();
	struct ctl ctl;

	sftp_enc_remove(&e, 0, path);
	return call(dev, &e, &ctl);
}

static int remove_lock(struct sftp_dev *dev)
{
	return remove_path(dev, dev->lock_path);
}

/* *ret_len: bytes of a line. Losses are returned. */
static int read_handle(struct sftp_dev *dev, const struct sftp_handle *h, char *text, int *ret_len)
{
	struct ctl ctl;
	int err = req_peek(dev, 0, h, 0, text, LOCK_LINE_MAX, &ctl);

	if (!err)
		err = link_wait(dev, &ctl);
	if (err)
		return err;
	*ret_len = ctl.err ? 0 : (int)ctl.got;
	text[MAX(0, *ret_len - (*ret_len == LOCK_LINE_MAX))] = '\0';
	return 0;
}

/* Losses are returned; *ret_len < 0: LOCK_NONE, or it may be there and cannot be read. */
static int read_path(struct sftp_dev *dev, const char *path, char *text, int *ret_len)
{
	struct sftp_handle h;
	struct ctl ctl;
	int err;

	*ret_len = LOCK_NONE;
	err = open_path(dev, path, SSH_FXF_READ, &ctl);
	if (err)
		return err;
	if (ctl.err && ctl.status != SSH_FX_NO_SUCH_FILE)
		*ret_len = LOCK_HIDDEN;
	if (ctl.err || ctl.reply.type != SSH_FXP_HANDLE)
		return 0;
	h = ctl.reply.handle;
	err = read_handle(dev, &h, text, ret_len);
	return err ? err : close_handle(dev, &h);
}

static int read_lock(struct sftp_dev *dev, char *text, int *ret_len)
{
	return read_path(dev, dev->lock_path, text, ret_len);
}

/* ctl: who waits for the answer, or NULL. */
static int write_lock(struct sftp_dev *dev, struct ctl *ctl)
{
	struct sftp_enc e = req_head();
	char digits[17];

	/* The last line may still be on its way: it is changed only when it was answered. */
	snprintf(digits, sizeof(digits), "%016llx", (unsigned long long)++dev->lock_beat);
	memcpy(strstr(dev->lock_line, "beat=") + 5, digits, 16);
	sftp_enc_write(&e, 0, &dev->lock_handle, 0, LOCK_LINE_MAX);
	return req_ctl(dev, 0, &e, dev->lock_line, LOCK_LINE_MAX, ctl);
}

int lockfile_beat(struct sftp_dev *dev)
{
	/* No slot: a later beat will have one. */
	dev->beating = !write_lock(dev, NULL);
	return 0;
}

static void set_locked(struct sftp_dev *dev, bool locked)
{
	mutex_lock(&dev->lock);
	dev->locked = locked;
	mutex_unlock(&dev->lock);
}

void lockfile_beaten(struct sftp_dev *dev, int64_t sent_ms)
{
	dev->lock_ok_ms = MAX(dev->lock_ok_ms, sent_ms);
	dev->lock_stands = false;
}

void lockfile_not_beaten(struct sftp_dev *dev)
{
	if (!dev->lock_stands)
		link_warn(dev, "the lock file cannot be written (is the disk there full?): another "
			  "mount may take it over when it has seen that for %d s; make room there",
			  SFTP_LOCK_WATCH_S);
	dev->lock_stands = true;
}

/*
 * A lock that cannot be renewed is ours for as long as it says so: to stop would help nobody. But
 * who takes it over is noticed only at the next look, not before he may write.
 */
void lockfile_seen(struct sftp_dev *dev, const char *text, int64_t asked_ms)
{
	struct owner o;

	if (dev->lock_stands && owner_parse(text, &o) && !strcmp(o.id, dev->lock_id))
		dev->lock_ok_ms = MAX(dev->lock_ok_ms, asked_ms);
}

bool lockfile_expired(const struct sftp_dev *dev)
{
	int64_t lease = MIN((int64_t)LEASE_MS, 4 * MIN((int64_t)HEARTBEAT_MS, dev->deadline_ms));

	return dev->lock_ours && boot_ms() - dev->lock_ok_ms >= lease;
}

/* A crash of the server must not leave us without it. Nobody waits for that. */
static int sync_lock(struct sftp_dev *dev)
{
	struct sftp_enc e = req_head();

	if (!dev->version.fsync) {
		free(e.buf);
		return 0;
	}
	sftp_enc_fsync(&e, 0, &dev->lock_handle);
	return req_ctl(dev, 0, &e, NULL, 0, NULL);
}

enum { LOCK_CREATE = SSH_FXF_READ | SSH_FXF_WRITE | SSH_FXF_CREAT | SSH_FXF_EXCL };

/* An empty file would be a lock that names nobody and cannot be renewed. */
static int not_written(struct sftp_dev *dev, uint32_t status)
{
	int err = remove_lock(dev);

	if (err)
		return err;
	return link_explain(dev, status == SSH_FX_FAILURE ? -ENOSPC : -EIO,
			    "cannot be locked, as %s cannot be written%s; or mount with -o lock=none",
			    dev->lock_path, status == SSH_FX_FAILURE ?
			    ": if the disk or quota there is full, make room" : "");
}

/* The file was made, if dev->lock_open says so: writes who we are. */
static int created(struct sftp_dev *dev)
{
	const struct ctl *open = &dev->lock_open;
	struct owner me;
	struct ctl ctl;
	int64_t start = boot_ms();
	int err;

	if (open->err || open->reply.type != SSH_FXP_HANDLE)
		return 0;
	owner_self(&me);
	memcpy(dev->lock_id, me.id, sizeof(dev->lock_id));
	owner_print(&me, dev->lock_beat, dev->lock_line);
	dev->lock_handle = open->reply.handle;
	err = write_lock(dev, &ctl);
	if (!err) {
		err = sync_lock(dev);
		/* Nothing may be on its way to what is on this stack. */
		if (err)
			link_end(dev);
	}
	if (!err)
		err = link_wait(dev, &ctl);
	if (err)
		return err;
	if (ctl.err)
		return not_written(dev, ctl.status);
	dev->lock_ours = true;
	dev->lock_stands = false;
	dev->lock_ok_ms = start;
	set_locked(dev, true);
	return 0;
}

/* 0 with dev->locked set, or not when somebody else has it; -errno a loss. */
static int create(struct sftp_dev *dev)
{
	int err = open_lock(dev, LOCK_CREATE, &dev->lock_open);

	return err ? err : created(dev);
}

/* o: who holds it, NULL: nobody can tell. */
static int say_busy(struct sftp_dev *dev, const struct owner *o)
{
	if (!o)
		return link_explain(dev, -EBUSY, "is locked: %s is there; if nobody has it mounted, "
				    "mount with -o lock=break", dev->lock_path);
	return link_explain(dev, -EBUSY, "is mounted on host %s by process %ld; unmount it there, "
			    "or if it is not, mount here with -o lock=break", o->host, o->pid);
}

static int pause_ms(struct sftp_dev *dev, int64_t ms)
{
	int64_t end = boot_ms() + ms, now;

	while ((now = boot_ms()) < end) {
		int err = link_step(dev, end - now);

		if (err)
			return err;
		if (dev->closing)
			return -ECANCELED;
	}
	return 0;
}

/* Does the file change while we look? -EBUSY it does, or cannot be read any more; 0 it did not;
 * 1 it has gone. */
static int watch(struct sftp_dev *dev, const char *first, const struct owner *o, bool known)
{
	int64_t end = boot_ms() + SFTP_LOCK_WATCH_S * 1000;
	char text[LOCK_LINE_MAX];
	int err, len;

	link_warn(dev, "is locked by host %s, process %ld; waiting up to %d s to see whether that "
		  "is alive", known ? o->host : "?", known ? o->pid : 0, SFTP_LOCK_WATCH_S);
	while (boot_ms() < end) {
		err = pause_ms(dev, LOOK_EVERY_MS);
		if (!err)
			err = read_lock(dev, text, &len);
		if (err)
			return err;
		if (len == LOCK_NONE)
			return 1;
		if (len == LOCK_HIDDEN || strcmp(text, first) != 0)
			return say_busy(dev, known ? o : NULL);
	}
	return 0;
}

static int move(struct sftp_dev *dev, const char *from, const char *to, struct ctl *ctl)
{
	struct sftp_enc e = req_head();

	sftp_enc_rename(&e, 0, from, to);
	return call(dev, &e, ctl);
}

/* There is nothing to rename any more; or there is, and it may be a lock made this moment. */
static int not_moved(struct sftp_dev *dev, uint32_t status)
{
	char text[LOCK_LINE_MAX];
	int err = 0, len = LOCK_NONE;

	if (status != SSH_FX_NO_SUCH_FILE)
		err = read_lock(dev, text, &len);
	if (err || len == LOCK_NONE)
		return err;
	if (dev->lock_mode == SFTP_LOCK_BREAK)
		return remove_lock(dev);
	return link_explain(dev, -EBUSY, "is locked by a mount that has died, and the server cannot "
			    "rename %s: remove that file, or mount with -o lock=break",
			    dev->lock_path);
}

/* Removes the lock that was judged, `first`; -EBUSY it is another one now, or cannot be told
 * from another one. No error: the name is free, or somebody else has just made his lock. */
static int remove_judged(struct sftp_dev *dev, const char *first)
{
	char text[LOCK_LINE_MAX] = "", aside[SFTP_PATH_MAX];
	struct owner o, me;
	struct ctl ctl;
	int err, len;

	owner_self(&me);
	if (snprintf(aside, sizeof(aside), "%s.%.8s", dev->lock_path, me.id) >= (int)sizeof(aside))
		return -ENAMETOOLONG;
	err = move(dev, dev->lock_path, aside, &ctl);
	if (err)
		return err;
	if (ctl.err)
		return not_moved(dev, ctl.status);
	err = read_path(dev, aside, text, &len);
	if (err)
		return err;
	if (dev->lock_mode == SFTP_LOCK_BREAK || (len >= 0 && !strcmp(text, first)))
		return remove_path(dev, aside);
	err = move(dev, aside, dev->lock_path, &ctl);
	return err ? err : say_busy(dev, owner_parse(text, &o) ? &o : NULL);
}

/* Another taker's file, or the server does not let us make one. */
static int say_not_made(struct sftp_dev *dev)
{
	char text[LOCK_LINE_MAX];
	struct owner o;
	int len, err = read_lock(dev, text, &len);

	if (err)
		return err;
	if (len > 0 && owner_parse(text, &o))
		return say_busy(dev, &o);
	return link_explain(dev, -EBUSY, "is locked, and %s cannot be replaced", dev->lock_path);
}

/* first: the dead lock, NULL when the name is free already. */
static int take_over(struct sftp_dev *dev, const char *first)
{
	char text[LOCK_LINE_MAX];
	struct owner now;
	int err = 0, len;

	if (first)
		err = remove_judged(dev, first);
	if (!err)
		err = create(dev);
	if (err)
		return err;
	if (!dev->locked)
		return say_not_made(dev);
	err = pause_ms(dev, SETTLE_MS);
	if (!err)
		err = read_lock(dev, text, &len);
	if (err)
		return err;
	if (len > 0 && owner_parse(text, &now) && !strcmp(now.id, dev->lock_id))
		return 0;
	dev->lock_ours = false;
	set_locked(dev, false);
	return say_busy(dev, len > 0 && owner_parse(text, &now) ? &now : NULL);
}

/* Somebody's lock is there. */
static int judge(struct sftp_dev *dev, bool *ret_may_end)
{
	char text[LOCK_LINE_MAX] = "";
	struct owner o;
	enum owner_life life;
	bool known, gone = false;
	int err, len;

	err = read_lock(dev, text, &len);
	if (err)
		return err;
	if (len == LOCK_HIDDEN && dev->lock_mode != SFTP_LOCK_BREAK)
		return say_busy(dev, NULL);
	if (len == LOCK_NONE) {
		/* It may just have been removed. */
		err = create(dev);
		if (err || dev->locked)
			return err;
		link_warn(dev, "no lock file can be made beside the image: nothing protects it "
			  "from a second mount");
		return 0;
	}
	known = owner_parse(text, &o);
	life = known ? owner_life(&o) : LIFE_UNKNOWN;
	*ret_may_end = life == LIFE_ALIVE;
	if (dev->lock_mode != SFTP_LOCK_BREAK && life == LIFE_ALIVE)
		return say_busy(dev, known ? &o : NULL);
	if (dev->lock_mode != SFTP_LOCK_BREAK && life == LIFE_UNKNOWN) {
		err = watch(dev, text, &o, known);
		if (err < 0)
			return err;
		gone = err == 1;
	}
	return take_over(dev, gone ? NULL : text);
}

static int take_first(struct sftp_dev *dev, bool *ret_late)
{
	int64_t end = boot_ms() + SFTP_LOCK_WAIT_MS;
	bool may_end = false;
	int err = link_wait(dev, &dev->lock_open);

	for (; !err; err = create(dev)) {
		if (!dev->locked)
			err = created(dev);
		if (err || dev->locked)
			return err;
		*ret_late = true;
		err = judge(dev, &may_end);
		if (err != -EBUSY || !may_end || dev->lock_mode != SFTP_LOCK_WAIT ||
		    boot_ms() >= end)
			return err;
		/* A server that has been unmounted is still writing. */
		err = pause_ms(dev, AGAIN_MS);
		if (err)
			return err;
	}
	return err;
}

/* A reader takes none; it may want to know. */
static int look(struct sftp_dev *dev)
{
	char text[LOCK_LINE_MAX];
	struct owner o;
	int err, len;

	err = read_lock(dev, text, &len);
	if (!err && len > 0 && owner_parse(text, &o) && owner_life(&o) != LIFE_DEAD)
		link_warn(dev, "host %s, process %ld has it mounted for writing; what is read here "
			  "may be inconsistent", o.host, o.pid);
	return err;
}

/* After a loss: is the lock still ours? Without a file nobody else has it, and we had. */
static int take_again(struct sftp_dev *dev)
{
	char text[LOCK_LINE_MAX];
	int64_t start = boot_ms();
	struct ctl ctl;
	int err, len;

	err = read_lock(dev, text, &len);
	if (err)
		return err;
	if (len == LOCK_NONE) {
		/* Who takes it over watches it for longer than a lease, and removes it at last. */
		if (lockfile_expired(dev))
			return link_explain(dev, -ESTALE, "the lock file is gone, and was not "
					    "renewed for so long that somebody may have had it");
		set_locked(dev, false);
		err = create(dev);
		return err || dev->locked ? err :
		       link_explain(dev, -EIO, "the lock file cannot be made again");
	}
	if (len == LOCK_HIDDEN)
		return link_explain(dev, -EIO, "the lock file cannot be read");
	if (lockfile_is_others(dev, text))
		return link_explain(dev, -ESTALE, "the lock file is not ours any more");
	err = open_lock(dev, SSH_FXF_READ | SSH_FXF_WRITE, &ctl);
	if (err)
		return err;
	if (ctl.err || ctl.reply.type != SSH_FXP_HANDLE)
		return link_explain(dev, -EIO, "the lock file cannot be opened again");
	dev->lock_handle = ctl.reply.handle;
	/* Another one may have that name since it was read. */
	err = read_handle(dev, &dev->lock_handle, text, &len);
	if (err)
		return err;
	if (lockfile_is_others(dev, text))
		return link_explain(dev, -ESTALE, "the lock file is not ours any more");
	dev->lock_ok_ms = start;
	set_locked(dev, true);
	return lockfile_beat(dev);
}

/* The first connection of a writer asks for the lock before anything else is known. */
static bool asks_early(const struct sftp_dev *dev)
{
	return !dev->reached && !dev->dev.info.readonly && dev->lock_mode != SFTP_LOCK_NONE;
}

int lockfile_begin(struct sftp_dev *dev)
{
	struct sftp_enc e;

	if (!asks_early(dev))
		return 0;
	e = req_head();
	sftp_enc_open(&e, 0, dev->lock_path, LOCK_CREATE);
	return req_ctl(dev, 0, &e, NULL, 0, &dev->lock_open);
}

int lockfile_take(struct sftp_dev *dev, bool *ret_late)
{
	*ret_late = false;
	if (asks_early(dev))
		return take_first(dev, ret_late);
	if (dev->lock_mode == SFTP_LOCK_NONE)
		return 0;
	if (dev->dev.info.readonly)
		return dev->reached ? 0 : look(dev);
	return dev->lock_ours ? take_again(dev) : 0;
}

void lockfile_undo(struct sftp_dev *dev)
{
	const struct ctl *open = &dev->lock_open;

	if (!asks_early(dev) || link_wait(dev, &dev->lock_open) || open->err ||
	    open->reply.type != SSH_FXP_HANDLE)
		return;
	remove_lock(dev);
	set_locked(dev, false);
}

bool lockfile_is_others(const struct sftp_dev *dev, const char *text)
{
	struct owner o;

	/* Bytes that make no sense may be half a line of ours, or were never synced: a server that
	 * crashed may have kept the file alone. Whoever takes it over looks again. */
	return owner_parse(text, &o) && strcmp(o.id, dev->lock_id) != 0;
}

void lockfile_drop(struct sftp_dev *dev)
{
	char text[LOCK_LINE_MAX];
	struct owner o;
	int len;

	if (!dev->locked)
		return;
	if (read_lock(dev, text, &len) == 0 && len > 0 && owner_parse(text, &o) &&
	    !strcmp(o.id, dev->lock_id))
		remove_lock(dev);
}
