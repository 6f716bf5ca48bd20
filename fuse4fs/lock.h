/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mutexes, reader-writer locks and conditions that clang's thread-safety
 * analysis understands. The order in which locks may be taken is written in
 * ARCHITECTURE.md ("Lock order").
 */
#ifndef FUSE4FS_LOCK_H
#define FUSE4FS_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

/* Which lock guards a field is a comment: clang's guarded_by knows no members in C. */
#if defined(__clang__)
#define TSA(x) __attribute__((x))
#else
#define TSA(x)
#endif
#define CAPABILITY(name)	TSA(capability(name))
#define REQUIRES(...)		TSA(requires_capability(__VA_ARGS__))
#define REQUIRES_SHARED(...)	TSA(requires_shared_capability(__VA_ARGS__))
#define ACQUIRE(...)		TSA(acquire_capability(__VA_ARGS__))
#define ACQUIRE_SHARED(...)	TSA(acquire_shared_capability(__VA_ARGS__))
#define RELEASE(...)		TSA(release_capability(__VA_ARGS__))
#define RELEASE_SHARED(...)	TSA(release_shared_capability(__VA_ARGS__))
#define TRY_ACQUIRE(...)	TSA(try_acquire_capability(__VA_ARGS__))
#define NO_TSA			TSA(no_thread_safety_analysis)

struct CAPABILITY("mutex") mutex {
	pthread_mutex_t m;
};

struct CAPABILITY("rwlock") rwlock {
	pthread_rwlock_t l;
};

struct cond {
	pthread_cond_t c;
};

static inline void mutex_init(struct mutex *m) { pthread_mutex_init(&m->m, NULL); }
static inline void mutex_fini(struct mutex *m) { pthread_mutex_destroy(&m->m); }
static inline void mutex_lock(struct mutex *m) ACQUIRE(m) NO_TSA { pthread_mutex_lock(&m->m); }
static inline void mutex_unlock(struct mutex *m) RELEASE(m) NO_TSA { pthread_mutex_unlock(&m->m); }
static inline bool mutex_trylock(struct mutex *m) TRY_ACQUIRE(true, m) NO_TSA { return pthread_mutex_trylock(&m->m) == 0; }

static inline void rwlock_init(struct rwlock *l) { pthread_rwlock_init(&l->l, NULL); }
static inline void rwlock_fini(struct rwlock *l) { pthread_rwlock_destroy(&l->l); }
static inline void rwlock_read(struct rwlock *l) ACQUIRE_SHARED(l) NO_TSA { pthread_rwlock_rdlock(&l->l); }
static inline void rwlock_read_unlock(struct rwlock *l) RELEASE_SHARED(l) NO_TSA { pthread_rwlock_unlock(&l->l); }
static inline void rwlock_write(struct rwlock *l) ACQUIRE(l) NO_TSA { pthread_rwlock_wrlock(&l->l); }
/* Of a lock that no other thread can reach: does not wait, so it has no place in the order. */
static inline void rwlock_write_unshared(struct rwlock *l) ACQUIRE(l) NO_TSA { pthread_rwlock_trywrlock(&l->l); }
static inline bool rwlock_trywrite(struct rwlock *l) TRY_ACQUIRE(true, l) NO_TSA { return pthread_rwlock_trywrlock(&l->l) == 0; }
static inline void rwlock_write_unlock(struct rwlock *l) RELEASE(l) NO_TSA { pthread_rwlock_unlock(&l->l); }

/* Conditions use CLOCK_MONOTONIC. */
static inline void cond_init(struct cond *c)
{
	pthread_condattr_t a;

	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&c->c, &a);
	pthread_condattr_destroy(&a);
}
static inline void cond_fini(struct cond *c) { pthread_cond_destroy(&c->c); }
static inline void cond_wait(struct cond *c, struct mutex *m) REQUIRES(m) { pthread_cond_wait(&c->c, &m->m); }
/* until: absolute CLOCK_MONOTONIC time. False when it has passed. */
static inline bool cond_wait_until(struct cond *c, struct mutex *m, const struct timespec *until) REQUIRES(m)
{
	return pthread_cond_timedwait(&c->c, &m->m, until) == 0;
}
static inline void cond_signal(struct cond *c) { pthread_cond_signal(&c->c); }
static inline void cond_broadcast(struct cond *c) { pthread_cond_broadcast(&c->c); }

#endif
