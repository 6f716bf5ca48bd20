/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One connection set-up, in a straight line: login, versions, the file, is it the right one,
 * is it ours alone. Nothing else is sent meanwhile. At the first connection every failure
 * gets its sentence for the user.
 */
#include <sys/stat.h>

#include "sftp_int.h"

/* Why the first channel has no handle. */
static int explain_open(struct sftp_dev *dev, const struct ctl *open)
{
	switch (open->err ? open->status : (uint32_t)SSH_FX_BAD_MESSAGE) {
	case SSH_FX_NO_SUCH_FILE:
		return link_explain(dev, -ENOENT, "does not exist there");
	case SSH_FX_PERMISSION_DENIED:
		return link_explain(dev, -EACCES, "permission denied there%s",
				    dev->dev.info.readonly ? "" :
				    " for writing; if it can be read: mount with -o ro");
	case SSH_FX_BAD_MESSAGE:
		return link_explain(dev, -EPROTO, "the server's answer is not SFTP");
	default:
		return link_explain(dev, -EIO, "cannot be opened there%s",
				    dev->dev.info.readonly ? "" :
				    "; is it a file, and the server not read-only?");
	}
}

static int log_in(struct sftp_dev *dev)
{
	struct stream *s = dev->stream;
	int err = link_start(dev);

	if (err == -EPROTO)
		return link_explain(dev, err, "the server does not speak SFTP version 3");
	if (err == -ETIMEDOUT)
		return link_explain(dev, err, "the server does not answer");
	if (err)
		return link_explain(dev, err, "cannot be reached: %s",
				    *s->ops->why(s) ? s->ops->why(s) : strerror(-err));
	return dev->chans[0].state == CHAN_READY ? 0 : explain_open(dev, &dev->chans[0].open);
}

static int check_attrs(struct sftp_dev *dev, const struct ctl *stat)
{
	const struct sftp_attrs *a = &stat->reply.attrs;

	if (stat->err || stat->reply.type != SSH_FXP_ATTRS || !(a->flags & SSH_FILEXFER_ATTR_SIZE))
		return link_explain(dev, -EPROTO, "the server does not tell its size");
	if ((a->flags & SSH_FILEXFER_ATTR_PERMISSIONS) && S_ISDIR(a->permissions))
		return link_explain(dev, -EISDIR, "is a directory; name an image file");
	if (!dev->reached && a->size > INT64_MAX)
		return link_explain(dev, -EPROTO, "has an impossible size there");
	if (!dev->reached && a->size == 0)
		return link_explain(dev, -ENODATA,
				    "is empty; make a file system in it with mke2fs first");
	if (!dev->reached)
		dev->dev.info.size = a->size;
	else if (a->size != dev->dev.info.size)
		return link_explain(dev, -ESTALE, "the image there has another size now");
	return 0;
}

static int check_fsync(struct sftp_dev *dev)
{
	if (dev->version.fsync || dev->dev.info.readonly)
		return 0;
	if (!dev->allow_nofsync)
		return link_explain(dev, -EOPNOTSUPP,
				    "is on a server without fsync@openssh.com: what fsync(2) "
				    "promises could be lost there; mount with -o ro, or with "
				    "-o unsafe_nofsync to take that risk");
	mutex_lock(&dev->lock);
	dev->nofsync = true;
	mutex_unlock(&dev->lock);
	return 0;
}

static uint32_t io_limit(uint64_t told, bool known)
{
	if (!known)
		return SFTP_PLAIN_LEN;
	return told && told < SFTP_IO_MAX ? (uint32_t)MAX(told, (uint64_t)512) : SFTP_IO_MAX;
}

static void use_limits(struct sftp_dev *dev, const struct ctl *ctl)
{
	bool known = ctl->done && !ctl->err && ctl->reply.type == SSH_FXP_EXTENDED_REPLY &&
		     sftp_dec_limits(&ctl->reply.extended, &dev->limits) == 0;

	dev->read_max = io_limit(dev->limits.read_len, known);
	dev->write_max = io_limit(dev->limits.write_len, known);
}

static int ask(struct sftp_dev *dev, struct ctl *stat, struct ctl *limits)
{
	struct sftp_enc e = req_head();
	int err;

	sftp_enc_fstat(&e, 0, &dev->chans[0].handle);
	err = req_ctl(dev, 0, &e, NULL, 0, stat);
	if (err || !dev->version.limits)
		return err;
	e = req_head();
	sftp_enc_limits(&e, 0);
	return req_ctl(dev, 0, &e, NULL, 0, limits);
}

/* Everything that can be asked at once is: one round trip. */
static int ask_all(struct sftp_dev *dev, struct ctl *stat, struct ctl *limits,
		   struct ident_probe **probe)
{
	int err = ask(dev, stat, limits);

	if (!err)
		err = lockfile_begin(dev);
	return err ? err : ident_begin(dev, probe);
}

/* Somebody else had the image until now: what was read of it is old. */
static int ask_again(struct sftp_dev *dev, struct ident_probe **probe)
{
	int err = ident_wait(dev, *probe);

	if (err)
		return err;
	ident_free(*probe);
	*probe = NULL;
	return ident_begin(dev, probe);
}

/* The file is open: is it the right one, is it ours alone? */
static int check_file(struct sftp_dev *dev, struct ctl *stat, struct ctl *limits,
		      struct ident_probe **probe)
{
	bool late = false;
	int err = check_fsync(dev);

	if (!err)
		err = ask_all(dev, stat, limits, probe);
	if (!err)
		err = link_wait(dev, stat);
	if (!err && dev->version.limits)
		err = link_wait(dev, limits);
	if (err)
		return err;
	use_limits(dev, limits);
	err = check_attrs(dev, stat);
	if (err) {
		lockfile_undo(dev);
		return err;
	}
	err = lockfile_take(dev, &late);
	if (!err && late)
		err = ask_again(dev, probe);
	return err ? err : ident_end(dev, *probe);
}

int login_attempt(struct sftp_dev *dev)
{
	struct ctl stat = { .done = false }, limits = { .done = false };
	struct ident_probe *probe = NULL;
	int err;

	err = log_in(dev);
	if (!err && dev->reached)
		link_set_state(dev, SFTP_CHECKING, NULL);
	if (!err)
		err = check_file(dev, &stat, &limits, &probe);
	if (err && !dev->reached && !dev->why[0])
		link_explain(dev, err, err == -EPROTO ? "the server does not speak SFTP properly" :
				       "the connection failed while the image was opened");
	if (err)
		link_end(dev);
	ident_free(probe);
	return err;
}
