// SPDX-License-Identifier: GPL-2.0
/* Chunks held by one large frame. See DOC: Large pages in large.h. */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "base/knob.h"
#include "base/state.h"
#include "memory/balloon.h"
#include "memory/cow.h"
#include "memory/domain.h"
#include "memory/due.h"
#include "memory/large.h"
#include "memory/listed.h"
#include "memory/region.h"
#include "uapi/fisc.h"

unsigned int fisc_large_enabled = 1;
static unsigned int fisc_large_min_free = FISC_LARGE_MIN_FREE_DEFAULT;
unsigned int fisc_large_break_pages = FISC_LARGE_BREAK_DEFAULT;

/*
 * A chunk could have become large, but memory or large frames were scarce.
 * Tested and cleared by fisc_large_was_refused().
 */
static bool fisc_large_refused;

static bool fisc_large_has_memory(void)
{
	unsigned long keep = totalram_pages() / 100 *
			     READ_ONCE(fisc_large_min_free);

	return READ_ONCE(fisc_large_enabled) &&
	       fisc_reclaim_state() == FISC_RECLAIM_HIGH &&
	       si_mem_available() > (long)(keep + FISC_LARGE_PAGES);
}

static bool fisc_large_allowed(const struct fisc_region *region,
			       const struct fisc_chunk *chunk)
{
	if (fisc_chunk_start(chunk) + FISC_CHUNK_PAGES >
	    fisc_region_size_pages(region))
		return false;
	if (fisc_large_has_memory())
		return true;
	if (!READ_ONCE(fisc_large_refused))
		WRITE_ONCE(fisc_large_refused, true);

	return false;
}

/**
 * fisc_large_fits() - test whether memory that comes in should be a large frame
 * @region: the region
 * @chunk: the chunk
 *
 * Context: any; @chunk->lock held.
 * Return: true if the chunk is empty and all of it in the file, none of it is
 * in the balloon, the knobs allow it and memory is plentiful.
 */
bool fisc_large_fits(const struct fisc_region *region,
		     const struct fisc_chunk *chunk)
{
	return !READ_ONCE(chunk->large) && !atomic_read(&chunk->filled) &&
	       !fisc_balloon_has_part_of(chunk) &&
	       fisc_large_allowed(region, chunk);
}

/**
 * fisc_large_wanted() - test whether an empty chunk should get a large frame
 * @region: the region
 * @chunk: a chunk with a page that is about to be written
 *
 * Context: any; @chunk->lock held.
 * Return: true if it fits, and no other memory is about to come in.
 */
bool fisc_large_wanted(const struct fisc_region *region,
		       const struct fisc_chunk *chunk)
{
	return !READ_ONCE(chunk->incoming) && fisc_large_fits(region, chunk);
}

/* Make a large frame the chunk's. Lock held for writing. */
static void fisc_large_set(struct fisc_region *region, struct fisc_chunk *chunk,
			   unsigned long e)
{
	/* Pairs with fisc_chunk_peek(): the frame is visible first. */
	smp_store_release(&chunk->large, e);
	WRITE_ONCE(chunk->leaf, NULL);
	fisc_chunk_list(chunk);
	fisc_count(region, FISC_MAP_BYTES, -(long)PAGE_SIZE);
	fisc_count(region, FISC_LARGE, 1);
}

/**
 * fisc_large_give() - give a large frame to a chunk
 * @region: the region
 * @chunk: a chunk that is empty except for its leaf, which the caller frees
 * @folio: the frame, which nobody else knows
 *
 * Context: any; @chunk->lock held for writing.
 */
void fisc_large_give(struct fisc_region *region, struct fisc_chunk *chunk,
		     struct folio *folio)
{
	lockdep_assert_held_write(&chunk->lock);

	/* fisc_large_set() subtracts a leaf's memory. */
	if (!chunk->leaf)
		fisc_count(region, FISC_MAP_BYTES, PAGE_SIZE);
	fisc_frame_attach(folio, region, fisc_chunk_start(chunk));
	fisc_large_set(region, chunk,
		       fisc_entry_make(&folio->page, FISC_ENTRY_PRIVATE));
	fisc_count(region, FISC_PRIVATE, FISC_LARGE_PAGES);
	fisc_count(region, FISC_LARGE_ALLOCS, 1);
	fisc_chunk_mark_due(chunk);
	fisc_reclaim_charge(FISC_LARGE_PAGES);
}

/**
 * fisc_large_fill() - allocate a large frame for an empty chunk
 * @region: the region
 * @chunk: a chunk that was empty when last looked at
 * @vmf: the fault that wants it, or NULL
 *
 * Context: may sleep; no lock of this module held.
 * Return: 0; -EAGAIN if a large frame is no longer wanted; -ENOMEM.
 */
int fisc_large_fill(struct fisc_region *region, struct fisc_chunk *chunk,
		    struct vm_fault *vmf)
{
	pgoff_t start = fisc_chunk_start(chunk);
	unsigned long *leaf = NULL;
	struct folio *folio;
	unsigned int i;

	folio = fisc_frame_alloc_large(vmf ? vmf->vma : NULL,
				       vmf ? vmf->address : 0, __GFP_ZERO);
	if (!folio) {
		fisc_count(region, FISC_LARGE_FAILED, 1);
		WRITE_ONCE(fisc_large_refused, true);
		return -ENOMEM;
	}

	down_write(&chunk->lock);
	if (!fisc_large_wanted(region, chunk)) {
		up_write(&chunk->lock);
		folio_put(folio);
		return -EAGAIN;
	}

	leaf = chunk->leaf;
	if (leaf) {
		for (i = 0; i < FISC_CHUNK_PAGES; i++)
			if (leaf[i])
				fisc_region_replace(region, chunk, start + i, 0);
		fisc_region_unmap(region, start, FISC_CHUNK_PAGES);
	}
	fisc_large_give(region, chunk, folio);
	up_write(&chunk->lock);
	fisc_leaf_free(leaf);

	return 0;
}

/* Are there pages that become shared or zero entries? */
static bool fisc_wants_equals(const unsigned long *wanted)
{
	unsigned int i;

	for (i = 0; i < FISC_CHUNK_PAGES; i++)
		if (wanted[i] && wanted[i] != FISC_BREAK_HOLE)
			return true;

	return false;
}

/*
 * May its pages still become entries that were found for them in @domain? Lock
 * held for writing (DOC: Share domains).
 */
static bool fisc_large_may_share(const struct fisc_region *region,
				 const struct fisc_chunk *chunk, u64 domain)
{
	return chunk->large & FISC_ENTRY_CLEAN &&
	       READ_ONCE(READ_ONCE(region->key)->domain) == domain;
}

/*
 * Turn the pages of what was a large frame, each a small frame now, into
 * entries of @leaf, or move them to @spare. Lock held for writing.
 */
static void fisc_large_fill_leaf(struct fisc_region *region,
				 struct fisc_chunk *chunk, unsigned long *leaf,
				 const unsigned long *wanted,
				 struct list_head *spare)
{
	unsigned long large = chunk->large & ~FISC_ENTRY_HASHED;
	pgoff_t start = fisc_chunk_start(chunk);
	unsigned int i;

	for (i = 0; i < FISC_CHUNK_PAGES; i++) {
		struct page *page = fisc_entry_page(fisc_large_entry(large, i));

		if (!wanted[i]) {
			leaf[i] = fisc_entry_succeed(large, page,
						     FISC_ENTRY_PRIVATE);
			fisc_frame_attach(page_folio(page), region, start + i);
			fisc_count_entry(region, chunk, leaf[i], 1);
			continue;
		}
		list_add(&page->lru, spare);
		if (wanted[i] == FISC_BREAK_HOLE)
			continue;
		leaf[i] = fisc_entry_succeed(large, fisc_entry_page(wanted[i]),
					     fisc_entry_state(wanted[i]));
		fisc_count_entry(region, chunk, leaf[i], 1);
	}
}

/* Make the leaf the chunk's. Lock held for writing. */
static void fisc_large_set_leaf(struct fisc_region *region,
				struct fisc_chunk *chunk, unsigned long *leaf)
{
	/* Pairs with fisc_chunk_peek(): it sees a leaf or a large frame. */
	smp_store_release(&chunk->leaf, leaf);
	/* Pairs with fisc_chunk_peek(): the leaf is visible first. */
	smp_store_release(&chunk->large, 0);
	fisc_chunk_unlist(chunk);
	fisc_count(region, FISC_MAP_BYTES, PAGE_SIZE);
	fisc_count(region, FISC_PRIVATE, -(long)FISC_LARGE_PAGES);
	fisc_count(region, FISC_LARGE, -1);
	fisc_count(region, FISC_LARGE_BREAKS, 1);
	chunk->broken = READ_ONCE(fisc_epoch);
	chunk->breaks = min(chunk->breaks + 1, U8_MAX);
}

/**
 * fisc_large_break() - split a large frame
 * @region: the region
 * @chunk: the chunk
 * @wanted: for each page: 0 if it needs a frame, %FISC_BREAK_HOLE, or its new
 *	shared or zero entry, for which the frame must be clean; such entries'
 *	places among the users of shared frames are taken over
 * @domain: the domain in which such entries were found, 0 if there are none
 *
 * What is known about a clean page stays true, but the pages are due again:
 * they can be shared now.
 *
 * Context: may sleep; no lock of this module held.
 * Return: 0; -EAGAIN if the chunk no longer has a large frame, was written, or
 * is no longer in @domain; -EBUSY if somebody holds a reference on the frame;
 * -ENOMEM; -EHWPOISON.
 */
int fisc_large_break(struct fisc_region *region, struct fisc_chunk *chunk,
		     const unsigned long *wanted, u64 domain)
{
	unsigned long *leaf = fisc_leaf_alloc();
	struct folio *folio;
	LIST_HEAD(spare);
	int err = 0;
	u64 since;

	if (!leaf)
		return -ENOMEM;

	since = fisc_chunk_lock(chunk);
	if (!chunk->large || (fisc_wants_equals(wanted) &&
			      !fisc_large_may_share(region, chunk, domain))) {
		err = -EAGAIN;
		goto unlock;
	}
	folio = page_folio(fisc_entry_page(chunk->large));
	/*
	 * Waits for a fault that is about to map the frame, or has just done
	 * so: then the fault's reference belongs to the page table, and
	 * unmapping drops it.
	 */
	folio_lock(folio);
	fisc_region_unmap(region, fisc_chunk_start(chunk), FISC_CHUNK_PAGES);
	err = fisc_frame_take_apart(folio);
	folio_unlock(folio);
	if (err)
		goto unlock;
	fisc_large_fill_leaf(region, chunk, leaf, wanted, &spare);
	fisc_large_set_leaf(region, chunk, leaf);
	fisc_chunk_mark_due(chunk);
unlock:
	fisc_chunk_unlock(chunk, since);
	put_pages_list(&spare);
	if (err)
		kfree(leaf);

	return err;
}

/**
 * fisc_large_was_refused() - test whether chunks may be rebuilt now
 *
 * Context: any.
 * Return: true, once, if memory is plentiful and a chunk could not become large
 * before.
 */
bool fisc_large_was_refused(void)
{
	if (!READ_ONCE(fisc_large_refused) || !fisc_large_has_memory())
		return false;
	WRITE_ONCE(fisc_large_refused, false);

	return true;
}

/*
 * How long a chunk rests before it may be rebuilt, in epochs: not at all if it
 * was never broken, otherwise longer with each break, in case breaking saves
 * nothing.
 */
static u16 fisc_large_rest(const struct fisc_chunk *chunk)
{
	return chunk->breaks ? FISC_REBUILD_EPOCHS << min(chunk->breaks, 8) : 0;
}

/* May all pages of the chunk move into one frame? Lock held. */
static bool fisc_large_can_rebuild(const struct fisc_region *region,
				   const struct fisc_chunk *chunk)
{
	unsigned long *leaf = READ_ONCE(chunk->leaf);
	unsigned int i;

	if (!leaf || atomic_read(&chunk->filled) != FISC_CHUNK_PAGES)
		return false;

	for (i = 0; i < FISC_CHUNK_PAGES; i++) {
		unsigned long e = READ_ONCE(leaf[i]);

		if (fisc_entry_state(e) != FISC_ENTRY_PRIVATE ||
		    PageHWPoison(fisc_entry_page(e)))
			return false;
	}

	return fisc_large_allowed(region, chunk);
}

/**
 * fisc_large_rebuild() - replace the small frames of a chunk by a large one
 * @region: the region
 * @chunk: the chunk
 *
 * Context: may sleep; no lock of this module held.
 * Return: 0; -EAGAIN if not all of its pages are private, it must rest, or
 * memory is scarce; -EBUSY if somebody holds a reference on one of them;
 * -ENOMEM.
 */
int fisc_large_rebuild(struct fisc_region *region, struct fisc_chunk *chunk)
{
	pgoff_t start = fisc_chunk_start(chunk);
	unsigned long flags = FISC_ENTRY_CLEAN;
	unsigned long *leaf = NULL;
	struct folio *folio;
	unsigned long e;
	unsigned int i;
	int err = 0;
	u64 since;
	u16 rest;
	bool can;

	if (atomic_read(&chunk->filled) != FISC_CHUNK_PAGES)
		return -EAGAIN;
	down_read(&chunk->lock);
	rest = fisc_large_rest(chunk);
	can = fisc_large_can_rebuild(region, chunk);
	if (can && (u16)(READ_ONCE(fisc_epoch) - chunk->broken) < rest) {
		fisc_chunk_mark_later(chunk, chunk->broken + rest);
		can = false;
	}
	up_read(&chunk->lock);
	if (!can)
		return -EAGAIN;

	folio = fisc_frame_alloc_large(NULL, 0, 0);
	if (!folio) {
		fisc_count(region, FISC_LARGE_FAILED, 1);
		WRITE_ONCE(fisc_large_refused, true);
		return -ENOMEM;
	}

	since = fisc_chunk_lock(chunk);
	if (!fisc_large_can_rebuild(region, chunk)) {
		err = -EAGAIN;
		goto unlock;
	}
	fisc_region_unmap(region, start, FISC_CHUNK_PAGES);
	leaf = chunk->leaf;
	for (i = 0; i < FISC_CHUNK_PAGES; i++) {
		if (page_ref_count(fisc_entry_page(leaf[i])) != 1) {
			err = -EBUSY;
			leaf = NULL;
			goto unlock;
		}
		flags &= leaf[i];
	}
	for (i = 0; i < FISC_CHUNK_PAGES; i++)
		copy_highpage(folio_page(folio, i), fisc_entry_page(leaf[i]));

	fisc_frame_attach(folio, region, start);
	e = fisc_entry_make(&folio->page, FISC_ENTRY_PRIVATE);
	/* The scanner has to count anew which of its pages have an equal. */
	if (flags)
		e |= FISC_ENTRY_CLEAN;
	else
		e = fisc_entry_set_history(e, 1, READ_ONCE(fisc_epoch));
	fisc_large_set(region, chunk, e);
	atomic_set(&chunk->filled, 0);
	atomic_set(&chunk->private, 0);
	for (i = 0; i < FISC_CHUNK_PAGES; i++)
		fisc_frame_detach(page_folio(fisc_entry_page(leaf[i])));
	fisc_count(region, FISC_LARGE_REBUILDS, 1);
	fisc_chunk_mark_later(chunk, READ_ONCE(fisc_epoch) + 2);
unlock:
	fisc_chunk_unlock(chunk, since);
	fisc_leaf_free(leaf);
	if (err)
		folio_put(folio);

	return err;
}

/*
 * Zero pages of a large frame in place, and unmap them. A page with a memory
 * error stays as it is. If the chunk loses its large frame meanwhile, the pages
 * that are entries of the leaf then are left to the caller.
 */
static void fisc_large_zero(struct fisc_region *region,
			    struct fisc_chunk *chunk, pgoff_t first,
			    pgoff_t last)
{
	pgoff_t index;

	for (index = first; index <= last && READ_ONCE(chunk->large); index++) {
		struct page *page;

		down_read(&chunk->lock);
		if (fisc_chunk_own(region, chunk, index, NULL, 0, &page))
			continue;
		clear_highpage(page);
		folio_unlock(page_folio(page));
		put_page(page);
	}
	down_write(&chunk->lock);
	fisc_region_unmap(region, first, last - first + 1);
	up_write(&chunk->lock);
}

/**
 * fisc_large_punch() - punch a hole into a large frame
 * @region: the region
 * @chunk: a chunk that had a large frame when last looked at
 * @first: the first page, in the chunk
 * @last: the last page, included, in the chunk
 *
 * Context: may sleep; no lock of this module held.
 */
void fisc_large_punch(struct fisc_region *region, struct fisc_chunk *chunk,
		      pgoff_t first, pgoff_t last)
{
	unsigned long *wanted = fisc_leaf_alloc();
	pgoff_t index;
	int err = -ENOMEM;

	for (index = first; wanted && index <= last; index++)
		wanted[index & (FISC_CHUNK_PAGES - 1)] = FISC_BREAK_HOLE;
	if (wanted) {
		do {
			err = fisc_large_break(region, chunk, wanted, 0);
		} while (err == -EAGAIN && READ_ONCE(chunk->large));
	}
	kfree(wanted);

	if (err && err != -EAGAIN)
		fisc_large_zero(region, chunk, first, last);
}

/**
 * fisc_large_remove() - empty a chunk that has a large frame
 * @region: the region
 * @chunk: the chunk
 *
 * Context: may sleep; @chunk->lock held for writing.
 */
void fisc_large_remove(struct fisc_region *region, struct fisc_chunk *chunk)
{
	struct folio *folio = page_folio(fisc_entry_page(chunk->large));

	WRITE_ONCE(chunk->large, 0);
	fisc_chunk_unlist(chunk);
	fisc_count(region, FISC_PRIVATE, -(long)FISC_LARGE_PAGES);
	fisc_count(region, FISC_LARGE, -1);
	fisc_frame_detach(folio);
	fisc_region_unmap(region, fisc_chunk_start(chunk), FISC_CHUNK_PAGES);
}

static struct fisc_knob fisc_large_knobs[] = {
	FISC_KNOB(enabled, &fisc_large_enabled, 0, 1),
	FISC_KNOB(min_free_percent, &fisc_large_min_free, 0, 100),
	FISC_KNOB(break_pages, &fisc_large_break_pages, 1, FISC_LARGE_PAGES),
};

static struct attribute *fisc_large_attrs[] = {
	&fisc_large_knobs[0].attr.attr,
	&fisc_large_knobs[1].attr.attr,
	&fisc_large_knobs[2].attr.attr,
	NULL,
};

const struct attribute_group fisc_large_group = {
	.name = "large",
	.attrs = fisc_large_attrs,
};
