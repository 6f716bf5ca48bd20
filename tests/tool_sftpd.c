/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An SFTP server on standard input and output that can do what servers do wrong.
 *
 *   --delay=MS       each way; --no-fsync --no-limits --no-rename: not supported
 *   --short --misorder    reads answered in part; answers out of order
 *   --shuffle        requests carried out in any order, as servers with threads do
 *   --fail=KIND:N:C  requests N .. N+C-1 of KIND (write, fsync, read; lock: writes to other
 *                    files) fail, or stop the server (halt: writes); counted over all of an image
 *   --die=N --stop=N ends, or stops, at one of N writes, fsyncs, and reads of more than a block
 *   --forget         keeps IMAGE.disk, what a power cut would leave, and IMAGE.dirty, what was
 *                    written since the last fsync: (off, len) pairs of 8 bytes each
 *   --report         every server that is there fails one fsync when one does, as Linux does
 *   --gate           waits at the first RENAME, and at what comes next: makes IMAGE.at1, IMAGE.at2,
 *                    and goes on when IMAGE.go1, IMAGE.go2 are there
 *   --other          every other server of an image serves IMAGE.other in its place
 *   --sync=MS --read=MS --write=MS   what an fsync takes, and a read or write of the image
 *   --trickle=MS     reads of more than a block are answered with a byte every MS; --lie: an
 *                    fsync is answered, and nothing is synced
 *   --hostile=N --seed=N  one of N answers is damaged
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tool_sftpd_options.h"
#include "transport/sftp_format.h"
#include "wire_be.h"

enum { PATH_LEN = 4200, HANDLES = 16, IN_LEN = 1 << 20, PACKET_MAX = 300 << 10, OUT_MAX = 64 << 20 };

struct packet {
	struct packet *next;
	int64_t due_us;
	uint32_t len, sent;
	uint8_t bytes[];
};

struct queue {
	struct packet *first, **last;
	size_t len;
};

/* Counted by all servers of an image, in IMAGE.count. */
struct counts {
	_Atomic unsigned reads, writes, fsyncs, locks, halts, opens, reports;
};

static struct queue in = { .last = &in.first }, out = { .last = &out.first };
static int handles[HANDLES];
static char image[PATH_LEN + 8];
static int image_fd = -1, disk_fd = -1, dirty_fd = -1;
static struct counts *counts, own_counts;
static unsigned reported;		/* of counts->reports, here */

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static bool one_of(int n)
{
	return n && rand() % n == 0;
}

static void push(struct queue *q, struct packet *p)
{
	p->next = NULL;
	p->due_us = now_us() + opt.delay_ms * 1000;
	*q->last = p;
	q->last = &p->next;
	q->len += p->len;
}

static struct packet *pop(struct queue *q)
{
	struct packet *p = q->first;

	q->first = p->next;
	if (!q->first)
		q->last = &q->first;
	q->len -= p->len;
	return p;
}

/* A reply under construction; room for len bytes behind type and id. */
static struct packet *reply(uint8_t type, uint32_t id, uint32_t len)
{
	struct packet *p = calloc(1, sizeof(*p) + 9 + len);
	uint32_t be = htobe32(5 + len);

	if (!p)
		abort();
	p->len = 9 + len;
	memcpy(p->bytes, &be, 4);
	p->bytes[4] = type;
	be = htobe32(id);
	memcpy(p->bytes + 5, &be, 4);
	return p;
}

static void damage(struct packet *p)
{
	for (int n = rand() % 4; n >= 0; n--)
		p->bytes[(unsigned)rand() % (p->len < 40 ? p->len : 40)] = (uint8_t)rand();
}

static void answer(struct packet *p)
{
	if (one_of(opt.hostile))
		damage(p);
	push(&out, p);
	/* The last two change places. */
	if (opt.misorder && rand() % 2 && out.first != p && !out.first->sent) {
		struct packet *first = out.first;

		out.first = p;
		for (struct packet *q = first; q; q = q->next) {
			if (q->next == p) {
				q->next = NULL;
				out.last = &q->next;
			}
		}
		p->next = first;
		p->due_us = first->due_us;
	}
}

static void status(uint32_t id, uint32_t code)
{
	struct packet *p = reply(SSH_FXP_STATUS, id, 12);

	put32(p->bytes + 9, code);
	answer(p);
}

static uint32_t code_of(int err)
{
	return err == ENOENT ? SSH_FX_NO_SUCH_FILE : err == EACCES || err == EPERM ?
	       SSH_FX_PERMISSION_DENIED : SSH_FX_FAILURE;
}

static bool fails(const struct fault *f, _Atomic unsigned *count)
{
	unsigned n = ++*count;

	return f->count && n >= f->first && n < f->first + f->count;
}

/* The first file opened is the image; its companions are beside it. */
static void open_counts(const char *path)
{
	char name[PATH_LEN + 8];
	int count_fd;

	snprintf(name, sizeof(name), "%.*s.count", PATH_LEN, path);
	count_fd = open(name, O_RDWR | O_CREAT, 0600);
	if (count_fd < 0 || ftruncate(count_fd, sizeof(*counts)) < 0)
		return;
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED, count_fd, 0);
	if (counts == MAP_FAILED)
		counts = &own_counts;
}

static void open_companions(const char *path, int fd)
{
	char name[PATH_LEN + 8];

	image_fd = fd;
	reported = counts->reports;
	if (!opt.forget)
		return;
	snprintf(name, sizeof(name), "%.*s.disk", PATH_LEN, path);
	disk_fd = open(name, O_RDWR);
	snprintf(name, sizeof(name), "%.*s.dirty", PATH_LEN, path);
	dirty_fd = open(name, O_RDWR | O_CREAT | O_APPEND, 0600);
	if (disk_fd < 0 || dirty_fd < 0)
		abort();
}

static void do_open(uint32_t id, const uint8_t *p)
{
	char path[PATH_LEN + 8] = "";
	uint32_t n = get32(p), flags = get32(p + 4 + n);
	int how = (flags & SSH_FXF_WRITE ? O_RDWR : O_RDONLY) | (flags & SSH_FXF_CREAT ? O_CREAT : 0) |
		  (flags & SSH_FXF_EXCL ? O_EXCL : 0);
	struct packet *r;
	int nr = 0, fd;

	memcpy(path, p + 4, n < PATH_LEN ? n : 0);
	while (nr < HANDLES && handles[nr])
		nr++;
	if (image_fd < 0 && counts == &own_counts)
		open_counts(path);
	if (image_fd < 0 && opt.other && counts->opens++ % 2)
		strcat(path, ".other");
	fd = nr < HANDLES ? open(path, how, 0600) : -1;
	if (fd < 0) {
		status(id, code_of(errno));
		return;
	}
	if (image_fd < 0) {
		strcpy(image, path);
		open_companions(path, fd);
	}
	handles[nr] = fd;
	r = reply(SSH_FXP_HANDLE, id, 8);
	put32(r->bytes + 9, 4);
	put32(r->bytes + 13, (uint32_t)nr);
	answer(r);
}

static void do_read(uint32_t id, int fd, uint64_t off, uint32_t len)
{
	struct packet *r;
	ssize_t n;

	if (fd == image_fd && fails(&opt.read, &counts->reads)) {
		status(id, SSH_FX_FAILURE);
		return;
	}
	if (fd == image_fd)
		usleep((useconds_t)opt.read_ms * 1000);
	len = len > 261120 ? 261120 : len;
	if (opt.is_short && len > 1)
		len -= (uint32_t)rand() % (len / 2 + 1);
	r = reply(SSH_FXP_DATA, id, 4 + len);
	n = pread(fd, r->bytes + 13, len, (off_t)off);
	if (n <= 0) {
		free(r);
		status(id, n ? SSH_FX_FAILURE : SSH_FX_EOF);
		return;
	}
	r->len = 13 + (uint32_t)n;
	put32(r->bytes, r->len - 4);
	put32(r->bytes + 9, (uint32_t)n);
	answer(r);
}

static void do_write(uint32_t id, int fd, uint64_t off, uint32_t len, const uint8_t *bytes)
{
	uint64_t range[2] = { off, len };
	bool bad;

	if (fd == image_fd && fails(&opt.halt, &counts->halts))
		raise(SIGSTOP);
	if (fd == image_fd ? fails(&opt.write, &counts->writes) :
			     fails(&opt.lock, &counts->locks)) {
		status(id, SSH_FX_FAILURE);
		return;
	}
	if (fd == image_fd)
		usleep((useconds_t)opt.write_ms * 1000);
	/* What is noted and what is written belong together, or a power cut forgets wrongly. */
	if (fd == image_fd && dirty_fd >= 0) {
		flock(dirty_fd, LOCK_SH);
		if (write(dirty_fd, range, sizeof(range)) != sizeof(range))
			abort();
	}
	bad = pwrite(fd, bytes, len, (off_t)off) != (ssize_t)len;
	if (fd == image_fd && dirty_fd >= 0)
		flock(dirty_fd, LOCK_UN);
	status(id, bad ? SSH_FX_FAILURE : SSH_FX_OK);
}

static void sync_disk(void)
{
	static uint8_t bytes[PACKET_MAX];
	uint64_t range[2];

	flock(dirty_fd, LOCK_EX);
	for (off_t at = 0; pread(dirty_fd, range, sizeof(range), at) == sizeof(range); at += 16) {
		ssize_t n = pread(image_fd, bytes, range[1], (off_t)range[0]);

		if (n < 0 || pwrite(disk_fd, bytes, (size_t)n, (off_t)range[0]) != n)
			abort();
	}
	if (ftruncate(dirty_fd, 0) < 0)
		abort();
	flock(dirty_fd, LOCK_UN);
}

static void do_fsync(uint32_t id, int fd)
{
	bool bad = fd == image_fd && fails(&opt.fsync, &counts->fsyncs);

	counts->reports += bad;
	if (opt.report && fd == image_fd)
		bad = reported != counts->reports;
	reported = counts->reports;
	if (bad || opt.no_fsync) {
		status(id, bad ? SSH_FX_FAILURE : SSH_FX_OP_UNSUPPORTED);
		return;
	}
	usleep((useconds_t)(fd == image_fd ? opt.sync_ms : 0) * 1000);
	if (dirty_fd >= 0 && !opt.lie)
		sync_disk();
	status(id, SSH_FX_OK);
}

static void do_fstat(uint32_t id, int fd)
{
	struct packet *r = reply(SSH_FXP_ATTRS, id, 16);
	struct stat st;

	if (fstat(fd, &st) < 0)
		memset(&st, 0, sizeof(st));
	put32(r->bytes + 9, SSH_FILEXFER_ATTR_SIZE | SSH_FILEXFER_ATTR_PERMISSIONS);
	put64(r->bytes + 13, (uint64_t)st.st_size);
	put32(r->bytes + 21, st.st_mode);
	answer(r);
}

static void do_version(void)
{
	static const uint8_t pairs[] = "\0\0\0\x11" "fsync@openssh.com" "\0\0\0\x01" "1"
				       "\0\0\0\x12" "limits@openssh.com" "\0\0\0\x01" "1"
				       "\0\0\0\x14" "lsetstat@openssh.com" "\0\0\0\x01" "1";
	/* The last one stands for OpenSSH, which does one after the other. */
	uint32_t from = opt.no_fsync ? 26 : 0, to = opt.no_limits ? 26 : opt.shuffle ? 53 : 82;
	uint32_t n = to > from ? to - from : 0;
	struct packet *r = reply(SSH_FXP_VERSION, 3, n);

	memcpy(r->bytes + 9, pairs + from, n);
	push(&out, r);
}

static int fd_of(const uint8_t *p)
{
	uint32_t nr = get32(p) == 4 ? get32(p + 4) : HANDLES;

	return nr < HANDLES && handles[nr] ? handles[nr] : -1;
}

static void do_extended(uint32_t id, const uint8_t *p)
{
	uint32_t n = get32(p);

	if (n == 17 && memcmp(p + 4, "fsync@openssh.com", 17) == 0) {
		do_fsync(id, fd_of(p + 4 + n));
	} else if (n == 18 && !opt.no_limits) {
		struct packet *r = reply(SSH_FXP_EXTENDED_REPLY, id, 32);

		put64(r->bytes + 9, 262144);
		put64(r->bytes + 17, 261120);
		put64(r->bytes + 25, 261120);
		answer(r);
	} else {
		status(id, SSH_FX_OP_UNSUPPORTED);
	}
}

static void do_remove(uint32_t id, const uint8_t *p)
{
	char path[PATH_LEN] = "";

	memcpy(path, p + 4, get32(p) < sizeof(path) ? get32(p) : 0);
	status(id, unlink(path) < 0 ? code_of(errno) : SSH_FX_OK);
}

static void do_rename(uint32_t id, const uint8_t *p)
{
	char from[PATH_LEN] = "", to[PATH_LEN] = "";
	uint32_t n = get32(p), m = get32(p + 4 + n);

	memcpy(from, p + 4, n < sizeof(from) ? n : 0);
	memcpy(to, p + 8 + n, m < sizeof(to) ? m : 0);
	status(id, opt.no_rename ? SSH_FX_OP_UNSUPPORTED :
	       link(from, to) < 0 || unlink(from) < 0 ? code_of(errno) : SSH_FX_OK);
}

static void do_close(uint32_t id, const uint8_t *p)
{
	int fd = fd_of(p);

	if (fd >= 0) {
		handles[get32(p + 4)] = 0;
		close(fd);
	}
	status(id, SSH_FX_OK);
}

static void pass_gate(uint8_t type)
{
	static int nr;
	char name[PATH_LEN + 32];
	int fd;

	if (!opt.gate || nr == 2 || (!nr && type != SSH_FXP_RENAME))
		return;
	snprintf(name, sizeof(name), "%s.at%d", image, ++nr);
	fd = open(name, O_WRONLY | O_CREAT, 0600);
	close(fd);
	snprintf(name, sizeof(name), "%s.go%d", image, nr);
	while (access(name, F_OK) < 0)
		usleep(1000);
}

static void execute(const uint8_t *p)
{
	uint32_t id = get32(p + 5);
	const uint8_t *rest = p + 9;
	bool moves = p[4] == SSH_FXP_WRITE || p[4] == SSH_FXP_EXTENDED ||
		     (p[4] == SSH_FXP_READ && get32(rest + 16) > 4096);

	if (moves && one_of(opt.die))
		_exit(1);
	if (moves && one_of(opt.stop))
		raise(SIGSTOP);
	pass_gate(p[4]);
	switch (p[4]) {
	case SSH_FXP_INIT:
		do_version();
		return;
	case SSH_FXP_OPEN:
		do_open(id, rest);
		return;
	case SSH_FXP_CLOSE:
		do_close(id, rest);
		return;
	case SSH_FXP_READ:
		do_read(id, fd_of(rest), get64(rest + 8), get32(rest + 16));
		return;
	case SSH_FXP_WRITE:
		do_write(id, fd_of(rest), get64(rest + 8), get32(rest + 16), rest + 20);
		return;
	case SSH_FXP_RENAME:
		do_rename(id, rest);
		return;
	case SSH_FXP_FSTAT:
		do_fstat(id, fd_of(rest));
		return;
	case SSH_FXP_REMOVE:
		do_remove(id, rest);
		return;
	case SSH_FXP_EXTENDED:
		do_extended(id, rest);
		return;
	default:
		status(id, SSH_FX_OP_UNSUPPORTED);
	}
}

/* Bytes from the client become packets that wait for their time. */
static bool take_input(void)
{
	static uint8_t buf[IN_LEN + PACKET_MAX];
	static size_t have;
	size_t at = 0;
	ssize_t n = read(STDIN_FILENO, buf + have, IN_LEN);

	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	have += (size_t)n;
	while (have - at >= 4 && have - at >= 4 + (size_t)get32(buf + at)) {
		uint32_t len = 4 + get32(buf + at);
		struct packet *p = malloc(sizeof(*p) + len);

		if (!p)
			abort();
		p->len = len;
		p->sent = 0;
		memcpy(p->bytes, buf + at, len);
		push(&in, p);
		at += len;
	}
	have -= at;
	memmove(buf, buf + at, have);
	return have <= PACKET_MAX;
}

static bool give_output(void)
{
	while (out.first && out.first->due_us <= now_us()) {
		struct packet *p = out.first;
		bool slow = opt.trickle_ms && p->len > 4096 + 13;
		ssize_t n = write(STDOUT_FILENO, p->bytes + p->sent, slow ? 1 : p->len - p->sent);

		if (n < 0)
			return errno == EAGAIN;
		p->sent += (uint32_t)n;
		if (slow)
			p->due_us = now_us() + opt.trickle_ms * 1000;
		if (p->sent < p->len)
			return true;
		free(pop(&out));
	}
	return true;
}

/* The first packet that is due; with --shuffle any of them. */
static struct packet *next_due(void)
{
	struct packet *p = in.first, **at = &in.first;
	unsigned n = 0;

	while (p && p->due_us <= now_us()) {
		n++;
		p = p->next;
	}
	if (!n)
		return NULL;
	if (!opt.shuffle)
		return pop(&in);
	for (unsigned k = (unsigned)rand() % n; k; k--)
		at = &(*at)->next;
	p = *at;
	*at = p->next;
	in.len -= p->len;
	for (in.last = &in.first; *in.last; in.last = &(*in.last)->next)
		;
	return p;
}

static int wait_ms(bool *blocked)
{
	int64_t now = now_us(), due = INT64_MAX;

	*blocked = out.first && out.first->due_us <= now;
	if (in.first)
		due = in.first->due_us;
	if (out.first && !*blocked && out.first->due_us < due)
		due = out.first->due_us;
	return due == INT64_MAX ? -1 : due <= now ? 0 : (int)((due - now + 999) / 1000);
}

int main(int argc, char **argv)
{
	bool open_input = true, blocked;

	parse(argv);
	srand(opt.seed ^ (unsigned)getpid());
	counts = &own_counts;
	fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK);
	while (open_input || in.first) {
		int ms = wait_ms(&blocked), from = open_input && out.len <= OUT_MAX ? STDIN_FILENO : -1;
		struct pollfd fds[2] = { { from, POLLIN, 0 },
					 { blocked ? STDOUT_FILENO : -1, POLLOUT, 0 } };

		poll(fds, 2, blocked && ms < 0 ? -1 : ms);
		if ((fds[0].revents & (POLLIN | POLLHUP)) && !take_input())
			open_input = false;
		for (struct packet *p; out.len <= OUT_MAX && (p = next_due());) {
			execute(p->bytes);
			free(p);
		}
		if (!give_output())
			return 1;
	}
	return 0;
}
