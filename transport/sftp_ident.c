/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is the file behind a new connection the one that was mounted?
 *
 * SFTP has no inode numbers. What we have is that nobody else writes: bytes that were durable
 * when the connection was lost must still be there. Hashes of such ranges are kept: the head
 * of the image (partition table, LUKS header, superblock), and the ranges synced last, which
 * are mostly journal blocks. A restored backup, another file of that name, a mount elsewhere
 * meanwhile, or a server that forgot what it had synced differ in one of them.
 *
 * Invariant: a sentinel's range is in no extent of the log that is not durable, and not
 * under guard (sftp_guard.c). The shared range is checked in any case: somebody else may have
 * taken the file over while we were away, which multi-mount protection would only show later,
 * when our writes have been sent again.
 */
#include "sftp_int.h"

struct probe {
	struct ctl ctl;
	uint64_t off;
	uint32_t len;
	uint64_t hash, other;	/* what it has to be, one of them; first connection: not known */
	uint8_t bytes[SENTINEL_LEN];
};

struct ident_probe {
	unsigned count;
	struct probe probes[SENTINELS + 1];
};

/* Not cryptographic: it tells files apart, it does not stop a server that wants to cheat. */
static uint64_t hash_bytes(const uint8_t *p, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ull ^ len;

	while (len >= 8) {
		h = (h ^ get_le64(p)) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 29;
		p += 8;
		len -= 8;
	}
	while (len--)
		h = (h ^ *p++) * 0x100000001b3ull;
	return h ^ h >> 32;
}

static void add_probe(struct ident_probe *ip, uint64_t off, uint32_t len, uint64_t hash)
{
	ip->probes[ip->count++] = (struct probe){ .off = off, .len = len, .hash = hash, .other = hash };
}

/* All of a range that is shared lies in one write: it is a file-system block. */
static const uint8_t *shared_part(const struct shared_range *s, const uint8_t *bytes, uint32_t len,
				  uint64_t off)
{
	return s->len && off <= s->off && s->off + s->len <= off + len ? bytes + (s->off - off) : NULL;
}

static void shared_written(struct shared_range *s, const uint8_t *bytes, uint32_t len, uint64_t off)
{
	const uint8_t *part = shared_part(s, bytes, len, off);

	if (!s->len || s->off >= off + len || off >= s->off + s->len)
		return;
	s->known = s->known && part;
	s->pending = part;
	s->next = part ? hash_bytes(part, s->len) : 0;
}

static void shared_durable(struct shared_range *s, const struct wlog_ext *ext)
{
	const uint8_t *part = shared_part(s, wlog_bytes(ext), ext->r.len, ext->r.off);

	if (!part)
		return;
	s->hash = hash_bytes(part, s->len);
	s->known = true;
	s->pending = s->pending && s->next != s->hash;
}

static void choose(struct sftp_dev *dev, struct ident_probe *ip) REQUIRES(dev->lock)
{
	for (unsigned i = 0; i < SENTINELS; i++) {
		const struct sentinel *s = &dev->sentinels[i];

		if (!s->len || guard_covers_locked(dev, s->off, s->len))
			continue;
		add_probe(ip, s->off, s->len, s->hash);
	}
	if (!dev->shared.known)
		return;
	add_probe(ip, dev->shared.off, dev->shared.len, dev->shared.hash);
	if (dev->shared.pending)
		ip->probes[ip->count - 1].other = dev->shared.next;
}

int ident_begin(struct sftp_dev *dev, struct ident_probe **ret)
{
	struct ident_probe *ip = calloc(1, sizeof(*ip));
	int err = 0;

	if (!ip)
		return -ENOMEM;
	*ret = ip;
	mutex_lock(&dev->lock);
	if (dev->reached)
		choose(dev, ip);
	mutex_unlock(&dev->lock);
	for (unsigned i = 0; !dev->reached && i < HEAD_SENTINELS; i++)
		add_probe(ip, (uint64_t)i * SENTINEL_LEN, SENTINEL_LEN, 0);
	for (unsigned i = 0; i < ip->count && !err; i++)
		err = req_peek(dev, 0, NULL, ip->probes[i].off, ip->probes[i].bytes,
			       ip->probes[i].len, &ip->probes[i].ctl);
	return err;
}

static int compare(struct sftp_dev *dev, const struct probe *p)
{
	if (p->ctl.err)
		return link_explain(dev, -EIO, "the image cannot be read");
	if (p->ctl.got == p->len) {
		uint64_t hash = hash_bytes(p->bytes, p->len);

		if (hash == p->hash || hash == p->other)
			return 0;
	}
	return link_explain(dev, -ESTALE, "bytes %llu to %llu are not what was synced there",
			    (unsigned long long)p->off, (unsigned long long)(p->off + p->len - 1));
}

/* The first connection's bytes are also the first that will be read. */
static int learn(struct sftp_dev *dev, const struct probe *p, unsigned nr)
{
	uint32_t len = (uint32_t)MIN((uint64_t)p->len, dev->dev.info.size - MIN(p->off,
				     dev->dev.info.size));
	struct rcache_ent *ent;

	if (p->ctl.err || p->ctl.got < len)
		return link_explain(dev, -EIO, "the image cannot be read");
	if (!len)
		return 0;
	mutex_lock(&dev->lock);
	dev->sentinels[nr] = (struct sentinel){ p->off, len, hash_bytes(p->bytes, len) };
	ent = rcache_add(&dev->cache, p->off, len);
	if (ent) {
		memcpy(ent->bytes, p->bytes, len);
		rcache_filled(&dev->cache, ent);
	}
	mutex_unlock(&dev->lock);
	return 0;
}

int ident_wait(struct sftp_dev *dev, struct ident_probe *ip)
{
	int err = 0;

	for (unsigned i = 0; i < ip->count && !err; i++)
		err = link_wait(dev, &ip->probes[i].ctl);
	return err;
}

int ident_end(struct sftp_dev *dev, struct ident_probe *ip)
{
	int err = ident_wait(dev, ip);

	for (unsigned i = 0; i < ip->count && !err; i++)
		err = dev->reached ? compare(dev, &ip->probes[i]) : learn(dev, &ip->probes[i], i);
	return err;
}

/*
 * Every channel opens the file anew, and where each is a connection of its own there may be
 * several hosts behind one name. Known bytes on a further channel are worth as much as on the
 * first one as long as nothing is written over them: then there is no such sentinel any more.
 */
static struct sentinel pick(struct sftp_dev *dev, unsigned from)
{
	struct sentinel ret = { .len = dev->reached ? 0 : SENTINEL_LEN };

	mutex_lock(&dev->lock);
	for (unsigned i = 0; dev->reached && i < SENTINELS && !ret.len; i++) {
		const struct sentinel *s = &dev->sentinels[(from + i) % SENTINELS];

		if (s->len && !guard_covers_locked(dev, s->off, s->len))
			ret = *s;
	}
	mutex_unlock(&dev->lock);
	return ret;
}

enum chan_state ident_chan_begin(struct sftp_dev *dev, struct sftp_chan *ch)
{
	struct sftp_enc e = req_head();
	int err;

	ch->probes++;
	ch->probe = pick(dev, ch->probe_nr);
	ch->peek = (struct ctl){ .done = true };
	sftp_enc_fstat(&e, 0, &ch->handle);
	err = req_ctl(dev, ch->nr, &e, NULL, 0, &ch->stat);
	if (!err && ch->probe.len)
		err = req_peek(dev, ch->nr, NULL, ch->probe.off, ch->probe_bytes, ch->probe.len,
			       &ch->peek);
	/* No memory: it is not used. */
	return err ? CHAN_REFUSED : CHAN_PROBING;
}

enum same { SAME, OTHER, CHANGED };

static enum same same_bytes(struct sftp_dev *dev, const struct sftp_chan *ch)
{
	enum same ret = ch->probe.len ? CHANGED : SAME;

	mutex_lock(&dev->lock);
	for (unsigned i = 0; i < SENTINELS && ret == CHANGED; i++) {
		const struct sentinel *s = &dev->sentinels[i];

		if (!s->len || s->off != ch->probe.off || s->len > ch->probe.len ||
		    (ch->probe.hash && s->hash != ch->probe.hash))
			continue;
		ret = ch->peek.got >= s->len && hash_bytes(ch->probe_bytes, s->len) == s->hash ?
		      SAME : OTHER;
	}
	mutex_unlock(&dev->lock);
	return ret;
}

static enum same same_file(struct sftp_dev *dev, const struct sftp_chan *ch)
{
	const struct sftp_attrs *a = &ch->stat.reply.attrs;

	if (ch->stat.err || ch->peek.err || ch->stat.reply.type != SSH_FXP_ATTRS ||
	    !(a->flags & SSH_FILEXFER_ATTR_SIZE) || a->size != dev->dev.info.size)
		return OTHER;
	return same_bytes(dev, ch);
}

enum chan_state ident_chan_end(struct sftp_dev *dev, struct sftp_chan *ch)
{
	struct sftp_enc e;
	enum same same;

	if (!dev->reached || !ch->stat.done || !ch->peek.done)
		return CHAN_PROBING;
	same = same_file(dev, ch);
	if (same == SAME)
		return CHAN_READY;
	/* Before the first connection was UP somebody else may have had the file. */
	if (same == CHANGED)
		ch->probe_nr += 7;	/* and will be written over again */
	if (same == CHANGED || ch->probes == 1)
		return ident_chan_begin(dev, ch);
	e = req_head();
	sftp_enc_close(&e, 0, &ch->handle);
	(void)req_ctl(dev, ch->nr, &e, NULL, 0, NULL);	/* the connection's end closes it, too */
	link_warn(dev, "channel %u has another file open than the first one, and is not used: is "
		  "there more than one host behind the name?", ch->nr + 1u);
	return CHAN_REFUSED;
}

void ident_free(struct ident_probe *probe)
{
	free(probe);
}

void ident_share_locked(struct sftp_dev *dev, uint64_t off, uint64_t len)
{
	if (dev->shared.off != off || !dev->shared.len)
		dev->shared = (struct shared_range){ .off = off, .len = (uint32_t)MIN(len, (uint64_t)SENTINEL_LEN) };
}

void ident_written_locked(struct sftp_dev *dev, const uint8_t *bytes, uint32_t len, uint64_t off)
{
	shared_written(&dev->shared, bytes, len, off);
	for (unsigned i = 0; i < SENTINELS; i++) {
		struct sentinel *s = &dev->sentinels[i];

		if (s->len && s->off < off + len && off < s->off + s->len)
			s->len = 0;
	}
}

void ident_durable_locked(struct sftp_dev *dev, const struct wlog_ext *ext)
{
	uint32_t len = MIN(ext->r.len, (uint32_t)SENTINEL_LEN);
	unsigned nr = HEAD_SENTINELS + dev->next_sentinel;

	shared_durable(&dev->shared, ext);
	/* Two for one range, one of them older, cannot be: writing drops what it overlaps. */
	dev->sentinels[nr] = (struct sentinel){ ext->r.off, len, hash_bytes(wlog_bytes(ext), len) };
	dev->next_sentinel = (dev->next_sentinel + 1) % (SENTINELS - HEAD_SENTINELS);
}
