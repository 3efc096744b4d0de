// SPDX-License-Identifier: GPL-2.0
/*
 * Hash tables that grow bucket by bucket. See DOC: Growing tables in heads.h.
 */
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "base/stats.h"
#include "memory/heads.h"

static unsigned long fisc_heads_per_page(const struct fisc_heads *heads)
{
	return PAGE_SIZE / heads->size;
}

static void *fisc_heads_at(struct fisc_heads *heads, unsigned long bucket)
{
	unsigned long per_page = fisc_heads_per_page(heads);

	return heads->pages[bucket / per_page] + bucket % per_page * heads->size;
}

/**
 * fisc_heads_bucket() - return the chain of a hash
 * @heads: the table
 * @hash: the hash
 *
 * Context: any; the lock of the hash held.
 * Return: the chain's head.
 */
void *fisc_heads_bucket(struct fisc_heads *heads, u64 hash)
{
	unsigned long nr = READ_ONCE(heads->nr);
	unsigned long low = rounddown_pow_of_two(nr);
	unsigned long bucket = hash & (2 * low - 1);

	return fisc_heads_at(heads, bucket < nr ? bucket : hash & (low - 1));
}

/* Return: false if the table cannot grow, which is harmless. */
static bool fisc_heads_grow(struct fisc_heads *heads)
{
	unsigned long bucket = heads->nr;
	unsigned long low = rounddown_pow_of_two(bucket);
	void **page = &heads->pages[bucket / fisc_heads_per_page(heads)];
	spinlock_t *lock = fisc_heads_lock(heads, bucket);

	if (bucket == heads->max)
		return false;
	if (!*page) {
		*page = kzalloc(PAGE_SIZE, GFP_KERNEL | __GFP_NOWARN);
		if (!*page)
			return false;
		fisc_count_total(FISC_META_BYTES, PAGE_SIZE);
	}

	spin_lock(lock);
	heads->split(fisc_heads_at(heads, bucket - low),
		     fisc_heads_at(heads, bucket), bucket, 2 * low - 1);
	WRITE_ONCE(heads->nr, bucket + 1);
	spin_unlock(lock);

	return true;
}

static void fisc_heads_shrink(struct fisc_heads *heads)
{
	unsigned long bucket = heads->nr - 1;
	unsigned long low = rounddown_pow_of_two(bucket);
	unsigned long per_page = fisc_heads_per_page(heads);
	void **page = &heads->pages[bucket / per_page];
	spinlock_t *lock = fisc_heads_lock(heads, bucket);

	spin_lock(lock);
	heads->join(fisc_heads_at(heads, bucket - low),
		    fisc_heads_at(heads, bucket));
	WRITE_ONCE(heads->nr, bucket);
	spin_unlock(lock);

	if (!(bucket % per_page)) {
		kfree(*page);
		*page = NULL;
		fisc_count_total(FISC_META_BYTES, -(long)PAGE_SIZE);
	}
}

/**
 * fisc_heads_resize() - change the number of buckets
 * @heads: the table
 * @nr: the number wanted; the table stays smaller if there is no memory
 *
 * Context: may sleep.
 */
void fisc_heads_resize(struct fisc_heads *heads, unsigned long nr)
{
	guard(mutex)(&heads->resize);

	nr = max(nr, FISC_HEADS_NR_LOCKS);
	while (heads->nr < nr && fisc_heads_grow(heads))
		;
	while (heads->nr > nr)
		fisc_heads_shrink(heads);
}

static unsigned long fisc_heads_nr_pages(const struct fisc_heads *heads)
{
	return DIV_ROUND_UP(heads->max, fisc_heads_per_page(heads));
}

/**
 * fisc_heads_init() - make an empty table
 * @heads: the table; @size, @split and @join are set
 * @max: largest number of buckets
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_heads_init(struct fisc_heads *heads, unsigned long max)
{
	unsigned long i, nr_first;

	for (i = 0; i < FISC_HEADS_NR_LOCKS; i++)
		spin_lock_init(&heads->locks[i]);
	mutex_init(&heads->resize);

	heads->max = max(max, FISC_HEADS_NR_LOCKS);
	heads->pages = kvcalloc(fisc_heads_nr_pages(heads),
				sizeof(*heads->pages), GFP_KERNEL);
	if (!heads->pages)
		return -ENOMEM;
	fisc_count_total(FISC_META_BYTES,
			 fisc_heads_nr_pages(heads) * sizeof(*heads->pages));

	nr_first = DIV_ROUND_UP(FISC_HEADS_NR_LOCKS, fisc_heads_per_page(heads));
	for (i = 0; i < nr_first; i++) {
		heads->pages[i] = kzalloc(PAGE_SIZE, GFP_KERNEL);
		if (!heads->pages[i]) {
			fisc_heads_exit(heads);
			return -ENOMEM;
		}
		fisc_count_total(FISC_META_BYTES, PAGE_SIZE);
	}
	heads->nr = FISC_HEADS_NR_LOCKS;

	return 0;
}

/**
 * fisc_heads_exit() - undo fisc_heads_init()
 * @heads: the table; its chains are empty
 *
 * Context: may sleep.
 */
void fisc_heads_exit(struct fisc_heads *heads)
{
	unsigned long i;

	for (i = 0; i < fisc_heads_nr_pages(heads); i++) {
		if (!heads->pages[i])
			continue;
		kfree(heads->pages[i]);
		fisc_count_total(FISC_META_BYTES, -(long)PAGE_SIZE);
	}
	fisc_count_total(FISC_META_BYTES,
			 -(long)(fisc_heads_nr_pages(heads) *
				 sizeof(*heads->pages)));
	kvfree(heads->pages);
}
