// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writing.
 *
 * Blocks that are mapped and written are overwritten in place, with no lock but
 * inode->io (shared). Everything else is done in pieces of one run each: claim the
 * blocks, reserve new ones (or take what is there), write the data with zeros around
 * it to whole blocks, and then in one handle commit the reservation, insert or convert
 * the run, and extend the size. So data is on the device before anything points to
 * it, and a crash leaves either the hole or the data.
 *
 * Bytes between the end of a file and the end of its last block are zeros on disk: new
 * blocks are padded, file_truncate.c clears what it cuts. A crash between the data and
 * the size of an append breaks this, so whoever leaves a gap behind the old end clears
 * it again. Both hold a claim on the last block until the size is set.
 */
#include <errno.h>

#include "../transport/blkdev.h"
#include "file_internal.h"

enum {
	BOUNCE_BYTES = 64 << 10,	/* padded as a whole up to this, else at its edges */
	AHEAD_BYTES = 8 << 20,		/* most that is reserved ahead of a growing file */
	AHEAD_MIN_NBLKS = 8,
	AHEAD_FIRST_NBLKS = 64,		/* a first write this long promises more */
};

/* One call of file_write. */
struct write {
	struct inode *inode;
	const uint8_t *buf;		/* byte `from` of the file */
	uint64_t from, end;
	bool root;
	struct timespec now;
	bool back;			/* write-back: of pages that the client has dated */
};

/* Blocks being given data, and what they are now. */
struct piece {
	struct run run;
	enum { PIECE_NEW, PIECE_UNWRITTEN, PIECE_WRITTEN } kind;
	bool reserved;			/* NEW: not yet committed */
};

static ssize_t overwrite(const struct write *w, uint64_t at, const struct run *run)
{
	struct fs *fs = w->inode->fs;
	uint64_t skip = fs_block_off(fs, at);
	uint64_t n = MIN(w->end - at, fs_off(fs, run->len) - skip);
	int err = blkdev_write(fs->dev, w->buf + (at - w->from), n, fs_off(fs, run->pblk) + skip);

	return err ? err : (ssize_t)n;
}

/* Files that grow step by step get blocks in proportion to what they have. */
static uint32_t blocks_ahead(const struct inode *inode, uint64_t lblk, uint32_t len,
			     const struct run *hole)
{
	uint64_t most = AHEAD_BYTES >> inode->fs->block_bits, n;

	if (fs_off(inode->fs, lblk + len) < inode->size)
		return 0;
	if (lblk == 0 && len < AHEAD_FIRST_NBLKS)
		return 0;
	n = MIN(MAX(lblk + len, (uint64_t)AHEAD_MIN_NBLKS), most);
	return MIN(n, (uint64_t)hole->len - len);
}

/* Finds or reserves blocks for the start of [lblk, lblk + want). */
static int plan_locked(const struct write *w, uint32_t lblk, uint32_t want, struct piece *p)
{
	struct inode *inode = w->inode;
	struct run run;
	int err;

	err = map_lookup(inode, lblk, &run);
	if (err)
		return err;
	want = MIN(MIN(want, run.len), map_max_insert(inode));
	*p = (struct piece) { .run = { lblk, want, run.pblk, 0 } };
	if (!(run.flags & RUN_HOLE)) {
		p->kind = run.flags ? PIECE_UNWRITTEN : PIECE_WRITTEN;
		return 0;
	}
	p->kind = PIECE_NEW;
	err = map_reserve(inode, lblk, want, blocks_ahead(inode, lblk, want, &run), w->root,
			  &p->run.pblk, &p->run.len);
	p->reserved = !err;
	return err;
}

static int plan(const struct write *w, uint32_t lblk, uint32_t want, struct piece *p)
{
	int err;

	rwlock_write(&w->inode->lock);
	err = plan_locked(w, lblk, want, p);
	rwlock_write_unlock(&w->inode->lock);
	return err;
}

/* Data of the first and the last block, padded; src and len shrink to what is between. */
static int write_edges(struct fs *fs, const uint8_t **src, uint64_t *dev_off, size_t *len,
		       size_t head, size_t tail)
{
	size_t bs = fs->block_size;
	AUTOFREE uint8_t *block = calloc(1, bs);
	int err = 0;

	if (!block)
		return -ENOMEM;
	if (head) {
		memcpy(block + head, *src, bs - head);
		err = blkdev_write(fs->dev, block, bs, *dev_off);
		*src += bs - head;
		*dev_off += bs;
		*len -= bs - head;
	}
	if (tail && !err) {
		*len -= bs - tail;
		memcpy(block, *src + *len, bs - tail);
		memset(block + bs - tail, 0, tail);
		err = blkdev_write(fs->dev, block, bs, *dev_off + *len);
	}
	return err;
}

/* The data of a piece, with zeros up to the edges of its blocks. */
static int write_data(const struct write *w, const struct run *run)
{
	struct fs *fs = w->inode->fs;
	uint64_t start = fs_off(fs, run->lblk), stop = start + fs_off(fs, run->len);
	uint64_t from = MAX(start, w->from), to = MIN(stop, w->end);
	uint64_t dev_off = fs_off(fs, run->pblk);
	size_t head = from - start, len = to - from, tail = stop - to;
	const uint8_t *src = w->buf + (from - w->from);
	int err;

	if ((head || tail) && stop - start <= BOUNCE_BYTES) {
		AUTOFREE uint8_t *bounce = malloc(stop - start);

		if (!bounce)
			return -ENOMEM;
		memset(bounce, 0, head);
		memcpy(bounce + head, src, len);
		memset(bounce + head + len, 0, tail);
		return blkdev_write(fs->dev, bounce, stop - start, dev_off);
	}
	err = head || tail ? write_edges(fs, &src, &dev_off, &len, head, tail) : 0;
	return err ? err : blkdev_write(fs->dev, src, len, dev_off);
}

static int map_piece(struct handle *h, struct inode *inode, struct piece *p)
{
	switch (p->kind) {
	case PIECE_NEW:
		p->reserved = false;
		return file_insert(h, inode, &p->run);
	case PIECE_UNWRITTEN:
		return map_convert(h, inode, p->run.lblk, p->run.len, false);
	default:
		return 0;
	}
}

static uint64_t piece_end(const struct write *w, const struct piece *p)
{
	return MIN(w->end, fs_off(w->inode->fs, file_run_end(&p->run)));
}

/*
 * An unwritten piece may lie in several extents, and a conversion end between two of them.
 * What it has done belongs to the file: the write is shorter then. Returns what is left of err.
 */
static int keep_converted(struct inode *inode, struct piece *p, int err)
{
	struct run run;

	if (!err || p->kind != PIECE_UNWRITTEN ||
	    map_lookup(inode, p->run.lblk, &run) || run.flags || run.len >= p->run.len)
		return err;
	p->run.len = run.len;
	return 0;
}

/* Makes the written blocks part of the file. */
static int publish(const struct write *w, struct piece *p)
{
	struct inode *inode = w->inode;
	struct handle h;
	int err, err2 = 0;

	rwlock_write(&inode->lock);
	err = inode_begin(inode, file_insert_credits(inode, p->run.pblk, p->run.len), &h);
	if (!err) {
		err = keep_converted(inode, p, map_piece(&h, inode, p));
		if (!err) {
			inode->size = MAX(inode->size, piece_end(w, p));
			file_touch(inode, &w->now, !w->back);
		}
		/* After an error too: the root of its map may have changed. */
		err2 = inode_store(&h, inode, true);
		txn_stop(&h);
	}
	rwlock_write_unlock(&inode->lock);
	return err ? err : err2;
}

/* Writes up to len blocks that are not, or are to end behind the end of the file. */
static ssize_t write_claimed(const struct write *w, uint64_t at, uint32_t len)
{
	uint32_t lblk = file_lblk(w->inode, at);
	struct piece p = { .reserved = false };
	struct file_claim claim;
	ssize_t n = 0;
	int err;

	err = file_claim(w->inode, &claim, lblk, (uint64_t)lblk + len);
	if (err)
		return err;
	err = plan(w, lblk, len, &p);
	if (!err && p.kind == PIECE_WRITTEN)
		n = overwrite(w, at, &p.run);
	else if (!err)
		n = write_data(w, &p.run);
	err = err ? err : MIN(n, 0);
	if (!err)
		err = publish(w, &p);
	if (p.reserved)
		balloc_unreserve(w->inode->fs, p.run.pblk, p.run.len);
	file_unclaim(&claim);
	return err ? err : (ssize_t)(piece_end(w, &p) - at);
}

static ssize_t write_some(const struct write *w, uint64_t at)
{
	struct inode *inode = w->inode;
	uint64_t lblk = file_lblk(inode, at), last = file_lblk(inode, w->end - 1), size;
	struct run run;
	int err;

	rwlock_read(&inode->lock);
	err = map_lookup(inode, lblk, &run);
	size = inode->size;
	rwlock_read_unlock(&inode->lock);
	if (err)
		return err;
	if (run.flags == 0 && MIN(w->end, fs_off(inode->fs, file_run_end(&run))) <= size)
		return overwrite(w, at, &run);
	return write_claimed(w, at, MIN((uint64_t)run.len, last + 1 - lblk));
}

static uint64_t current_size(struct inode *inode)
{
	uint64_t size;

	rwlock_read(&inode->lock);
	size = inode->size;
	rwlock_read_unlock(&inode->lock);
	return size;
}

/* Clears the last block behind the end of the file, where a gap is about to be. */
static int clear_gap(const struct write *w)
{
	struct inode *inode = w->inode;
	uint64_t size = current_size(inode), now, end;
	struct file_claim claim;
	int err = 0;

	while (size < w->from && fs_block_off(inode->fs, size) && !err) {
		uint64_t lblk = file_lblk(inode, size);

		err = file_claim(inode, &claim, lblk, lblk + 1);
		if (err)
			return err;
		now = current_size(inode);
		end = MIN(w->from, fs_off(inode->fs, lblk + 1));
		if (now == size)
			err = file_zero_part(inode, size, end);
		file_unclaim(&claim);
		if (now == size)
			break;
		size = now;
	}
	return err;
}

/* Times, after blocks were only overwritten. */
static int finish(const struct write *w)
{
	struct inode *inode = w->inode;
	const struct timespec *m = &inode->mtime, *c = &inode->ctime, *now = &w->now;
	struct handle h;
	int err = 0;

	if (w->back)
		return 0;
	rwlock_write(&inode->lock);
	if (file_sets_times(inode, true) &&
	    (m->tv_sec != now->tv_sec || m->tv_nsec != now->tv_nsec ||
	     c->tv_sec != now->tv_sec || c->tv_nsec != now->tv_nsec)) {
		err = inode_begin(inode, INODE_STORE_CREDITS, &h);
		if (!err) {
			inode->mtime = inode->ctime = *now;
			err = inode_store(&h, inode, false);
			txn_stop(&h);
		}
	}
	rwlock_write_unlock(&inode->lock);
	return err;
}

static ssize_t write_blocks(const struct write *w)
{
	uint64_t at = w->from;
	unsigned tries = 0;
	ssize_t n = 0;
	int err;

	err = clear_gap(w);
	if (err)
		return err;
	while (at < w->end && n >= 0) {
		n = write_some(w, at);
		at += n > 0 ? n : 0;
		if (group_retry(w->inode->fs, MIN(n, 0), &tries))
			n = 0;
	}
	if (at == w->from)
		return n;
	err = finish(w);
	return err ? err : (ssize_t)(at - w->from);
}

/* What is written back was accepted before: nobody would be told that it is not taken. */
static int may_change(struct inode *inode, uint64_t len, uint64_t off, bool accepted,
		      bool *ret_inline)
{
	uint64_t max;
	uint32_t flags;

	rwlock_read(&inode->lock);
	max = inode_max_size(inode);
	flags = inode->flags;
	*ret_inline = inode_is_inline(inode);
	rwlock_read_unlock(&inode->lock);
	if ((flags & EXT2_IMMUTABLE_FL) && !accepted)
		return -EPERM;
	return off > max || len > max - off ? -EFBIG : 0;
}

static ssize_t write_range(struct inode *inode, const void *buf, size_t len, uint64_t off,
			   bool root, bool back)
{
	struct write w = { inode, buf, off, off + len, root, fs_now(), back };
	int err = fs_may_write(inode->fs);
	bool is_inline = false;
	ssize_t n = 0;

	if (err || len == 0)
		return err;
	file_share(inode);
	err = may_change(inode, len, off, back, &is_inline);
	if (!err && is_inline) {
		err = file_inline_write(inode, buf, len, off, root, !back);
		n = err > 0 ? (ssize_t)len : 0;
	}
	if (!err)
		n = write_blocks(&w);
	file_unshare(inode);
	if (err < 0)
		return err;
	if (n > 0)
		err = inode_sync_if_wanted(inode);
	return err < 0 ? err : n;
}

ssize_t file_write(struct inode *inode, const void *buf, size_t len, uint64_t off, bool root)
{
	return write_range(inode, buf, len, off, root, false);
}

ssize_t file_write_back(struct inode *inode, const void *buf, size_t len, uint64_t off, bool root)
{
	return write_range(inode, buf, len, off, root, true);
}
