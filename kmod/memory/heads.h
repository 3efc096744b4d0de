/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_HEADS_H
#define _FISC_MEMORY_HEADS_H

#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>

/**
 * DOC: Growing tables
 *
 * The heads of a hash table's chains, as many as are useful. The table grows
 * and shrinks by linear hashing (Litwin, VLDB 1980): one bucket at a time is
 * split in two, or joined with its other half, so nobody ever waits for a whole
 * table to be rebuilt. The format of heads and chains is up to the table.
 *
 * The lowest bits of a hash select its lock; both halves of a split bucket have
 * the same lock. The number of buckets changes from n to n + 1, or back, with
 * the lock of bucket n held. So while a lock is held, the bucket of each hash
 * of that lock is fixed.
 */

#define FISC_HEADS_NR_LOCKS	1024UL

/**
 * struct fisc_heads - heads of a hash table's chains
 * @size: size of a head in bytes: 4 or 8
 * @split: move those elements of chain @from that belong to @bucket, by the
 *	bits of their hash in @mask, to the new chain @to; called with the lock
 *	of both held
 * @join: move all elements of chain @from to chain @into; called with the lock
 *	of both held
 * @locks: bucket b has the lock of number b mod FISC_HEADS_NR_LOCKS; it also
 *	protects the chain
 * @pages: the heads, in pages
 * @nr: number of buckets; at least one for each lock
 * @max: largest number of buckets
 * @resize: held by code that changes @nr
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
	struct mutex resize;	/* outside the locks */
};

/**
 * fisc_heads_lock() - return the lock of a hash
 * @heads: the table
 * @hash: the hash
 *
 * Context: any.
 * Return: the lock.
 */
static inline spinlock_t *fisc_heads_lock(struct fisc_heads *heads, u64 hash)
{
	return &heads->locks[hash & (FISC_HEADS_NR_LOCKS - 1)];
}

void *fisc_heads_bucket(struct fisc_heads *heads, u64 hash);
void fisc_heads_resize(struct fisc_heads *heads, unsigned long nr);
int fisc_heads_init(struct fisc_heads *heads, unsigned long max);
void fisc_heads_exit(struct fisc_heads *heads);

#endif /* _FISC_MEMORY_HEADS_H */
