// SPDX-License-Identifier: GPL-2.0
/*
 * Page in from swap. See DOC: Host paging in swap.h; reclaim/pageout.c decides
 * which pages go out.
 */
#include <linux/err.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/sched/clock.h>

#include "base/state.h"
#include "memory/backing.h"
#include "memory/region.h"
#include "memory/swap.h"

/* Replace a swapped entry by the frame @folio. Lock held for writing. */
static int fisc_swap_place(struct fisc_region *region, struct fisc_chunk *chunk,
			   pgoff_t index, struct page *copy,
			   struct folio *folio)
{
	unsigned long e = fisc_chunk_entry(chunk, index);
	int err;

	if (fisc_entry_state(e) != FISC_ENTRY_SWAPPED ||
	    !fisc_backing_holds(region, index, copy))
		return -EAGAIN;
	err = copy_mc_highpage(&folio->page, copy) ? -EHWPOISON : 0;
	unlock_page(copy);
	if (err)
		return err;

	fisc_frame_attach(folio, region, index);
	fisc_region_replace(region, chunk, index,
			    fisc_entry_succeed(e, &folio->page,
					       FISC_ENTRY_PRIVATE));
	fisc_backing_drop(region, index, index);
	fisc_count(region, FISC_SWAP_IN, 1);

	return 0;
}

/**
 * fisc_swap_in() - page in a page into a frame of its own
 * @region: the region
 * @chunk: the chunk of @index
 * @index: a page that was swapped when last looked at
 * @folio: a new frame; if it is placed, the map takes over its reference
 *
 * Does not need the mapping of a fault: its lock may have been released, as
 * long as the region is held.
 *
 * Context: may sleep, for as long as swap takes; no lock of this module held.
 * Return: 0 with @folio placed; otherwise it is still the caller's: -EAGAIN if
 * the caller should look at the entry again; -EIO, -EHWPOISON and so on if the
 * content is lost; -ENOMEM.
 */
int fisc_swap_in(struct fisc_region *region, struct fisc_chunk *chunk,
		 pgoff_t index, struct folio *folio)
{
	u64 start = local_clock(), since;
	struct page *copy;
	int err;

	copy = fisc_backing_read(region, index);
	if (IS_ERR(copy))
		return PTR_ERR(copy);

	since = fisc_chunk_lock(chunk);
	err = fisc_swap_place(region, chunk, index, copy, folio);
	fisc_chunk_unlock(chunk, since);
	put_page(copy);
	if (!err)
		fisc_reclaim_charge(1);
	fisc_wait_account(FISC_WAIT_SWAP_IN, start);

	return err;
}
