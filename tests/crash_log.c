/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The common log of a device and its workload. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "crash_log.h"
#include "unit_image.h"

enum { HEAD_MAGIC = 0x66346c67, RECORD_MAGIC = 0x66347263 };

struct crash_log_head {
	uint32_t magic, record_size;
};

int crash_log_create(const char *path)
{
	const struct crash_log_head head = { HEAD_MAGIC, sizeof(struct crash_record) };
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);

	if (fd < 0)
		return -errno;
	if (write(fd, &head, sizeof(head)) != sizeof(head)) {
		close(fd);
		return -EIO;
	}
	return fd;
}

int crash_log_append(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int crash_log_write(int fd, const struct crash_record *record, const void *payload)
{
	struct crash_record r = *record;
	struct iovec iov[2] = { { &r, sizeof(r) }, { (void *)payload, payload ? r.len : 0 } };
	ssize_t n;

	r.magic = RECORD_MAGIC;
	do
		n = writev(fd, iov, payload ? 2 : 1);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == iov[0].iov_len + iov[1].iov_len ? 0 : -EIO;
}

/* Serial numbers count from 1 in the order of the log, nearly. */
struct open_calls {
	size_t *at;		/* by serial number: index of the call + 1 */
	size_t room;
};

static void remember_call(struct open_calls *calls, uint64_t serial, size_t index)
{
	if (serial >= calls->room) {
		size_t room = (size_t)serial * 2 + 1024;

		calls->at = reallocarray(calls->at, room, sizeof(*calls->at));
		if (!calls->at)
			unit_die("no memory");
		memset(calls->at + calls->room, 0, (room - calls->room) * sizeof(*calls->at));
		calls->room = room;
	}
	calls->at[serial] = index + 1;
}

/* A failed write may be there in part, now or later; a failed discard is none. */
static void end_call(struct crash_log *log, struct crash_entry *call, enum crash_record_kind kind)
{
	log->entries[log->n].off = (uint64_t)(call - log->entries);
	if (kind == CRASH_CALL_DONE)
		call->done = log->n;
	else if (call->kind == CRASH_DISCARD_CALL)
		call->len = 0;
}

static void add_entry(struct crash_log *log, struct open_calls *calls,
		      const struct crash_record *r, const uint8_t *data)
{
	if (!(log->n & (log->n - 1))) {
		log->entries = reallocarray(log->entries, log->n ? 2 * log->n : 1,
					    sizeof(*log->entries));
		if (!log->entries)
			unit_die("no memory");
	}
	log->entries[log->n] = (struct crash_entry){
		.kind = r->kind, .off = r->off, .len = r->len, .data = data, .done = SIZE_MAX,
	};
	if (r->kind < CRASH_CALL_DONE)
		remember_call(calls, r->serial, log->n);
	else if (r->kind != CRASH_MARK && r->serial < calls->room && calls->at[r->serial])
		end_call(log, &log->entries[calls->at[r->serial] - 1], r->kind);
	log->n++;
}

static void map_file(struct crash_log *log, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		unit_die("%s: %s", path, strerror(errno));
	log->map_len = (size_t)st.st_size;
	log->map = mmap(NULL, log->map_len, PROT_READ, MAP_SHARED, fd, 0);
	if (log->map == MAP_FAILED)
		unit_die("%s: %s", path, strerror(errno));
	close(fd);
}

void crash_log_load(struct crash_log *log, const char *path)
{
	struct open_calls calls = { 0 };
	const uint8_t *p, *end;
	struct crash_log_head head;

	*log = (struct crash_log){ 0 };
	map_file(log, path);
	p = log->map;
	end = p + log->map_len;
	if (log->map_len < sizeof(head))
		unit_die("%s: empty", path);
	memcpy(&head, p, sizeof(head));
	if (head.magic != HEAD_MAGIC || head.record_size != sizeof(struct crash_record))
		unit_die("%s: not a log of ours", path);
	for (p += sizeof(head); (size_t)(end - p) >= sizeof(struct crash_record);) {
		struct crash_record r;
		size_t payload;

		memcpy(&r, p, sizeof(r));
		if (r.magic != RECORD_MAGIC)
			unit_die("%s: no record at %td", path, p - (uint8_t *)log->map);
		p += sizeof(r);
		payload = r.kind == CRASH_WRITE_CALL || r.kind == CRASH_MARK ? r.len : 0;
		if (payload > (size_t)(end - p))
			break;
		add_entry(log, &calls, &r, payload ? p : NULL);
		p += payload;
	}
	free(calls.at);
}

void crash_log_fini(struct crash_log *log)
{
	free(log->entries);
	munmap(log->map, log->map_len);
}
