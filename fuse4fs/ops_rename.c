/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rename(2) with NOREPLACE, EXCHANGE and WHITEOUT.
 *
 * Up to four inodes are involved: two directories and what the two names point at. The
 * names are looked up first, then all inodes are locked in order of number, then the
 * names are looked up again; when they point elsewhere by now it starts over. Renames
 * between directories hold fs->rename_lock, so that the walk which keeps a directory
 * out of its own subtree sees a tree that stands still.
 *
 * The order of changes is the order of what may fail: inodes join the handle, ".." of what
 * moves is changed, then come the names; the insert (it may need a block) is the only step
 * that can run out of space. Each step can be taken back without the device.
 */
#include <errno.h>
#include <linux/fs.h>

#include "group.h"
#include "ops_internal.h"

struct rename {
	struct fs *fs;
	const char *oname, *nname;
	size_t olen, nlen;
	unsigned flags;
	const struct cred *cred;
	struct inode *odir, *ndir;	/* referenced */
	struct inode *old, *new;	/* referenced; new may be NULL */
	struct inode *whiteout;		/* to put after the handle */
	bool cross;			/* odir != ndir */
};

static int find(struct inode *dir, const char *name, size_t len, struct inode **ret)
{
	int err;

	rwlock_read(&dir->lock);
	err = ops_entry_inode(dir, name, len, ret);
	rwlock_read_unlock(&dir->lock);
	return err;
}

static int find_both(struct rename *r)
{
	int err = find(r->odir, r->oname, r->olen, &r->old);

	if (err)
		return err;
	err = find(r->ndir, r->nname, r->nlen, &r->new);
	return err == -ENOENT ? 0 : err;
}

static void put_both(struct rename *r)
{
	inode_put(r->old);
	inode_put(r->new);
	r->old = r->new = NULL;
}

/* Does the entry still point at inode (NULL: is it still absent)? dir locked. */
static bool still(struct inode *dir, const char *name, size_t len, struct inode *inode)
{
	uint32_t ino;
	uint8_t ftype;
	int err = dir_lookup(dir, name, len, &ino, &ftype);

	return inode ? err == 0 && ino == inode->ino : err == -ENOENT;
}

/* -EINVAL when dir is `top` or lies below it. rename_lock held, no inode locked. */
static int check_not_below(struct fs *fs, struct inode *dir, struct inode *top)
{
	uint32_t ino = dir->ino;
	uint32_t steps;

	for (steps = 0; steps <= fs->inodes_count; steps++) {
		uint32_t up;
		int err;

		if (ino == top->ino)
			return -EINVAL;
		if (ino == EXT2_ROOT_INO)
			return 0;
		err = ops_parent(fs, ino, &up);
		if (err)
			return err;
		ino = up;
	}
	return fs_error(fs, -EUCLEAN, dir->ino, 0, "directories form a loop");
}

static int check_tree(struct rename *r)
{
	int err = 0;

	if (!r->cross)
		return 0;
	if (S_ISDIR(r->old->type))
		err = check_not_below(r->fs, r->ndir, r->old);
	if (!err && r->new && S_ISDIR(r->new->type) && (r->flags & RENAME_EXCHANGE))
		err = check_not_below(r->fs, r->odir, r->new);
	return err;
}

static int check_replace(struct rename *r)
{
	int err;

	if (S_ISDIR(r->old->type) && !S_ISDIR(r->new->type))
		return -ENOTDIR;
	if (!S_ISDIR(r->old->type) && S_ISDIR(r->new->type))
		return -EISDIR;
	if (!S_ISDIR(r->new->type))
		return 0;
	err = dir_is_empty(r->new);
	if (err < 0)
		return err;
	return err ? 0 : -ENOTEMPTY;
}

/* All locked. */
static int check_locked(struct rename *r)
{
	bool exchange = r->flags & RENAME_EXCHANGE;
	int err;

	if (exchange && !r->new)
		return -ENOENT;
	if ((r->flags & RENAME_NOREPLACE) && r->new)
		return -EEXIST;
	if (ops_other_project(r->ndir, r->old) ||
	    (exchange && ops_other_project(r->odir, r->new)))
		return -EXDEV;
	err = ops_may_remove(r->odir, r->old);
	if (!err)
		err = ops_may_add(r->ndir);
	if (!err && r->new)
		err = ops_may_remove(r->ndir, r->new);
	if (!err && r->new && !exchange)
		err = check_replace(r);
	if (!err && r->cross && S_ISDIR(r->old->type) && (!r->new || !S_ISDIR(r->new->type)))
		err = ops_may_add_subdir(r->ndir);
	if (!err && r->cross && exchange && S_ISDIR(r->new->type) && !S_ISDIR(r->old->type))
		err = ops_may_add_subdir(r->odir);
	return err;
}

/* What stays at the old name of a WHITEOUT rename: character device 0:0, for overlays. */
static int put_whiteout(struct handle *h, struct rename *r)
{
	int err = ops_new_inode(h, r->odir, S_IFCHR, 0, NULL, r->cred, &r->whiteout);

	if (err)
		return err;
	err = inode_store(h, r->whiteout, true);
	if (!err)
		err = dir_replace(h, r->odir, r->oname, r->olen, r->whiteout->ino,
				  EXT2_FT_CHRDEV);
	if (err)
		ops_discard_inode(h, r->whiteout);
	else
		inode_unlock_new(r->whiteout);
	return err;
}

static int take_old_name(struct handle *h, struct rename *r)
{
	if (r->flags & RENAME_WHITEOUT)
		return put_whiteout(h, r);
	return dir_remove(h, r->odir, r->oname, r->olen);
}

static int set_new_name(struct handle *h, struct rename *r)
{
	uint8_t ftype = dir_ftype(r->old->mode);

	if (r->new)
		return dir_replace(h, r->ndir, r->nname, r->nlen, r->old->ino, ftype);
	return dir_insert(h, r->ndir, r->nname, r->nlen, r->old->ino, ftype);
}

/* What it needs was read a moment ago; where it has to be read again, again and again. */
static int undo_new_name(struct handle *h, struct rename *r)
{
	enum { TRIES = 4 };
	int err = -EIO;

	for (unsigned i = 0; i < TRIES && err == -EIO; i++)
		err = r->new ? dir_replace(h, r->ndir, r->nname, r->nlen, r->new->ino,
					   dir_ftype(r->new->mode)) :
			       dir_remove(h, r->ndir, r->nname, r->nlen);
	return err;
}

static int join_all(struct handle *h, struct rename *r)
{
	int err = inode_join(h, r->odir);

	if (!err)
		err = inode_join(h, r->ndir);
	if (!err)
		err = inode_join(h, r->old);
	if (!err && r->new)
		err = inode_join(h, r->new);
	return err;
}

/* ".." of an inode that moves to another directory. */
static int set_parent(struct handle *h, struct rename *r, struct inode *inode, struct inode *to)
{
	return r->cross && S_ISDIR(inode->type) ? dir_set_parent(h, inode, to->ino) : 0;
}

static void undo_parent(struct handle *h, struct rename *r, struct inode *inode,
			struct inode *from)
{
	int err = set_parent(h, r, inode, from);

	if (err)
		fs_error(r->fs, err, inode->ino, 0, "cannot undo a rename");
}

/* A directory moved (or a directory was replaced): parents' counts. */
static int move_counts(struct handle *h, struct rename *r)
{
	bool replaced_dir = r->new && S_ISDIR(r->new->type);
	int err;

	if (!S_ISDIR(r->old->type) || (!r->cross && !replaced_dir))
		return 0;
	ops_dec_nlink(r->odir);
	err = inode_store(h, r->odir, false);
	if (!err && !replaced_dir) {
		ops_inc_nlink(r->ndir);
		err = inode_store(h, r->ndir, false);
	}
	return err;
}

static int move_names(struct handle *h, struct rename *r)
{
	int undo, err = set_new_name(h, r);

	if (err)
		return err;
	err = take_old_name(h, r);
	if (!err)
		return 0;
	undo = undo_new_name(h, r);
	return undo ? fs_error(r->fs, undo, r->ndir->ino, 0, "cannot undo a rename") : err;
}

/* What may fail; a failure leaves everything as it was. */
static int move_entry(struct handle *h, struct rename *r)
{
	int orphaned = r->new ? ops_prepare_drop(h, r->new) : 0;
	int err = orphaned < 0 ? orphaned : set_parent(h, r, r->old, r->ndir);

	if (!err) {
		err = move_names(h, r);
		if (err)
			undo_parent(h, r, r->old, r->odir);
	}
	if (err && orphaned > 0)
		ops_keep_link(h, r->new);
	return err;
}

static int apply_move(struct handle *h, struct rename *r)
{
	int err = join_all(h, r);

	if (!err)
		err = move_entry(h, r);
	if (err)
		return err;
	r->old->ctime = fs_now();
	err = inode_store(h, r->old, false);
	if (!err)
		err = move_counts(h, r);
	if (!err && r->new)
		err = ops_drop_link(h, r->new);
	return err;
}

/* inode went from `from` to `to`. */
static int exchange_counts(struct handle *h, struct inode *inode, struct inode *from,
			   struct inode *to)
{
	int err;

	inode->ctime = fs_now();
	err = inode_store(h, inode, false);
	if (err || from == to || !S_ISDIR(inode->type))
		return err;
	ops_dec_nlink(from);
	ops_inc_nlink(to);
	return 0;
}

static int exchange_names(struct handle *h, struct rename *r)
{
	int undo, err = dir_replace(h, r->ndir, r->nname, r->nlen, r->old->ino,
				    dir_ftype(r->old->mode));

	if (err)
		return err;
	err = dir_replace(h, r->odir, r->oname, r->olen, r->new->ino, dir_ftype(r->new->mode));
	if (!err)
		return 0;
	undo = undo_new_name(h, r);
	return undo ? fs_error(r->fs, undo, r->ndir->ino, 0, "cannot undo an exchange") : err;
}

/* What may fail; a failure leaves everything as it was. */
static int exchange_entries(struct handle *h, struct rename *r)
{
	int err = set_parent(h, r, r->old, r->ndir);

	if (err)
		return err;
	err = set_parent(h, r, r->new, r->odir);
	if (!err) {
		err = exchange_names(h, r);
		if (err)
			undo_parent(h, r, r->new, r->ndir);
	}
	if (err)
		undo_parent(h, r, r->old, r->odir);
	return err;
}

static int apply_exchange(struct handle *h, struct rename *r)
{
	int err = join_all(h, r);

	if (!err)
		err = exchange_entries(h, r);
	if (err)
		return err;
	err = exchange_counts(h, r->old, r->odir, r->ndir);
	if (!err)
		err = exchange_counts(h, r->new, r->ndir, r->odir);
	if (!err)
		err = inode_store(h, r->odir, false);
	if (!err)
		err = inode_store(h, r->ndir, false);
	return err;
}

/* All locked and checked. */
static int apply(struct rename *r)
{
	unsigned credits = dir_credits(r->odir) + 2 * dir_credits(r->ndir) + 8;
	struct handle h;
	int err, end;

	if (r->flags & RENAME_WHITEOUT)
		credits += ops_new_inode_credits(r->odir);
	err = txn_begin(r->fs, credits, &h);
	if (err)
		return err;
	h.sync = inode_dir_wants_sync(r->odir) || inode_dir_wants_sync(r->ndir);
	err = r->flags & RENAME_EXCHANGE ? apply_exchange(&h, r) : apply_move(&h, r);
	end = txn_stop(&h);
	return err ? err : end;
}

/* One try; -EAGAIN: the names changed between look-up and lock. */
static int try_rename(struct rename *r) NO_TSA
{
	struct inode *all[4];
	int err = find_both(r);

	if (!err)
		err = check_tree(r);
	if (err)
		return err;
	all[0] = r->odir;
	all[1] = r->ndir;
	all[2] = r->old;
	all[3] = r->new;
	inode_lock_many(all, 4);
	if (!still(r->odir, r->oname, r->olen, r->old) ||
	    !still(r->ndir, r->nname, r->nlen, r->new))
		err = -EAGAIN;
	else if (r->old == r->new)
		err = r->flags & RENAME_NOREPLACE ? -EEXIST : 0;
	else {
		err = check_locked(r);
		if (!err)
			err = apply(r);
	}
	inode_unlock_many(all, 4);
	return err;
}

static int try_until_settled(struct rename *r)
{
	unsigned tries = 0;
	int err;

	do {
		put_both(r);
		inode_put(r->whiteout);
		r->whiteout = NULL;
		err = try_rename(r);
	} while (err == -EAGAIN || group_retry(r->fs, err, &tries));
	return err;
}

static int rename_in(struct rename *r)
{
	int err;

	if (r->cross) {
		mutex_lock(&r->fs->rename_lock);
		err = try_until_settled(r);
		mutex_unlock(&r->fs->rename_lock);
	} else {
		err = try_until_settled(r);
	}
	put_both(r);
	inode_put(r->whiteout);
	return err;
}

static int check_flags(unsigned flags)
{
	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	if ((flags & RENAME_EXCHANGE) && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)))
		return -EINVAL;
	return 0;
}

int ops_rename(struct fs *fs, uint32_t dir, const char *name, uint32_t newdir,
	       const char *newname, unsigned flags, const struct cred *cred)
{
	struct rename r = {
		.fs = fs, .oname = name, .nname = newname, .flags = flags, .cred = cred,
		.cross = dir != newdir,
	};
	int err = check_flags(flags);

	if (!err)
		err = fs_may_write(fs);
	if (!err)
		err = ops_check_new_name(name, &r.olen);
	if (!err)
		err = ops_check_new_name(newname, &r.nlen);
	if (!err)
		err = ops_get_dir(fs, dir, &r.odir);
	if (err)
		return err;
	err = ops_get_dir(fs, newdir, &r.ndir);
	if (!err)
		err = rename_in(&r);
	inode_put(r.ndir);
	inode_put(r.odir);
	return err;
}
