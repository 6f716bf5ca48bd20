/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SFTP packets: known bytes, and bytes that no honest server sends. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "transport/sftp_codec.h"
#include "transport/sftp_int.h"

static const struct sftp_handle HANDLE = { .len = 4, .bytes = { 0, 0, 0, 7 } };

static void requests_are_these_bytes(void **state)
{
	static const uint8_t init[] = { 0, 0, 0, 5, 1, 0, 0, 0, 3 };
	static const uint8_t rd[] = { 0, 0, 0, 25, 5, 0, 0, 1, 2, 0, 0, 0, 4, 0, 0, 0, 7,
				      0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 16, 0 };
	static const uint8_t wr[] = { 0, 0, 0, 28, 6, 0, 0, 1, 2, 0, 0, 0, 4, 0, 0, 0, 7,
				      0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3 };
	static const uint8_t op[] = { 0, 0, 0, 19, 3, 0, 0, 0, 1, 0, 0, 0, 2, '/', 'x',
				      0, 0, 0, 3, 0, 0, 0, 0 };
	static const uint8_t sync[] = { 0, 0, 0, 34, 200, 0, 0, 0, 5, 0, 0, 0, 17, 'f', 's', 'y',
					'n', 'c', '@', 'o', 'p', 'e', 'n', 's', 's', 'h', '.', 'c',
					'o', 'm', 0, 0, 0, 4, 0, 0, 0, 7 };
	uint8_t buf[256];
	struct sftp_enc e = { .buf = buf, .cap = sizeof(buf) };

	sftp_enc_init(&e);
	assert_int_equal(e.len, sizeof(init));
	assert_memory_equal(buf, init, sizeof(init));
	sftp_enc_read(&e, 258, &HANDLE, 0x100000009, 4096);
	assert_int_equal(e.len, sizeof(rd));
	assert_memory_equal(buf, rd, sizeof(rd));
	sftp_enc_write(&e, 258, &HANDLE, 9, 3);
	assert_int_equal(e.len, sizeof(wr));
	assert_memory_equal(buf, wr, sizeof(wr));
	sftp_enc_open(&e, 1, "/x", SSH_FXF_READ | SSH_FXF_WRITE);
	assert_int_equal(e.len, sizeof(op));
	assert_memory_equal(buf, op, sizeof(op));
	sftp_enc_fsync(&e, 5, &HANDLE);
	assert_int_equal(e.len, sizeof(sync));
	assert_memory_equal(buf, sync, sizeof(sync));
	assert_int_equal(e.err, 0);
}

static void what_does_not_fit_is_an_error(void **state)
{
	uint8_t buf[20];
	char path[SFTP_PATH_MAX + 2];
	struct sftp_enc e = { .buf = buf, .cap = sizeof(buf) };

	sftp_enc_read(&e, 1, &HANDLE, 0, 1);
	assert_int_equal(e.err, -EMSGSIZE);
	assert_true(e.len <= sizeof(buf));
	sftp_enc_init(&e);
	assert_int_equal(e.err, 0);
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	e = (struct sftp_enc){ .buf = malloc(8192), .cap = 8192 };
	sftp_enc_remove(&e, 1, path);
	assert_int_equal(e.err, -EMSGSIZE);
	free(e.buf);
}


static void extensions_are_read(void **state)
{
	static const uint8_t body[] =
		"\x02\0\0\0\x03"
		"\0\0\0\x18" "posix-rename@openssh.com" "\0\0\0\x01" "1"
		"\0\0\0\x13" "statvfs@openssh.com" "\0\0\0\x01" "2"
		"\0\0\0\x11" "fsync@openssh.com" "\0\0\0\x01" "1"
		"\0\0\0\x12" "limits@openssh.com" "\0\0\0\x01" "1";
	struct sftp_version v;

	assert_int_equal(sftp_dec_version(body, sizeof(body) - 1, &v), 0);
	assert_int_equal(v.version, 3);
	assert_true(v.fsync && v.limits && v.statvfs && v.posix_rename);
	for (size_t len = 0; len < sizeof(body) - 1; len++) {
		int err = sftp_dec_version(body, len, &v);

		/* Whole pairs are a packet, too. */
		assert_true(err == 0 || err == -EPROTO);
	}
	assert_int_equal(sftp_dec_version((const uint8_t *)"\x02\0\0\0\x03\xff\xff\xff\xff", 9, &v),
			 -EPROTO);
	assert_int_equal(sftp_dec_version((const uint8_t *)"\x02\0\0\0\x03", 5, &v), 0);
	assert_false(v.fsync);
}

static void replies_are_decoded(void **state)
{
	static const uint8_t status[] = "\x65\0\0\0\x09\0\0\0\x04\0\0\0\x04" "full" "\0\0\0";
	static const uint8_t handle[] = "\x66\0\0\0\x09\0\0\0\x02" "ab";
	static const uint8_t attrs[] = "\x69\0\0\0\x09\0\0\0\x0d" "\0\0\0\0\0\0\x10\0" "\0\0\x81\xa4"
				       "\0\0\0\1\0\0\0\2";
	struct sftp_reply r;

	assert_int_equal(sftp_dec_reply(status, 17, &r), 0);
	assert_int_equal(r.id, 9);
	assert_int_equal(r.status, SSH_FX_FAILURE);
	assert_int_equal(r.message.len, 4);
	assert_int_equal(sftp_dec_reply(status, 9, &r), 0);
	assert_int_equal(r.message.len, 0);
	assert_int_equal(sftp_dec_reply(status, 16, &r), -EPROTO);
	assert_int_equal(sftp_dec_reply(status, 8, &r), -EPROTO);
	assert_int_equal(sftp_dec_reply(handle, 11, &r), 0);
	assert_int_equal(r.handle.len, 2);
	assert_int_equal(sftp_dec_reply(handle, 10, &r), -EPROTO);
	assert_int_equal(sftp_dec_reply((const uint8_t *)"\x66\0\0\0\x09\0\0\0\0", 9, &r), -EPROTO);
	assert_int_equal(sftp_dec_reply(attrs, 29, &r), 0);
	assert_int_equal(r.attrs.size, 4096);
	assert_int_equal(r.attrs.permissions, 0x81a4);
	assert_int_equal(r.attrs.mtime, 2);
	assert_int_equal(sftp_dec_reply(attrs, 20, &r), -EPROTO);
	assert_int_equal(sftp_dec_reply((const uint8_t *)"\x63\0\0\0\x09", 5, &r), -EPROTO);
}

static void long_handles_are_refused(void **state)
{
	uint8_t body[9 + SFTP_HANDLE_MAX + 1] = { SSH_FXP_HANDLE, 0, 0, 0, 1, 0, 0, 1, 1 };
	struct sftp_reply r;

	assert_int_equal(sftp_dec_reply(body, sizeof(body), &r), -EPROTO);
	body[8] = 0;
	assert_int_equal(sftp_dec_reply(body, sizeof(body), &r), 0);
	assert_int_equal(r.handle.len, SFTP_HANDLE_MAX);
}

/* What the receiver hears. */
struct heard {
	unsigned packets, datas;
	uint8_t dest[SFTP_IO_MAX];
	uint32_t asked, want;	/* length of the last DATA; what is accepted at most */
};

static int hear_begin(void *arg, uint32_t id, uint32_t len, uint8_t **ret_dest)
{
	struct heard *h = arg;

	if (len > h->want)
		return -EPROTO;
	h->asked = len;
	*ret_dest = id == 99 ? NULL : h->dest;
	return 0;
}

static int hear_end(void *arg, uint32_t id)
{
	((struct heard *)arg)->datas++;
	return 0;
}

static int hear_packet(void *arg, const uint8_t *body, size_t len)
{
	struct sftp_reply r;
	struct sftp_version v;
	struct sftp_limits l;
	struct sftp_statvfs s;
	struct sftp_str rest = { .p = body, .len = (uint32_t)len };

	((struct heard *)arg)->packets++;
	sftp_dec_reply(body, len, &r);
	sftp_dec_version(body, len, &v);
	sftp_dec_limits(&rest, &l);
	sftp_dec_statvfs(&rest, &s);
	return 0;
}

static const struct sftp_rx_ops hear = { hear_begin, hear_end, hear_packet };

static const uint8_t STREAM[] =
	"\0\0\0\x05\x02\0\0\0\x03"
	"\0\0\0\x0d\x67\0\0\0\x05\0\0\0\x04" "data"
	"\0\0\0\x11\x65\0\0\0\x06\0\0\0\0\0\0\0\0\0\0\0\0"
	"\0\0\0\x09\x67\0\0\0\x07\0\0\0\0"
	"\0\0\0\x0e\x67\0\0\0\x08\0\0\0\x04" "more\x01"
	"\0\0\0\x0b\x66\0\0\0\x07\0\0\0\x02" "hh";

static void packets_arrive_in_any_pieces(void **state)
{
	static struct heard h;
	static struct sftp_rx rx;

	for (size_t step = 1; step < sizeof(STREAM); step++) {
		h = (struct heard){ .want = 4 };
		sftp_rx_init(&rx);
		for (size_t at = 0; at < sizeof(STREAM) - 1; at += step) {
			size_t n = sizeof(STREAM) - 1 - at < step ? sizeof(STREAM) - 1 - at : step;

			assert_int_equal(sftp_rx_feed(&rx, STREAM + at, n, &hear, &h), 0);
		}
		assert_int_equal(h.packets, 3);
		assert_int_equal(h.datas, 3);
		assert_memory_equal(h.dest, "more", 4);
		assert_int_equal(rx.have, 0);
	}
}

static void impossible_packets_end_it(void **state)
{
	static const struct { const char *bytes; size_t len; } bad[] = {
		{ "\0\0\0\0\x65", 5 }, { "\0\0\0\x04\x65", 5 }, { "\xff\xff\xff\xff\x65", 5 },
		{ "\x7f\xff\xff\xff\x67\0\0\0\1\0\0\0\1", 13 }, { "\0\0\0\x08\x67\0\0\0\1\0\0\0\1", 13 },
		{ "\0\0\0\x0a\x67\0\0\0\1\0\0\0\2", 13 }, { "\0\2\x10\0\x67\0\0\0\1\0\2\0\1", 13 },
		{ "\0\0\x40\x01\x65", 5 },
	};
	static struct heard h = { .want = SFTP_IO_MAX };
	static struct sftp_rx rx;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		sftp_rx_init(&rx);
		assert_int_equal(sftp_rx_feed(&rx, bad[i].bytes, bad[i].len, &hear, &h), -EPROTO);
	}
}

/* Any bytes: an error, or not; never a byte outside. Meant for the address sanitizer. */
static void mutations_do_no_harm(void **state)
{
	const char *given = getenv("SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : 1, rounds = 200000;
	static struct heard h = { .want = SFTP_IO_MAX };
	static struct sftp_rx rx;
	uint8_t buf[sizeof(STREAM) - 1];

	srand(seed);
	for (unsigned i = 0; i < rounds; i++) {
		size_t at = 0;

		memcpy(buf, STREAM, sizeof(buf));
		for (int n = rand() % 6; n >= 0; n--)
			buf[(size_t)rand() % sizeof(buf)] = (uint8_t)(rand() % 3 ? rand() : rand() % 2 * 255);
		sftp_rx_init(&rx);
		while (at < sizeof(buf)) {
			size_t n = 1 + (size_t)rand() % (sizeof(buf) - at);

			if (sftp_rx_feed(&rx, buf + at, n, &hear, &h))
				break;
			at += n;
		}
		assert_true(rx.have <= sizeof(rx.small));
	}
}

static void every_request_with_a_long_handle_fits(void **state)
{
	uint8_t buf[REQ_HEAD_MAX];
	struct sftp_enc e = { .buf = buf, .cap = sizeof(buf) };
	const struct sftp_handle h = { .len = SFTP_HANDLE_MAX };

	(void)state;
	sftp_enc_read(&e, 1, &h, UINT64_MAX, UINT32_MAX);
	assert_int_equal(e.err, 0);
	sftp_enc_write(&e, 1, &h, UINT64_MAX, SFTP_IO_MAX);
	assert_int_equal(e.err, 0);
	sftp_enc_fsync(&e, 1, &h);
	assert_int_equal(e.err, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_request_with_a_long_handle_fits),
		cmocka_unit_test(requests_are_these_bytes),
		cmocka_unit_test(what_does_not_fit_is_an_error),
		cmocka_unit_test(extensions_are_read),
		cmocka_unit_test(replies_are_decoded),
		cmocka_unit_test(long_handles_are_refused),
		cmocka_unit_test(packets_arrive_in_any_pieces),
		cmocka_unit_test(impossible_packets_end_it),
		cmocka_unit_test(mutations_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
