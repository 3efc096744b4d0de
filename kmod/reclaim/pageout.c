// SPDX-License-Identifier: GPL-2.0
/*
 * Paging out: taking the cold pages of armed chunks and writing them to the
 * paging device or to swap. See DOC: Host paging in memory/swap.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/blkdev.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/swap.h>

#include "base/state.h"
#include "memory/backing.h"
#include "memory/disk.h"
#include "memory/large.h"
#include "memory/region.h"
#include "reclaim/armed.h"
#include "reclaim/pageout.h"
#include "share/scan.h"
#include "vm/vm.h"

/* How long the paging device may take before the thread goes on, in ms. */
#define FISC_WRITE_MS	100

/* How long pages go to swap after the paging device has failed, in ms. */
#define FISC_FAILED_MS	1000

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

/* Find out which candidates are zero. Return: how many are not. */
static unsigned int fisc_swap_sift(struct fisc_swap_batch *batch)
{
	unsigned int left = 0, k;

	for (k = 0; k < batch->nr; k++) {
		struct fisc_swap_candidate *page = &batch->pages[k];

		page->zero = fisc_page_is_zero(page->page);
		left += !page->zero;
	}

	return left;
}

/*
 * Send candidates to the paging device, @left of them if it has room. Those
 * that are left over go with the next batch. Return: true if any are on their
 * way.
 */
static bool fisc_swap_write(struct fisc_swap_batch *batch, unsigned int left)
{
	struct fisc_write *write = &batch->write;
	u32 slot = 0, nr = 0;
	unsigned int k;

	fisc_write_begin(write);
	for (k = 0; k < batch->nr; k++) {
		struct fisc_swap_candidate *page = &batch->pages[k];

		if (page->zero)
			continue;
		if (!nr)
			slot = fisc_disk_alloc(left, &nr);
		if (!nr)
			break;
		page->request = fisc_write_add(write, page->page, slot);
		if (page->request < 0)
			break;
		page->slot = slot++;
		nr--;
		left--;
	}
	while (nr--)
		fisc_disk_drop(slot++);
	if (!write->nr)
		return false;
	fisc_write_submit(write);

	return true;
}

static void fisc_swap_copy(struct fisc_swap_batch *batch,
			   struct fisc_region *region, pgoff_t start)
{
	unsigned int k;

	for (k = 0; k < batch->nr; k++) {
		struct fisc_swap_candidate *page = &batch->pages[k];
		int err;

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

/* Test whether a page's content is elsewhere, too. */
static bool fisc_swap_is_stored(const struct fisc_swap_batch *batch,
				const struct fisc_swap_candidate *page)
{
	if (page->slot)
		return !fisc_write_failed(&batch->write, page->request);

	return page->zero || page->copied;
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

		if (!fisc_swap_is_stored(batch, page) ||
		    !fisc_swap_is_cold(chunk, page))
			continue;
		e = chunk->leaf[page->i];
		fisc_region_replace(region, chunk, start + page->i,
				    page->zero ?
				    fisc_entry_succeed(e, zero, FISC_ENTRY_ZERO) :
				    fisc_entry_swapped(e, page->slot));
		page->gone = true;
	}
	fisc_chunk_unlock(chunk, since);
}

/* Send copies in the backing that are in use now to swap. Drop the others. */
static void fisc_swap_send(struct fisc_swap_batch *batch,
			   struct fisc_region *region, pgoff_t start)
{
	struct blk_plug plug;
	unsigned int k;

	blk_start_plug(&plug);
	for (k = 0; k < batch->nr; k++) {
		struct fisc_swap_candidate *page = &batch->pages[k];

		if (!page->copied)
			continue;
		if (page->gone)
			fisc_backing_send(region, start + page->i);
		else
			fisc_backing_drop(region, start + page->i,
					  start + page->i);
	}
	blk_finish_plug(&plug);
}

/*
 * Replace the entries of what is stored and still cold, and free the frames.
 * @region and @chunk may be NULL: they have gone. Return: the number of frames.
 */
static unsigned int fisc_swap_finish(struct fisc_swap_batch *batch,
				     struct fisc_region *region,
				     struct fisc_chunk *chunk)
{
	unsigned int gone = 0, out = 0, sent = 0, failed = 0, k;

	/* While there are slots, which keep the device. */
	fisc_write_end(&batch->write);
	if (chunk)
		fisc_swap_commit(batch, region, chunk);
	for (k = 0; k < batch->nr; k++) {
		struct fisc_swap_candidate *page = &batch->pages[k];

		put_page(page->page);
		gone += page->gone;
		out += page->gone && !page->zero;
		sent += page->slot != 0;
		failed += page->slot &&
			  fisc_write_failed(&batch->write, page->request);
	}
	for (k = 0; k < batch->nr; k++)
		if (batch->pages[k].slot && !batch->pages[k].gone)
			fisc_disk_drop(batch->pages[k].slot);
	if (sent) {
		batch->failed = failed;
		batch->again = jiffies + msecs_to_jiffies(FISC_FAILED_MS);
	}
	if (failed)
		pr_err_ratelimited("%u pages stay in memory, as the paging device cannot write them: check the log for its errors, and write none to /sys/kernel/fisc/reclaim/device to use the kernel's swap\n",
				   failed);
	if (chunk)
		fisc_count(region, FISC_SWAP_OUT, out);

	return gone;
}

/* Go on although the candidates are still on their way. */
static void fisc_swap_part(struct fisc_swap_batch *batch,
			   struct fisc_region *region, struct fisc_chunk *chunk)
{
	batch->vm = fisc_vm_get(region->vm);
	batch->region = region;
	batch->chunk = chunk->nr;
}

/**
 * fisc_swap_settle() - finish a batch that was still on its way
 * @batch: working memory; may not be on its way at all
 * @timeout: how long to wait for the paging device at most, in jiffies
 *
 * Context: may sleep; from the reclaim thread, or when it has ended.
 */
void fisc_swap_settle(struct fisc_swap_batch *batch, unsigned long timeout)
{
	struct fisc_chunk *chunk = NULL;
	struct fisc_region *region;

	if (!batch->vm || !fisc_write_wait(&batch->write, timeout))
		return;
	region = fisc_vm_get_region(batch->vm, batch->region);
	if (region)
		chunk = fisc_region_find_chunk(region, (pgoff_t)batch->chunk <<
						       FISC_CHUNK_SHIFT);
	fisc_swap_finish(batch, region, chunk);
	if (region)
		fisc_region_put(region);
	fisc_vm_put_later(batch->vm);
	batch->vm = NULL;
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
 * Context: may sleep; from the pager of the VM only.
 * Return: the number of frames freed.
 */
unsigned int fisc_swap_out(struct fisc_swap_batch *batch,
			   struct fisc_region *region,
			   struct fisc_chunk *chunk, unsigned int max,
			   bool any)
{
	pgoff_t start = fisc_chunk_start(chunk);
	unsigned int gone, left;

	max = min3(max, (unsigned int)FISC_CHUNK_PAGES,
		   (unsigned int)clamp(fisc_swap_room(), 0L, (long)INT_MAX));
	if (!max || batch->vm)
		return 0;
	if (READ_ONCE(region->locked) ||
	    !fisc_swap_take_apart(batch, region, chunk, any)) {
		if (!any)
			fisc_swap_disarm(chunk);
		return 0;
	}
	fisc_scan_chunk(region, chunk);
	fisc_swap_select(batch, region, chunk, max, any);
	if (!batch->nr)
		return 0;
	left = fisc_swap_sift(batch);
	if (!(batch->failed && time_before(jiffies, batch->again)) &&
	    fisc_swap_write(batch, left)) {
		if (!fisc_write_wait(&batch->write,
				     msecs_to_jiffies(FISC_WRITE_MS))) {
			fisc_swap_part(batch, region, chunk);
			return 0;
		}
	} else if (get_nr_swap_pages() > 0) {
		fisc_swap_copy(batch, region, start);
	}
	gone = fisc_swap_finish(batch, region, chunk);
	fisc_swap_send(batch, region, start);
	/* If nothing goes although it is cold, look elsewhere. */
	if (!gone && !any)
		fisc_swap_disarm(chunk);

	return gone;
}
