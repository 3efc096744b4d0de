// SPDX-License-Identifier: GPL-2.0
/* Chunks that have memory to take. See DOC: Listed chunks in listed.h. */
#include <linux/gfp.h>
#include <linux/random.h>
#include <linux/xarray.h>

#include "memory/listed.h"

/**
 * fisc_listed_reserve() - make room in the list for one chunk more
 * @region: the region
 *
 * The room is never given back, so that what is reserved has no gaps.
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_listed_reserve(struct fisc_region *region)
{
	u32 place;

	return xa_alloc(&region->listed, &place, NULL, xa_limit_32b, GFP_KERNEL);
}

/**
 * __fisc_chunk_list() - add a chunk that was not in the list a moment ago
 * @chunk: the chunk
 *
 * Context: as fisc_chunk_list().
 */
void __fisc_chunk_list(struct fisc_chunk *chunk)
{
	struct fisc_region *region = chunk->region;

	xa_lock(&region->listed);
	if (!test_and_set_bit(FISC_CHUNK_LISTED, &chunk->flags)) {
		chunk->place = region->nr_listed;
		__xa_store(&region->listed, chunk->place, chunk, 0);
		WRITE_ONCE(region->nr_listed, chunk->place + 1);
	}
	xa_unlock(&region->listed);
}

/**
 * __fisc_chunk_unlist() - remove a chunk from the list
 * @chunk: the chunk, which is listed and has no private frame
 *
 * Context: as fisc_chunk_unlist().
 */
void __fisc_chunk_unlist(struct fisc_chunk *chunk)
{
	struct fisc_region *region = chunk->region;
	struct fisc_chunk *last;

	lockdep_assert_held_write(&chunk->lock);

	xa_lock(&region->listed);
	WRITE_ONCE(region->nr_listed, region->nr_listed - 1);
	last = xa_load(&region->listed, region->nr_listed);
	last->place = chunk->place;
	__xa_store(&region->listed, chunk->place, last, 0);
	/* As the array allocates, this leaves the room reserved. */
	__xa_store(&region->listed, region->nr_listed, NULL, 0);
	clear_bit(FISC_CHUNK_LISTED, &chunk->flags);
	xa_unlock(&region->listed);
}

/**
 * fisc_listed_count() - return how many chunks have private frames
 * @region: the region
 *
 * Context: any.
 * Return: their number.
 */
u32 fisc_listed_count(const struct fisc_region *region)
{
	return READ_ONCE(region->nr_listed);
}

/**
 * fisc_listed_choose() - choose a chunk with private frames at random
 * @region: the region; held by the caller
 *
 * Context: any.
 * Return: the chunk; NULL if there was none a moment ago.
 */
struct fisc_chunk *fisc_listed_choose(struct fisc_region *region)
{
	u32 nr = fisc_listed_count(region);

	return nr ? xa_load(&region->listed, get_random_u32_below(nr)) : NULL;
}
