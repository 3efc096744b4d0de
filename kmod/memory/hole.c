// SPDX-License-Identifier: GPL-2.0
/*
 * Turn pages into holes, and put holes into the balloon. See DOC: The frame map
 * in map.h.
 */
#include <linux/export.h>
#include <linux/mm.h>

#include "memory/backing.h"
#include "memory/balloon.h"
#include "memory/hole.h"
#include "memory/incoming.h"
#include "memory/large.h"
#include "memory/region.h"

/* Empty a part of a chunk that has a leaf. Lock held for writing. */
static void fisc_leaf_remove(struct fisc_region *region,
			     struct fisc_chunk *chunk, pgoff_t first,
			     pgoff_t last)
{
	bool found = false, swapped = false;
	pgoff_t index;

	for (index = first; index <= last; index++) {
		unsigned long e = fisc_chunk_entry(chunk, index);

		if (!e)
			continue;
		if (fisc_entry_state(e) != FISC_ENTRY_SWAPPED)
			found = true;
		else if (!fisc_entry_slot(e))
			swapped = true;
		fisc_region_replace(region, chunk, index, 0);
	}
	if (found)
		fisc_region_unmap(region, first, last - first + 1);
	if (swapped)
		fisc_backing_drop(region, first, last);
}

/* @inflate: put the holes that result into the balloon. */
static void fisc_chunk_remove(struct fisc_region *region,
			      struct fisc_chunk *chunk, pgoff_t first,
			      pgoff_t last, bool inflate)
{
	bool all = last - first == FISC_CHUNK_PAGES - 1;
	unsigned long *leaf = NULL;

	fisc_incoming_drop(chunk, first, last);
	if (!all && READ_ONCE(chunk->large))
		fisc_large_punch(region, chunk, first, last);

	down_write(&chunk->lock);
	if (all && chunk->large)
		fisc_large_remove(region, chunk);
	if (chunk->leaf)
		fisc_leaf_remove(region, chunk, first, last);
	if (inflate)
		fisc_balloon_add(region, chunk, first, last);
	if (all) {
		leaf = chunk->leaf;
		WRITE_ONCE(chunk->leaf, NULL);
		if (leaf)
			fisc_count(region, FISC_MAP_BYTES, -(long)PAGE_SIZE);
	}
	up_write(&chunk->lock);
	fisc_leaf_free(leaf);
}

/**
 * fisc_region_remove() - turn pages into holes and free their frames
 * @region: the region
 * @first: the first page
 * @last: the last page, included
 *
 * Context: may sleep; no lock of this module held.
 */
void fisc_region_remove(struct fisc_region *region, pgoff_t first, pgoff_t last)
{
	struct fisc_chunk *chunk;
	unsigned long nr;

	xa_for_each_range(&region->chunks, nr, chunk,
			  first >> FISC_CHUNK_SHIFT, last >> FISC_CHUNK_SHIFT) {
		pgoff_t start = fisc_chunk_start(chunk);
		pgoff_t end = start + FISC_CHUNK_PAGES - 1;

		fisc_chunk_remove(region, chunk, max(first, start),
				  min(last, end), false);
		cond_resched();
	}
}
EXPORT_SYMBOL_NS_GPL(fisc_region_remove, FISC);

/**
 * fisc_region_set_end() - set which pages of a file can have frames
 * @region: the region
 * @end: the first page that cannot; no less than the file's size
 *
 * Removes the pages beyond. If they are in a large frame that cannot be taken
 * apart because somebody else holds a reference on it, they are zeroed and keep
 * their frame: then the end is that of their chunk.
 *
 * To make the file larger, call this before its size is set; to make it
 * smaller, afterwards.
 *
 * Context: may sleep; the inode locked, or the file going away; no lock of this
 * module held.
 */
void fisc_region_set_end(struct fisc_region *region, pgoff_t end)
{
	bool less = end < region->end;
	struct fisc_chunk *chunk;

	WRITE_ONCE(region->end, end);
	if (!less)
		return;
	/*
	 * Pairs with the lock of a chunk that is filled right now: either it is
	 * found here, or whoever fills it sees the new end.
	 */
	smp_mb();
	fisc_region_remove(region, end, ULONG_MAX);
	fisc_region_deflate(region, end, ULONG_MAX);
	chunk = fisc_region_find_chunk(region, end);
	if (chunk && READ_ONCE(chunk->large))
		WRITE_ONCE(region->end, round_up(end, FISC_CHUNK_PAGES));
}

/**
 * fisc_region_inflate() - free pages and put them into the balloon
 * @region: the region
 * @first: the first page
 * @last: the last page, included; before FISC_REGION_MAX_BYTES
 *
 * Pages beyond the end of the file are left alone. Pages of a large frame that
 * has references from elsewhere, so that it cannot be taken apart, are only
 * zeroed.
 *
 * Context: may sleep; no lock of this module held.
 * Return: 0; -ENOMEM if some pages are not in the balloon for lack of memory.
 */
int fisc_region_inflate(struct fisc_region *region, pgoff_t first, pgoff_t last)
{
	while (first <= last) {
		pgoff_t end = min(last, first | (FISC_CHUNK_PAGES - 1));
		struct fisc_chunk *chunk;

		if (first >= fisc_region_size_pages(region))
			break;
		chunk = fisc_region_make_chunk(region, first);
		if (!chunk || !fisc_balloon_of_chunk(region, chunk))
			return -ENOMEM;
		fisc_chunk_remove(region, chunk, first, end, true);
		first = end + 1;
		cond_resched();
	}

	return 0;
}
EXPORT_SYMBOL_NS_GPL(fisc_region_inflate, FISC);
