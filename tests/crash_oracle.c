/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The oracle of the crash tests: names and attributes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash_oracle.h"
#include "unit_image.h"

/* -- from the log -------------------------------------------------------------------- */

static struct crash_worker *worker_of(struct crash_oracle *o, uint32_t number)
{
	for (unsigned i = 0; i < o->nworkers; i++)
		if (o->workers[i]->worker == number)
			return o->workers[i];
	return NULL;
}

static struct crash_worker *new_worker(struct crash_oracle *o, uint32_t number)
{
	struct crash_worker *w = calloc(1, sizeof(*w));

	o->workers = reallocarray(o->workers, o->nworkers + 1, sizeof(*o->workers));
	if (!w || !o->workers)
		unit_die("no memory");
	w->worker = number;
	o->workers[o->nworkers++] = w;
	return w;
}

static bool is_of_names(const struct crash_timed_op *t)
{
	return t->op.kind < CRASH_CONTENT && !t->refused;
}

/* Does an fsync (or fdatasync) of id make this operation durable? */
static bool touches(const struct crash_timed_op *t, uint32_t id, bool data_only)
{
	if (!is_of_names(t))
		return false;
	if (data_only)
		return t->op.kind == CRASH_MAKE && t->op.id == id;
	return t->op.id == id || t->op.parent == id ||
	       (t->op.parent2 == id && (t->op.kind == CRASH_RENAME || t->op.kind == CRASH_EXCHANGE));
}

static size_t floor_of(const struct crash_worker *w, const struct crash_op *sync)
{
	for (size_t i = w->nops; i > 0; i--)
		if (touches(&w->ops[i - 1], sync->id, sync->kind == CRASH_FDATASYNC))
			return i;
	return 0;
}

static void begin_op(struct crash_worker *w, const struct crash_op *op, size_t at)
{
	struct crash_timed_op *t;
	size_t floor = w->nops ? w->ops[w->nops - 1].floor : 0;

	if (!(w->nops & (w->nops - 1)))
		w->ops = reallocarray(w->ops, w->nops ? 2 * w->nops : 1, sizeof(*w->ops));
	if (!w->ops)
		unit_die("no memory");
	if (op->number != w->nops + 1)
		unit_die("worker %u: operation %u follows %zu", w->worker, op->number, w->nops);
	t = &w->ops[w->nops];
	*t = (struct crash_timed_op){ .op = *op, .begin = at, .end = SIZE_MAX };
	if (op->kind == CRASH_FSYNC || op->kind == CRASH_FDATASYNC)
		t->floor = floor_of(w, op);
	t->floor = MAX(t->floor, floor);
	w->nops++;
}

static void take_mark(struct crash_oracle *o, const struct crash_mark *m, size_t at)
{
	struct crash_worker *w = worker_of(o, m->worker);

	if (!w)
		w = new_worker(o, m->worker);
	if (m->what == CRASH_BEGINS) {
		begin_op(w, &m->op, at);
		return;
	}
	if (!m->op.number || m->op.number > w->nops)
		unit_die("worker %u: operation %u ends before it begins", w->worker, m->op.number);
	w->ops[m->op.number - 1].end = at;
	w->ops[m->op.number - 1].refused = m->what == CRASH_REFUSED;
	o->npromises += m->op.kind == CRASH_FSYNC || m->op.kind == CRASH_FDATASYNC;
}

void crash_oracle_init(struct crash_oracle *o, const struct crash_log *log)
{
	*o = (struct crash_oracle){ 0 };
	for (size_t i = 0; i < log->n; i++) {
		struct crash_mark m;

		if (log->entries[i].kind != CRASH_MARK)
			continue;
		if (log->entries[i].len != sizeof(m))
			unit_die("a mark of %llu bytes", (unsigned long long)log->entries[i].len);
		memcpy(&m, log->entries[i].data, sizeof(m));
		take_mark(o, &m, i);
	}
}

void crash_oracle_fini(struct crash_oracle *o)
{
	for (unsigned i = 0; i < o->nworkers; i++) {
		free(o->workers[i]->ops);
		free(o->workers[i]);
	}
	free(o->workers);
}

/* -- what a tree says ---------------------------------------------------------------- */

struct seen {
	uint64_t sum;
	uint8_t ids[CRASH_IDS / 8];	/* objects counted already */
};

static int complain(const struct crash_node *node, const char *what, char *why, size_t why_len)
{
	snprintf(why, why_len, "/%s (owner %u): %s", node->path, node->st.st_uid, what);
	return -1;
}

static int take_xattrs(const struct crash_node *node, struct crash_object *o, char *why, size_t why_len)
{
	uint8_t want[CRASH_XATTR_MAX];
	char name[16];

	for (unsigned i = 0; i < CRASH_XATTRS; i++) {
		const uint8_t *value;
		uint32_t ids[2];
		size_t len;

		snprintf(name, sizeof(name), "user.c%u", i);
		value = crash_node_xattr(node, name, &len);
		if (!value)
			continue;
		if (len < sizeof(ids) || len > sizeof(want))
			return complain(node, "an attribute of a length nobody wrote", why, why_len);
		memcpy(ids, value, sizeof(ids));
		crash_fill_xattr(want, len, o->id, ids[1]);
		if (ids[0] != o->id || memcmp(want, value, len))
			return complain(node, "an attribute nobody wrote", why, why_len);
		o->xattr[i] = ids[1];
		o->xattr_len[i] = (uint32_t)len;
	}
	return 0;
}

static int say(struct seen *seen, const struct crash_node *node, char *why, size_t why_len)
{
	struct crash_object o = {
		.id = node->st.st_uid, .mode = node->st.st_mode, .nlink = (uint32_t)node->st.st_nlink,
	};
	uint32_t bit = (o.id - CRASH_FIRST_ID) % CRASH_IDS;
	char target[300];

	seen->sum += crash_say_name(node->parent_uid, node->name, o.id);
	if (seen->ids[bit / 8] >> bit % 8 & 1)
		return 0;
	seen->ids[bit / 8] |= (uint8_t)(1 << bit % 8);
	if (take_xattrs(node, &o, why, why_len))
		return -1;
	crash_fill_target(target, o.id);
	if (node->target && strcmp(node->target, target))
		return complain(node, "a target nobody wrote", why, why_len);
	seen->sum += crash_say_object(&o);
	return 0;
}

/* -- names --------------------------------------------------------------------------- */

struct range {
	size_t lo, hi;	/* after so many operations the model is the tree: at least, at most */
};

/* The first name on which the tree and a model differ. */
static void explain(const struct crash_worker *w, struct crash_model *m, const struct crash_tree *t,
		    char *why, size_t why_len)
{
	size_t used = strlen(why), found = 0;

	for (size_t i = 0; i < t->n; i++) {
		const struct crash_node *node = &t->nodes[i];
		const struct crash_name *n = crash_model_name(m, node->parent_uid, node->name);
		const struct crash_object *o = n ? crash_model_object(m, n->id) : NULL;

		if (crash_worker_of(node->st.st_uid) != w->worker)
			continue;
		found++;
		if (n && n->id == node->st.st_uid && o->mode == node->st.st_mode &&
		    o->nlink == node->st.st_nlink)
			continue;
		snprintf(why + used, why_len - used,
			 "; /%s has owner %u, mode %o, links %u, expected %u, %o, %u", node->path,
			 node->st.st_uid, node->st.st_mode, (unsigned)node->st.st_nlink,
			 n ? n->id : 0, n ? o->mode : 0, n ? o->nlink : 0);
		return;
	}
	snprintf(why + used, why_len - used, "; %zu names, expected %u", found, m->nnames);
}

static int match(struct crash_worker *w, const struct crash_tree *t, size_t cut, uint64_t sum,
		 struct range *ret, char *why, size_t why_len)
{
	static __thread struct crash_model m;
	size_t k, first = 0, begun = 0;

	while (begun < w->nops && w->ops[begun].begin < cut)
		begun++;
	for (k = 0; k < begun; k++)
		if (w->ops[k].end < cut)
			first = w->ops[k].floor;
	for (; w->base_nops < first; w->base_nops++)
		if (!w->ops[w->base_nops].refused)
			crash_model_apply(&w->base, &w->ops[w->base_nops].op);
	m = w->base;
	*ret = (struct range){ SIZE_MAX, 0 };
	for (k = w->base_nops;; k++) {
		if (crash_model_sum(&m) == sum) {
			ret->lo = MIN(ret->lo, k);
			ret->hi = k;
		}
		if (k == begun)
			break;
		if (!w->ops[k].refused)
			crash_model_apply(&m, &w->ops[k].op);
	}
	if (ret->lo != SIZE_MAX)
		return 0;
	snprintf(why, why_len, "worker %u: no %zu to %zu operations lead to this tree", w->worker,
		 w->base_nops, begun);
	explain(w, &w->base, t, why, why_len);
	explain(w, &m, t, why, why_len);
	return -1;
}

/* What ended before another began is there if that other is. */
static int check_order(const struct crash_oracle *o, const struct range *ranges, char *why, size_t why_len)
{
	const struct crash_timed_op *lost = NULL, *kept = NULL;

	for (unsigned i = 0; i < o->nworkers; i++) {
		const struct crash_worker *w = o->workers[i];
		size_t k;

		for (k = ranges[i].hi; k < w->nops && !is_of_names(&w->ops[k]); k++)
			;
		if (k < w->nops && (!lost || w->ops[k].end < lost->end))
			lost = &w->ops[k];
		for (k = ranges[i].lo; k > 0 && !is_of_names(&w->ops[k - 1]); k--)
			;
		if (k > 0 && (!kept || w->ops[k - 1].begin > kept->begin))
			kept = &w->ops[k - 1];
	}
	if (!lost || !kept || lost->end > kept->begin)
		return 0;
	snprintf(why, why_len, "operation %u of kind %u on %u is lost, and %u of kind %u on %u, later, is not",
		 lost->op.number, lost->op.kind, lost->op.id, kept->op.number, kept->op.kind, kept->op.id);
	return -1;
}

int crash_oracle_check(struct crash_oracle *o, const struct crash_tree *t, size_t cut, char *why,
		       size_t why_len)
{
	struct range *ranges = calloc(o->nworkers + 1, sizeof(*ranges));
	struct seen *seen = calloc(o->nworkers + 1, sizeof(*seen));
	int err = 0;

	for (size_t i = 0; i < t->n && !err; i++) {
		const struct crash_node *node = &t->nodes[i];

		for (unsigned k = 0; k < o->nworkers && !err; k++) {
			const struct crash_worker *w = o->workers[k];

			if (crash_worker_of(node->st.st_uid) != w->worker)
				continue;
			err = say(&seen[k], node, why, why_len);
			if (!err && S_ISREG(node->st.st_mode))
				err = crash_oracle_check_file(w, node, cut, why, why_len);
		}
	}
	for (unsigned k = 0; k < o->nworkers && !err; k++)
		err = match(o->workers[k], t, cut, seen[k].sum, &ranges[k], why, why_len);
	if (!err)
		err = check_order(o, ranges, why, why_len);
	free(ranges);
	free(seen);
	return err;
}
