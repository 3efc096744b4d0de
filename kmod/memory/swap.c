// SPDX-License-Identifier: GPL-2.0
/*
 * Page in from swap. See DOC: Host paging in swap.h; reclaim/pageout.c decides
 * which pages go out.
 */
#include <linux/err.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>

#include "base/state.h"
#include "memory/backing.h"
#include "memory/read.h"
#include "memory/region.h"
#include "memory/swap.h"

/* Replace a swapped entry by the frame @folio. Lock held for writing. */
static int fisc_swap_place(struct fisc_region *region, struct fisc_chunk *chunk,
			   pgoff_t index, struct page *copy,
			   struct folio *folio)
{
	unsigned long e = fisc_chunk_entry(chunk, index);
	int err;

	if (fisc_entry_state(e) != FISC_ENTRY_SWAPPED || fisc_entry_slot(e) ||
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
 * fisc_swap_in() - page in a page from the backing
 * @region: the region
 * @chunk: the chunk of @index
 * @index: a page that was in the backing when last looked at
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

/* Page in a page for whose entry @e was found. */
static int fisc_swap_fetch_page(struct fisc_region *region,
				struct fisc_chunk *chunk, pgoff_t index,
				unsigned long e)
{
	struct fisc_read *read;
	struct folio *folio;
	int err;

	if (fisc_entry_slot(e)) {
		read = fisc_read_begin(region, chunk, index, NULL,
				       FISC_GFP_SYSCALL, FISC_READ_MAX);
		return IS_ERR(read) ? PTR_ERR(read) :
				      fisc_read_end(region, chunk, read);
	}
	folio = fisc_frame_alloc(NULL, 0, FISC_GFP_SYSCALL);
	if (!folio)
		return -ENOMEM;
	err = fisc_swap_in(region, chunk, index, folio);
	if (err)
		folio_put(folio);

	return err;
}

/**
 * fisc_swap_fetch() - page in all of a chunk
 * @region: the region
 * @chunk: the chunk
 * @slots: only pages that are in slots of the paging device
 *
 * Context: may sleep, for as long as swap takes; no lock of this module held.
 * Return: 0, also if the file is going away; -EINTR if the process is being
 * killed; -ENOMEM; -EIO and so on if a page is lost.
 */
int fisc_swap_fetch(struct fisc_region *region, struct fisc_chunk *chunk,
		    bool slots)
{
	pgoff_t index = fisc_chunk_start(chunk);
	pgoff_t end = index + FISC_CHUNK_PAGES;

	while (index < end && READ_ONCE(chunk->leaf)) {
		unsigned long e;
		int err;

		down_read(&chunk->lock);
		e = fisc_chunk_entry(chunk, index);
		up_read(&chunk->lock);
		if (fisc_entry_state(e) != FISC_ENTRY_SWAPPED ||
		    (slots && !fisc_entry_slot(e))) {
			index++;
			continue;
		}
		if (fatal_signal_pending(current))
			return -EINTR;
		/* Nobody else has the file: whoever deletes it waits for us. */
		if (refcount_read(&region->users) == 1)
			return 0;
		err = fisc_swap_fetch_page(region, chunk, index, e);
		if (err && err != -EAGAIN)
			return err;
	}

	return 0;
}
