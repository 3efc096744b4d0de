// SPDX-License-Identifier: GPL-2.0
/*
 * Paging out: taking the cold pages of armed chunks and writing them to swap.
 * See DOC: Host paging in memory/swap.h.
 */
#include <linux/blkdev.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "base/state.h"
#include "memory/backing.h"
#include "memory/large.h"
#include "memory/region.h"
#include "reclaim/armed.h"
#include "reclaim/pageout.h"
#include "share/scan.h"

/*
 * Break a large frame that has not been touched since it was armed, or any if
 * @any. Return: there is a leaf.
 */
static bool fisc_swap_take_apart(struct fisc_swap_batch *batch,
				 struct fisc_region *region,
				 struct fisc_chunk *chunk, bool any)
{
	bool hot, leaf;

	down_read(&chunk->lock);
	leaf = READ_ONCE(chunk->leaf);
	hot = READ_ONCE(chunk->large) && !any &&
	      (!chunk->armed ||
	       !bitmap_empty(chunk->armed->touched, FISC_CHUNK_PAGES));
	up_read(&chunk->lock);
	if (leaf)
		return true;
	if (hot)
		batch->looked += FISC_CHUNK_PAGES;

	return !hot && !fisc_large_break(region, chunk, batch->keep, 0);
}

/*
 * Choose pages that have not been touched since the chunk was armed, or any if
 * @any, and make sure that nobody can write to them any more. Disarms the chunk
 * unless it may have more.
 */
static void fisc_swap_select(struct fisc_swap_batch *batch,
			     struct fisc_region *region,
			     struct fisc_chunk *chunk, unsigned int max,
			     bool any)
{
	u64 since = fisc_chunk_lock(chunk);
	const struct fisc_armed *armed = chunk->armed;
	unsigned int i;

	batch->nr = 0;
	if (any)
		fisc_region_unmap(region, fisc_chunk_start(chunk),
				  FISC_CHUNK_PAGES);
	for (i = 0; chunk->leaf && i < FISC_CHUNK_PAGES && batch->nr < max; i++) {
		unsigned long e = chunk->leaf[i];
		struct page *page;

		if (fisc_entry_state(e) != FISC_ENTRY_PRIVATE)
			continue;
		batch->looked++;
		page = fisc_entry_page(e);
		if (!any && (!armed || test_bit(i, armed->touched)))
			continue;
		/*
		 * Only the map holds a reference, and no page table maps the
		 * page.
		 */
		if (PageHWPoison(page) || page_ref_count(page) != 1)
			continue;
		WRITE_ONCE(chunk->leaf[i], e | FISC_ENTRY_CLEAN);
		get_page(page);
		batch->pages[batch->nr++] = (struct fisc_swap_candidate) {
			.page = page,
			.i = i,
		};
	}
	batch->cold += batch->nr;
	if (!any && batch->nr < max)
		fisc_armed_disarm(chunk);
	fisc_chunk_unlock(chunk, since);
}

static void fisc_swap_copy(struct fisc_swap_batch *batch,
			   struct fisc_region *region, pgoff_t start)
{
	unsigned int k;

	for (k = 0; k < batch->nr; k++) {
		struct fisc_swap_candidate *page = &batch->pages[k];
		int err;

		page->zero = fisc_page_is_zero(page->page);
		if (page->zero)
			continue;
		err = fisc_backing_write(region, start + page->i, page->page);
		page->copied = !err;
		if (err == -ENOMEM) {
			fisc_count_total(FISC_SWAP_NO_MEMORY, 1);
			break;
		}
		cond_resched();
	}
}

/* Test whether a page is unchanged and unused. Lock held for writing. */
static bool fisc_swap_is_cold(struct fisc_chunk *chunk,
			      const struct fisc_swap_candidate *page)
{
	unsigned long e = chunk->leaf ? chunk->leaf[page->i] : 0;

	/* The references of the map and of the batch. */
	return fisc_entry_state(e) == FISC_ENTRY_PRIVATE &&
	       fisc_entry_page(e) == page->page && (e & FISC_ENTRY_CLEAN) &&
	       page_ref_count(page->page) == 2;
}

static void fisc_swap_commit(struct fisc_swap_batch *batch,
			     struct fisc_region *region,
			     struct fisc_chunk *chunk)
{
	pgoff_t start = fisc_chunk_start(chunk);
	u64 since = fisc_chunk_lock(chunk);
	unsigned int k;

	for (k = 0; k < batch->nr; k++) {
		struct fisc_swap_candidate *page = &batch->pages[k];
		struct page *zero = fisc_zero_page((unsigned long)chunk);
		unsigned long e;

		if ((!page->zero && !page->copied) ||
		    !fisc_swap_is_cold(chunk, page))
			continue;
		e = chunk->leaf[page->i];
		fisc_region_replace(region, chunk, start + page->i,
				    page->zero ?
				    fisc_entry_succeed(e, zero, FISC_ENTRY_ZERO) :
				    fisc_entry_swapped(e));
		page->gone = true;
	}
	fisc_chunk_unlock(chunk, since);
}

/*
 * Free the frames. Send copies that are in use now to swap and drop the others.
 */
static unsigned int fisc_swap_finish(struct fisc_swap_batch *batch,
				     struct fisc_region *region, pgoff_t start)
{
	struct blk_plug plug;
	unsigned int gone = 0, k;
	long out = 0;

	blk_start_plug(&plug);
	for (k = 0; k < batch->nr; k++) {
		struct fisc_swap_candidate *page = &batch->pages[k];

		put_page(page->page);
		gone += page->gone;
		if (!page->copied)
			continue;
		if (page->gone) {
			fisc_backing_send(region, start + page->i);
			out++;
		} else {
			fisc_backing_drop(region, start + page->i,
					  start + page->i);
		}
	}
	blk_finish_plug(&plug);
	fisc_count(region, FISC_SWAP_OUT, out);

	return gone;
}

static void fisc_swap_disarm(struct fisc_chunk *chunk)
{
	u64 since = fisc_chunk_lock(chunk);

	fisc_armed_disarm(chunk);
	fisc_chunk_unlock(chunk, since);
}

/**
 * fisc_swap_out() - page out cold pages of a chunk
 * @batch: working memory; what was looked at is added to its counts
 * @region: the region; held by the caller
 * @chunk: a chunk that was armed long enough, unless @any
 * @max: most pages to take
 * @any: take pages in use, too
 *
 * Disarms the chunk unless @any or @max was reached: then there may be more.
 *
 * Context: may sleep; from the thread that pages out only.
 * Return: the number of frames freed.
 */
unsigned int fisc_swap_out(struct fisc_swap_batch *batch,
			   struct fisc_region *region,
			   struct fisc_chunk *chunk, unsigned int max,
			   bool any)
{
	pgoff_t start = fisc_chunk_start(chunk);
	unsigned int gone;

	max = min3(max, (unsigned int)FISC_CHUNK_PAGES,
		   (unsigned int)clamp(fisc_swap_room(), 0L, (long)INT_MAX));
	if (!max)
		return 0;
	if (!fisc_swap_take_apart(batch, region, chunk, any)) {
		if (!any)
			fisc_swap_disarm(chunk);
		return 0;
	}
	fisc_scan_chunk(region, chunk);
	fisc_swap_select(batch, region, chunk, max, any);
	if (!batch->nr)
		return 0;
	fisc_swap_copy(batch, region, start);
	fisc_swap_commit(batch, region, chunk);
	gone = fisc_swap_finish(batch, region, start);
	/* If nothing goes although it is cold, look elsewhere. */
	if (!gone && !any)
		fisc_swap_disarm(chunk);

	return gone;
}
