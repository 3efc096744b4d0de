// SPDX-License-Identifier: GPL-2.0
/* Which pages are in the balloon. See DOC: Balloons in balloon/balloon.h. */
#include <linux/export.h>
#include <linux/slab.h>

#include "memory/balloon.h"

/**
 * fisc_balloon_of_chunk() - return a chunk's balloon bits, allocating if needed
 * @region: the region
 * @chunk: the chunk
 *
 * Context: may sleep.
 * Return: the bits, NULL if there is no memory.
 */
struct fisc_chunk_balloon *fisc_balloon_of_chunk(struct fisc_region *region,
						 struct fisc_chunk *chunk)
{
	struct fisc_chunk_balloon *balloon = READ_ONCE(chunk->balloon);
	struct fisc_chunk_balloon *other;

	if (balloon)
		return balloon;

	balloon = kzalloc(sizeof(*balloon), GFP_KERNEL);
	if (!balloon)
		return NULL;
	other = cmpxchg(&chunk->balloon, NULL, balloon);
	if (other) {
		kfree(balloon);
		return other;
	}
	fisc_count(region, FISC_MAP_BYTES, sizeof(*balloon));

	return balloon;
}

/**
 * fisc_balloon_add() - put holes into the balloon
 * @region: the region
 * @chunk: a chunk for which fisc_balloon_of_chunk() was called
 * @first: the first page
 * @last: the last page, included
 *
 * Pages that are not holes or lie beyond the end of the file are left out.
 *
 * Context: @chunk->lock held for writing.
 */
void fisc_balloon_add(struct fisc_region *region, struct fisc_chunk *chunk,
		      pgoff_t first, pgoff_t last)
{
	struct fisc_chunk_balloon *balloon = READ_ONCE(chunk->balloon);
	pgoff_t end = min(last + 1, fisc_region_size_pages(region));
	long added = 0, twice = 0;
	pgoff_t index;

	lockdep_assert_held_write(&chunk->lock);

	for (index = first; index < end; index++) {
		if (fisc_chunk_entry(chunk, index))
			continue;
		if (test_and_set_bit(index & (FISC_CHUNK_PAGES - 1),
				     balloon->bits))
			twice++;
		else
			added++;
	}
	atomic_add(added, &balloon->nr);
	fisc_count(region, FISC_BALLOON, added);
	fisc_count(region, FISC_BALLOON_INFLATED, added);
	fisc_count_total(FISC_BALLOON_DUPLICATE, twice);
}

/**
 * __fisc_balloon_pop() - remove a hole that was filled from the balloon
 * @region: the region
 * @chunk: its chunk, which has balloon bits
 * @index: the page; it need not be in the balloon
 *
 * Context: @chunk->lock held.
 */
void __fisc_balloon_pop(struct fisc_region *region, struct fisc_chunk *chunk,
			pgoff_t index)
{
	struct fisc_chunk_balloon *balloon = READ_ONCE(chunk->balloon);

	if (!test_and_clear_bit(index & (FISC_CHUNK_PAGES - 1), balloon->bits))
		return;
	atomic_dec(&balloon->nr);
	fisc_count(region, FISC_BALLOON, -1);
	fisc_count(region, FISC_BALLOON_POPPED, 1);
}

/* Lock held. Return: how many of the pages were in the balloon. */
static long fisc_chunk_deflate(struct fisc_region *region,
			       struct fisc_chunk *chunk, pgoff_t first,
			       pgoff_t last)
{
	struct fisc_chunk_balloon *balloon = READ_ONCE(chunk->balloon);
	long removed = 0;
	pgoff_t index;

	if (!balloon || !atomic_read(&balloon->nr))
		return 0;

	for (index = first; index <= last; index++)
		if (test_and_clear_bit(index & (FISC_CHUNK_PAGES - 1),
				       balloon->bits))
			removed++;
	atomic_sub(removed, &balloon->nr);
	fisc_count(region, FISC_BALLOON, -removed);

	return removed;
}

/**
 * fisc_region_deflate() - remove pages from the balloon
 * @region: the region
 * @first: the first page
 * @last: the last page, included
 *
 * The pages stay holes. Pages that are not in the balloon are unchanged.
 *
 * Context: may sleep; no lock of this module held.
 * Return: how many pages were in the balloon.
 */
long fisc_region_deflate(struct fisc_region *region, pgoff_t first,
			 pgoff_t last)
{
	struct fisc_chunk *chunk;
	unsigned long nr;
	long removed = 0;

	xa_for_each_range(&region->chunks, nr, chunk,
			  first >> FISC_CHUNK_SHIFT, last >> FISC_CHUNK_SHIFT) {
		pgoff_t start = fisc_chunk_start(chunk);
		pgoff_t end = start + FISC_CHUNK_PAGES - 1;

		down_read(&chunk->lock);
		removed += fisc_chunk_deflate(region, chunk, max(first, start),
					      min(last, end));
		up_read(&chunk->lock);
		cond_resched();
	}
	fisc_count(region, FISC_BALLOON_DEFLATED, removed);

	return removed;
}
EXPORT_SYMBOL_NS_GPL(fisc_region_deflate, FISC);

/**
 * fisc_balloon_free() - free the balloon bits of a chunk that goes away
 * @region: the region
 * @chunk: the chunk, of which nothing is in the balloon
 *
 * Context: any.
 */
void fisc_balloon_free(struct fisc_region *region, struct fisc_chunk *chunk)
{
	if (!chunk->balloon)
		return;
	fisc_count(region, FISC_MAP_BYTES, -(long)sizeof(*chunk->balloon));
	kfree(chunk->balloon);
}
