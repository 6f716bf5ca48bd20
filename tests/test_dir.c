/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Directories of every form against a model in memory, judged by e2fsck. */
#include "dir_fixture.h"

enum { MAX_NAMES = 4096 };

/* Names are numbered; the model says which exist and where they point. */
struct model {
	struct fx fx;
	uint64_t rnd;
	unsigned n_names, n_present;
	bool short_names;
	bool present[MAX_NAMES];
	bool stayed[MAX_NAMES];		/* existed all through a listing */
	unsigned file[MAX_NAMES];
	unsigned seen[MAX_NAMES];
	uint64_t cookie;
	unsigned batch, taken;
	unsigned dots;
};

/* Lengths from 5 to 255, mostly short; the number can be read back. */
static size_t make_name(const struct model *m, unsigned i, char *buf)
{
	size_t len = i % 13 == 0 && !m->short_names ? 200 + i % 56 : 5 + i % 20;

	memset(buf, i % 3 ? 'a' + i % 26 : 0xc0 + i % 26, len);
	buf[0] = 'n';
	for (int k = 4; k > 0; k--, i >>= 4)
		buf[k] = "0123456789abcdef"[i & 15];
	return len;
}

static unsigned read_name(const char *name)
{
	unsigned i = 0;

	for (int k = 1; k <= 4; k++)
		i = i << 4 | (name[k] >= 'a' ? name[k] - 'a' + 10 : name[k] - '0');
	return i;
}

static void step(struct model *m)
{
	unsigned i = fx_rand(&m->rnd) % m->n_names, file = fx_rand(&m->rnd) % FX_FILES;
	char name[256];
	size_t len = make_name(m, i, name);
	uint32_t ino;

	if (!m->present[i]) {
		assert_int_equal(fx_lookup(&m->fx, name, len, &ino), -ENOENT);
		assert_int_equal(fx_delete(&m->fx, name, len, 0), -ENOENT);
		assert_int_equal(fx_insert(&m->fx, name, len, file), 0);
		assert_int_equal(fx_insert(&m->fx, name, len, file), -EEXIST);
		m->present[i] = true;
		m->file[i] = file;
		m->n_present++;
		return;
	}
	assert_int_equal(fx_lookup(&m->fx, name, len, &ino), 0);
	assert_int_equal(ino, m->fx.files[m->file[i]]);
	if (fx_rand(&m->rnd) % 4 == 0) {
		assert_int_equal(fx_replace(&m->fx, name, len, m->file[i], file), 0);
		m->file[i] = file;
		return;
	}
	assert_int_equal(fx_delete(&m->fx, name, len, m->file[i]), 0);
	m->present[i] = m->stayed[i] = false;
	m->n_present--;
}

static bool take(void *arg, const char *name, size_t len, uint32_t ino, uint8_t ftype,
		 uint64_t next)
{
	struct model *m = arg;
	char want[256];
	unsigned i;

	if (m->taken == m->batch)
		return false;
	m->taken++;
	assert_true(next > m->cookie && next < INT64_MAX);
	m->cookie = next;
	if (name[0] == '.') {
		m->dots++;
		assert_int_equal(ino, len == 1 ? m->fx.dir->ino : m->fx.root->ino);
		return true;
	}
	i = read_name(name);
	assert_true(i < m->n_names);
	assert_int_equal(make_name(m, i, want), len);
	assert_memory_equal(name, want, len);
	assert_int_equal(ino, m->fx.files[m->file[i]]);
	assert_int_equal(ftype, m->fx.fs->has_filetype ? EXT2_FT_REG_FILE : 0);
	m->seen[i]++;
	return true;
}

/* A listing in batches, `changes` steps between two of them. */
static void list(struct model *m, unsigned batch, unsigned changes)
{
	memcpy(m->stayed, m->present, sizeof(m->stayed));
	memset(m->seen, 0, sizeof(m->seen));
	m->cookie = 0;
	m->batch = batch;
	m->dots = 0;
	do {
		m->taken = 0;
		rwlock_read(&m->fx.dir->lock);
		assert_int_equal(dir_read(m->fx.dir, m->cookie, take, m), 0);
		rwlock_read_unlock(&m->fx.dir->lock);
		for (unsigned i = 0; i < changes; i++)
			step(m);
	} while (m->taken);
	assert_int_equal(m->dots, 2);
	for (unsigned i = 0; i < m->n_names; i++) {
		if (m->stayed[i])
			assert_int_equal(m->seen[i], 1);
		else
			assert_true(changes ? m->seen[i] <= 2 : m->seen[i] == 0);
	}
}

static void check_all(struct model *m)
{
	char name[256];
	uint32_t ino;

	for (unsigned i = 0; i < m->n_names; i++) {
		size_t len = make_name(m, i, name);
		int err = fx_lookup(&m->fx, name, len, &ino);

		assert_int_equal(err, m->present[i] ? 0 : -ENOENT);
		if (!err)
			assert_int_equal(ino, m->fx.files[m->file[i]]);
	}
	list(m, UINT32_MAX, 0);
	list(m, 7, 0);
}

static void empty_it(struct model *m)
{
	char name[256];

	for (unsigned i = 0; i < m->n_names; i++) {
		if (!m->present[i])
			continue;
		rwlock_read(&m->fx.dir->lock);
		assert_int_equal(dir_is_empty(m->fx.dir), 0);
		rwlock_read_unlock(&m->fx.dir->lock);
		assert_int_equal(fx_delete(&m->fx, name, make_name(m, i, name), m->file[i]), 0);
		m->present[i] = false;
	}
	m->n_present = 0;
	rwlock_read(&m->fx.dir->lock);
	assert_int_equal(dir_is_empty(m->fx.dir), 1);
	rwlock_read_unlock(&m->fx.dir->lock);
}

static void check_parent(struct model *m)
{
	struct handle h;
	uint32_t ino;

	assert_int_equal(dir_get_parent(m->fx.dir, &ino), 0);
	assert_int_equal(ino, m->fx.root->ino);
	fx_begin(&m->fx, &h, 8);
	assert_int_equal(dir_set_parent(&h, m->fx.dir, m->fx.files[0]), 0);
	assert_int_equal(dir_get_parent(m->fx.dir, &ino), 0);
	assert_int_equal(ino, m->fx.files[0]);
	assert_int_equal(dir_set_parent(&h, m->fx.dir, m->fx.root->ino), 0);
	assert_int_equal(txn_stop(&h), 0);
}

static const struct config {
	const char *name, *mkfs;
	unsigned names, rounds;
	const char *tune;
	bool stays_inline;
} configs[] = {
	{ "1k", "-b 1024", 2000, 3, NULL, false },
	{ "1k, few", "-b 1024", 40, 20, NULL, false },
	{ "4k", "-b 4096", 3000, 3, NULL, false },
	{ "4k, few", "-b 4096", 150, 20, NULL, false },
	{ "64k", "-b 65536", 4000, 2, NULL, false },
	{ "no csum 1k", "-b 1024 -O ^metadata_csum", 2000, 3, NULL, false },
	{ "no csum 64k", "-b 65536 -O ^metadata_csum", 4000, 1, NULL, false },
	{ "no filetype", "-b 1024 -O ^filetype", 1000, 2, NULL, false },
	{ "no index", "-b 1024 -O ^dir_index", 1000, 2, NULL, false },
	{ "no index 64k", "-b 65536 -O ^dir_index", 4000, 1, NULL, false },
	{ "block map", "-b 1024 -O ^extents,^64bit", 2000, 2, NULL, false },
	{ "ext2", "-b 1024 -O ^extents,^64bit,^metadata_csum,^dir_index,^filetype -I 128", 500, 2, NULL, false },
	{ "inline 256", "-b 1024 -O inline_data -I 256", 5, 60, NULL, true },
	{ "inline 1k", "-b 4096 -O inline_data -I 1024", 28, 40, NULL, true },
	{ "inline 4k", "-b 4096 -O inline_data -I 4096 -N 256", 200, 10, NULL, true },
	{ "inline, no index", "-b 1024 -O inline_data,^dir_index -I 512", 12, 40, NULL, true },
	{ "inline, left", "-b 1024 -O inline_data,^dir_index -I 512", 60, 20, NULL, false },
	{ "inline, grown", "-b 1024 -O inline_data -I 256", 1000, 2, NULL, false },
	{ "large_dir", "-b 1024 -O large_dir", 2000, 2, NULL, false },
	{ "tea", "-b 1024", 1000, 1, "tune2fs -E hash_alg=tea", false },
	{ "unsigned", "-b 1024", 1000, 1, "debugfs -w -R 'ssv flags 2'", false },
	{ "legacy", "-b 1024", 1000, 1, "tune2fs -E hash_alg=legacy", false },
};

static void every_config(void **state)
{
	const struct config *c = *state;
	struct model *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->rnd = fx_seed();
	m->n_names = c->names;
	m->short_names = c->stays_inline;
	fx_setup(&m->fx, c->mkfs, c->tune, "24M");
	for (unsigned r = 0; r < c->rounds; r++) {
		for (unsigned i = 0; i < c->names; i++)
			step(m);
		assert_int_equal(inode_is_inline(m->fx.dir), c->stays_inline);
		list(m, 1 + fx_rand(&m->rnd) % 40, 3);
		check_parent(m);
		check_all(m);
		fx_reopen(&m->fx);
		check_all(m);
	}
	empty_it(m);
	fx_reopen(&m->fx);
	for (unsigned i = 0; i < c->names; i++)
		step(m);
	check_all(m);
	if (m->fx.errors)
		fail_msg("logged: %s", m->fx.last_error);
	fx_finish(&m->fx);
	free(m);
}


/* Made without an index: stays as it is when the image gets the feature. */
static void index_feature_comes_later(void **state)
{
	struct model *m = calloc(1, sizeof(*m));
	uint32_t ino;

	assert_non_null(m);
	m->rnd = fx_seed();
	m->n_names = 300;
	fx_setup(&m->fx, "-b 1024 -O ^dir_index", NULL, "8M");
	for (unsigned i = 0; i < 400; i++)
		step(m);
	assert_true(m->fx.dir->size > 4096);
	ino = m->fx.dir->ino;
	fx_reopen(&m->fx);
	fx_close(&m->fx);
	assert_int_equal(fx_run("tune2fs -O dir_index %s >/dev/null 2>&1", m->fx.path), 0);
	fx_open_dev(&m->fx);
	assert_int_equal(inode_get(m->fx.fs, ino, &m->fx.dir), 0);
	assert_true(m->fx.fs->has_dir_index);
	for (unsigned i = 0; i < 1000; i++)
		step(m);
	list(m, 5, 4);
	check_all(m);
	assert_false(m->fx.dir->flags & EXT2_INDEX_FL);
	assert_int_equal(m->fx.errors, 0);
	fx_finish(&m->fx);
	free(m);
}

static void refuses_bad_names(void **state)
{
	struct fx fx;
	char name[300];
	uint32_t ino;
	uint8_t ftype;

	memset(name, 'x', sizeof(name));
	fx_setup(&fx, "-b 1024", NULL, "8M");
	assert_int_equal(fx_insert(&fx, name, 256, 0), -ENAMETOOLONG);
	assert_int_equal(fx_insert(&fx, name, 255, 0), 0);
	assert_int_equal(fx_lookup(&fx, name, 256, &ino), -ENAMETOOLONG);
	assert_int_equal(fx_insert(&fx, "a/b", 3, 0), -EINVAL);
	assert_int_equal(fx_insert(&fx, "a\0b", 3, 0), -EINVAL);
	assert_int_equal(fx_insert(&fx, "", 0, 0), -EINVAL);
	assert_int_equal(fx_insert(&fx, ".", 1, 0), -EEXIST);
	assert_int_equal(fx_insert(&fx, "..", 2, 0), -EEXIST);
	assert_int_equal(fx_delete(&fx, "..", 2, 0), -EINVAL);
	assert_int_equal(dir_lookup(fx.dir, ".", 1, &ino, &ftype), 0);
	assert_int_equal(ino, fx.dir->ino);
	assert_int_equal(dir_lookup(fx.dir, "..", 2, &ino, &ftype), 0);
	assert_int_equal(ino, EXT2_ROOT_INO);
	assert_int_equal(dir_lookup(fx.root, "..", 2, &ino, &ftype), 0);
	assert_int_equal(ino, EXT2_ROOT_INO);
	fx_finish(&fx);
}

int main(void)
{
	struct CMUnitTest tests[sizeof(configs) / sizeof(configs[0]) + 2];
	size_t n = 0;

	for (; n < sizeof(configs) / sizeof(configs[0]); n++)
		tests[n] = (struct CMUnitTest){
			.name = configs[n].name, .test_func = every_config,
			.initial_state = (void *)&configs[n],
		};
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(index_feature_comes_later);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(refuses_bad_names);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
