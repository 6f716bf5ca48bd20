// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A bad network for tests: forwards TCP connections with a delay each way and a bandwidth, and
 * cuts, freezes or refuses them when told.
 *
 *   netproxy SOCKET TARGET-PORT [DELAY-MS [BYTES-PER-SECOND]]
 *       forwards to 127.0.0.1:TARGET-PORT; prints the port it listens on; commands come
 *       through the local socket SOCKET; ends when standard input does, or by "quit".
 *   netproxy SOCKET COMMAND [ARGUMENT]
 *       sends a command and prints the answer:
 *         delay MS | rate BYTES   from now on; rate 0: unlimited
 *         tick MS   what comes within one interval of MS leaves together at its end
 *         cut       resets every connection; what is under way is lost
 *         freeze    forwards nothing more; connections stay open, new ones too
 *         refuse    nobody listens: new connections are refused
 *         resume    the end of freeze and refuse
 *         stats     "connections N open N up BYTES down BYTES passed BYTES turns N": passed is
 *                   what of "up" has come out at the target; turns counts how often the client
 *                   spoke after it had heard something, which are round trips as long as it
 *                   does one thing at a time; "reset" is stats, then zero
 *         quit
 *
 * One thread, poll(2). A direction is a queue of chunks with the time each is due.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 64 * 1024, QUEUE_MAX = 64 << 20, CONNS_MAX = 64 };

struct chunk {
	struct chunk *next;
	int64_t due_ns;
	size_t len, done;
	char data[];
};

/* One direction of a connection. */
struct flow {
	int from, to;
	struct chunk *head, **tail;
	size_t queued;
	bool ended;		/* no more comes in */
	bool shut;		/* and that has been passed on */
};

struct conn {
	bool used;
	struct flow up, down;	/* client to target, target to client */
};

struct proxy {
	int listener, control;
	struct sockaddr_in here, target;
	int64_t delay_ns, tick_ns;
	uint64_t rate;
	int64_t line_free_ns[2];	/* when the line, up and down, has sent what it was given */
	bool frozen, quit, heard;
	uint64_t accepted, bytes[2], passed, turns;
	struct conn conns[CONNS_MAX];
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int listen_tcp(struct sockaddr_in *here)
{
	socklen_t len = sizeof(*here);
	const int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)here, sizeof(*here)) || listen(fd, 64) ||
	    getsockname(fd, (struct sockaddr *)here, &len))
		die("netproxy: listen");
	return fd;
}

static int local_socket(const char *path, bool serve)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (serve)
		unlink(path);
	if (fd < 0 || (serve ? bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 8)
			     : connect(fd, (struct sockaddr *)&a, sizeof(a))))
		die(path);
	return fd;
}

static void reset_socket(int fd)
{
	const struct linger hard = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
}

static void drop_queue(struct flow *f)
{
	while (f->head) {
		struct chunk *c = f->head;

		f->head = c->next;
		free(c);
	}
}

static void conn_end(struct conn *c, bool reset)
{
	drop_queue(&c->up);
	drop_queue(&c->down);
	if (reset) {
		reset_socket(c->up.from);
		reset_socket(c->up.to);
	} else {
		close(c->up.from);
		close(c->up.to);
	}
	c->used = false;
}

static void flow_init(struct flow *f, int from, int to)
{
	*f = (struct flow){ .from = from, .to = to };
	f->tail = &f->head;
}

static void accept_one(struct proxy *p)
{
	int client = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), target;
	const int one = 1;
	struct conn *c = p->conns;

	if (client < 0)
		return;
	while (c < p->conns + CONNS_MAX && c->used)
		c++;
	target = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (target < 0 || c == p->conns + CONNS_MAX ||
	    connect(target, (struct sockaddr *)&p->target, sizeof(p->target))) {
		reset_socket(client);
		if (target >= 0)
			close(target);
		return;
	}
	fcntl(target, F_SETFL, O_NONBLOCK);
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(target, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->used = true;
	flow_init(&c->up, client, target);
	flow_init(&c->down, target, client);
	p->accepted++;
}

/* When a chunk that came in now reaches the other side. */
static int64_t due_at(struct proxy *p, bool up, size_t len)
{
	int64_t start = now_ns();

	if (p->rate) {
		if (p->line_free_ns[up] > start)
			start = p->line_free_ns[up];
		start += (int64_t)(len * UINT64_C(1000000000) / p->rate);
		p->line_free_ns[up] = start;
	}
	start += p->delay_ns;
	return p->tick_ns ? (start / p->tick_ns + 1) * p->tick_ns : start;
}

/* False when the connection has broken. */
static bool take_in(struct proxy *p, struct flow *f, bool up)
{
	struct chunk *c = malloc(sizeof(*c) + CHUNK);
	ssize_t n = c ? read(f->from, c->data, CHUNK) : -1;

	if (n <= 0) {
		bool again = n < 0 && (errno == EAGAIN || errno == EINTR);

		free(c);
		f->ended = n == 0;
		return n == 0 || again;
	}
	if (up && p->heard) {
		p->turns++;
		p->heard = false;
	}
	p->bytes[up] += (uint64_t)n;
	*c = (struct chunk){ .due_ns = due_at(p, up, (size_t)n), .len = (size_t)n };
	*f->tail = c;
	f->tail = &c->next;
	f->queued += c->len;
	return true;
}

static bool give_out(struct proxy *p, struct flow *f, bool up)
{
	while (f->head && f->head->due_ns <= now_ns()) {
		struct chunk *c = f->head;
		ssize_t n = send(f->to, c->data + c->done, c->len - c->done, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		p->heard |= !up;
		p->passed += up ? (uint64_t)n : 0;
		c->done += (size_t)n;
		if (c->done < c->len)
			return true;
		f->queued -= c->len;
		f->head = c->next;
		if (!f->head)
			f->tail = &f->head;
		free(c);
	}
	if (f->ended && !f->head && !f->shut) {
		shutdown(f->to, SHUT_WR);
		f->shut = true;
	}
	return true;
}

static void cut_all(struct proxy *p)
{
	for (struct conn *c = p->conns; c < p->conns + CONNS_MAX; c++)
		if (c->used)
			conn_end(c, true);
}

static void print_stats(struct proxy *p, char *out, size_t size)
{
	int open = 0;

	for (int i = 0; i < CONNS_MAX; i++)
		open += p->conns[i].used;
	snprintf(out, size, "connections %llu open %d up %llu down %llu passed %llu turns %llu",
		 (unsigned long long)p->accepted, open, (unsigned long long)p->bytes[1],
		 (unsigned long long)p->bytes[0], (unsigned long long)p->passed,
		 (unsigned long long)p->turns);
}

static void set_refusing(struct proxy *p, bool refuse)
{
	if (refuse && p->listener >= 0) {
		close(p->listener);
		p->listener = -1;
	} else if (!refuse && p->listener < 0) {
		p->listener = listen_tcp(&p->here);
	}
}

static void obey(struct proxy *p, const char *line, char *out, size_t size)
{
	unsigned long long n;

	snprintf(out, size, "ok");
	if (sscanf(line, "delay %llu", &n) == 1)
		p->delay_ns = (int64_t)n * 1000000;
	else if (sscanf(line, "tick %llu", &n) == 1)
		p->tick_ns = (int64_t)n * 1000000;
	else if (sscanf(line, "rate %llu", &n) == 1)
		p->rate = n;
	else if (!strcmp(line, "cut"))
		cut_all(p);
	else if (!strcmp(line, "freeze"))
		p->frozen = true;
	else if (!strcmp(line, "refuse"))
		set_refusing(p, true);
	else if (!strcmp(line, "resume"))
		set_refusing(p, p->frozen = false);
	else if (!strcmp(line, "stats") || !strcmp(line, "reset"))
		print_stats(p, out, size);
	else if (!strcmp(line, "quit"))
		p->quit = true;
	else
		snprintf(out, size, "what?");
	if (!strcmp(line, "reset"))
		p->accepted = p->bytes[0] = p->bytes[1] = p->passed = p->turns = 0;
}

static void command(struct proxy *p)
{
	int fd = accept4(p->control, NULL, NULL, SOCK_CLOEXEC);
	char line[128], out[256];
	ssize_t n;

	if (fd < 0)
		return;
	n = read(fd, line, sizeof(line) - 1);
	if (n > 0) {
		line[n] = '\0';
		line[strcspn(line, "\n")] = '\0';
		obey(p, line, out, sizeof(out));
		if (send(fd, out, strlen(out), MSG_NOSIGNAL) < 0)
			errno = 0;	/* it did not wait for the answer */
	}
	close(fd);
}

/* What to wait for on one flow; the earliest time something is due goes to *wake. */
static void watch(const struct flow *f, struct pollfd *from, struct pollfd *to, int64_t *wake)
{
	if (!f->ended && f->queued < QUEUE_MAX)
		from->events |= POLLIN;
	if (!f->head)
		return;
	if (f->head->due_ns <= now_ns())
		to->events |= POLLOUT;
	else if (f->head->due_ns < *wake)
		*wake = f->head->due_ns;
}

static void wait_for_work(struct proxy *p, struct pollfd *fds)
{
	int64_t wake = INT64_MAX, left;
	struct timespec t;

	fds[0] = (struct pollfd){ .fd = p->listener, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = p->control, .events = POLLIN };
	fds[2] = (struct pollfd){ .fd = 0, .events = POLLIN };
	for (int i = 0; i < CONNS_MAX; i++) {
		struct pollfd *client = &fds[3 + 2 * i], *target = client + 1;
		const struct conn *c = &p->conns[i];
		const bool on = c->used && !p->frozen;

		*client = (struct pollfd){ .fd = on ? c->up.from : -1 };
		*target = (struct pollfd){ .fd = on ? c->up.to : -1 };
		if (!on)
			continue;
		watch(&c->up, client, target, &wake);
		watch(&c->down, target, client, &wake);
	}
	left = wake == INT64_MAX ? 3600000000000 : wake - now_ns();
	if (left < 0)
		left = 0;
	t = (struct timespec){ .tv_sec = left / 1000000000, .tv_nsec = left % 1000000000 };
	if (ppoll(fds, 3 + 2 * CONNS_MAX, &t, NULL) < 0 && errno != EINTR)
		die("netproxy: poll");
}

static void serve_conn(struct proxy *p, struct conn *c, short client, short target)
{
	bool ok = !((client | target) & (POLLERR | POLLNVAL));

	if (ok && client & POLLIN)
		ok = take_in(p, &c->up, true);
	if (ok && target & POLLIN)
		ok = take_in(p, &c->down, false);
	ok = ok && give_out(p, &c->up, true) && give_out(p, &c->down, false);
	if (!ok)
		conn_end(c, true);
	else if (c->up.shut && c->down.shut)
		conn_end(c, false);
}

static void run(struct proxy *p)
{
	static struct pollfd fds[3 + 2 * CONNS_MAX];
	char byte;

	while (!p->quit) {
		wait_for_work(p, fds);
		for (int i = 0; i < CONNS_MAX; i++)
			if (p->conns[i].used && fds[3 + 2 * i].fd >= 0)
				serve_conn(p, &p->conns[i], fds[3 + 2 * i].revents,
					   fds[4 + 2 * i].revents);
		if (p->listener >= 0 && fds[0].revents & POLLIN)
			accept_one(p);
		if (fds[1].revents & POLLIN)
			command(p);
		if (fds[2].revents && read(0, &byte, 1) <= 0)
			p->quit = true;
	}
}

static int client(int argc, char **argv)
{
	int fd = local_socket(argv[1], false);
	char line[256];
	ssize_t n;

	snprintf(line, sizeof(line), "%s%s%s\n", argv[2], argc > 3 ? " " : "", argc > 3 ? argv[3] : "");
	if (write(fd, line, strlen(line)) < 0)
		die(argv[1]);
	n = read(fd, line, sizeof(line) - 1);
	if (n <= 0)
		return 1;
	line[n] = '\0';
	puts(line);
	return line[0] == 'w';
}

int main(int argc, char **argv)
{
	static struct proxy p;

	if (argc < 3) {
		fprintf(stderr, "usage: netproxy SOCKET PORT [DELAY-MS [RATE]] | SOCKET COMMAND\n");
		return 2;
	}
	if (argv[2][0] < '0' || argv[2][0] > '9')
		return client(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	p.target = p.here = (struct sockaddr_in){ .sin_family = AF_INET };
	p.target.sin_addr.s_addr = p.here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	p.target.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	p.delay_ns = argc > 3 ? strtoll(argv[3], NULL, 10) * 1000000 : 0;
	p.rate = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
	p.control = local_socket(argv[1], true);
	p.listener = listen_tcp(&p.here);
	printf("%d\n", ntohs(p.here.sin_port));
	fflush(stdout);
	fclose(stdout);
	run(&p);
	unlink(argv[1]);
	return 0;
}
