/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asking on the controlling terminal, for secrets above all. */
#ifndef FUSE4FS_TERMINAL_H
#define FUSE4FS_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* Whether there is a controlling terminal to ask on. */
bool terminal_there(void);

/*
 * terminal_ask - print a prompt, read one line
 *
 * echo     what is typed is shown; false for secrets
 * buf      gets the line without its newline, unterminated; secret memory of the caller
 * ret_len  bytes of it
 *
 * What was typed before the prompt is dropped. A signal that ends or stops the process does
 * so with the terminal as it was; after a stop the prompt comes again. A process in the
 * background waits, stopped, until it is brought to the foreground.
 * Returns 0; -ENXIO no terminal; -ENODATA end of file instead of a line; -E2BIG the line is
 * longer than size; -EIO and other errors of the terminal.
 */
int terminal_ask(const char *prompt, bool echo, char *buf, size_t size, size_t *ret_len);

#endif
