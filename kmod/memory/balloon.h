/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_BALLOON_H
#define _FISC_MEMORY_BALLOON_H

#include <linux/atomic.h>
#include <linux/bitmap.h>

#include "memory/map.h"

/**
 * struct fisc_chunk_balloon - the pages of a chunk that are in the balloon
 * @nr: their number
 * @bits: a bit for each page; all of these pages are holes
 *
 * Allocated with the first such page, and kept as long as the chunk.
 */
struct fisc_chunk_balloon {
	atomic_t nr;
	DECLARE_BITMAP(bits, FISC_CHUNK_PAGES);
};

struct fisc_chunk_balloon *fisc_balloon_of_chunk(struct fisc_region *region,
						 struct fisc_chunk *chunk);
void fisc_balloon_add(struct fisc_region *region, struct fisc_chunk *chunk,
		      pgoff_t first, pgoff_t last);
void fisc_balloon_free(struct fisc_region *region, struct fisc_chunk *chunk);
void __fisc_balloon_pop(struct fisc_region *region, struct fisc_chunk *chunk,
			pgoff_t index);
long fisc_region_deflate(struct fisc_region *region, pgoff_t first,
			 pgoff_t last);

/**
 * fisc_balloon_pop() - remove a hole that was filled from the balloon
 * @region: the region
 * @chunk: its chunk
 * @index: the page; it need not be in the balloon
 *
 * Context: @chunk->lock held.
 */
static inline void fisc_balloon_pop(struct fisc_region *region,
				    struct fisc_chunk *chunk, pgoff_t index)
{
	if (unlikely(READ_ONCE(chunk->balloon)))
		__fisc_balloon_pop(region, chunk, index);
}

/**
 * fisc_balloon_has_part_of() - test whether pages of a chunk are in the balloon
 * @chunk: the chunk
 *
 * Context: @chunk->lock held.
 * Return: true if there are any.
 */
static inline bool fisc_balloon_has_part_of(const struct fisc_chunk *chunk)
{
	const struct fisc_chunk_balloon *balloon = READ_ONCE(chunk->balloon);

	return balloon && atomic_read(&balloon->nr);
}

#endif /* _FISC_MEMORY_BALLOON_H */
