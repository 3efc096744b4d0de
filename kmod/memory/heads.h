/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_HEADS_H
#define _FISC_MEMORY_HEADS_H

#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>

/**
 * DOC: Growing tables
 *
 * The heads of a hash table's chains, as many as there is use for. They grow and
 * shrink by linear hashing (Litwin, VLDB 1980): bucket after bucket is split in
 * two, or joined with its other half, so nobody ever waits for a table to be
 * made anew. What a head and a chain are is the table's own business.
 *
 * The lowest bits of a hash name its lock; both halves of a split bucket have
 * the same one. The number of buckets changes from n to n + 1 or back under the
 * lock of bucket n, so whoever holds a lock knows which bucket a hash of this
 * lock is in.
 */

#define FISC_HEADS_NR_LOCKS	1024UL

/**
 * struct fisc_heads - heads of chains
 * @size: of a head, in bytes: 4 or 8
 * @split: move what of chain @from belongs into bucket @bucket, by those bits of
 *	its hash that are in @mask, to the new chain @to; both locked
 * @join: move all of chain @from, to chain @into; both locked
 * @locks: lock of bucket b is the one of number b mod FISC_HEADS_NR_LOCKS; it
 *	protects the chain, too
 * @pages: heads, in pages
 * @nr: number of buckets; at least one for each lock
 * @max: what it may be at most
 * @resize: held by those who change @nr
 */
struct fisc_heads {
	size_t size;
	void (*split)(void *from, void *to, unsigned long bucket,
		      unsigned long mask);
	void (*join)(void *into, void *from);
	spinlock_t locks[FISC_HEADS_NR_LOCKS];	/* of chains */
	void **pages;
	unsigned long nr;
	unsigned long max;
	struct mutex resize;	/* outside of the locks */
};

static inline spinlock_t *fisc_heads_lock(struct fisc_heads *heads, u64 hash)
{
	return &heads->locks[hash & (FISC_HEADS_NR_LOCKS - 1)];
}

void *fisc_heads_bucket(struct fisc_heads *heads, u64 hash);
void fisc_heads_resize(struct fisc_heads *heads, unsigned long nr);
int fisc_heads_init(struct fisc_heads *heads, unsigned long max);
void fisc_heads_exit(struct fisc_heads *heads);

#endif /* _FISC_MEMORY_HEADS_H */
