/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The SFTP device on OpenSSH's sftp-server and on one that misbehaves, both as children. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "sftp_group.h"

enum { MIB = 1024 * 1024, SIZE = 64 * MIB, BLOCK = 4096 };

static int setup(void **state)
{
	return rig_setup(state, SIZE);
}

static void fill(uint8_t *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
}

static void write_block(struct sftp_rig *rig, uint64_t nr, uint8_t byte)
{
	uint8_t block[BLOCK];

	memset(block, byte, BLOCK);
	assert_int_equal(blkdev_write(rig->dev, block, BLOCK, nr * BLOCK), 0);
}

static uint8_t block_there(struct sftp_rig *rig, uint64_t nr)
{
	uint8_t byte;

	rig_peek(rig, &byte, 1, nr * BLOCK + 17);
	return byte;
}

static uint8_t block_here(struct sftp_rig *rig, uint64_t nr)
{
	uint8_t block[BLOCK];

	assert_int_equal(blkdev_read(rig->dev, block, BLOCK, nr * BLOCK), 0);
	return block[BLOCK - 1];
}

static void bytes_go_there_and_come_back(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	uint8_t *a = malloc(4 * MIB), *b = malloc(4 * MIB);

	assert_int_equal(rig_open(rig), 0);
	assert_int_equal(blkdev_size(rig->dev), SIZE);
	fill(a, 4 * MIB, 1);
	assert_int_equal(blkdev_write(rig->dev, a, 4 * MIB, 12345), 0);
	assert_int_equal(blkdev_read(rig->dev, b, 4 * MIB, 12345), 0);
	assert_memory_equal(a, b, 4 * MIB);
	assert_int_equal(blkdev_flush(rig->dev), 0);
	assert_int_equal(rig_status(rig).unsynced_len, 0);
	rig_peek(rig, b, 4 * MIB, 12345);
	assert_memory_equal(a, b, 4 * MIB);
	assert_int_equal(blkdev_read(rig->dev, b, 4 * MIB, 12345), 0);
	assert_memory_equal(a, b, 4 * MIB);
	assert_int_equal(blkdev_read(rig->dev, b, 512, SIZE - 512), 0);
	assert_int_equal(rig_status(rig).state, SFTP_UP);
	free(a);
	free(b);
}

static void a_small_buffer_is_enough(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	uint8_t *a = malloc(SIZE / 2), *b = malloc(SIZE / 2);

	rig->opt.buffer_len = SFTP_BUFFER_MIN_LEN;
	rig->opt.channels = 1;
	rig_serve(rig, "--no-limits", "--short", NULL);
	assert_int_equal(rig_open(rig), 0);
	fill(a, SIZE / 2, 2);
	for (size_t off = 0; off < SIZE / 2; off += 3 * MIB / 2) {
		size_t n = SIZE / 2 - off < 3 * MIB / 2 ? SIZE / 2 - off : 3 * MIB / 2;

		assert_int_equal(blkdev_write(rig->dev, a + off, n, off), 0);
		assert_true(rig_status(rig).unsynced_len <= SFTP_BUFFER_MIN_LEN);
	}
	for (size_t off = 0; off < SIZE / 2; off += 128 * 1024)
		assert_int_equal(blkdev_read(rig->dev, b + off, 128 * 1024, off), 0);
	assert_memory_equal(a, b, SIZE / 2);
	assert_int_equal(blkdev_flush(rig->dev), 0);
	free(a);
	free(b);
}

static void what_cannot_be_opened_is_named(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	const char *path = rig->opt.path;
	char other[128];

	snprintf(other, sizeof(other), "%s/none", rig->dir);
	rig->opt.path = other;
	assert_int_equal(rig_open(rig), -ENOENT);
	assert_string_equal(rig->why, "does not exist there");
	rig->opt.readonly = true;
	rig->opt.path = rig->dir;
	assert_int_equal(rig_open(rig), -EISDIR);
	rig->opt.path = path;
	assert_int_equal(truncate(rig->image, 0), 0);
	assert_int_equal(rig_open(rig), -ENODATA);
	rig->opt.readonly = false;
	assert_int_equal(rig_open(rig), -ENODATA);
	assert_int_equal(access(rig->lock_file, F_OK), -1);
	rig->argv[0] = "/bin/cat";
	assert_int_equal(rig_open(rig), -EPROTO);
	rig->argv[0] = "/bin/false";
	assert_true(rig_open(rig) < 0);
	assert_non_null(strstr(rig->why, "cannot be reached"));
	rig->argv[0] = "/does/not/exist";
	assert_true(rig_open(rig) < 0);
}

static void without_fsync_nothing_is_written(void **state)
{
	struct sftp_rig *rig = rig_of(state);

	rig_serve(rig, "--no-fsync", NULL);
	assert_int_equal(rig_open(rig), -EOPNOTSUPP);
	assert_non_null(strstr(rig->why, "unsafe_nofsync"));
	assert_int_equal(access(rig->lock_file, F_OK), -1);
	rig->opt.readonly = true;
	assert_int_equal(rig_open(rig), 0);
	assert_int_equal(blkdev_write(rig->dev, "x", 1, 0), -EROFS);
	assert_int_equal(blkdev_flush(rig->dev), 0);
	rig_close(rig);
	rig->opt.readonly = false;
	rig->opt.unsafe_nofsync = true;
	assert_int_equal(rig_open(rig), 0);
	assert_true(rig_status(rig).nofsync);
	write_block(rig, 3, 'x');
	assert_int_equal(blkdev_flush(rig->dev), 0);
	assert_int_equal(block_there(rig, 3), 'x');
}

static void a_failed_write_or_fsync_is_tried_once_more(void **state)
{
	struct sftp_rig *rig = rig_of(state);

	/* The first fsync comes behind the write that fails, and does not count for it. */
	rig_serve(rig, "--fail=write:2:1", "--fail=fsync:3:1", NULL);
	assert_int_equal(rig_open(rig), 0);
	for (int i = 0; i < 4; i++) {
		write_block(rig, 2 * i, 'a');
		write_block(rig, 100 + i, 'b');
		assert_int_equal(blkdev_flush(rig->dev), 0);
		assert_int_equal(block_there(rig, 2 * i), 'a');
	}
	assert_true(rig_noted(rig, "could not write to the image"));
	assert_true(rig_noted(rig, "could not sync the image"));
	assert_int_equal(rig_status(rig).state, SFTP_UP);
}

static void a_second_failure_ends_writing(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	uint8_t block[BLOCK];

	rig_serve(rig, "--fail=fsync:1:2", NULL);
	assert_int_equal(rig_open(rig), 0);
	write_block(rig, 9, 'x');
	assert_int_equal(blkdev_flush(rig->dev), -EIO);
	assert_int_equal(rig_status(rig).state, SFTP_BROKEN);
	/* For good, though the server would do it now. */
	assert_int_equal(blkdev_flush(rig->dev), -EIO);
	memset(block, 0, BLOCK);
	assert_int_equal(blkdev_write(rig->dev, block, BLOCK, 0), -EIO);
	assert_int_equal(block_here(rig, 9), 'x');
	assert_int_equal(block_here(rig, 10), 0);
	rig_signal(rig, SIGKILL);
	assert_int_equal(block_here(rig, 11), 0);
	assert_int_equal(blkdev_flush(rig->dev), -EIO);
	/* The block may have been read ahead, before the loss. */
	assert_true(rig_await(rig, SFTP_BROKEN, 30000));
}

static void a_full_disk_ends_writing(void **state)
{
	struct sftp_rig *rig = rig_of(state);

	rig_serve(rig, "--fail=write:5:1000", NULL);
	assert_int_equal(rig_open(rig), 0);
	/* It may be known before all are written. */
	for (uint64_t i = 0; i < 50 && blkdev_write(rig->dev, "x", 1, i * MIB) == 0; i++)
		;
	assert_int_equal(blkdev_flush(rig->dev), -EIO);
	assert_true(rig_noted(rig, "disk or quota full"));
}

static void a_read_that_fails_fails_alone(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	uint8_t block[BLOCK];

	/* Others are looked at, too. */
	rig->opt.channels = 1;
	rig_serve(rig, "--fail=read:17:1", NULL);
	assert_int_equal(rig_open(rig), 0);
	assert_int_equal(blkdev_read(rig->dev, block, BLOCK, 30 * MIB), -EIO);
	assert_int_equal(blkdev_read(rig->dev, block, BLOCK, 30 * MIB), 0);
}

static void an_image_that_shrank_is_an_error(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	uint8_t block[BLOCK];

	assert_int_equal(rig_open(rig), 0);
	assert_int_equal(truncate(rig->image, SIZE / 2), 0);
	assert_int_equal(blkdev_read(rig->dev, block, BLOCK, SIZE / 2 - 1), -EIO);
	rig_signal(rig, SIGKILL);
	assert_true(rig_await(rig, SFTP_FENCED, 30000));
	assert_int_equal(blkdev_read(rig->dev, block, BLOCK, 0), -EIO);
}

/* On a busy machine the connection may just be lost, and there be nobody to stop. */
static void freeze(struct sftp_rig *rig)
{
	int n = 0;

	for (int i = 0; i < 300 && !n; i++) {
		assert_true(rig_await(rig, SFTP_UP, 30000));
		n = rig_signal(rig, SIGSTOP);
		usleep(n ? 0 : 100 * 1000);
	}
	assert_true(n > 0);
}

static void a_frozen_server_is_replaced(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	uint64_t start, before;

	rig->opt.deadline_s = 1;
	assert_int_equal(rig_open(rig), 0);
	start = rig_now_us();
	write_block(rig, 1, 'a');
	assert_int_equal(blkdev_flush(rig->dev), 0);
	freeze(rig);
	write_block(rig, 1, 'b');
	assert_int_equal(blkdev_flush(rig->dev), 0);
	assert_in_range(rig_now_us() - start, 990000, 30000000);
	assert_int_equal(block_there(rig, 1), 'b');
	before = rig_status(rig).reconnects;
	assert_true(before > 0);
	/* Nobody asks for anything: the heartbeat finds out. */
	freeze(rig);
	for (int i = 0; i < 1500 && rig_status(rig).reconnects == before; i++)
		usleep(20000);
	assert_true(rig_status(rig).reconnects > before);
	assert_true(rig_await(rig, SFTP_UP, 30000));
}

static void another_image_is_not_written(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	uint8_t block[BLOCK];

	assert_int_equal(rig_open(rig), 0);
	write_block(rig, 1000, 'a');
	assert_int_equal(blkdev_flush(rig->dev), 0);
	/* A backup was restored: what had been synced is gone. */
	assert_true(rig_signal(rig, SIGSTOP) > 0);
	memset(block, 'b', BLOCK);
	rig_poke(rig, block, BLOCK, 1000 * BLOCK);
	write_block(rig, 2000, 'c');
	assert_true(rig_signal(rig, SIGKILL) > 0);
	assert_int_equal(blkdev_flush(rig->dev), -EIO);
	assert_int_equal(rig_status(rig).state, SFTP_FENCED);
	assert_true(rig_noted(rig, "not what was synced"));
	assert_int_equal(block_there(rig, 2000), 0);
}

static void a_server_that_lies_is_found_out(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	uint8_t block[BLOCK] = { 0 };

	assert_int_equal(rig_open(rig), 0);
	write_block(rig, 0, 'a');
	assert_int_equal(blkdev_flush(rig->dev), 0);
	/* The head of the image, as it was before. */
	rig_poke(rig, block, BLOCK, 0);
	assert_true(rig_signal(rig, SIGKILL) > 0);
	assert_true(rig_await(rig, SFTP_FENCED, 30000));
}

/* A dead connection's server writes after the next one has synced something newer. */
static void late_writes_are_undone(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	uint8_t block[BLOCK];

	rig_serve(rig, "--fail=halt:1:1", NULL);
	assert_int_equal(rig_open(rig), 0);
	write_block(rig, 500, 'o');
	/* It has come there, and is not carried out. */
	rig_await_halt();
	assert_int_equal(block_there(rig, 500), 0);
	assert_true(rig_signal(rig, SIGKILL) > 0);
	write_block(rig, 500, 'n');
	assert_int_equal(blkdev_flush(rig->dev), 0);
	assert_int_equal(rig_status(rig).reconnects, 1);
	memset(block, 'o', BLOCK);
	rig_poke(rig, block, BLOCK, 500 * BLOCK);
	for (int i = 0; i < 1500 && block_there(rig, 500) != 'n'; i++)
		usleep(20000);
	assert_int_equal(block_there(rig, 500), 'n');
	assert_true(rig_noted(rig, "wrote late"));
}

static void read_lock_file(struct sftp_rig *rig, char *text, size_t len)
{
	FILE *f = fopen(rig->lock_file, "re");

	assert_non_null(f);
	text[fread(text, 1, len - 1, f)] = '\0';
	fclose(f);
}

static void only_one_can_have_it(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	static struct sftp_rig other;
	char text[600], *pid;

	other = *rig;
	assert_int_equal(rig_open(rig), 0);
	assert_true(rig_status(rig).locked);
	assert_int_equal(rig_open(&other), -EBUSY);
	assert_non_null(strstr(other.why, "is mounted on host"));
	/* Readers are let through, and told. */
	other.opt.readonly = true;
	other.opt.notify_arg = &other;
	assert_int_equal(rig_open(&other), 0);
	assert_true(rig_noted(&other, "mounted for writing"));
	rig_close(&other);
	other.opt.readonly = false;
	/* The owner is gone: a process that does not run. */
	read_lock_file(rig, text, sizeof(text));
	rig_close(rig);
	assert_int_equal(access(rig->lock_file, F_OK), -1);
	pid = strstr(text, "started=");
	assert_non_null(pid);
	strcpy(pid, "started=1");
	rig_put_lock(rig, text);
	assert_int_equal(rig_open(&other), 0);
	assert_true(rig_status(&other).locked);
	rig_close(&other);
	/* Somebody elsewhere, or nobody knows who: break_lock. */
	rig_put_lock(rig, "something else");
	other.opt.lock = SFTP_LOCK_BREAK;
	assert_int_equal(rig_open(&other), 0);
	rig_close(&other);
	rig_put_lock(rig, "something else");
	other.opt.lock = SFTP_LOCK_NONE;
	assert_int_equal(rig_open(&other), 0);
	rig_close(&other);
	assert_int_equal(access(rig->lock_file, F_OK), 0);
}

static void *close_later(void *arg)
{
	struct sftp_rig *rig = arg;

	usleep(500000);
	/* What the other one has read before is old then. */
	write_block(rig, 0, 'w');
	assert_int_equal(blkdev_flush(rig->dev), 0);
	rig_close(rig);
	return NULL;
}

static void a_mount_waits_for_one_that_ends(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	static struct sftp_rig other;
	pthread_t thread;

	other = *rig;
	other.opt.lock = SFTP_LOCK_WAIT;
	assert_int_equal(rig_open(rig), 0);
	assert_int_equal(pthread_create(&thread, NULL, close_later, rig), 0);
	assert_int_equal(rig_open(&other), 0);
	assert_true(rig_status(&other).locked);
	assert_int_equal(block_here(&other, 0), 'w');
	pthread_join(thread, NULL);
	rig_close(&other);
}

static void a_lock_that_a_crash_emptied_is_ours(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	char text[600];

	assert_int_equal(rig_open(rig), 0);
	assert_true(rig_signal(rig, SIGSTOP) > 0);
	assert_int_equal(truncate(rig->lock_file, 0), 0);
	assert_true(rig_signal(rig, SIGKILL) > 0);
	write_block(rig, 1, 'x');
	assert_int_equal(blkdev_flush(rig->dev), 0);
	assert_int_equal(rig_status(rig).reconnects, 1);
	assert_true(rig_signal(rig, SIGSTOP) > 0);
	unlink(rig->lock_file);
	assert_true(rig_signal(rig, SIGKILL) > 0);
	write_block(rig, 1, 'y');
	assert_int_equal(blkdev_flush(rig->dev), 0);
	assert_int_equal(rig_status(rig).reconnects, 2);
	read_lock_file(rig, text, sizeof(text));
	assert_non_null(strstr(text, "fuse4fs-lock 1 "));
}

static void a_lock_that_was_taken_fences(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	char text[600];

	assert_int_equal(rig_open(rig), 0);
	/* Nobody waits for its first line. */
	do
		read_lock_file(rig, text, sizeof(text));
	while (!strstr(text, "started="));
	assert_true(rig_signal(rig, SIGSTOP) > 0);
	rig_put_lock(rig, "fuse4fs-lock 1 beat=0000000000000000 id=00 host=h boot=b pidns=p pid=1 "
		     "started=1");
	assert_true(rig_signal(rig, SIGKILL) > 0);
	assert_true(rig_await(rig, SFTP_FENCED, 30000));
	rig_close(rig);
	assert_int_equal(access(rig->lock_file, F_OK), 0);
}

/* The owner notices by himself, though his connection works. */
static void a_lock_that_is_taken_is_missed(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	char text[600];

	rig->opt.deadline_s = 10;
	assert_int_equal(rig_open(rig), 0);
	do
		read_lock_file(rig, text, sizeof(text));
	while (!strstr(text, "started="));
	rig_put_lock(rig, "fuse4fs-lock 1 beat=0000000000000000 id=00 host=h boot=b pidns=p pid=1 "
		     "started=1");
	assert_true(rig_await(rig, SFTP_FENCED, 30000));
	assert_true(rig_noted(rig, "its lock was taken away"));
}

static _Atomic bool reading;

/* Makes the channel that has the least to do another one every time. */
static void *read_on(void *arg)
{
	struct sftp_rig *rig = arg;
	uint8_t *buf = malloc(MIB);

	for (uint64_t i = 0; reading; i++)
		blkdev_read(rig->dev, buf, (1 + i % 4) * 128 * 1024, (i * 7 % 60) * MIB);
	free(buf);
	return NULL;
}

static void a_failure_that_every_channel_reports_is_one(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	pthread_t thread;
	char *note;

	rig->opt.cache_len = 1;
	rig_serve(rig, "--report", "--fail=fsync:3:1", "--delay=5", NULL);
	assert_int_equal(rig_open(rig), 0);
	reading = true;
	assert_int_equal(pthread_create(&thread, NULL, read_on, rig), 0);
	for (uint64_t i = 0; i < 40; i++) {
		write_block(rig, 40 * i, 'r');
		assert_int_equal(blkdev_flush(rig->dev), 0);
	}
	reading = false;
	pthread_join(thread, NULL);
	assert_int_equal(rig_status(rig).state, SFTP_UP);
	note = strstr(rig->notes, "could not sync the image");
	assert_non_null(note);
	assert_null(strstr(note + 1, "could not sync the image"));
}

/* Several hosts behind one name: which of the two files is the first channel's is chance. */
static void a_channel_with_another_file_is_not_used(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	char command[600];

	snprintf(command, sizeof(command), "cp '%s' '%s.other' && echo other | dd of='%s.other' "
		 "conv=notrunc status=none", rig->image, rig->image, rig->image);
	assert_int_equal(system(command), 0);
	rig->opt.channels = 2;
	rig_serve(rig, "--other", NULL);
	assert_int_equal(rig_open(rig), 0);
	for (int i = 0; i < 3000 && !rig_noted(rig, "has another file open"); i++)
		usleep(10000);
	assert_true(rig_noted(rig, "has another file open"));
	assert_int_equal(rig_status(rig).channels, 1);
	write_block(rig, 3, 'x');
	assert_int_equal(blkdev_flush(rig->dev), 0);
	assert_int_equal(rig_status(rig).state, SFTP_UP);
}

/* Any damage to answers: errors, never a crash, a hang or a lasting wait. */
static void a_hostile_server_only_makes_errors(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	const char *given = getenv("SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)rig_now_us();
	uint8_t *buf = malloc(MIB);
	unsigned opened = 0;
	char arg[32];

	printf("SEED=%u\n", seed);
	rig->opt.lock = SFTP_LOCK_NONE;
	rig->opt.timeout_s = 1;
	rig->opt.deadline_s = 1;
	for (unsigned i = 0; i < 12; i++) {
		snprintf(arg, sizeof(arg), "--seed=%u", seed + i);
		rig_serve(rig, i % 2 ? "--hostile=40" : "--hostile=200", arg, "--short", NULL);
		if (rig_open_once(rig)) {
			if (getenv("SFTP_RIG_VERBOSE"))
				fprintf(stderr, "%s\n", rig->why);
			continue;
		}
		opened++;
		for (uint64_t n = 0; n < 40; n++) {
			blkdev_write(rig->dev, buf, 200000, n * MIB);
			blkdev_read(rig->dev, buf, MIB, n * MIB + 100000);
		}
		blkdev_flush(rig->dev);
		rig_close(rig);
	}
	assert_true(opened > 0);
	free(buf);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(bytes_go_there_and_come_back),
		T(a_small_buffer_is_enough),
		T(what_cannot_be_opened_is_named),
		T(without_fsync_nothing_is_written),
		T(a_failed_write_or_fsync_is_tried_once_more),
		T(a_second_failure_ends_writing),
		T(a_full_disk_ends_writing),
		T(a_read_that_fails_fails_alone),
		T(an_image_that_shrank_is_an_error),
		T(a_frozen_server_is_replaced),
		T(another_image_is_not_written),
		T(a_server_that_lies_is_found_out),
		T(late_writes_are_undone),
		T(only_one_can_have_it),
		T(a_mount_waits_for_one_that_ends),
		T(a_lock_that_a_crash_emptied_is_ours),
		T(a_lock_that_was_taken_fences),
		T(a_lock_that_is_taken_is_missed),
		T(a_failure_that_every_channel_reports_is_one),
		T(a_channel_with_another_file_is_not_used),
		T(a_hostile_server_only_makes_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
