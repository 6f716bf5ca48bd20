/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The blocks that a journal being recovered has revoked: a block revoked in transaction
 * T is not replayed from T or earlier. One thread, no locks.
 */
#ifndef FUSE4FS_REVOKE_H
#define FUSE4FS_REVOKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct revoke_record {
	uint64_t pblk;
	uint32_t tid;
};

struct revoke_set {
	struct revoke_record *records;
	size_t len, size;
	size_t committed;	/* records of transactions known to be complete */
	size_t compact_at;	/* committed count that makes the next compaction worth it */
};

void revoke_init(struct revoke_set *set);
void revoke_fini(struct revoke_set *set);
/* Notes a record of the transaction being read. -ENOMEM; also beyond 8 Mi records. */
int revoke_add(struct revoke_set *set, uint64_t pblk, uint32_t tid);
/* The transaction is complete: what was added since the last call counts. */
void revoke_commit(struct revoke_set *set);
/* No more records: what did not become complete is dropped, the rest made searchable. */
void revoke_finish(struct revoke_set *set);
/* Whether the copy of pblk in transaction tid must not be replayed. After revoke_finish. */
bool revoke_test(const struct revoke_set *set, uint64_t pblk, uint32_t tid);

#endif
