/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Speed of the SFTP device by itself, without file system, ciphers or FUSE.
 *
 *   tool_sftpbench [-n CHANNELS] [-m MIB] [-b BUFFER-MIB] [-F CONFIG -h HOST] [-t COUNT] PATH
 *                  [COMMAND...]
 *
 * Writes MIB (256) over the image at PATH in pieces of 1 MiB and flushes, reads it through a
 * new device in pieces of 128 KiB, then takes the time of 4 KiB writes with a flush each and
 * of 4 KiB reads here and there. Through libssh to HOST, or to COMMAND's standard streams.
 * Prints "write MB/s N read MB/s N sync ms N random ms N rtt ms N"; with -t the round trips,
 * "write turns N read turns N sync turns N", of which COUNT, a command, prints those since it ran
 * last as "... turns N".
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "transport/sftp.h"
#include "transport/stream_cmd.h"
#include "transport/stream_ssh.h"

enum { MIB = 1024 * 1024, WRITE_LEN = MIB, READ_LEN = 128 * 1024, SMALL = 4096, ROUNDS = 40 };

struct bench {
	const char *config, *host, *path, *count;
	const char *const *command;
	struct sftp_options opt;
	uint64_t len;
	uint8_t *buf;
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void check(int err, const char *what, const char *why)
{
	if (!err)
		return;
	fprintf(stderr, "%s: %s %s\n", what, strerror(-err), why);
	exit(1);
}

static void say(void *arg, enum sftp_state state, const char *line)
{
	fprintf(stderr, "%s: %s\n", sftp_state_name(state), line);
}

static struct blkdev *open_dev(const struct bench *b)
{
	struct ssh_login_options login = { .host = b->host, .config = b->config,
					   .unknown_host = SSH_UNKNOWN_REFUSE };
	struct stream *stream = NULL;
	struct blkdev *dev = NULL;
	char why[512] = "";
	bool programs;

	if (b->host)
		check(stream_ssh_open(&login, &stream, &programs, why, sizeof(why)), "login", why);
	else
		check(stream_cmd_new(b->command, &stream), "command", why);
	check(sftp_dev_open(stream, &b->opt, &dev, why, sizeof(why)), b->path, why);
	return dev;
}

static unsigned turns(const struct bench *b)
{
	char line[256] = "";
	FILE *f = b->count ? popen(b->count, "r") : NULL;
	const char *at;

	if (!f)
		return 0;
	at = fgets(line, sizeof(line), f) ? strstr(line, "turns ") : NULL;
	check(pclose(f) || !at ? -EIO : 0, b->count, line);
	return (unsigned)strtoul(at + strlen("turns "), NULL, 10);
}

static double write_all(const struct bench *b, struct blkdev *dev)
{
	double start = now_s();

	for (uint64_t off = 0; off < b->len; off += WRITE_LEN)
		check(blkdev_write(dev, b->buf, WRITE_LEN, off), "write", "");
	check(blkdev_flush(dev), "flush", "");
	return (double)b->len / 1e6 / (now_s() - start);
}

static double read_all(const struct bench *b, struct blkdev *dev)
{
	double start = now_s();

	for (uint64_t off = 0; off < b->len; off += READ_LEN) {
		check(blkdev_read(dev, b->buf + WRITE_LEN, READ_LEN, off), "read", "");
		if (memcmp(b->buf + off % WRITE_LEN, b->buf + WRITE_LEN, READ_LEN))
			check(-EIO, "read", "other bytes than were written");
	}
	return (double)b->len / 1e6 / (now_s() - start);
}

static double sync_ms(const struct bench *b, struct blkdev *dev)
{
	double start = now_s();

	for (int i = 0; i < ROUNDS; i++) {
		check(blkdev_write(dev, b->buf, SMALL, (uint64_t)i * MIB % b->len), "write", "");
		check(blkdev_flush(dev), "flush", "");
	}
	return (now_s() - start) * 1000 / ROUNDS;
}

static double random_ms(const struct bench *b, struct blkdev *dev)
{
	double start = now_s();

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t off = (uint64_t)rand() * SMALL % (b->len - SMALL);

		check(blkdev_read(dev, b->buf + WRITE_LEN, SMALL, off), "read", "");
	}
	return (now_s() - start) * 1000 / ROUNDS;
}

static void run(const struct bench *b)
{
	struct blkdev *dev = open_dev(b);
	unsigned w_turns, r_turns, s_turns;
	struct sftp_status st;
	double w, r, s, rnd;

	turns(b);
	w = write_all(b, dev);
	w_turns = turns(b);
	check(blkdev_close(dev), "close", "");
	dev = open_dev(b);
	turns(b);
	r = read_all(b, dev);
	r_turns = turns(b);
	blkdev_close(dev);
	dev = open_dev(b);
	rnd = b->count ? 0 : random_ms(b, dev);
	turns(b);
	s = sync_ms(b, dev);
	s_turns = turns(b);
	sftp_dev_status(dev, &st);
	blkdev_close(dev);
	if (b->count) {
		printf("write turns %u read turns %u sync turns %u\n", w_turns, r_turns, s_turns);
		return;
	}
	printf("write MB/s %.0f read MB/s %.0f sync ms %.2f random ms %.2f rtt ms %.2f\n", w, r, s,
	       rnd, (double)st.rtt_us / 1000);
}

int main(int argc, char **argv)
{
	struct bench b = { .opt = { .timeout_s = 30, .notify = say }, .len = 256ull * MIB };
	int c;

	while ((c = getopt(argc, argv, "+n:m:b:F:h:t:")) != -1) {
		switch (c) {
		case 'n':
			b.opt.channels = (unsigned)atoi(optarg);
			break;
		case 'm':
			b.len = strtoull(optarg, NULL, 0) * MIB;
			break;
		case 'b':
			b.opt.buffer_len = strtoull(optarg, NULL, 0) * MIB;
			break;
		case 'F':
			b.config = optarg;
			break;
		case 'h':
			b.host = optarg;
			break;
		case 't':
			b.count = optarg;
			break;
		default:
			return 2;
		}
	}
	if (optind >= argc || !b.len)
		return 2;
	b.path = b.opt.path = argv[optind];
	b.command = (const char *const *)argv + optind + 1;
	b.buf = malloc(WRITE_LEN + READ_LEN);
	if (!b.buf)
		return 1;
	for (size_t i = 0; i < WRITE_LEN; i++)
		b.buf[i] = (uint8_t)(rand() >> 7);
	run(&b);
	free(b.buf);
	return 0;
}
