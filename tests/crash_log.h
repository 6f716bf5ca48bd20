/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A log in a file that a device and the processes working on it write together.
 *
 * Everybody has it open for appending, and a record is one write(2), so the order of the
 * records is the order in which things happened: what stands before a record had happened
 * when it was written. The device logs each call twice, before it (with the bytes) and when
 * it has returned; a workload logs what it is going to do, and what has returned to it.
 *
 * Format: struct crash_log_head, then records: struct crash_record and its payload. Numbers
 * are the machine's own, the file does not leave it.
 */
#ifndef TESTS_CRASH_LOG_H
#define TESTS_CRASH_LOG_H

#include <stddef.h>
#include <stdint.h>

enum crash_record_kind {
	CRASH_WRITE_CALL,	/* payload: len bytes for off */
	CRASH_ZEROS_CALL,
	CRASH_DISCARD_CALL,
	CRASH_FLUSH_CALL,
	CRASH_CALL_DONE,	/* of the call with the same serial number */
	CRASH_CALL_FAILED,	/* ... which may have done a part */
	CRASH_MARK,		/* payload: len bytes of the workload's */
};

struct crash_record {
	uint32_t magic, kind;
	uint64_t serial;	/* of a call; unique */
	uint64_t off, len;	/* bytes */
};

/* Makes the file and writes its head; for the first to come. Descriptor or -errno. */
int crash_log_create(const char *path);
/* For all others. Descriptor or -errno. */
int crash_log_append(const char *path);
/* Appends one record; payload is NULL unless the kind has one. 0 or -errno. */
int crash_log_write(int fd, const struct crash_record *record, const void *payload);

/* One record of a log that was read. */
struct crash_entry {
	enum crash_record_kind kind;
	uint64_t off, len;	/* bytes; off of a CALL_DONE or _FAILED: index of the call */
	const uint8_t *data;	/* payload or NULL */
	size_t done;		/* of a call: index of its CRASH_CALL_DONE; SIZE_MAX: none */
};

struct crash_log {
	struct crash_entry *entries;
	size_t n;
	void *map;
	size_t map_len;
};

/* Reads all; an end that is half a record is dropped. Aborts when it is no log. */
void crash_log_load(struct crash_log *log, const char *path);
void crash_log_fini(struct crash_log *log);

#endif
