/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sentence that tells the user why something failed, beside the -errno for the program. */
#ifndef FUSE4FS_WHY_H
#define FUSE4FS_WHY_H

#include <stddef.h>

/* Where the sentence goes: len bytes of the caller's, which is cut to fit. */
struct why {
	char *text;
	size_t len;
};

/* Writes the sentence over what is there. */
void why_say(const struct why *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same as an expression whose value is err. A macro: what a variadic function returns, the
 * compiler and checkers of constant conditions cannot see. */
#define why_fail(why, err, ...) (why_say((why), __VA_ARGS__), (err))

#endif
