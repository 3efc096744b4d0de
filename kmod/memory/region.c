// SPDX-License-Identifier: GPL-2.0
/*
 * The frame map of a file of guest memory. See DOC: The frame map in map.h.
 */
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/clock.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "base/state.h"
#include "memory/balloon.h"
#include "memory/disk.h"
#include "memory/due.h"
#include "memory/listed.h"
#include "memory/region.h"
#include "memory/shared.h"

static atomic_t fisc_nr_regions;

/* Identifies a file of guest memory: see fisc_region_of_file(). */
const struct address_space_operations fisc_aops = {
	.dirty_folio = noop_dirty_folio,
};

/**
 * fisc_count_entry() - count an entry of a leaf that comes or goes
 * @region: the region
 * @chunk: the chunk
 * @e: the entry
 * @n: 1 or -1
 *
 * Context: any; @chunk->lock held, at least for reading; for writing if the
 * entry goes.
 */
void fisc_count_entry(struct fisc_region *region, struct fisc_chunk *chunk,
		      unsigned long e, int n)
{
	switch (fisc_entry_state(e)) {
	case FISC_ENTRY_PRIVATE:
		fisc_count(region, FISC_PRIVATE, n);
		atomic_add(n, &chunk->filled);
		atomic_add(n, &chunk->private);
		if (n > 0)
			fisc_chunk_list(chunk);
		else
			fisc_chunk_unlist(chunk);
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
 * fisc_frame_detach() - remove a private frame from the map
 * @folio: the frame, no longer named by an entry
 *
 * Waits for a fault that is about to map the frame, and drops the entry's
 * reference. The caller unmaps the frame's pages after this, not before.
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
 * Drop what an entry held, after it has been replaced. Waits for a fault that
 * is about to map the frame; unmap the page after this, not before.
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
		if (fisc_entry_slot(e))
			fisc_disk_drop(fisc_entry_slot(e));
		break;
	case FISC_ENTRY_HOLE:
		break;
	}
}

/**
 * fisc_chunk_lock() - lock a chunk for writing
 * @chunk: the chunk
 *
 * Context: may sleep.
 * Return: the time, for fisc_chunk_unlock().
 */
u64 fisc_chunk_lock(struct fisc_chunk *chunk)
{
	down_write(&chunk->lock);

	return local_clock();
}

/**
 * fisc_chunk_unlock() - undo fisc_chunk_lock(), and account for the time held
 * @chunk: the chunk
 * @since: return value of fisc_chunk_lock()
 *
 * Context: any.
 */
void fisc_chunk_unlock(struct fisc_chunk *chunk, u64 since)
{
	up_write(&chunk->lock);
	fisc_wait_account(FISC_WAIT_HOLD, since);
}

/**
 * fisc_leaf_alloc() - allocate a leaf
 *
 * Context: may sleep.
 * Return: FISC_CHUNK_PAGES holes; NULL if there is no memory. Use kfree() while
 * nobody else knows the leaf, fisc_leaf_free() afterwards.
 */
unsigned long *fisc_leaf_alloc(void)
{
	return kzalloc(FISC_CHUNK_PAGES * sizeof(unsigned long), GFP_KERNEL);
}

/**
 * fisc_leaf_free() - free a leaf after a grace period
 * @leaf: the leaf, or NULL
 *
 * The scanner reads leaves under RCU only (fisc_chunk_peek() in share/hint.c).
 *
 * Context: may sleep.
 */
void fisc_leaf_free(unsigned long *leaf)
{
	if (leaf)
		kvfree_rcu_mightsleep(leaf);
}

/**
 * fisc_region_unmap() - unmap pages from all page tables, including KVM's
 * @region: the region
 * @first: the first page
 * @nr: number of pages
 *
 * Context: may sleep; the chunk's lock held for writing, or the pages may be
 * mapped again before this returns.
 */
void fisc_region_unmap(struct fisc_region *region, pgoff_t first, pgoff_t nr)
{
	unmap_mapping_pages(region->inode->i_mapping, first, nr, false);
}

/**
 * fisc_region_find_chunk() - look up a chunk
 * @region: the region
 * @index: a page in the chunk
 *
 * Context: any; the chunk lives as long as the region.
 * Return: the chunk, NULL if it was never created.
 */
struct fisc_chunk *fisc_region_find_chunk(struct fisc_region *region,
					  pgoff_t index)
{
	return xa_load(&region->chunks, index >> FISC_CHUNK_SHIFT);
}
EXPORT_SYMBOL_NS_GPL(fisc_region_find_chunk, FISC);

/**
 * fisc_region_make_chunk() - look up a chunk, creating it if needed
 * @region: the region
 * @index: a page in the chunk
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
	if (fisc_listed_reserve(region)) {
		kfree(chunk);
		return NULL;
	}
	init_rwsem(&chunk->lock);
	/* Reclaim takes it: have lockdep object to allocations with it held. */
	fs_reclaim_acquire(GFP_KERNEL);
	might_lock(&chunk->lock);
	fs_reclaim_release(GFP_KERNEL);
	chunk->region = region;
	chunk->nr = index >> FISC_CHUNK_SHIFT;
	chunk->nid = fisc_due_node();
	chunk->next_due = fisc_due_never();
	/* The VM's sample may name pages of it already. */
	chunk->flags = BIT(FISC_CHUNK_SAMPLED);

	other = xa_cmpxchg(&region->chunks, index >> FISC_CHUNK_SHIFT, NULL,
			   chunk, GFP_KERNEL);
	if (other) {
		kfree(chunk);
		return xa_is_err(other) ? NULL : other;
	}
	fisc_count(region, FISC_MAP_BYTES, FISC_CHUNK_BYTES);

	return chunk;
}

/**
 * fisc_chunk_make_leaf() - prepare a chunk for fisc_chunk_fill()
 * @region: the region
 * @chunk: a chunk with a hole
 *
 * The leaf may go again until the lock is taken; then filling fails.
 *
 * Context: may sleep; no lock of this module held.
 * Return: 0 or -ENOMEM.
 */
int fisc_chunk_make_leaf(struct fisc_region *region, struct fisc_chunk *chunk)
{
	unsigned long *leaf;

	if (READ_ONCE(chunk->leaf) || READ_ONCE(chunk->large))
		return 0;
	leaf = fisc_leaf_alloc();
	if (!leaf)
		return -ENOMEM;

	down_read(&chunk->lock);
	if (!READ_ONCE(chunk->large) && !cmpxchg(&chunk->leaf, NULL, leaf)) {
		fisc_count(region, FISC_MAP_BYTES, PAGE_SIZE);
		leaf = NULL;
	}
	up_read(&chunk->lock);
	kfree(leaf);

	return 0;
}

/**
 * fisc_chunk_fill() - fill a hole
 * @region: the region
 * @chunk: the chunk of @index, after fisc_chunk_make_leaf()
 * @index: a page that was a hole when last looked at; others may be filling it
 * @e: its new entry
 *
 * Context: any; @chunk->lock held, at least for reading.
 * Return: 0; -EAGAIN if the page is no longer a hole, or the leaf is gone;
 * -ENXIO if it is beyond the file's end.
 */
int fisc_chunk_fill(struct fisc_region *region, struct fisc_chunk *chunk,
		    pgoff_t index, unsigned long e)
{
	unsigned long *leaf = READ_ONCE(chunk->leaf);
	unsigned long *slot;

	lockdep_assert_held(&chunk->lock);

	if (index >= fisc_region_end(region))
		return -ENXIO;
	if (READ_ONCE(chunk->large) || !leaf)
		return -EAGAIN;

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
 * fisc_region_fill_zero() - fill a hole with a zero frame
 * @region: the region
 * @chunk: the chunk of @index, after fisc_chunk_make_leaf()
 * @index: a page that was a hole when last looked at
 *
 * Context: any; @chunk->lock held for reading.
 * Return: 0; -EAGAIN if the page is no longer a hole, or the leaf is gone;
 * -ENXIO if it is beyond the file's end.
 */
int fisc_region_fill_zero(struct fisc_region *region, struct fisc_chunk *chunk,
			  pgoff_t index)
{
	struct page *zero = fisc_zero_page((unsigned long)chunk);

	return fisc_chunk_fill(region, chunk, index,
			       fisc_entry_make(zero, FISC_ENTRY_ZERO));
}

/**
 * fisc_region_replace() - replace the entry of a page
 * @region: the region
 * @chunk: the chunk of @index, which has a leaf
 * @index: a page that is not a hole
 * @e: its new entry
 *
 * Takes over what @e holds (a private frame's reference, a place among a shared
 * frame's users, or a slot) and drops what the old entry held. If the old entry
 * is swapped without a slot, the caller drops the page from the backing.
 *
 * Context: may sleep; @chunk->lock held for writing. The caller unmaps the page
 * before it drops the lock, unless the page is not mapped.
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
 * fisc_region_give() - fill holes of a chunk with private frames
 * @region: the region
 * @chunk: a chunk without a large frame
 * @leaf: entries of private frames that nobody else knows, for pages that are
 *	holes in @chunk; 0 elsewhere. It becomes the leaf of @chunk if that has
 *	none
 *
 * Frames for pages beyond the file's end are freed.
 *
 * Context: any; @chunk->lock held for writing.
 * Return: @leaf, for the caller to free, or NULL if it is in use now.
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
		if (start + i >= fisc_region_end(region)) {
			put_page(fisc_entry_page(leaf[i]));
			leaf[i] = 0;
			continue;
		}
		fisc_frame_attach(page_folio(fisc_entry_page(leaf[i])), region,
				  start + i);
		fisc_count_entry(region, chunk, leaf[i], 1);
		if (chunk->leaf)
			WRITE_ONCE(chunk->leaf[i], leaf[i]);
		nr++;
	}
	if (!chunk->leaf) {
		fisc_count(region, FISC_MAP_BYTES, PAGE_SIZE);
		/* Pairs with fisc_chunk_peek(): entries are visible first. */
		smp_store_release(&chunk->leaf, leaf);
		leaf = NULL;
	}
	if (nr)
		fisc_chunk_mark_due(chunk);
	fisc_reclaim_charge(nr);

	return leaf;
}

/**
 * fisc_region_make_shared() - note that a private frame is shared now
 * @region: the region, one of the frame's users
 * @chunk: the chunk of @index, which has a leaf
 * @index: a clean page whose private frame has no references but those of its
 *	mappings and of the caller; fisc_shared_add() takes over the entry's
 *	reference
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

/**
 * fisc_chunk_look() - return the state of a page
 * @chunk: its chunk
 * @index: the page
 *
 * Context: may sleep; @chunk->lock not held.
 * Return: its state, which may change at any time.
 */
enum fisc_state fisc_chunk_look(struct fisc_chunk *chunk, pgoff_t index)
{
	enum fisc_state state;

	down_read(&chunk->lock);
	state = fisc_entry_state(fisc_chunk_entry(chunk, index));
	up_read(&chunk->lock);

	return state;
}

/**
 * fisc_region_look() - return the state of a page
 * @region: the region
 * @index: the page
 *
 * Context: may sleep; no lock of this module held.
 * Return: its state, which may change at any time.
 */
enum fisc_state fisc_region_look(struct fisc_region *region, pgoff_t index)
{
	struct fisc_chunk *chunk = fisc_region_find_chunk(region, index);

	return chunk ? fisc_chunk_look(chunk, index) : FISC_ENTRY_HOLE;
}

/**
 * fisc_region_next_data() - find data or a hole, for lseek()
 * @region: the region
 * @index: where to start
 * @end: where to stop; not looked at
 * @data: find data if true, a hole if false
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
 * fisc_region_sum() - return one of a region's counters
 * @region: the region
 * @c: the counter
 *
 * Context: any.
 * Return: its value, at least 0.
 */
long fisc_region_sum(const struct fisc_region *region, enum fisc_counter c)
{
	if (c < FISC_NR_TALLIED)
		return max(atomic_long_read(&region->tally.v[c]), 0L);

	return fisc_counters_sum(region->counters, c);
}

/**
 * fisc_region_of_file() - return the region of a file
 * @file: any file, or NULL
 *
 * Context: any.
 * Return: the region, which lives as long as the file is held; NULL if the file
 * is not guest memory.
 */
struct fisc_region *fisc_region_of_file(const struct file *file)
{
	return file && file->f_mapping->a_ops == &fisc_aops ?
	       fisc_region_of(file_inode(file)) : NULL;
}
EXPORT_SYMBOL_NS_GPL(fisc_region_of_file, FISC);

/**
 * fisc_region_alloc() - allocate the frame map of a new file
 * @inode: the file
 *
 * Context: may sleep.
 * Return: the region, or an error pointer: -ENOMEM.
 */
struct fisc_region *fisc_region_alloc(struct inode *inode)
{
	struct fisc_region *region;

	region = kzalloc(sizeof(*region), GFP_KERNEL);
	if (!region)
		return ERR_PTR(-ENOMEM);

	region->inode = inode;
	refcount_set(&region->users, 1);
	init_completion(&region->released);
	xa_init(&region->chunks);
	xa_init_flags(&region->listed, XA_FLAGS_ALLOC);
	region->next_due = fisc_due_never();
	region->counters = alloc_percpu(struct fisc_counters);
	if (!region->counters) {
		kfree(region);
		return ERR_PTR(-ENOMEM);
	}
	atomic_inc(&fisc_nr_regions);

	return region;
}

/**
 * fisc_region_free() - free the frame map of a file
 * @region: the region; it has no chunks and no other users, and what other
 *	parts attached to its chunks is gone
 *
 * Context: may sleep.
 */
void fisc_region_free(struct fisc_region *region)
{
	xa_destroy(&region->chunks);
	xa_destroy(&region->listed);
	free_percpu(region->counters);
	kfree(region);
	atomic_dec(&fisc_nr_regions);
}

/**
 * fisc_region_free_chunk() - free an empty chunk
 * @region: its region, which is going away
 * @chunk: the chunk
 *
 * Context: any.
 */
void fisc_region_free_chunk(struct fisc_region *region,
			    struct fisc_chunk *chunk)
{
	fisc_balloon_free(region, chunk);
	kfree(chunk->armed);
	if (test_bit(FISC_CHUNK_DUE, &chunk->flags))
		atomic_dec(region->nr_due);
	fisc_count(region, FISC_MAP_BYTES, -(long)FISC_CHUNK_BYTES);
	kfree(chunk);
}

/**
 * fisc_region_put() - drop a reference on a region
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
 * fisc_region_count() - return the number of files of guest memory
 *
 * Context: any.
 * Return: the number of regions.
 */
unsigned int fisc_region_count(void)
{
	return atomic_read(&fisc_nr_regions);
}
