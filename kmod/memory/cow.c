// SPDX-License-Identifier: GPL-2.0
/*
 * Copy on write: how a page gets a frame that may be written. See DOC: The
 * frame map in map.h.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "base/state.h"
#include "memory/cow.h"
#include "memory/due.h"
#include "memory/region.h"

/*
 * A private page is about to be written: it is no longer clean. Lock held, at
 * least for reading.
 */
static void fisc_chunk_write(struct fisc_region *region,
			     struct fisc_chunk *chunk, pgoff_t index)
{
	unsigned long *slot = &chunk->large;
	u16 epoch = READ_ONCE(fisc_epoch);
	unsigned long old, new;

	if (!READ_ONCE(*slot))
		slot = &chunk->leaf[index & (FISC_CHUNK_PAGES - 1)];
	old = READ_ONCE(*slot);
	do {
		if (!(old & FISC_ENTRY_CLEAN))
			return;
		new = fisc_entry_written(old, epoch);
	} while (!try_cmpxchg(slot, &old, new));

	fisc_chunk_mark_later(chunk, fisc_entry_due(new));
	fisc_count(region, FISC_WRITTEN, 1);
}

/*
 * Lock and reference a private page that is about to be written. Lock held, at
 * least for reading.
 */
static int fisc_chunk_take(struct fisc_region *region, struct fisc_chunk *chunk,
			   pgoff_t index, struct page *page)
{
	if (PageHWPoison(page))
		return -EHWPOISON;
	fisc_chunk_write(region, chunk, index);
	get_page(page);
	folio_lock(page_folio(page));

	return 0;
}

/*
 * Install a new private frame where the entry is still @seen.
 * Return: 0 with the frame locked; -EAGAIN if the entry has changed; -ENXIO
 * beyond the end of the file.
 */
static int fisc_chunk_install(struct fisc_region *region,
			      struct fisc_chunk *chunk, pgoff_t index,
			      unsigned long seen, struct folio *folio,
			      bool in_fault)
{
	bool hole = fisc_entry_state(seen) == FISC_ENTRY_HOLE;
	unsigned long e;
	int err = 0;

	__folio_set_locked(folio);
	fisc_frame_attach(folio, region, index);

	if (hole)
		down_read(&chunk->lock);
	else
		down_write(&chunk->lock);

	if (in_fault && index >= fisc_region_size_pages(region)) {
		err = -ENXIO;
	} else if (hole) {
		e = fisc_entry_make(&folio->page, FISC_ENTRY_PRIVATE);
		err = fisc_chunk_fill(region, chunk, index, e);
	} else if (fisc_chunk_entry(chunk, index) != seen) {
		err = -EAGAIN;
	} else {
		e = fisc_entry_succeed(seen, &folio->page, FISC_ENTRY_PRIVATE);
		e = fisc_entry_written(e, READ_ONCE(fisc_epoch));
		fisc_region_replace(region, chunk, index, e);
		fisc_region_unmap(region, index, 1);
		fisc_chunk_mark_rebuild(chunk);
		fisc_count(region, FISC_COW_BREAKS, 1);
	}

	if (hole)
		up_read(&chunk->lock);
	else
		up_write(&chunk->lock);

	if (err) {
		folio->mapping = NULL;
		folio_unlock(folio);
	}

	return err;
}

/*
 * Copy the content of @seen, or zeroes, into a new frame.
 * Return: as fisc_chunk_own().
 */
static int fisc_chunk_own_new(struct fisc_region *region,
			      struct fisc_chunk *chunk, pgoff_t index,
			      unsigned long seen, struct page *shared,
			      struct vm_fault *vmf, gfp_t gfp,
			      struct page **frame)
{
	struct folio *folio;
	int err = 0;

	folio = fisc_frame_alloc(vmf ? vmf->vma : NULL, vmf ? vmf->address : 0,
				 gfp | (shared ? 0 : __GFP_ZERO));
	if (!folio)
		return -ENOMEM;

	if (shared && copy_mc_highpage(&folio->page, shared)) {
		folio_put(folio);
		return -EHWPOISON;
	}

	folio_get(folio);
	if (fisc_entry_state(seen) == FISC_ENTRY_HOLE)
		err = fisc_chunk_make_leaf(region, chunk);
	err = err ?: fisc_chunk_install(region, chunk, index, seen, folio, vmf);
	if (err) {
		folio_put(folio);
		folio_put(folio);
		return err;
	}
	*frame = &folio->page;
	fisc_reclaim_charge(1);

	return 0;
}

/**
 * fisc_chunk_own() - give a page a frame of its own, for writing
 * @region: the region
 * @chunk: the chunk of @index
 * @index: the page
 * @vmf: the fault that wants it, or NULL
 * @gfp: modifiers for the allocation of a frame
 * @frame: the page that serves it, with its folio locked and a reference for
 *	the caller
 *
 * A hole gets a zeroed frame, a shared page a copy; nobody else sees the
 * content change. Afterwards the page is not clean, and it does not become
 * clean, so it is not shared, as long as the caller holds the folio lock or the
 * reference.
 *
 * Context: may sleep; @chunk->lock held for reading; this function drops it.
 * Return: 0; -EAGAIN if the page is swapped or has changed meanwhile; -ENOMEM;
 * -ENXIO if a fault lies beyond the end of the file; -EHWPOISON if the content
 * was lost to a memory error.
 */
int fisc_chunk_own(struct fisc_region *region, struct fisc_chunk *chunk,
		   pgoff_t index, struct vm_fault *vmf, gfp_t gfp,
		   struct page **frame)
{
	unsigned long e = fisc_chunk_entry(chunk, index);
	struct page *shared = NULL;
	int err = 0;

	switch (fisc_entry_state(e)) {
	case FISC_ENTRY_SWAPPED:
		err = -EAGAIN;
		break;
	case FISC_ENTRY_PRIVATE:
		err = fisc_chunk_take(region, chunk, index,
				      fisc_entry_page(e));
		if (!err)
			*frame = fisc_entry_page(e);
		up_read(&chunk->lock);
		return err;
	case FISC_ENTRY_SHARED:
		/*
		 * The reference keeps the content, and it keeps the frame from
		 * being reused for other content until the new entry is in
		 * place: an unchanged entry still means the same page.
		 */
		shared = fisc_entry_page(e);
		if (PageHWPoison(shared))
			err = -EHWPOISON;
		else
			get_page(shared);
		break;
	case FISC_ENTRY_HOLE:
	case FISC_ENTRY_ZERO:
		break;
	}
	up_read(&chunk->lock);
	if (err)
		return err;

	err = fisc_chunk_own_new(region, chunk, index, e, shared, vmf, gfp,
				 frame);
	if (shared)
		put_page(shared);

	return err;
}

/* Forget what is known about a chunk's content, and mark it due. */
static void fisc_chunk_forget(struct fisc_chunk *chunk)
{
	unsigned int i;

	down_write(&chunk->lock);
	WRITE_ONCE(chunk->large, chunk->large & ~FISC_ENTRY_KNOWN);
	for (i = 0; chunk->leaf && i < FISC_CHUNK_PAGES; i++) {
		unsigned long e = chunk->leaf[i];

		if (fisc_entry_state(e) == FISC_ENTRY_PRIVATE)
			WRITE_ONCE(chunk->leaf[i], e & ~FISC_ENTRY_KNOWN);
	}
	if (chunk->leaf || chunk->large)
		fisc_chunk_mark_due(chunk);
	up_write(&chunk->lock);
}

/* Give a page a frame of its own if it is shared. */
static int fisc_chunk_unshare(struct fisc_region *region,
			      struct fisc_chunk *chunk, pgoff_t index)
{
	struct page *page;
	int err;

	do {
		down_read(&chunk->lock);
		if (fisc_entry_state(fisc_chunk_entry(chunk, index)) !=
		    FISC_ENTRY_SHARED) {
			up_read(&chunk->lock);
			return 0;
		}
		err = fisc_chunk_own(region, chunk, index, NULL,
				     FISC_GFP_SYSCALL, &page);
	} while (err == -EAGAIN);
	if (err)
		return err;
	folio_unlock(page_folio(page));
	put_page(page);

	return 0;
}

/**
 * fisc_region_unshare() - give all shared pages frames of their own
 * @region: a region of which no further pages are being shared
 *
 * What is known about its other pages is forgotten: the scanner starts again.
 *
 * Context: may sleep; no lock of this module held.
 * Return: 0, -ENOMEM, -EHWPOISON, -EINTR if the process is being killed; on
 * error some pages are still shared.
 */
int fisc_region_unshare(struct fisc_region *region)
{
	struct fisc_chunk *chunk;
	unsigned long nr;

	xa_for_each(&region->chunks, nr, chunk) {
		pgoff_t index = fisc_chunk_start(chunk);
		pgoff_t end = index + FISC_CHUNK_PAGES;

		for (; index < end; index++) {
			int err = fisc_chunk_unshare(region, chunk, index);

			if (err)
				return err;
		}
		fisc_chunk_forget(chunk);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}

	return 0;
}
