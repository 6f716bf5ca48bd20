/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A libFuzzer target for what an SFTP server sends; not part of the suite. `make fuzz-sftp`
 * builds it with clang; run tests/fuzz_sftp CORPUS-FOLDER for as long as wanted.
 *
 * The input is a stream of packets that arrives in pieces; the first byte says of what length.
 */
#include <errno.h>
#include <stdlib.h>

#include "transport/sftp_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* As large as what was asked for, so that a byte too many is noticed. */
static uint8_t *dest;

static int data_begin(void *arg, uint32_t id, uint32_t len, uint8_t **ret_dest)
{
	free(dest);
	dest = id % 3 ? malloc(len) : NULL;
	*ret_dest = dest;
	return id % 7 == 6 ? -EPROTO : 0;
}

static int data_end(void *arg, uint32_t id)
{
	free(dest);
	dest = NULL;
	return 0;
}

static int packet(void *arg, const uint8_t *body, size_t len)
{
	struct sftp_version version;
	struct sftp_statvfs statvfs;
	struct sftp_limits limits;
	struct sftp_reply reply = { 0 };
	unsigned sum = 0;

	sftp_dec_version(body, len, &version);
	if (sftp_dec_reply(body, len, &reply))
		return 0;
	for (uint32_t i = 0; reply.type == SSH_FXP_STATUS && i < reply.message.len; i++)
		sum += reply.message.p[i];
	if (reply.handle.len > SFTP_HANDLE_MAX)
		abort();
	if (reply.type == SSH_FXP_EXTENDED_REPLY) {
		sftp_dec_limits(&reply.extended, &limits);
		sftp_dec_statvfs(&reply.extended, &statvfs);
	}
	return sum == 1 ? -EIO : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct sftp_rx_ops ops = { data_begin, data_end, packet };
	static struct sftp_rx rx;
	size_t step = len ? 1 + data[0] : 1;

	sftp_rx_init(&rx);
	for (size_t at = 1; at < len; at += step) {
		size_t n = len - at < step ? len - at : step;
		/* A copy of its own, so that a byte too many is noticed here, too. */
		uint8_t *piece = malloc(n);
		int err = piece ? 0 : -ENOMEM;

		for (size_t i = 0; i < n && !err; i++)
			piece[i] = data[at + i];
		if (!err)
			err = sftp_rx_feed(&rx, piece, n, &ops, NULL);
		free(piece);
		if (err)
			break;
	}
	free(dest);
	dest = NULL;
	return 0;
}
