/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small things everybody needs: sizes, scope cleanup, bytes on disk. */
#ifndef FUSE4FS_UTIL_H
#define FUSE4FS_UTIL_H

#include <endian.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)	((a) < (b) ? (a) : (b))
#define MAX(a, b)	((a) > (b) ? (a) : (b))
#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}
/* Scope-owned heap memory. */
#define AUTOFREE __attribute__((cleanup(cleanup_free)))

static inline uint64_t div_up(uint64_t n, uint64_t d) { return n / d + (n % d != 0); }
static inline uint64_t round_up(uint64_t n, uint64_t d) { return div_up(n, d) * d; }
static inline uint64_t round_down(uint64_t n, uint64_t d) { return n - n % d; }

/* By which every thread can be told to do something for itself (sandbox_threads.c): threads
 * that leave signals to others block all but this one. */
#define THREAD_SIGNAL	(SIGRTMIN + 1)

/* Little-endian fields at any alignment. */
static inline uint16_t get_le16(const void *p) { uint16_t v; memcpy(&v, p, 2); return le16toh(v); }
static inline uint32_t get_le32(const void *p) { uint32_t v; memcpy(&v, p, 4); return le32toh(v); }
static inline uint64_t get_le64(const void *p) { uint64_t v; memcpy(&v, p, 8); return le64toh(v); }
static inline void put_le16(void *p, uint16_t v) { v = htole16(v); memcpy(p, &v, 2); }
static inline void put_le32(void *p, uint32_t v) { v = htole32(v); memcpy(p, &v, 4); }
static inline void put_le64(void *p, uint64_t v) { v = htole64(v); memcpy(p, &v, 8); }

/* A doubly linked list through embedded nodes; an empty list points at itself. */
struct list {
	struct list *next, *prev;
};
static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }
static inline void list_add_before(struct list *pos, struct list *n)
{
	n->prev = pos->prev; n->next = pos; pos->prev->next = n; pos->prev = n;
}
static inline void list_push(struct list *head, struct list *n) { list_add_before(head, n); }	/* tail */
static inline void list_unlink(struct list *n)
{
	n->prev->next = n->next; n->next->prev = n->prev; list_init(n);
}

#endif
