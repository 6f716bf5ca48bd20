/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Workers on a mount that tell a log what they do.
 *
 *   crash_load [-k] [-n STEPS] [-s SEED] [-w FIRST] [-p PROCESSES] DIR LOG
 *
 * -k: the server will be killed, which ends the workers well, and there is no log yet; STEPS 0
 * goes on until then.
 * FIRST: number of the first worker: on a used image the numbers go on.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash_load.h"
#include "crash_log.h"
#include "unit_walk.h"

struct plan {
	const char *dir, *log;
	unsigned steps, workers, first;
	uint64_t seed;
	bool kill;
};

unsigned load_pick(struct load *l, unsigned n)
{
	return (unsigned)(unit_random(&l->rnd) % n);
}

void load_fail(struct load *l, const char *what)
{
	static const int dead[] = { ENOTCONN, ECONNABORTED, EIO, ENODEV, EINTR };

	for (size_t i = 0; i < sizeof(dead) / sizeof(dead[0]); i++)
		if (l->killed_is_end && errno == dead[i])
			_exit(0);
	fprintf(stderr, "worker %u, operation %u: %s: %s\n", l->worker, l->last_op, what,
		strerror(errno));
	_exit(1);
}

static void mark(struct load *l, const struct crash_op *op, enum crash_mark_what what)
{
	const struct crash_mark m = { .worker = l->worker, .what = what, .op = *op };
	const struct crash_record r = { .kind = CRASH_MARK, .len = sizeof(m) };
	int err = crash_log_write(l->log, &r, &m);

	if (!err)
		return;
	fprintf(stderr, "the log: %s\n", strerror(-err));
	_exit(1);
}

void load_begin(struct load *l, struct crash_op *op)
{
	op->number = ++l->last_op;
	mark(l, op, CRASH_BEGINS);
}

void load_end(struct load *l, const struct crash_op *op, int ret)
{
	static const char *const names[CRASH_KINDS] = {
		"make", "link", "remove", "rename", "exchange", "chmod", "xattr", "write",
		"truncate", "punch", "allocate", "fsync", "fdatasync", "close",
	};

	if (ret < 0)
		load_fail(l, names[op->kind]);
	mark(l, op, CRASH_ENDED);
	crash_model_apply(&l->model, op);
}

void load_refused(struct load *l, const struct crash_op *op)
{
	mark(l, op, CRASH_REFUSED);
}

static int work(const struct plan *p, unsigned k)
{
	struct load *l = calloc(1, sizeof(*l));
	unsigned mixes = 0;

	while (load_mix_name(mixes))
		mixes++;
	l->worker = p->first + k;
	l->killed_is_end = p->kill;
	l->rnd = (p->seed + 1) * 1000003 + l->worker;
	l->last_id = crash_first_id(l->worker);
	l->log = crash_log_append(p->log);
	if (l->log < 0 || chdir(p->dir))
		load_fail(l, p->dir);
	umask(0);
	load_start(l);
	for (unsigned i = 0; !p->steps || i < p->steps; i++)
		load_step(l, (unsigned)(p->seed + k) % mixes);
	return 0;
}

static int new_log(const char *path)
{
	int fd = crash_log_create(path);

	if (fd < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(-fd));
		return -1;
	}
	return close(fd);
}

static int run(const struct plan *p)
{
	int status, bad = 0;

	if (p->kill && new_log(p->log))
		return EXIT_FAILURE;
	for (unsigned k = 0; k < p->workers; k++) {
		pid_t pid = fork();

		if (pid < 0) {
			perror("fork");
			return EXIT_FAILURE;
		}
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			_exit(work(p, k));
		}
	}
	while (wait(&status) > 0)
		if (status) {
			bad++;
			if (WIFSIGNALED(status))
				fprintf(stderr, "a worker ended by signal %d\n", WTERMSIG(status));
		}
	return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct plan p = { .steps = 200, .workers = 4, .seed = 1 };
	int c;

	while ((c = getopt(argc, argv, "kn:s:w:p:")) != -1) {
		switch (c) {
		case 'k': p.kill = true; break;
		case 'n': p.steps = (unsigned)strtoul(optarg, NULL, 0); break;
		case 's': p.seed = strtoull(optarg, NULL, 0); break;
		case 'w': p.first = (unsigned)strtoul(optarg, NULL, 0); break;
		case 'p': p.workers = (unsigned)strtoul(optarg, NULL, 0); break;
		default: return EXIT_FAILURE;
		}
	}
	if (argc - optind != 2) {
		fprintf(stderr, "usage: crash_load [-k] [-n steps] [-s seed] [-w first] [-p processes] dir log\n");
		return EXIT_FAILURE;
	}
	p.dir = argv[optind];
	p.log = argv[optind + 1];
	return run(&p);
}
