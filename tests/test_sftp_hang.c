/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Nothing waits for ever: the SFTP device on servers that stop, in whole or in part, die of
 * every request of a kind, or take their time.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sftp_group.h"

enum { MIB = 1024 * 1024, SIZE = 8 * MIB, REGION = 128 * 1024 };

static uint8_t bytes[MIB];

static int setup(void **state)
{
	alarm(240);	/* waiting for ever is what this is about */
	return rig_setup(state, SIZE);
}

static unsigned seconds_since(uint64_t start_us)
{
	return (unsigned)((rig_now_us() - start_us) / 1000000);
}

/* What a dead connection may still write is remembered, but not at the price of stopping. */
static void slivers_of_guarded_writes_do_not_stop_writers(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	uint64_t start;

	rig->opt.buffer_len = MIB;
	rig_serve(rig, "--fail=halt:1:1", NULL);
	assert_int_equal(rig_open(rig), 0);
	assert_int_equal(blkdev_write(rig->dev, bytes, REGION, MIB), 0);
	rig_await_halt();
	rig_signal(rig, SIGKILL);
	assert_int_equal(blkdev_flush(rig->dev), 0);
	start = rig_now_us();
	for (uint32_t i = 0; i < 20; i++) {
		assert_int_equal(blkdev_write(rig->dev, bytes, REGION - 512 * i, MIB + 512 * i), 0);
		assert_int_equal(blkdev_flush(rig->dev), 0);
	}
	assert_true(seconds_since(start) < 60);
}

/* Writes that a server, told to halt, holds when it dies. */
static void leave_late_writes(struct sftp_rig *rig)
{
	for (uint64_t off = 2 * MIB; off < 6 * MIB; off += MIB)
		assert_int_equal(blkdev_write(rig->dev, bytes, MIB, off), 0);
	rig_await_halt();
	rig_signal(rig, SIGKILL);
	assert_int_equal(blkdev_flush(rig->dev), 0);
	assert_true(rig_status(rig).reconnects >= 1);
}

/*
 * The same with more of them: as many as the link was seen to carry. Which round meets the halt
 * is all the same, and the flush waits until that server is given up.
 */
static void leave_many_late_writes(struct sftp_rig *rig)
{
	for (int round = 0; round < 3; round++) {
		for (uint64_t off = 2 * MIB; off < 6 * MIB; off += MIB)
			assert_int_equal(blkdev_write(rig->dev, bytes, MIB, off), 0);
		assert_int_equal(blkdev_flush(rig->dev), 0);
	}
	assert_true(rig_status(rig).reconnects >= 1);
}

/* To read them again takes longer than the lock's lease, which is four deadlines. */
static void a_slow_look_for_late_writes_stops_nothing(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	uint64_t begin, start, before;

	rig->opt.buffer_len = 32 * MIB;
	rig->opt.channels = 1;
	rig->opt.deadline_s = 3;
	rig_serve(rig, "--delay=200", "--read=150", "--fail=halt:40:1", NULL);
	assert_int_equal(rig_open(rig), 0);
	leave_many_late_writes(rig);
	begin = rig_now_us();
	while (seconds_since(begin) < 20) {
		before = rig_status(rig).reconnects;
		start = rig_now_us();
		assert_int_equal(blkdev_write(rig->dev, bytes, 512, 7 * MIB), 0);
		assert_int_equal(blkdev_flush(rig->dev), 0);
		/* A busy machine may be silent for a deadline; that is a loss, and takes longer. */
		assert_true(seconds_since(start) < 10 || rig_status(rig).reconnects != before);
		usleep(300 * 1000);
	}
	assert_false(rig_noted(rig, "not renewed in time"));
	assert_false(rig_noted(rig, "owes an answer"));
}

static void nobody_waits_for_a_last_look_without_a_connection(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	uint64_t start;
	char moved[128];

	rig->opt.buffer_len = 32 * MIB;
	rig_serve(rig, "--delay=200", "--fail=halt:1:1", NULL);
	assert_int_equal(rig_open(rig), 0);
	leave_late_writes(rig);
	snprintf(moved, sizeof(moved), "%s.moved", rig->image);
	assert_int_equal(rename(rig->image, moved), 0);
	rig_signal(rig, SIGKILL);
	assert_true(rig_await(rig, SFTP_LOST, 30000));
	start = rig_now_us();
	assert_int_equal(blkdev_close(rig->dev), 0);
	rig->dev = NULL;
	assert_true(seconds_since(start) < 9);	/* a look is waited for 10 s */
	assert_true(rig_noted(rig, "without a last look"));
}

/* Stops one of our children. */
static bool stop_child(unsigned nr)
{
	char path[64], text[4096] = "", *p = text;
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *e;
	long pid = 0;

	while (tasks && !pid && (e = readdir(tasks))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%.20s/children", e->d_name);
		f = fopen(path, "re");
		if (f && fgets(text, sizeof(text), f)) {
			for (unsigned i = 0; i <= nr; i++)
				pid = strtol(p, &p, 10);
		}
		if (f)
			fclose(f);
	}
	if (tasks)
		closedir(tasks);
	return pid > 0 && kill((pid_t)pid, SIGSTOP) == 0;
}

/* Short reads go to the first channel, and the cache does not know them. */
static void *nibble(void *arg)
{
	struct sftp_rig *rig = arg;
	uint8_t buf[512];

	for (int i = 0; i < 300 && rig_status(rig).reconnects == 0; i++) {
		blkdev_read(rig->dev, buf, sizeof(buf), (uint64_t)(i * 37 % 61) * REGION);
		usleep(200 * 1000);
	}
	return NULL;
}

static void one_server_process_that_stops_is_noticed(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	uint8_t *buf = malloc(SIZE);
	uint64_t start;
	pthread_t thread;

	rig->opt.cache_len = 1;
	rig->opt.deadline_s = 1;
	assert_int_equal(rig_open(rig), 0);
	/* All are in use. */
	while (rig_status(rig).channels < 4)
		usleep(1000);
	assert_int_equal(blkdev_read(rig->dev, buf, SIZE, 0), 0);
	assert_true(stop_child(2));
	start = rig_now_us();
	assert_int_equal(pthread_create(&thread, NULL, nibble, rig), 0);
	assert_int_equal(blkdev_read(rig->dev, buf, SIZE, 0), 0);
	/* The nibbles end after 60 s, and then it would be noticed. */
	assert_true(seconds_since(start) < 50);
	assert_true(rig_status(rig).reconnects > 0);
	pthread_join(thread, NULL);
	free(buf);
}

static void *trickle(void *arg)
{
	struct sftp_rig *rig = arg;

	for (int i = 0; i < 60 && rig_status(rig).reconnects == 0; i++) {
		blkdev_write(rig->dev, bytes, 512, (uint64_t)i * REGION);
		usleep(700 * 1000);
	}
	return NULL;
}

static void sending_is_no_sign_of_life(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	uint64_t start;
	pthread_t thread;

	rig->opt.deadline_s = 1;
	assert_int_equal(rig_open(rig), 0);
	rig_signal(rig, SIGSTOP);
	start = rig_now_us();
	assert_int_equal(pthread_create(&thread, NULL, trickle, rig), 0);
	assert_int_equal(blkdev_write(rig->dev, bytes, 512, MIB), 0);
	assert_int_equal(blkdev_flush(rig->dev), 0);
	assert_true(seconds_since(start) < 36);	/* the trickle ends after 42 s */
	pthread_join(thread, NULL);
}

static void a_disk_slower_than_the_deadline_is_waited_for(void **state)
{
	struct sftp_rig *rig = rig_of(state);

	rig->opt.deadline_s = 1;
	rig_serve(rig, "--sync=2500", NULL);
	assert_int_equal(rig_open(rig), 0);
	assert_int_equal(blkdev_write(rig->dev, bytes, 512, MIB), 0);
	assert_int_equal(blkdev_flush(rig->dev), 0);
}

static void a_request_no_server_survives_fails(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	uint64_t start = rig_now_us();

	rig->opt.timeout_s = 2;
	rig->opt.lock = SFTP_LOCK_NONE;
	rig_serve(rig, "--die=1", "--no-limits", NULL);
	assert_int_equal(rig_open(rig), 0);
	assert_int_equal(blkdev_read(rig->dev, bytes, MIB, MIB), -EIO);
	assert_true(seconds_since(start) < 50);
	assert_int_equal(rig_status(rig).state, SFTP_FAILED);
	rig_close(rig);
	assert_int_equal(rig_open(rig), 0);
	assert_int_equal(blkdev_write(rig->dev, bytes, MIB, MIB), 0);
	assert_int_equal(blkdev_flush(rig->dev), -EIO);
	assert_true(seconds_since(start) < 100);
}

static void after_the_timeout_everything_fails(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	uint64_t start;
	char moved[128];

	rig->opt.timeout_s = 1;
	assert_int_equal(rig_open(rig), 0);
	assert_int_equal(blkdev_write(rig->dev, bytes, 4096, 4096), 0);
	assert_int_equal(blkdev_flush(rig->dev), 0);
	snprintf(moved, sizeof(moved), "%s.moved", rig->image);
	assert_int_equal(rename(rig->image, moved), 0);
	start = rig_now_us();
	assert_true(rig_signal(rig, SIGKILL) > 0);
	assert_int_equal(blkdev_read(rig->dev, bytes, 4096, MIB), -EIO);
	assert_in_range(rig_now_us() - start, 990000, 20000000);
	assert_int_equal(rig_status(rig).state, SFTP_FAILED);
	assert_int_equal(blkdev_write(rig->dev, bytes, 4096, 0), -EIO);
	assert_int_equal(blkdev_flush(rig->dev), -EIO);
	assert_int_equal(blkdev_read(rig->dev, bytes, 4096, 4096), -EIO);
	/* Not even when it is back: nobody tries any more. */
	assert_int_equal(rename(moved, rig->image), 0);
	usleep(300000);
	assert_int_equal(blkdev_read(rig->dev, bytes, 4096, 0), -EIO);
	for (int i = 0; i < 3000 && rig_signal(rig, 0); i++)
		usleep(10 * 1000);
	assert_int_equal(rig_signal(rig, 0), 0);
	assert_int_equal(rig_status(rig).state, SFTP_FAILED);
	start = rig_now_us();
	rig_close(rig);
	assert_true(seconds_since(start) < 10);
}

/* What is done is never answered; everything else is, through other channels. */
static void assert_given_up(struct sftp_rig *rig, const char *kind, int (*action)(struct sftp_rig *rig))
{
	uint64_t start;

	rig->opt.deadline_s = 1;
	rig->opt.timeout_s = 3;
	rig_serve(rig, kind, NULL);
	assert_int_equal(rig_open(rig), 0);
	start = rig_now_us();
	assert_int_equal(action(rig), -EIO);
	assert_true(seconds_since(start) < 100);
	assert_int_equal(rig_status(rig).state, SFTP_FAILED);
}

static int write_and_flush(struct sftp_rig *rig)
{
	assert_int_equal(blkdev_write(rig->dev, bytes, MIB, MIB), 0);
	return blkdev_flush(rig->dev);
}

static int read_some(struct sftp_rig *rig)
{
	return blkdev_read(rig->dev, bytes, 8192, MIB);
}

static void an_fsync_that_is_never_answered_fails(void **state)
{
	assert_given_up(rig_of(state), "--sync=3600000", write_and_flush);
}

static void a_write_that_is_never_answered_fails(void **state)
{
	assert_given_up(rig_of(state), "--write=3600000", write_and_flush);
}

static void an_answer_that_trickles_in_fails(void **state)
{
	assert_given_up(rig_of(state), "--trickle=200", read_some);
}

/* This process is stopped for longer than the deadline; answers have come meanwhile. */
static void our_own_standstill_is_not_the_servers(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	const pid_t us = getpid();
	int status;
	pid_t pid;

	rig->opt.deadline_s = 5;
	rig_serve(rig, "--delay=100", NULL);
	assert_int_equal(rig_open(rig), 0);
	pid = fork();
	if (pid == 0) {
		usleep(500 * 1000);
		kill(us, SIGSTOP);
		sleep(8);
		kill(us, SIGCONT);
		_exit(0);
	}
	for (uint64_t i = 0; waitpid(pid, &status, WNOHANG) == 0; i++)
		assert_int_equal(blkdev_read(rig->dev, bytes, 512, i * 65536 % SIZE), 0);
	assert_int_equal(rig_status(rig).reconnects, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_server_process_that_stops_is_noticed, setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(sending_is_no_sign_of_life, setup, rig_teardown),
		cmocka_unit_test_setup_teardown(a_disk_slower_than_the_deadline_is_waited_for,
						setup, rig_teardown),
		cmocka_unit_test_setup_teardown(a_request_no_server_survives_fails, setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(a_slow_look_for_late_writes_stops_nothing, setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(nobody_waits_for_a_last_look_without_a_connection,
						setup, rig_teardown),
		cmocka_unit_test_setup_teardown(after_the_timeout_everything_fails, setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(an_fsync_that_is_never_answered_fails, setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(a_write_that_is_never_answered_fails, setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(an_answer_that_trickles_in_fails, setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(slivers_of_guarded_writes_do_not_stop_writers,
						setup, rig_teardown),
		cmocka_unit_test_setup_teardown(our_own_standstill_is_not_the_servers, setup,
						rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
