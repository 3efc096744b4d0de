/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_LISTED_H
#define _FISC_MEMORY_LISTED_H

#include <linux/bitops.h>
#include <linux/types.h>

#include "memory/map.h"

/**
 * DOC: Listed chunks
 *
 * A file can be a terabyte of which a megabyte has memory. What looks for
 * memory to take, looks at chunks chosen at random, and must not choose among
 * those that have none: each region has a list of the chunks with private
 * frames, small or large. To choose one takes as long however large the file
 * is, and whatever part of it is empty.
 *
 * The list is an array without gaps. A chunk goes to its end with its first
 * private frame; with its last, it leaves its place to the one at the end. Room
 * for a chunk is reserved when the chunk is created, so neither can fail.
 *
 * Locks: a chunk joins the list with its lock held at least for reading, and
 * leaves it with the lock held for writing, so that no page of it becomes
 * private meanwhile. The list itself is protected by the xarray's own lock.
 * Choosing takes no lock.
 */

int fisc_listed_reserve(struct fisc_region *region);
void __fisc_chunk_list(struct fisc_chunk *chunk);
void __fisc_chunk_unlist(struct fisc_chunk *chunk);
u32 fisc_listed_count(const struct fisc_region *region);
struct fisc_chunk *fisc_listed_choose(struct fisc_region *region);

/**
 * fisc_chunk_list() - note that a chunk has a private frame
 * @chunk: the chunk
 *
 * Context: any; @chunk->lock held, at least for reading.
 */
static inline void fisc_chunk_list(struct fisc_chunk *chunk)
{
	if (!test_bit(FISC_CHUNK_LISTED, &chunk->flags))
		__fisc_chunk_list(chunk);
}

/**
 * fisc_chunk_unlist() - note that a chunk lost private frames, perhaps the last
 * @chunk: the chunk
 *
 * Context: any; @chunk->lock held for writing.
 */
static inline void fisc_chunk_unlist(struct fisc_chunk *chunk)
{
	if (!chunk->large && !atomic_read(&chunk->private) &&
	    test_bit(FISC_CHUNK_LISTED, &chunk->flags))
		__fisc_chunk_unlist(chunk);
}

#endif /* _FISC_MEMORY_LISTED_H */
