/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lock file of the SFTP device against owners that stop, vanish, or race. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sftp_group.h"

enum { MIB = 1024 * 1024, SIZE = 8 * MIB };

static int setup(void **state)
{
	alarm(120);
	return rig_setup(state, SIZE);
}

/* As another owner would leave it. */
static void put_lock(struct sftp_rig *rig, const char *boot, const char *pidns, long pid)
{
	char text[400];

	snprintf(text, sizeof(text), "fuse4fs-lock 1 beat=0000000000000000 id=00 host=h boot=%s "
		 "pidns=%s pid=%ld started=1", boot, pidns, pid);
	rig_put_lock(rig, text);
}

static uint32_t counter_there(struct sftp_rig *rig)
{
	uint32_t n;

	rig_peek(rig, &n, sizeof(n), MIB);
	return n;
}

/* Writes a counter until that fails. */
static void write_on(struct sftp_rig *rig)
{
	int err = rig_open(rig);

	for (uint32_t n = 1; !err && n < 200; n++) {
		err = blkdev_write(rig->dev, &n, sizeof(n), MIB);
		if (!err)
			err = blkdev_flush(rig->dev);
		usleep(100 * 1000);
	}
	_exit(err == -EIO && rig_status(rig).state == SFTP_FENCED ? 0 : 1);
}

/* Stopped for long, as in a machine that sleeps, and somebody else took over meanwhile. */
static void an_owner_that_comes_back_late_writes_nothing(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	uint32_t before;
	int status;
	pid_t pid;

	rig->opt.deadline_s = 1;
	pid = fork();
	if (pid == 0)
		write_on(rig);
	while (counter_there(rig) < 5)
		usleep(10 * 1000);
	kill(pid, SIGSTOP);
	/* What is under way comes there. */
	sleep(8);
	before = counter_there(rig);
	put_lock(rig, "b", "p", 1);
	sleep(3);
	kill(pid, SIGCONT);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(counter_there(rig), before);
	assert_int_equal(status, 0);
}

static void lock_is_taken_and_given_back(struct sftp_rig *rig)
{
	unlink(rig->lock_file);
	sleep(5);
}

static void a_lock_that_is_gone_after_a_long_loss_fences(void **state)
{
	struct sftp_rig *rig = rig_of(state);

	rig->opt.deadline_s = 1;
	rig->on_lost = lock_is_taken_and_given_back;
	assert_int_equal(rig_open(rig), 0);
	rig_signal(rig, SIGKILL);
	assert_true(rig_await(rig, SFTP_FENCED, 30000));
	rig->on_lost = NULL;
}

static void a_lock_that_cannot_be_read_is_a_lock(void **state)
{
	struct sftp_rig *rig = rig_of(state);

	put_lock(rig, "b", "p", 1);
	assert_int_equal(chmod(rig->lock_file, 0), 0);
	if (getuid() == 0) {
		/* Root reads everything. */
		rig->argv[3] = rig->argv[0];
		rig->argv[0] = "setpriv";
		rig->argv[1] = "--reuid=65534";
		rig->argv[2] = "--clear-groups";
		assert_int_equal(chmod(rig->dir, 0755), 0);
		assert_int_equal(chmod(rig->image, 0666), 0);
	}
	assert_int_equal(rig_open(rig), -EBUSY);
}

/* Opens through a server that waits at the gate; the exit status says what came of it. */
static pid_t open_far(struct sftp_rig *rig)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	rig_serve(rig, "--gate", NULL);
	rig->opt.channels = 1;
	rig->opt.deadline_s = 60;
	_exit(rig_open(rig) ? 1 : 0);
}

/* The far server waits. */
static void await_far(struct sftp_rig *rig, int nr)
{
	char path[160];

	snprintf(path, sizeof(path), "%s.at%d", rig->image, nr);
	while (access(path, F_OK) < 0)
		usleep(1000);
}

static void let_far_go(struct sftp_rig *rig, int nr)
{
	char path[160];
	FILE *f;

	snprintf(path, sizeof(path), "%s.go%d", rig->image, nr);
	f = fopen(path, "we");
	assert_non_null(f);
	fclose(f);
}

/* Of a process of this machine that has ended: nobody has to watch it. */
static void put_dead_lock(struct sftp_rig *rig)
{
	char boot[64] = "", pidns[64] = "";
	ssize_t n = readlink("/proc/self/ns/pid", pidns, sizeof(pidns) - 1);
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	pid_t dead = fork();

	if (dead == 0)
		_exit(0);
	waitpid(dead, NULL, 0);
	assert_true(n > 0 && f && fscanf(f, "%63s", boot) == 1);
	fclose(f);
	put_lock(rig, boot, pidns, dead);
}

static void near_one_has_it_alone(struct sftp_rig *rig, pid_t far)
{
	int status;

	assert_int_equal(waitpid(far, &status, 0), far);
	assert_int_equal(WEXITSTATUS(status), 1);
	assert_int_equal(access(rig->lock_file, F_OK), 0);
	/* Not while it is connecting again. */
	for (int i = 0; i < 3000 && !rig_status(rig).locked; i++)
		usleep(10 * 1000);
	assert_true(rig_status(rig).locked);
}

/* The far one judges the dead lock before, and removes it after the near one has its own. */
static void a_slow_takeover_does_not_remove_a_new_lock(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	pid_t far;

	put_dead_lock(rig);
	far = open_far(rig);
	await_far(rig, 1);
	/* Between two heartbeats, or it would notice and make its lock again. */
	rig->opt.deadline_s = 60;
	assert_int_equal(rig_open(rig), 0);
	let_far_go(rig, 1);
	let_far_go(rig, 2);
	near_one_has_it_alone(rig, far);
}

/* The far one finds nothing to move, and the near one makes its lock then. */
static void a_lock_that_another_taker_moved_away_is_not_removed_by_name(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	pid_t far;

	put_dead_lock(rig);
	far = open_far(rig);
	await_far(rig, 1);
	assert_int_equal(unlink(rig->lock_file), 0);
	let_far_go(rig, 1);
	await_far(rig, 2);
	assert_int_equal(rig_open(rig), 0);
	let_far_go(rig, 2);
	near_one_has_it_alone(rig, far);
}

static void without_rename_a_dead_lock_has_to_be_broken(void **state)
{
	struct sftp_rig *rig = rig_of(state);

	rig_serve(rig, "--no-rename", NULL);
	put_dead_lock(rig);
	assert_int_equal(rig_open(rig), -EBUSY);
	assert_non_null(strstr(rig->why, "lock=break"));
	assert_int_equal(access(rig->lock_file, F_OK), 0);
	rig->opt.lock = SFTP_LOCK_BREAK;
	assert_int_equal(rig_open(rig), 0);
	assert_true(rig_status(rig).locked);
}

/* As on a disk that is full: the file can be made, and stays empty. */
static void a_lock_that_cannot_be_written_is_refused(void **state)
{
	struct sftp_rig *rig = rig_of(state);

	rig_serve(rig, "--fail=lock:1:1", NULL);
	assert_int_equal(rig_open(rig), -ENOSPC);
	assert_non_null(strstr(rig->why, "make room"));
	assert_int_equal(access(rig->lock_file, F_OK), -1);
	assert_int_equal(rig_open(rig), 0);
	assert_true(rig_status(rig).locked);
}

static void a_lock_that_cannot_be_renewed_is_ours_while_it_says_so(void **state)
{
	struct sftp_rig *rig = rig_of(state);

	/* The lease is four of these. */
	rig->opt.deadline_s = 2;
	rig_serve(rig, "--fail=lock:2:1000", NULL);
	assert_int_equal(rig_open(rig), 0);
	sleep(12);
	assert_false(rig_noted(rig, "not renewed in time"));
	assert_true(rig_await(rig, SFTP_UP, 30000));
	assert_true(rig_noted(rig, "may take it over"));
	put_lock(rig, "b", "p", 1);
	assert_true(rig_await(rig, SFTP_FENCED, 30000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_owner_that_comes_back_late_writes_nothing,
						setup, rig_teardown),
		cmocka_unit_test_setup_teardown(a_lock_that_is_gone_after_a_long_loss_fences,
						setup, rig_teardown),
		cmocka_unit_test_setup_teardown(a_slow_takeover_does_not_remove_a_new_lock,
						setup, rig_teardown),
		cmocka_unit_test_setup_teardown(
			a_lock_that_another_taker_moved_away_is_not_removed_by_name, setup,
			rig_teardown),
		cmocka_unit_test_setup_teardown(without_rename_a_dead_lock_has_to_be_broken, setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(a_lock_that_cannot_be_written_is_refused, setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(
			a_lock_that_cannot_be_renewed_is_ours_while_it_says_so, setup, rig_teardown),
		cmocka_unit_test_setup_teardown(a_lock_that_cannot_be_read_is_a_lock, setup,
						rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
