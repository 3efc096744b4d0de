/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_RECLAIM_ARMED_H
#define _FISC_RECLAIM_ARMED_H

#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/types.h>

#include "memory/map.h"

struct fisc_vm;

/**
 * DOC: Armed chunks
 *
 * A chunk is *armed* to find out which of its pages are cold: it is unmapped
 * from all page tables, and from then on every fault and system call notes the
 * page it touches (fisc_armed_touch()). After cold_ms, pages that were not
 * touched are cold. That is known from the touches alone. It does not matter
 * who unmaps a page meanwhile, be it the scanner, the sampler or a broken large
 * frame: whether a page is mapped says nothing about its use.
 *
 * A VM pays for each armed chunk with up to 512 faults, so it has few of them
 * at any time: as many as are needed to find what is wanted, at most
 * FISC_ARMED_MAX, and at most one in FISC_ARMED_PART of its chunks. They are
 * chosen at random, and looked at in the order in which they were armed. What
 * is armed when the shortage ends stays armed. Its cold pages are then known at
 * once the next time.
 *
 * The queue of a VM names regions and chunks, but holds no reference on them;
 * its region pointers are only compared with those of live regions. An entry
 * whose region has gone, or whose chunk is no longer armed, is dropped when its
 * turn comes.
 *
 * Locks: fisc_chunk.armed changes with the chunk's lock held for writing. A
 * touch is noted with the lock held, at least for reading. The queue belongs to
 * the pager of the VM.
 */

/* Most chunks of a VM that are armed at a time, and their part of the VM. */
#define FISC_ARMED_MAX	256
#define FISC_ARMED_PART	4

/**
 * struct fisc_armed - which pages of an armed chunk have been touched
 * @touched: the pages touched since it was armed
 */
struct fisc_armed {
	DECLARE_BITMAP(touched, FISC_CHUNK_PAGES);
};

/**
 * struct fisc_armed_place - a chunk in a VM's queue of armed chunks
 * @region: its region; compared only
 * @nr: its number in the region
 * @at: when it was armed, in jiffies
 */
struct fisc_armed_place {
	const struct fisc_region *region;
	u32 nr;
	u32 at;
};

/**
 * struct fisc_armed_queue - a VM's armed chunks, oldest first
 * @first: index of the oldest one
 * @nr: their number
 * @places: the chunks, in a ring
 */
struct fisc_armed_queue {
	unsigned int first;
	unsigned int nr;
	struct fisc_armed_place places[FISC_ARMED_MAX];
};

unsigned int fisc_armed_room(struct fisc_vm *vm, u64 chunks);
bool fisc_armed_arm(struct fisc_vm *vm, struct fisc_region *region,
		    struct fisc_chunk *chunk);
struct fisc_region *fisc_armed_first(struct fisc_vm *vm, unsigned int ms,
				     struct fisc_chunk **chunk);
void fisc_armed_disarm(struct fisc_chunk *chunk);
void __fisc_armed_touch(struct fisc_chunk *chunk, pgoff_t index);

/**
 * fisc_armed_touch() - note that a fault or system call touches a page
 * @chunk: the page's chunk
 * @index: the page
 *
 * Context: @chunk->lock held.
 */
static inline void fisc_armed_touch(struct fisc_chunk *chunk, pgoff_t index)
{
	if (unlikely(chunk->armed))
		__fisc_armed_touch(chunk, index);
}

#endif /* _FISC_RECLAIM_ARMED_H */
