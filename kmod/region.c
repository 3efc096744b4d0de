// SPDX-License-Identifier: GPL-2.0
/*
 * The frame map of a file of guest memory. See DOC: The frame map in region.h.
 */
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/sched/clock.h>
#include <linux/slab.h>

#include "adopt/incoming.h"
#include "balloon/pages.h"
#include "large.h"
#include "reclaim/backing.h"
#include "reclaim/swap.h"
#include "region.h"
#include "share/hint.h"
#include "share/share.h"
#include "tax/quota.h"
#include "vm.h"

static atomic_t fisc_nr_regions;

/**
 * fisc_count_entry() - an entry of a leaf comes or goes
 * @region: the region
 * @chunk: the chunk
 * @e: the entry
 * @n: 1 or -1
 *
 * Context: any.
 */
void fisc_count_entry(struct fisc_region *region, struct fisc_chunk *chunk,
		      unsigned long e, int n)
{
	switch (fisc_entry_state(e)) {
	case FISC_ENTRY_PRIVATE:
		fisc_count(region, FISC_PRIVATE, n);
		atomic_add(n, &chunk->filled);
		break;
	case FISC_ENTRY_SHARED:
		fisc_count(region, FISC_SHARING, n);
		atomic_add(n, &chunk->filled);
		break;
	case FISC_ENTRY_ZERO:
		fisc_count(region, FISC_ZERO, n);
		break;
	case FISC_ENTRY_SWAPPED:
		fisc_count(region, FISC_SWAPPED, n);
		atomic_add(n, &chunk->filled);
		break;
	case FISC_ENTRY_HOLE:
		break;
	}
}

/**
 * fisc_frame_attach() - make a new frame private to an entry, or to a chunk
 * @folio: the frame
 * @region: the region
 * @index: its page, or its first page
 *
 * It is dirty, for good: there is no other copy, and the kernel must not think
 * (of a frame with a memory error) that it can drop a clean one from a page
 * cache.
 *
 * Context: any; nobody else knows the frame.
 */
void fisc_frame_attach(struct folio *folio, struct fisc_region *region,
		       pgoff_t index)
{
	folio_set_dirty(folio);
	folio->mapping = region->inode->i_mapping;
	folio->index = index;
}

/**
 * fisc_frame_detach() - a private frame leaves the map
 * @folio: the frame, named by no entry any more
 *
 * Waits for a fault that is about to map it, and gives back the entry's
 * reference. Unmap its pages after this, not before.
 *
 * Context: may sleep; the chunk's lock held for writing.
 */
void fisc_frame_detach(struct folio *folio)
{
	folio_lock(folio);
	folio->mapping = NULL;
	folio_unlock(folio);
	folio_put(folio);
}

/*
 * Give back what an entry held after it has been replaced. Waits for a fault
 * that is about to map the frame; unmap the page after this, not before.
 */
static void fisc_entry_release(unsigned long e)
{
	switch (fisc_entry_state(e)) {
	case FISC_ENTRY_PRIVATE:
		fisc_frame_detach(page_folio(fisc_entry_page(e)));
		break;
	case FISC_ENTRY_SHARED:
		folio_wait_locked(page_folio(fisc_entry_page(e)));
		fisc_shared_put(page_folio(fisc_entry_page(e)));
		break;
	case FISC_ENTRY_ZERO:
		folio_wait_locked(page_folio(fisc_entry_page(e)));
		break;
	case FISC_ENTRY_SWAPPED:
	case FISC_ENTRY_HOLE:
		break;
	}
}

/**
 * fisc_chunk_lock() - lock a chunk for writing
 * @chunk: the chunk
 *
 * Context: may sleep.
 * Return: what fisc_chunk_unlock() wants.
 */
u64 fisc_chunk_lock(struct fisc_chunk *chunk)
{
	down_write(&chunk->lock);

	return local_clock();
}

/**
 * fisc_chunk_unlock() - undo fisc_chunk_lock() and count how long it was
 * @chunk: the chunk
 * @since: from fisc_chunk_lock()
 *
 * Context: any.
 */
void fisc_chunk_unlock(struct fisc_chunk *chunk, u64 since)
{
	up_write(&chunk->lock);
	fisc_wait_account(FISC_WAIT_HOLD, since);
}

/**
 * fisc_chunk_mark_due() - the scanner shall look at a chunk
 * @chunk: the chunk
 *
 * Context: any; @chunk->lock held, or a bucket lock that keeps the chunk.
 */
void fisc_chunk_mark_due(struct fisc_chunk *chunk)
{
	if (test_bit(FISC_CHUNK_DUE, &chunk->flags) ||
	    test_and_set_bit(FISC_CHUNK_DUE, &chunk->flags))
		return;

	xa_set_mark(&chunk->region->chunks, chunk->nr, FISC_MARK_DUE);
	fisc_scan_poke(chunk->nid);
}

/* Nothing is due before the scanner looks the next time, nor for long. */
static u16 fisc_due_never(void)
{
	return READ_ONCE(fisc_epoch) + S16_MAX;
}

/* Make it @epoch, unless it is something earlier. */
static void fisc_due_advance(u16 *due, u16 epoch)
{
	u16 old = READ_ONCE(*due);

	while ((s16)(epoch - old) < 0 && !try_cmpxchg(due, &old, epoch))
		;
}

/**
 * fisc_chunk_mark_later() - the scanner shall look at a chunk, but not now
 * @chunk: the chunk
 * @epoch: when
 *
 * Context: any; @chunk->lock held.
 */
void fisc_chunk_mark_later(struct fisc_chunk *chunk, u16 epoch)
{
	fisc_due_advance(&chunk->next_due, epoch);
	if (!test_and_set_bit(FISC_CHUNK_LATER, &chunk->flags))
		xa_set_mark(&chunk->region->chunks, chunk->nr, FISC_MARK_LATER);
	/* Pairs with xchg() in fisc_region_wake(): it sees the mark, or we it. */
	smp_mb();
	fisc_due_advance(&chunk->region->next_due, epoch);
}

/**
 * fisc_region_wake() - mark those chunks due whose time has come
 * @region: the region
 * @nid: node of the thread that asks; other nodes' chunks are left alone
 *
 * Context: any; the region held.
 */
void fisc_region_wake(struct fisc_region *region, int nid)
{
	u16 epoch = READ_ONCE(fisc_epoch);
	struct fisc_chunk *chunk;
	unsigned long nr;

	if ((s16)(epoch - READ_ONCE(region->next_due)) < 0)
		return;

	(void)xchg(&region->next_due, fisc_due_never());
	xa_for_each_marked(&region->chunks, nr, chunk, FISC_MARK_LATER) {
		u16 due = READ_ONCE(chunk->next_due);

		if ((s16)(epoch - due) >= 0 && chunk->nid == nid)
			fisc_chunk_mark_due(chunk);
		else
			fisc_due_advance(&region->next_due, due);
	}
}

/**
 * fisc_chunk_clear_marks() - the scanner begins to look at a chunk
 * @chunk: the chunk
 *
 * Whoever sets a mark later is seen the next time; what he did before he tried,
 * is seen after this.
 *
 * Context: any; @chunk->lock held for writing.
 */
void fisc_chunk_clear_marks(struct fisc_chunk *chunk)
{
	struct xarray *chunks = &chunk->region->chunks;

	xa_clear_mark(chunks, chunk->nr, FISC_MARK_DUE);
	xa_clear_mark(chunks, chunk->nr, FISC_MARK_LATER);
	clear_bit(FISC_CHUNK_DUE, &chunk->flags);
	clear_bit(FISC_CHUNK_LATER, &chunk->flags);
	chunk->next_due = fisc_due_never();
	/* Pairs with atomic_inc_return() in fisc_link_set_duplicate(). */
	smp_mb__after_atomic();
}

/* A leaf is freed after a grace period: the scanner peeks (share/hint.c). */
unsigned long *fisc_leaf_alloc(void)
{
	return kzalloc(FISC_CHUNK_PAGES * sizeof(unsigned long), GFP_KERNEL);
}

void fisc_leaf_free(unsigned long *leaf)
{
	if (leaf)
		kvfree_rcu_mightsleep(leaf);
}

/**
 * fisc_region_unmap() - remove pages from every page table, KVM's included
 * @region: the region
 * @first: the first page
 * @nr: number of pages
 *
 * Context: may sleep; their chunk's lock held for writing, else they may be
 * back before this returns.
 */
void fisc_region_unmap(struct fisc_region *region, pgoff_t first, pgoff_t nr)
{
	unmap_mapping_pages(region->inode->i_mapping, first, nr, false);
}

/**
 * fisc_region_find_chunk() - look up a chunk
 * @region: the region
 * @index: index of a page in it
 *
 * Context: any; the chunk lives as long as the region.
 * Return: the chunk, NULL if nothing was ever put into it.
 */
struct fisc_chunk *fisc_region_find_chunk(struct fisc_region *region,
					  pgoff_t index)
{
	return xa_load(&region->chunks, index >> FISC_CHUNK_SHIFT);
}

/* A chunk, and its part of the xarray's two lowest levels. */
#define FISC_CHUNK_BYTES						\
	(sizeof(struct fisc_chunk) +					\
	 sizeof(struct xa_node) / XA_CHUNK_SIZE * (XA_CHUNK_SIZE + 1) /	\
	 XA_CHUNK_SIZE)

/**
 * fisc_region_make_chunk() - look up a chunk, or make it
 * @region: the region
 * @index: index of a page in it
 *
 * Context: may sleep.
 * Return: the chunk, NULL if there is no memory.
 */
struct fisc_chunk *fisc_region_make_chunk(struct fisc_region *region,
					  pgoff_t index)
{
	struct fisc_chunk *chunk, *other;

	chunk = fisc_region_find_chunk(region, index);
	if (chunk)
		return chunk;

	chunk = kzalloc(sizeof(*chunk), GFP_KERNEL);
	if (!chunk)
		return NULL;
	init_rwsem(&chunk->lock);
	chunk->region = region;
	chunk->nr = index >> FISC_CHUNK_SHIFT;
	chunk->nid = fisc_scan_node();
	chunk->next_due = fisc_due_never();

	other = xa_cmpxchg(&region->chunks, index >> FISC_CHUNK_SHIFT, NULL,
			   chunk, GFP_KERNEL);
	if (other) {
		kfree(chunk);
		return xa_is_err(other) ? NULL : other;
	}
	fisc_count(region, FISC_MAP_BYTES, FISC_CHUNK_BYTES);

	return chunk;
}

/*
 * Fill a hole. Lock held for reading; others may be filling the same hole.
 * Return: 0, -EAGAIN if it is no hole any more, -ENOMEM.
 */
static int fisc_chunk_fill(struct fisc_region *region, struct fisc_chunk *chunk,
			   pgoff_t index, unsigned long e)
{
	unsigned long *leaf = READ_ONCE(chunk->leaf);
	unsigned long *slot;

	lockdep_assert_held(&chunk->lock);

	if (chunk->large)
		return -EAGAIN;
	if (!leaf) {
		unsigned long *new = fisc_leaf_alloc();

		if (!new)
			return -ENOMEM;
		leaf = cmpxchg(&chunk->leaf, NULL, new);
		if (leaf) {
			kfree(new);
		} else {
			leaf = new;
			fisc_count(region, FISC_MAP_BYTES, PAGE_SIZE);
		}
	}

	slot = &leaf[index & (FISC_CHUNK_PAGES - 1)];
	if (cmpxchg(slot, 0, e))
		return -EAGAIN;
	fisc_count_entry(region, chunk, e, 1);
	fisc_balloon_pop(region, chunk, index);
	if (fisc_entry_state(e) == FISC_ENTRY_PRIVATE)
		fisc_chunk_mark_due(chunk);

	return 0;
}

/**
 * fisc_region_fill_zero() - let a zero frame serve a hole
 * @region: the region
 * @chunk: the chunk of @index
 * @index: a page that was a hole when last looked at
 *
 * Context: may sleep; @chunk->lock held for reading.
 * Return: 0, -EAGAIN if it is no hole any more, -ENOMEM.
 */
int fisc_region_fill_zero(struct fisc_region *region, struct fisc_chunk *chunk,
			  pgoff_t index)
{
	struct page *zero = fisc_zero_page((unsigned long)chunk);

	return fisc_chunk_fill(region, chunk, index,
			       fisc_entry_make(zero, FISC_ENTRY_ZERO));
}

/**
 * fisc_region_replace() - make an entry name another frame
 * @region: the region
 * @chunk: the chunk of @index, which has a leaf
 * @index: a page that is not a hole
 * @e: what it becomes
 *
 * Takes over what @e holds (a private frame's reference, a shared frame's
 * user), and gives back what the old entry held, but for a swapped one: the caller
 * drops what the backing has.
 *
 * Context: may sleep; @chunk->lock held for writing. The caller unmaps the page
 * before it drops the lock, unless it is not mapped.
 */
void fisc_region_replace(struct fisc_region *region, struct fisc_chunk *chunk,
			 pgoff_t index, unsigned long e)
{
	unsigned long *slot = &chunk->leaf[index & (FISC_CHUNK_PAGES - 1)];
	unsigned long old = *slot;

	lockdep_assert_held_write(&chunk->lock);

	WRITE_ONCE(*slot, e);
	fisc_count_entry(region, chunk, old, -1);
	fisc_count_entry(region, chunk, e, 1);
	if (fisc_entry_state(e) == FISC_ENTRY_PRIVATE) {
		if (fisc_entry_level(e))
			fisc_chunk_mark_later(chunk, fisc_entry_due(e));
		else
			fisc_chunk_mark_due(chunk);
	}
	fisc_entry_release(old);
}

/**
 * fisc_region_give() - holes of a chunk get what they hold
 * @region: the region
 * @chunk: a chunk without a large frame
 * @leaf: entries of private frames that nobody knows, where @chunk has holes; holes
 *	elsewhere; becomes @chunk's, if it has no leaf
 *
 * Context: any; @chunk->lock held for writing.
 * Return: what is left of @leaf, to be freed, or NULL.
 */
unsigned long *fisc_region_give(struct fisc_region *region,
				struct fisc_chunk *chunk, unsigned long *leaf)
{
	pgoff_t start = fisc_chunk_start(chunk);
	unsigned int i, nr = 0;

	lockdep_assert_held_write(&chunk->lock);

	for (i = 0; i < FISC_CHUNK_PAGES; i++) {
		if (!leaf[i])
			continue;
		fisc_frame_attach(page_folio(fisc_entry_page(leaf[i])), region,
				  start + i);
		fisc_count_entry(region, chunk, leaf[i], 1);
		if (chunk->leaf)
			WRITE_ONCE(chunk->leaf[i], leaf[i]);
		nr++;
	}
	if (!chunk->leaf) {
		fisc_count(region, FISC_MAP_BYTES, PAGE_SIZE);
		/* Pairs with fisc_chunk_peek(): the entries are there before. */
		smp_store_release(&chunk->leaf, leaf);
		leaf = NULL;
	}
	if (nr)
		fisc_chunk_mark_due(chunk);
	fisc_reclaim_charge(nr);

	return leaf;
}

/**
 * fisc_region_make_shared() - a private frame has become a shared one
 * @region: the region, one of the frame's users
 * @chunk: the chunk of @index, which has a leaf
 * @index: a clean page with a private frame that only its mappings and the
 *	caller refer to; fisc_shared_add() takes over the entry's reference
 *
 * Where the frame is mapped, it stays mapped.
 *
 * Context: any; @chunk->lock held for writing.
 */
void fisc_region_make_shared(struct fisc_region *region,
			     struct fisc_chunk *chunk, pgoff_t index)
{
	unsigned long *slot = &chunk->leaf[index & (FISC_CHUNK_PAGES - 1)];
	unsigned long old = *slot;

	lockdep_assert_held_write(&chunk->lock);

	WRITE_ONCE(*slot, fisc_entry_succeed(old, fisc_entry_page(old),
					     FISC_ENTRY_SHARED));
	fisc_count_entry(region, chunk, old, -1);
	fisc_count_entry(region, chunk, *slot, 1);
}

/* A private page is about to be written. Lock held for reading at least. */
static void fisc_chunk_write(struct fisc_region *region,
			     struct fisc_chunk *chunk, pgoff_t index)
{
	unsigned long *slot = &chunk->large;
	u16 epoch = READ_ONCE(fisc_epoch);
	unsigned long old, new;

	if (!*slot)
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
 * Put a new private frame in the place of @seen.
 * Return: 0 with the frame locked, -EAGAIN if the entry has changed, -ENXIO
 * beyond the end, -ENOMEM.
 */
static int fisc_region_install(struct fisc_region *region,
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
		fisc_large_page_owned(chunk);
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
 * Copy what @seen is, or make it zero, into a frame of its own.
 * Return: as fisc_region_own().
 */
static int fisc_region_own_new(struct fisc_region *region,
			       struct fisc_chunk *chunk, pgoff_t index,
			       unsigned long seen, struct page *shared,
			       struct vm_fault *vmf, gfp_t gfp,
			       struct page **frame)
{
	struct folio *folio;
	int err;

	folio = fisc_frame_alloc(vmf ? vmf->vma : NULL, vmf ? vmf->address : 0,
				 gfp | (shared ? 0 : __GFP_ZERO));
	if (!folio)
		return -ENOMEM;

	if (shared && copy_mc_highpage(&folio->page, shared)) {
		folio_put(folio);
		return -EHWPOISON;
	}

	folio_get(folio);
	err = fisc_region_install(region, chunk, index, seen, folio, vmf);
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
 * fisc_region_own() - make sure a page has a frame of its own
 * @region: the region
 * @index: the page
 * @vmf: the fault that wants it, or NULL
 * @gfp: modifiers for the allocation of a frame
 * @frame: the page that serves it: its folio locked, with a reference for the
 *	caller
 *
 * The way to every write. A hole gets a zeroed frame, a shared page a copy;
 * nobody else's view of the content changes. The page is not clean after this,
 * and while the caller holds either the folio lock or the reference it does not
 * become so: it is not shared.
 *
 * Context: may sleep; no lock of this module held.
 * Return: 0, -ENOMEM, -ENXIO if a fault lies beyond the end of the file,
 * -EHWPOISON if the content was lost to a memory error, -EIO to one of swap.
 */
int fisc_region_own(struct fisc_region *region, pgoff_t index,
		    struct vm_fault *vmf, gfp_t gfp, struct page **frame)
{
	struct fisc_chunk *chunk = fisc_region_make_chunk(region, index);
	bool try_large = true;
	int err;

	if (!chunk)
		return -ENOMEM;

	do {
		struct page *shared = NULL;
		unsigned long e;

		down_read(&chunk->lock);
		e = fisc_chunk_entry(chunk, index);
		if (vmf && index >= fisc_region_size_pages(region)) {
			up_read(&chunk->lock);
			return -ENXIO;
		}
		if (vmf)
			fisc_sample_touch(region, chunk, index);
		if (fisc_entry_state(e) == FISC_ENTRY_SWAPPED) {
			up_read(&chunk->lock);
			err = fisc_swap_in(region, chunk, index, vmf, gfp);
			if (err)
				return err;
			err = -EAGAIN;
			continue;
		}
		if (fisc_entry_state(e) == FISC_ENTRY_PRIVATE) {
			*frame = fisc_entry_page(e);
			if (PageHWPoison(*frame)) {
				up_read(&chunk->lock);
				return -EHWPOISON;
			}
			fisc_chunk_write(region, chunk, index);
			get_page(*frame);
			folio_lock(page_folio(*frame));
			up_read(&chunk->lock);
			return 0;
		}
		/*
		 * The reference keeps the content and, until the new entry is
		 * in place, the address from serving another frame.
		 */
		if (fisc_entry_state(e) == FISC_ENTRY_SHARED) {
			shared = fisc_entry_page(e);
			if (PageHWPoison(shared)) {
				up_read(&chunk->lock);
				return -EHWPOISON;
			}
			get_page(shared);
		}
		try_large = try_large && fisc_large_wanted(region, chunk);
		up_read(&chunk->lock);

		if (try_large && !fisc_large_fill(region, chunk, vmf)) {
			err = -EAGAIN;
			continue;
		}
		try_large = false;

		err = fisc_region_own_new(region, chunk, index, e, shared, vmf,
					  gfp, frame);
		if (shared)
			put_page(shared);
	} while (err == -EAGAIN);

	return err;
}
EXPORT_SYMBOL_NS_GPL(fisc_region_own, FISC);

static enum fisc_state fisc_chunk_look(struct fisc_chunk *chunk, pgoff_t index)
{
	enum fisc_state state;

	down_read(&chunk->lock);
	state = fisc_entry_state(fisc_chunk_entry(chunk, index));
	up_read(&chunk->lock);

	return state;
}

/**
 * fisc_region_look() - what is a page?
 * @region: the region
 * @index: the page
 *
 * Context: may sleep; no lock of this module held.
 * Return: its state, at the moment.
 */
enum fisc_state fisc_region_look(struct fisc_region *region, pgoff_t index)
{
	struct fisc_chunk *chunk = fisc_region_find_chunk(region, index);

	return chunk ? fisc_chunk_look(chunk, index) : FISC_ENTRY_HOLE;
}

/**
 * fisc_region_read() - have a page to read from
 * @region: the region
 * @index: the page
 * @page: the page with a reference for the caller; NULL for a hole
 *
 * A private frame may be written to, or leave the file, while the caller reads it.
 *
 * Context: may sleep; no lock of this module held.
 * Return: 0, -EHWPOISON, -ENOMEM, -EIO.
 */
int fisc_region_read(struct fisc_region *region, pgoff_t index,
		     struct page **page)
{
	struct fisc_chunk *chunk = fisc_region_find_chunk(region, index);
	unsigned long e;
	int err;

	*page = NULL;
	while (chunk) {
		down_read(&chunk->lock);
		e = fisc_chunk_entry(chunk, index);
		if (fisc_entry_has_page(e)) {
			*page = fisc_entry_page(e);
			get_page(*page);
		}
		up_read(&chunk->lock);
		if (fisc_entry_state(e) != FISC_ENTRY_SWAPPED)
			break;
		err = fisc_swap_in(region, chunk, index, NULL,
				   __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
		if (err)
			return err;
	}
	/* All zero frames are alike. */
	if (*page && PageHWPoison(*page)) {
		put_page(*page);
		*page = NULL;
		if (fisc_entry_state(e) != FISC_ENTRY_ZERO)
			return -EHWPOISON;
	}

	return 0;
}
EXPORT_SYMBOL_NS_GPL(fisc_region_read, FISC);

/* Empty part of a chunk that has a leaf. Lock held for writing. */
static void fisc_leaf_remove(struct fisc_region *region,
			     struct fisc_chunk *chunk, pgoff_t first,
			     pgoff_t last)
{
	bool found = false, swapped = false;
	pgoff_t index;

	for (index = first; index <= last; index++) {
		unsigned long e = fisc_chunk_entry(chunk, index);

		if (!e)
			continue;
		if (fisc_entry_state(e) == FISC_ENTRY_SWAPPED)
			swapped = true;
		else
			found = true;
		fisc_region_replace(region, chunk, index, 0);
	}
	if (found)
		fisc_region_unmap(region, first, last - first + 1);
	if (swapped)
		fisc_backing_drop(region, first, last);
}

/* @inflate: what has become a hole goes into the balloon. */
static void fisc_chunk_remove(struct fisc_region *region,
			      struct fisc_chunk *chunk, pgoff_t first,
			      pgoff_t last, bool inflate)
{
	bool all = last - first == FISC_CHUNK_PAGES - 1;
	unsigned long *leaf = NULL;

	if (!all && READ_ONCE(chunk->large))
		fisc_large_punch(region, chunk, first, last);

	down_write(&chunk->lock);
	if (all && chunk->large)
		fisc_large_remove(region, chunk);
	if (chunk->leaf)
		fisc_leaf_remove(region, chunk, first, last);
	if (inflate)
		fisc_balloon_add(region, chunk, first, last);
	if (all) {
		swap(leaf, chunk->leaf);
		if (leaf)
			fisc_count(region, FISC_MAP_BYTES, -(long)PAGE_SIZE);
	}
	up_write(&chunk->lock);
	fisc_leaf_free(leaf);
}

/**
 * fisc_region_remove() - turn pages into holes and free what held them
 * @region: the region
 * @first: the first page
 * @last: the last page, included
 *
 * Context: may sleep; no lock of this module held.
 */
void fisc_region_remove(struct fisc_region *region, pgoff_t first, pgoff_t last)
{
	struct fisc_chunk *chunk;
	unsigned long nr;

	xa_for_each_range(&region->chunks, nr, chunk,
			  first >> FISC_CHUNK_SHIFT, last >> FISC_CHUNK_SHIFT) {
		pgoff_t start = fisc_chunk_start(chunk);
		pgoff_t end = start + FISC_CHUNK_PAGES - 1;

		fisc_chunk_remove(region, chunk, max(first, start),
				  min(last, end), false);
		cond_resched();
	}
}
EXPORT_SYMBOL_NS_GPL(fisc_region_remove, FISC);

/**
 * fisc_region_inflate() - free pages and put them into the balloon
 * @region: the region
 * @first: the first page
 * @last: the last page, included; before FISC_REGION_MAX_BYTES
 *
 * Pages beyond the end of the file are left alone. So are those of a large
 * frame in use elsewhere that cannot be taken apart: they are zeroed only.
 *
 * Context: may sleep; no lock of this module held.
 * Return: 0, -ENOMEM if some are not in the balloon therefore.
 */
int fisc_region_inflate(struct fisc_region *region, pgoff_t first, pgoff_t last)
{
	while (first <= last) {
		pgoff_t end = min(last, first | (FISC_CHUNK_PAGES - 1));
		struct fisc_chunk *chunk;

		if (first >= fisc_region_size_pages(region))
			break;
		chunk = fisc_region_make_chunk(region, first);
		if (!chunk || !fisc_balloon_of_chunk(region, chunk))
			return -ENOMEM;
		fisc_chunk_remove(region, chunk, first, end, true);
		first = end + 1;
		cond_resched();
	}

	return 0;
}
EXPORT_SYMBOL_NS_GPL(fisc_region_inflate, FISC);

/* Forget what is known of a chunk's content; its pages are due. */
static void fisc_chunk_forget(struct fisc_chunk *chunk)
{
	unsigned int i;

	down_write(&chunk->lock);
	chunk->large &= ~FISC_ENTRY_KNOWN;
	for (i = 0; chunk->leaf && i < FISC_CHUNK_PAGES; i++)
		if (fisc_entry_state(chunk->leaf[i]) == FISC_ENTRY_PRIVATE)
			chunk->leaf[i] &= ~FISC_ENTRY_KNOWN;
	if (chunk->leaf || chunk->large)
		fisc_chunk_mark_due(chunk);
	up_write(&chunk->lock);
}

/**
 * fisc_region_unshare() - give all shared pages frames of their own
 * @region: the region, of whose pages no more are being shared
 *
 * What is known of its other pages is forgotten: the scanner starts anew.
 *
 * Context: may sleep; no lock of this module held.
 * Return: 0, -ENOMEM, -EHWPOISON; on error some pages are shared still.
 */
int fisc_region_unshare(struct fisc_region *region)
{
	struct fisc_chunk *chunk;
	unsigned long nr;

	xa_for_each(&region->chunks, nr, chunk) {
		pgoff_t index = fisc_chunk_start(chunk);
		pgoff_t end = index + FISC_CHUNK_PAGES;

		for (; index < end; index++) {
			struct page *page;
			int err;

			if (fisc_chunk_look(chunk, index) != FISC_ENTRY_SHARED)
				continue;
			err = fisc_region_own(region, index, NULL,
					      __GFP_RETRY_MAYFAIL | __GFP_NOWARN,
					      &page);
			if (err)
				return err;
			folio_unlock(page_folio(page));
			put_page(page);
		}
		fisc_chunk_forget(chunk);
		cond_resched();
	}

	return 0;
}

/**
 * fisc_region_next_data() - find data or a hole, for lseek()
 * @region: the region
 * @index: where to start
 * @end: where to stop; not looked at
 * @data: look for data if true, else for a hole
 *
 * A page of zeroes counts as a hole once the module knows that it is one.
 *
 * Context: may sleep; no lock of this module held.
 * Return: index of the page found, @end if there is none.
 */
pgoff_t fisc_region_next_data(struct fisc_region *region, pgoff_t index,
			      pgoff_t end, bool data)
{
	while (index < end) {
		pgoff_t next = round_down(index, FISC_CHUNK_PAGES) +
			       FISC_CHUNK_PAGES;
		unsigned long nr = index >> FISC_CHUNK_SHIFT;
		struct fisc_chunk *chunk;

		if (data) {
			chunk = xa_find(&region->chunks, &nr,
					(end - 1) >> FISC_CHUNK_SHIFT,
					XA_PRESENT);
			if (!chunk)
				return end;
			if (nr > index >> FISC_CHUNK_SHIFT) {
				index = nr << FISC_CHUNK_SHIFT;
				continue;
			}
		} else {
			chunk = xa_load(&region->chunks, nr);
			if (!chunk)
				return index;
		}

		down_read(&chunk->lock);
		for (; index < min(next, end); index++) {
			enum fisc_state state;

			state = fisc_entry_state(fisc_chunk_entry(chunk, index));
			if (fisc_state_has_content(state) == data)
				break;
		}
		up_read(&chunk->lock);
		if (index < min(next, end))
			return index;
		cond_resched();
	}

	return end;
}

/**
 * fisc_region_sum() - value of one of a region's counters
 * @region: the region
 * @c: the counter
 *
 * Context: any.
 * Return: the sum over all CPUs, at least 0.
 */
long fisc_region_sum(const struct fisc_region *region, enum fisc_counter c)
{
	return fisc_counters_sum(region->counters, c);
}

/**
 * fisc_region_create() - give a new file its frame map
 * @inode: the file
 * @vm: the VM it belongs to
 *
 * Context: may sleep.
 * Return: the region, or an error pointer: -ENOMEM.
 */
struct fisc_region *fisc_region_create(struct inode *inode, struct fisc_vm *vm)
{
	struct fisc_region *region;

	region = kzalloc(sizeof(*region), GFP_KERNEL);
	if (!region)
		return ERR_PTR(-ENOMEM);

	region->inode = inode;
	refcount_set(&region->users, 1);
	init_completion(&region->released);
	xa_init(&region->chunks);
	region->next_due = fisc_due_never();
	region->counters = alloc_percpu(struct fisc_counters);
	if (!region->counters) {
		kfree(region);
		return ERR_PTR(-ENOMEM);
	}

	region->vm = fisc_vm_get(vm);
	spin_lock(&vm->lock);
	list_add_tail(&region->vm_node, &vm->regions);
	spin_unlock(&vm->lock);
	atomic_inc(&fisc_nr_regions);

	return region;
}

/**
 * fisc_region_destroy() - free a file's memory and its frame map
 * @region: the region; nothing maps it any more
 *
 * Waits for whoever holds the region through fisc_region_get_live().
 *
 * Context: may sleep; no lock of this module held.
 */
void fisc_region_destroy(struct fisc_region *region)
{
	struct fisc_vm *vm = region->vm;
	struct fisc_chunk *chunk;
	enum fisc_counter c;
	unsigned long nr;

	fisc_region_put(region);
	wait_for_completion(&region->released);

	fisc_region_deflate(region, 0, ULONG_MAX);
	fisc_region_remove(region, 0, ULONG_MAX);
	xa_for_each(&region->chunks, nr, chunk) {
		fisc_hints_free(chunk);
		fisc_balloon_free(region, chunk);
		fisc_incoming_free(chunk);
		fisc_count(region, FISC_MAP_BYTES, -(long)FISC_CHUNK_BYTES);
		kfree(chunk);
	}
	xa_destroy(&region->chunks);
	fisc_backing_free(region);

	fisc_admit_settle(region, 0);
	spin_lock(&vm->lock);
	list_del(&region->vm_node);
	for (c = 0; c < FISC_NR_COUNTERS; c++)
		vm->gone.v[c] += fisc_region_sum(region, c);
	spin_unlock(&vm->lock);

	atomic_dec(&fisc_nr_regions);
	fisc_vm_put(vm);
	free_percpu(region->counters);
	kfree(region);
}

/**
 * fisc_region_put() - let go of a region
 * @region: the region
 *
 * Context: any.
 */
void fisc_region_put(struct fisc_region *region)
{
	if (refcount_dec_and_test(&region->users))
		complete(&region->released);
}

/**
 * fisc_region_count() - number of files of guest memory
 *
 * Context: any.
 * Return: the number of regions.
 */
unsigned int fisc_region_count(void)
{
	return atomic_read(&fisc_nr_regions);
}

#if IS_ENABLED(CONFIG_KUNIT)
#include "tests/region-kunit.h"
#endif
