// SPDX-License-Identifier: GPL-2.0
/*
 * Finding out which pages of a VM are cold. See DOC: Armed chunks in armed.h.
 */
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "memory/region.h"
#include "reclaim/armed.h"
#include "reclaim/vms.h"
#include "share/scan.h"
#include "vm/vm.h"

/**
 * fisc_armed_room() - return how many more chunks of a VM may be armed
 * @vm: the VM
 * @chunks: number of armed chunks that would suffice
 *
 * Context: from the pager of @vm only.
 * Return: the number; 0 without memory for the queue.
 */
unsigned int fisc_armed_room(struct fisc_vm *vm, u64 chunks)
{
	struct fisc_armed_queue *queue = vm->reclaim->armed;
	u64 part = (fisc_vm_size(vm) >> (PAGE_SHIFT + FISC_CHUNK_SHIFT)) /
		   FISC_ARMED_PART;

	if (!queue) {
		queue = kzalloc(sizeof(*queue), GFP_KERNEL | __GFP_NOWARN);
		if (!queue)
			return 0;
		vm->reclaim->armed = queue;
	}
	chunks = min3(chunks, part + 1, (u64)FISC_ARMED_MAX);

	return chunks - min_t(u64, chunks, queue->nr);
}

/* Test whether a chunk has a private page. Final with its lock held. */
static bool fisc_chunk_has_private(const struct fisc_chunk *chunk)
{
	return READ_ONCE(chunk->large) || atomic_read(&chunk->private);
}

/**
 * fisc_armed_arm() - arm a chunk
 * @vm: the VM; fisc_armed_room() has just said that there is room
 * @region: the region; held by the caller
 * @chunk: the chunk
 *
 * Tries its pages for sharing first.
 *
 * Context: may sleep; from the pager of @vm only.
 * Return: true if it was armed; false if it is armed already or has nothing to
 * page out, or without memory.
 */
bool fisc_armed_arm(struct fisc_vm *vm, struct fisc_region *region,
		    struct fisc_chunk *chunk)
{
	struct fisc_armed_queue *queue = vm->reclaim->armed;
	struct fisc_armed *armed;
	bool done = false;
	u64 since;

	if (READ_ONCE(chunk->armed) || !fisc_chunk_has_private(chunk))
		return false;
	armed = kzalloc(sizeof(*armed), GFP_KERNEL | __GFP_NOWARN);
	if (!armed)
		return false;

	fisc_scan_chunk(region, chunk);

	since = fisc_chunk_lock(chunk);
	if (!chunk->armed && fisc_chunk_has_private(chunk)) {
		if (chunk->large)
			folio_wait_locked(page_folio(fisc_entry_page(chunk->large)));
		fisc_region_unmap(region, fisc_chunk_start(chunk),
				  FISC_CHUNK_PAGES);
		WRITE_ONCE(chunk->armed, armed);
		armed = NULL;
		done = true;
	}
	fisc_chunk_unlock(chunk, since);
	kfree(armed);
	if (!done)
		return false;

	queue->places[(queue->first + queue->nr++) % FISC_ARMED_MAX] =
		(struct fisc_armed_place) {
			.region = region,
			.nr = chunk->nr,
			.at = (u32)jiffies,
		};
	fisc_count_total(FISC_SWAP_ARMED, 1);

	return true;
}

/**
 * fisc_armed_first() - return a VM's chunk that has been armed for longest
 * @vm: the VM
 * @ms: how long it must have been armed, in ms
 * @chunk: the chunk
 *
 * It stays in the queue until it is disarmed.
 *
 * Context: from the pager of @vm only.
 * Return: its region, held; NULL if no chunk has been armed for that long.
 */
struct fisc_region *fisc_armed_first(struct fisc_vm *vm, unsigned int ms,
				     struct fisc_chunk **chunk)
{
	struct fisc_armed_queue *queue = vm->reclaim->armed;

	while (queue && queue->nr) {
		const struct fisc_armed_place *place = &queue->places[queue->first];
		struct fisc_region *region;

		if ((u32)jiffies - place->at < msecs_to_jiffies(ms))
			return NULL;
		region = fisc_vm_get_region(vm, place->region);
		if (region) {
			*chunk = fisc_region_find_chunk(region,
							(pgoff_t)place->nr << FISC_CHUNK_SHIFT);
			if (*chunk && READ_ONCE((*chunk)->armed))
				return region;
			fisc_region_put(region);
		}
		queue->first = (queue->first + 1) % FISC_ARMED_MAX;
		queue->nr--;
	}

	return NULL;
}

/**
 * fisc_armed_disarm() - forget which pages of a chunk have been touched
 * @chunk: the chunk, which may not be armed
 *
 * Context: any; @chunk->lock held for writing.
 */
void fisc_armed_disarm(struct fisc_chunk *chunk)
{
	lockdep_assert_held_write(&chunk->lock);

	kfree(chunk->armed);
	WRITE_ONCE(chunk->armed, NULL);
}

/**
 * __fisc_armed_touch() - note a touch of a page of an armed chunk
 * @chunk: the page's chunk
 * @index: the page
 *
 * A large frame is mapped as a whole, unless its chunk is watched, so that no
 * later touch of its other pages is seen.
 *
 * Context: @chunk->lock held.
 */
void __fisc_armed_touch(struct fisc_chunk *chunk, pgoff_t index)
{
	unsigned long *touched = chunk->armed->touched;
	unsigned int i;

	if (READ_ONCE(chunk->large) &&
	    !test_bit(FISC_CHUNK_WATCHED, &chunk->flags)) {
		for (i = 0; i < BITS_TO_LONGS(FISC_CHUNK_PAGES); i++)
			WRITE_ONCE(touched[i], ~0UL);
		return;
	}
	i = index & (FISC_CHUNK_PAGES - 1);
	if (!test_bit(i, touched))
		set_bit(i, touched);
}
