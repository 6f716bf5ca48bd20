/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The workload of the crash tests. */
#include <errno.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash_work.h"
#include "file.h"
#include "group.h"
#include "ops.h"
#include "unit_image.h"
#include "unit_tree.h"
#include "unit_walk.h"

enum {
	SECTOR = 512, NSECTORS = 96, NNAMES = 10, MAX_THREADS = 8, PATH_LEN = 48,
	TAG_MAGIC = 0x7a67a7e1,
};

/* At the start of every sector that was written; the rest repeats it. */
struct tag {
	uint32_t magic, uid, sector, version;
};

struct model {
	uint32_t uid;			/* 0: no file */
	uint64_t size;
	uint32_t version[NSECTORS];	/* 0: zeros */
};

/* What an fsync promised: the file, and under which name. */
struct promise {
	size_t at;		/* device calls when it returned */
	size_t nevents;		/* of the thread by then */
	unsigned name;
	struct model file;
};

enum event_kind { EV_CHANGED, EV_GONE, EV_MOVED };

/* Something that may have become true from device call `start` on. */
struct event {
	size_t start;
	enum event_kind kind;
	uint32_t uid;
	unsigned name;		/* GONE, MOVED: which is free now */
};

struct worker {
	struct crash_work *w;
	unsigned id;
	pthread_t thread;
	uint64_t rnd;
	uint32_t next_uid, next_version;
	struct model names[NNAMES];
	struct promise *promises;
	struct event *events;
	size_t npromises, nevents;
};

struct crash_work {
	struct fs *fs;
	struct blkdev *record;
	unsigned nthreads, steps;
	struct worker worker[MAX_THREADS];
};

static unsigned pick(struct worker *k, unsigned n)
{
	return (unsigned)(unit_random(&k->rnd) % n);
}

static const char *path_of(const struct worker *k, unsigned name, char path[PATH_LEN])
{
	snprintf(path, PATH_LEN, "/t%u/n%u", k->id, name);
	return path;
}

static void must(struct worker *k, int err, const char *what)
{
	if (err < 0)
		unit_die("thread %u: %s: %s", k->id, what, strerror(-err));
}

static void *grow(void *p, size_t n, size_t size)
{
	if (n & (n - 1))
		return p;
	p = reallocarray(p, n ? 2 * n : 1, size);
	if (!p)
		unit_die("no memory");
	return p;
}

static void note(struct worker *k, enum event_kind kind, unsigned name)
{
	k->events = grow(k->events, k->nevents, sizeof(*k->events));
	k->events[k->nevents++] = (struct event){
		.start = dev_record_count(k->w->record), .kind = kind,
		.uid = k->names[name].uid, .name = name,
	};
}

static void promise(struct worker *k, unsigned name)
{
	k->promises = grow(k->promises, k->npromises, sizeof(*k->promises));
	k->promises[k->npromises++] = (struct promise){
		.at = dev_record_count(k->w->record), .nevents = k->nevents, .name = name,
		.file = k->names[name],
	};
}

static void fill(uint8_t *data, const struct tag *tag)
{
	for (size_t i = 0; i < SECTOR; i += sizeof(*tag))
		memcpy(data + i, tag, sizeof(*tag));
}

/* -- steps --------------------------------------------------------------------------- */

/* A name with a file; makes one if there is none. */
static unsigned some_file(struct worker *k)
{
	unsigned name = pick(k, NNAMES);
	struct model *m = &k->names[name];
	struct cred cred = { .root = true };
	struct inode *inode;
	char dir[PATH_LEN];
	uint32_t ino;

	if (m->uid)
		return name;
	snprintf(dir, sizeof(dir), "/t%u", k->id);
	*m = (struct model){ .uid = ++k->next_uid };
	cred.uid = m->uid;
	must(k, ops_resolve(k->w->fs, dir, &ino), "resolve");
	snprintf(dir, sizeof(dir), "n%u", name);
	must(k, ops_make(k->w->fs, ino, dir, S_IFREG | 0644, 0, NULL, &cred, &inode), "create");
	inode_put(inode);
	return name;
}

static void write_sectors(struct worker *k, unsigned name, unsigned from, unsigned n)
{
	struct model *m = &k->names[name];
	uint8_t *data = malloc((size_t)n * SECTOR);
	struct inode *inode;
	char path[PATH_LEN];

	note(k, EV_CHANGED, name);
	for (unsigned i = 0; i < n; i++) {
		struct tag tag = { TAG_MAGIC, m->uid, from + i, ++k->next_version };

		m->version[from + i] = tag.version;
		fill(data + i * SECTOR, &tag);
	}
	must(k, unit_get(k->w->fs, path_of(k, name, path), &inode), "get");
	must(k, (int)file_write(inode, data, (size_t)n * SECTOR, (uint64_t)from * SECTOR, true),
	     "write");
	inode_put(inode);
	m->size = MAX(m->size, (uint64_t)(from + n) * SECTOR);
	free(data);
}

static void do_write(struct worker *k)
{
	unsigned name = some_file(k), from = pick(k, NSECTORS), n = 1 + pick(k, 24);

	write_sectors(k, name, from, MIN(n, NSECTORS - from));
}

static void do_append(struct worker *k)
{
	unsigned name = some_file(k), from = (unsigned)(k->names[name].size / SECTOR);
	char path[PATH_LEN];

	if (from + 8 <= NSECTORS)
		write_sectors(k, name, from, 1 + pick(k, 8));
	must(k, unit_fsync(k->w->fs, path_of(k, name, path)), "fsync");
	promise(k, name);
}

static void do_fsync(struct worker *k)
{
	unsigned name = some_file(k);
	char path[PATH_LEN];

	must(k, unit_fsync(k->w->fs, path_of(k, name, path)), "fsync");
	promise(k, name);
}

static void clear_from(struct model *m, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		m->version[i] = 0;
}

static void do_truncate(struct worker *k)
{
	unsigned name = some_file(k), n = pick(k, NSECTORS + 1);
	struct model *m = &k->names[name];
	char path[PATH_LEN];

	note(k, EV_CHANGED, name);
	must(k, unit_truncate(k->w->fs, path_of(k, name, path), (uint64_t)n * SECTOR),
	     "truncate");
	clear_from(m, n, NSECTORS);
	m->size = (uint64_t)n * SECTOR;
}

static void do_punch(struct worker *k)
{
	unsigned name = some_file(k), from = pick(k, NSECTORS), n = 1 + pick(k, 30);
	int mode = pick(k, 3) ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE :
				FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	char path[PATH_LEN];
	int err;

	n = MIN(n, NSECTORS - from);
	note(k, EV_CHANGED, name);
	err = unit_fallocate(k->w->fs, path_of(k, name, path), mode, (uint64_t)from * SECTOR,
			     (uint64_t)n * SECTOR);
	if (err == -EOPNOTSUPP)
		return;
	must(k, err, "punch");
	clear_from(&k->names[name], from, from + n);
}

static void do_unlink(struct worker *k)
{
	unsigned name = some_file(k);
	struct tag tag = { TAG_MAGIC, k->names[name].uid, 0, ++k->next_version };
	struct inode *inode = NULL;
	uint8_t sector[SECTOR];
	char path[PATH_LEN];

	note(k, EV_CHANGED, name);
	note(k, EV_GONE, name);
	must(k, unit_get(k->w->fs, path_of(k, name, path), &inode), "get");
	must(k, unit_unlink(k->w->fs, path), "unlink");
	/* Open a little longer: an orphan, unless the unlinking is lost. */
	fill(sector, &tag);
	if (pick(k, 2))
		must(k, (int)file_write(inode, sector, sizeof(sector), 0, true), "write");
	inode_put(inode);
	k->names[name].uid = 0;
}

static void do_rename(struct worker *k)
{
	unsigned from = some_file(k), to = pick(k, NNAMES);
	char a[PATH_LEN], b[PATH_LEN];

	if (from == to)
		return;
	note(k, EV_MOVED, from);
	/* Replaced: the file goes, the name does not. */
	if (k->names[to].uid) {
		note(k, EV_GONE, to);
		k->events[k->nevents - 1].name = NNAMES;
	}
	must(k, unit_rename(k->w->fs, path_of(k, from, a), path_of(k, to, b), 0), "rename");
	k->names[to] = k->names[from];
	k->names[from].uid = 0;
	if (pick(k, 2))
		return;
	must(k, unit_fsync(k->w->fs, b), "fsync");
	promise(k, to);
}

/* Directories and long links come and go, so that their blocks turn into data. */
static void do_tree(struct worker *k)
{
	char dir[PATH_LEN], path[300], target[200];
	struct fs *fs = k->w->fs;
	unsigned n = 5 + pick(k, 40);

	snprintf(dir, sizeof(dir), "/t%u/dir", k->id);
	memset(target, 'x', sizeof(target));
	target[sizeof(target) - 1] = '\0';
	must(k, unit_make(fs, dir, S_IFDIR | 0755, NULL), "mkdir");
	for (unsigned i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/a-name-that-takes-some-room-in-the-directory-%u",
			 dir, i);
		must(k, unit_make(fs, path, i % 4 ? S_IFIFO | 0600 : S_IFLNK | 0777, target),
		     "make");
	}
	if (pick(k, 3) == 0)
		must(k, unit_fsync(fs, dir), "fsync of a directory");
	for (unsigned i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/a-name-that-takes-some-room-in-the-directory-%u",
			 dir, i);
		must(k, unit_unlink(fs, path), "unlink");
	}
	must(k, unit_rmdir(fs, dir), "rmdir");
}

static void do_xattr(struct worker *k)
{
	unsigned name = some_file(k);
	char path[PATH_LEN];
	int err;

	path_of(k, name, path);
	if (pick(k, 3))
		must(k, unit_setxattr(k->w->fs, path, "user.crash", 20 + pick(k, 700)), "setxattr");
	err = pick(k, 3) ? 0 : unit_removexattr(k->w->fs, path, "user.crash");
	must(k, err == -ENODATA ? 0 : err, "removexattr");
}

static void do_tmpfile(struct worker *k)
{
	struct cred cred = { .root = true };
	struct inode *inode;
	char buf[3000] = "temporary";

	must(k, ops_tmpfile(k->w->fs, EXT2_ROOT_INO, S_IFREG | 0600, &cred, &inode), "tmpfile");
	must(k, (int)file_write(inode, buf, sizeof(buf), 0, true), "write");
	inode_put(inode);
}

static void do_sync(struct worker *k)
{
	must(k, fs_sync(k->w->fs), "sync");
	for (unsigned name = 0; name < NNAMES; name++)
		if (k->names[name].uid)
			promise(k, name);
}

static const struct {
	void (*run)(struct worker *k);
	unsigned weight;
} steps[] = {
	{ do_write, 6 }, { do_append, 6 }, { do_fsync, 2 }, { do_truncate, 3 }, { do_punch, 3 },
	{ do_unlink, 3 }, { do_rename, 4 }, { do_tree, 2 }, { do_xattr, 3 }, { do_tmpfile, 1 },
	{ do_sync, 1 },
};

static void step(struct worker *k)
{
	unsigned total = 0, n;

	for (unsigned i = 0; i < ARRAY_LEN(steps); i++)
		total += steps[i].weight;
	n = pick(k, total);
	for (unsigned i = 0; i < ARRAY_LEN(steps); i++) {
		if (n < steps[i].weight) {
			steps[i].run(k);
			return;
		}
		n -= steps[i].weight;
	}
}

static void *work(void *arg)
{
	struct worker *k = arg;

	for (unsigned i = 0; i < k->w->steps; i++)
		step(k);
	return NULL;
}

struct crash_work *crash_work_run(struct fs *fs, struct blkdev *record, uint64_t seed,
				  unsigned threads, unsigned nsteps)
{
	struct crash_work *w = calloc(1, sizeof(*w));
	char dir[PATH_LEN];

	if (!w || threads > MAX_THREADS)
		unit_die("no memory");
	*w = (struct crash_work){ .fs = fs, .record = record, .nthreads = threads, .steps = nsteps };
	for (unsigned i = 0; i < threads; i++) {
		snprintf(dir, sizeof(dir), "/t%u", i);
		if (unit_make(fs, dir, S_IFDIR | 0755, NULL))
			unit_die("cannot make %s", dir);
		w->worker[i] = (struct worker){
			.w = w, .id = i, .rnd = seed * 8 + i + 1, .next_uid = 1000 * (i + 1),
		};
	}
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&w->worker[i].thread, NULL, work, &w->worker[i]))
			unit_die("no thread");
	for (unsigned i = 0; i < threads; i++)
		pthread_join(w->worker[i].thread, NULL);
	return w;
}

void crash_work_free(struct crash_work *w)
{
	for (unsigned i = 0; i < w->nthreads; i++) {
		free(w->worker[i].promises);
		free(w->worker[i].events);
	}
	free(w);
}

size_t crash_work_promises(const struct crash_work *w)
{
	size_t n = 0;

	for (unsigned i = 0; i < w->nthreads; i++)
		n += w->worker[i].npromises;
	return n;
}

/* -- judging ------------------------------------------------------------------------- */

/* What a thread's names are now. */
struct found {
	struct model names[NNAMES];
};

static int complain(char *why, size_t len, const struct worker *k, unsigned name,
		    const char *what, uint32_t a, uint32_t b)
{
	snprintf(why, len, "/t%u/n%u: %s (%u, %u)", k->id, name, what, a, b);
	return -1;
}

static bool is_zero(const uint8_t *p, size_t len)
{
	return !p[0] && !memcmp(p, p + 1, len - 1);
}

/* Every sector is zeros or this file's own. */
static const char *parse(struct model *m, const uint8_t *data, uint64_t len)
{
	uint8_t want[SECTOR];

	for (unsigned i = 0; (uint64_t)i * SECTOR < len; i++) {
		const uint8_t *p = data + i * SECTOR;
		size_t n = MIN(len - (uint64_t)i * SECTOR, SECTOR);
		struct tag tag;

		if (is_zero(p, n))
			continue;
		if (n < SECTOR)
			return "half a sector";
		memcpy(&tag, p, sizeof(tag));
		if (tag.magic != TAG_MAGIC || tag.uid != m->uid || tag.sector != i)
			return tag.magic == TAG_MAGIC && tag.uid != m->uid ?
			       "another file's bytes" : "bytes that nobody wrote here";
		fill(want, &tag);
		if (memcmp(want, p, SECTOR))
			return "a sector of two writes";
		m->version[i] = tag.version;
	}
	return NULL;
}

static int load(const struct worker *k, struct fs *fs, struct found *f, char *why, size_t len)
{
	static __thread uint8_t data[NSECTORS * SECTOR + 1];

	memset(f, 0, sizeof(*f));
	for (unsigned name = 0; name < NNAMES; name++) {
		struct model *m = &f->names[name];
		AUTOINODE inode = NULL;
		char path[PATH_LEN];
		const char *wrong;
		ssize_t n;
		int err = unit_get(fs, path_of(k, name, path), &inode);

		if (err == -ENOENT)
			continue;
		if (err)
			return complain(why, len, k, name, "cannot be looked up", (uint32_t)-err, 0);
		m->uid = inode->uid;
		m->size = inode->size;
		n = file_read(inode, data, sizeof(data), 0);
		if (n < 0 || (uint64_t)n != m->size)
			return complain(why, len, k, name, "cannot be read", (uint32_t)-n,
					(uint32_t)m->size);
		wrong = parse(m, data, m->size);
		if (wrong)
			return complain(why, len, k, name, wrong, m->uid, 0);
	}
	return 0;
}

/* What happened after p and before the cut. */
struct later {
	bool changed, gone, moved, name_free;
};

static struct later later_than(const struct worker *k, const struct promise *p, size_t ncalls)
{
	struct later l = { 0 };

	for (size_t i = p->nevents; i < k->nevents; i++) {
		const struct event *e = &k->events[i];

		if (e->start > ncalls)
			break;
		if (e->kind != EV_CHANGED && e->name == p->name)
			l.name_free = true;
		if (e->uid != p->file.uid)
			continue;
		l.changed |= e->kind == EV_CHANGED;
		l.gone |= e->kind == EV_GONE;
		l.moved |= e->kind == EV_MOVED;
	}
	return l;
}

static int check_content(const struct worker *k, const struct promise *p, const struct model *m,
			 const struct later *l, char *why, size_t len)
{
	if (!l->changed && m->size != p->file.size)
		return complain(why, len, k, p->name, "another size than synced",
				(uint32_t)m->size, (uint32_t)p->file.size);
	for (unsigned i = 0; i < NSECTORS; i++) {
		uint32_t is = m->version[i], was = p->file.version[i];

		if (is == was || (l->changed && (is == 0 || is > was)))
			continue;
		return complain(why, len, k, p->name, "synced bytes are lost", i, was);
	}
	return 0;
}

static int check_promise(const struct worker *k, const struct promise *p, const struct found *f,
			 size_t ncalls, char *why, size_t len)
{
	struct later l = later_than(k, p, ncalls);
	const struct model *m = NULL;

	for (unsigned name = 0; name < NNAMES; name++)
		if (f->names[name].uid == p->file.uid)
			m = &f->names[name];
	if (!l.name_free && !f->names[p->name].uid)
		return complain(why, len, k, p->name, "the name is lost", p->file.uid, 0);
	if (!m && !l.gone)
		return complain(why, len, k, p->name, "the file is lost", p->file.uid, 0);
	if (m && !l.moved && m != &f->names[p->name])
		return complain(why, len, k, p->name, "the file has moved", p->file.uid, 0);
	return m ? check_content(k, p, m, &l, why, len) : 0;
}

static int check_worker(const struct worker *k, struct fs *fs, size_t ncalls, char *why,
			size_t len)
{
	struct found f;
	int err = load(k, fs, &f, why, len);

	for (size_t i = 0; i < k->npromises && !err; i++) {
		const struct promise *p = &k->promises[i];

		if (p->at > ncalls)
			break;
		err = check_promise(k, p, &f, ncalls, why, len);
	}
	return err;
}

int crash_work_check(const struct crash_work *w, struct fs *fs, size_t ncalls, char *why,
		     size_t why_len)
{
	int err = 0;

	for (unsigned i = 0; i < w->nthreads && !err; i++)
		err = check_worker(&w->worker[i], fs, ncalls, why, why_len);
	return err;
}
