/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a passphrase or key comes from. It goes from a descriptor straight into secret
 * memory (crypto/secret.h): never through stdio, an argument, the environment or a log.
 */
#ifndef FUSE4FS_KEYSOURCE_H
#define FUSE4FS_KEYSOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	KEYSOURCE_LINE_MAX = 512,	/* bytes typed on a terminal */
	KEYSOURCE_MAX = 8 << 20,	/* bytes from anywhere */
	KEYSOURCE_TRIES = 3,
};

struct keysource {
	const char *image;		/* for the prompt */
	const char *keyfile;		/* or NULL; "-" is standard input, all of it */
	uint64_t keyfile_off;		/* bytes to skip */
	uint64_t keyfile_len;		/* bytes to take; 0: all, up to KEYSOURCE_MAX */
	int passfd;			/* or -1: one line of this descriptor */
};

/*
 * In this order: the key file; passfd; standard input when it is a pipe, a file or a socket
 * (one line); the terminal; systemd-ask-password.
 */
enum keysource_kind {
	KEYSOURCE_FILE, KEYSOURCE_PASSFD, KEYSOURCE_STDIN, KEYSOURCE_TERMINAL, KEYSOURCE_AGENT,
};
enum keysource_kind keysource_kind(const struct keysource *src);

/* How often it is worth asking: KEYSOURCE_TRIES where a person answers, else once. */
int keysource_tries(const struct keysource *src);

/*
 * keysource_read - one passphrase
 *
 * ret      secret memory, secret_free; not terminated, may hold any bytes
 * ret_len  bytes; 0 is an empty passphrase
 * why      on failure a sentence
 *
 * Blocks for as long as a person thinks.
 * Returns 0; -ECANCELED nothing was given; -ENXIO nobody can be asked; -E2BIG too long;
 * -ENODATA the key file is shorter than asked for; -ENOMEM; errors of open(2) and read(2).
 */
int keysource_read(const struct keysource *src, void **ret, size_t *ret_len, char *why,
		   size_t why_len);

#endif
