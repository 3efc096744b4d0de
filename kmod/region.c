// SPDX-License-Identifier: GPL-2.0
/*
 * The frame map of a file of guest memory. See DOC: The frame map in region.h.
 */
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "region.h"
#include "share/share.h"
#include "vm.h"

/* All regions, by id. Ids are given out in turn, so a stale one finds nothing. */
static DEFINE_XARRAY_ALLOC1(fisc_regions);
static u32 fisc_region_next_id;

static void fisc_count_entry(struct fisc_region *region, unsigned long e, long n)
{
	switch (fisc_entry_state(e)) {
	case FISC_ENTRY_PRIVATE:
		fisc_count(region, FISC_PRIVATE, n);
		break;
	case FISC_ENTRY_SHARED:
		fisc_count(region, FISC_SHARING, n);
		break;
	case FISC_ENTRY_ZERO:
		fisc_count(region, FISC_ZERO, n);
		break;
	case FISC_ENTRY_HOLE:
		break;
	}
}

/*
 * Make a new frame private to one entry; it is returned locked. It is dirty,
 * for good: there is no other copy, and the kernel must not think (of a frame
 * with a memory error) that it can drop a clean one from a page cache.
 */
static void fisc_frame_attach(struct folio *folio, struct fisc_region *region,
			      pgoff_t index)
{
	__folio_set_locked(folio);
	folio_set_dirty(folio);
	folio->mapping = region->inode->i_mapping;
	folio->index = index;
}

static void fisc_frame_detach(struct folio *folio)
{
	folio->mapping = NULL;
	folio_unlock(folio);
}

/*
 * Give back what an entry held after it has been replaced. Waits for a fault
 * that is about to map a private frame; unmap the page after this, not before.
 */
static void fisc_entry_release(unsigned long e)
{
	struct folio *folio = fisc_entry_frame(e);

	switch (fisc_entry_state(e)) {
	case FISC_ENTRY_PRIVATE:
		folio_lock(folio);
		fisc_frame_detach(folio);
		folio_put(folio);
		break;
	case FISC_ENTRY_SHARED:
		fisc_shared_put(folio);
		break;
	case FISC_ENTRY_ZERO:
	case FISC_ENTRY_HOLE:
		break;
	}
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

	other = xa_cmpxchg(&region->chunks, index >> FISC_CHUNK_SHIFT, NULL,
			   chunk, GFP_KERNEL);
	if (other) {
		kfree(chunk);
		return xa_is_err(other) ? NULL : other;
	}
	fisc_count(region, FISC_MAP_BYTES, sizeof(*chunk));

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

	if (!leaf) {
		unsigned long *new = (unsigned long *)get_zeroed_page(GFP_KERNEL);

		if (!new)
			return -ENOMEM;
		leaf = cmpxchg(&chunk->leaf, NULL, new);
		if (leaf) {
			free_page((unsigned long)new);
		} else {
			leaf = new;
			fisc_count(region, FISC_MAP_BYTES, PAGE_SIZE);
		}
	}

	slot = &leaf[index & (FISC_CHUNK_PAGES - 1)];
	if (cmpxchg(slot, 0, e))
		return -EAGAIN;
	fisc_count_entry(region, e, 1);

	return 0;
}

/**
 * fisc_region_fill_zero() - let the zero frame serve a hole
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
	return fisc_chunk_fill(region, chunk, index,
			       fisc_entry_make(fisc_zero_frame, FISC_ENTRY_ZERO));
}

/**
 * fisc_region_replace() - make an entry name another frame
 * @region: the region
 * @chunk: the chunk of @index
 * @index: a page that is not a hole
 * @e: what it becomes
 *
 * Takes over what @e holds (a private frame's reference, a shared frame's
 * user), and gives back what the old entry held.
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
	fisc_count_entry(region, old, -1);
	fisc_count_entry(region, e, 1);
	fisc_entry_release(old);
}

/**
 * fisc_region_make_shared() - turn a private frame into a shared one
 * @region: the region, the frame's first user
 * @chunk: the chunk of @index
 * @index: a page with a private frame that nothing maps and nobody else has a
 *	reference on
 * @hash: hash of the frame's content
 *
 * Context: any; @chunk->lock held for writing.
 */
void fisc_region_make_shared(struct fisc_region *region,
			     struct fisc_chunk *chunk, pgoff_t index, u64 hash)
{
	unsigned long *slot = &chunk->leaf[index & (FISC_CHUNK_PAGES - 1)];
	struct folio *folio = fisc_entry_frame(*slot);

	lockdep_assert_held_write(&chunk->lock);

	fisc_shared_add(folio, hash);
	fisc_count_entry(region, *slot, -1);
	WRITE_ONCE(*slot, fisc_entry_make(folio, FISC_ENTRY_SHARED));
	fisc_count_entry(region, *slot, 1);
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
	unsigned long e = fisc_entry_make(folio, FISC_ENTRY_PRIVATE);
	bool hole = fisc_entry_state(seen) == FISC_ENTRY_HOLE;
	int err = 0;

	fisc_frame_attach(folio, region, index);

	if (hole)
		down_read(&chunk->lock);
	else
		down_write(&chunk->lock);

	if (in_fault && index >= fisc_region_size_pages(region)) {
		err = -ENXIO;
	} else if (hole) {
		err = fisc_chunk_fill(region, chunk, index, e);
	} else if (fisc_chunk_entry(chunk, index) != seen) {
		err = -EAGAIN;
	} else {
		fisc_region_replace(region, chunk, index, e);
		fisc_region_unmap(region, index, 1);
		fisc_count(region, FISC_COW_BREAKS, 1);
	}

	if (hole)
		up_read(&chunk->lock);
	else
		up_write(&chunk->lock);

	if (err)
		fisc_frame_detach(folio);

	return err;
}

/**
 * fisc_region_own() - make sure a page has a frame of its own
 * @region: the region
 * @index: the page
 * @vmf: the fault that wants it, or NULL
 * @gfp: modifiers for the allocation of a frame
 * @frame: the frame: locked, with a reference for the caller
 *
 * The way to every write. A hole gets a zeroed frame, a shared page a copy;
 * nobody else's view of the content changes. While the caller holds either the
 * folio lock or the reference the page is not shared again.
 *
 * Context: may sleep; no lock of this module held.
 * Return: 0, -ENOMEM, -ENXIO if a fault lies beyond the end of the file.
 */
int fisc_region_own(struct fisc_region *region, pgoff_t index,
		    struct vm_fault *vmf, gfp_t gfp, struct folio **frame)
{
	struct fisc_chunk *chunk = fisc_region_make_chunk(region, index);
	int err;

	if (!chunk)
		return -ENOMEM;

	do {
		struct folio *shared = NULL;
		struct folio *folio;
		unsigned long e;

		down_read(&chunk->lock);
		e = fisc_chunk_entry(chunk, index);
		if (vmf && index >= fisc_region_size_pages(region)) {
			up_read(&chunk->lock);
			return -ENXIO;
		}
		if (fisc_entry_state(e) == FISC_ENTRY_PRIVATE) {
			folio = fisc_entry_frame(e);
			folio_get(folio);
			folio_lock(folio);
			up_read(&chunk->lock);
			*frame = folio;
			return 0;
		}
		/*
		 * The reference keeps the content and, until the new entry is
		 * in place, the address from serving another frame.
		 */
		if (fisc_entry_state(e) == FISC_ENTRY_SHARED) {
			shared = fisc_entry_frame(e);
			folio_get(shared);
		}
		up_read(&chunk->lock);

		folio = fisc_frame_alloc(vmf ? vmf->vma : NULL,
					 vmf ? vmf->address : 0,
					 gfp | (shared ? 0 : __GFP_ZERO));
		err = -ENOMEM;
		if (folio) {
			if (shared)
				copy_highpage(&folio->page, &shared->page);
			folio_get(folio);
			err = fisc_region_install(region, chunk, index, e,
						  folio, vmf);
			if (!err) {
				*frame = folio;
			} else {
				folio_put(folio);
				folio_put(folio);
			}
		}
		if (shared)
			folio_put(shared);
	} while (err == -EAGAIN);

	return err;
}

/**
 * fisc_region_read() - look at a page
 * @region: the region
 * @index: the page
 *
 * A private or shared entry comes with a reference on its frame. A private
 * frame may be written to, or leave the file, while the caller reads it.
 *
 * Context: may sleep; no lock of this module held.
 * Return: the entry.
 */
unsigned long fisc_region_read(struct fisc_region *region, pgoff_t index)
{
	struct fisc_chunk *chunk = fisc_region_find_chunk(region, index);
	unsigned long e;

	if (!chunk)
		return 0;

	down_read(&chunk->lock);
	e = fisc_chunk_entry(chunk, index);
	if (fisc_entry_state(e) != FISC_ENTRY_HOLE)
		folio_get(fisc_entry_frame(e));
	up_read(&chunk->lock);

	return e;
}

/* Empty part of a chunk. Lock held for writing. */
static void fisc_chunk_remove(struct fisc_region *region,
			      struct fisc_chunk *chunk, pgoff_t first,
			      pgoff_t last)
{
	bool found = false;
	pgoff_t index;

	for (index = first; index <= last; index++) {
		if (!fisc_chunk_entry(chunk, index))
			continue;
		fisc_region_replace(region, chunk, index, 0);
		found = true;
	}
	if (found)
		fisc_region_unmap(region, first, last - first + 1);

	if (last - first == FISC_CHUNK_PAGES - 1) {
		free_page((unsigned long)chunk->leaf);
		chunk->leaf = NULL;
		fisc_count(region, FISC_MAP_BYTES, -(long)PAGE_SIZE);
	}
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
		pgoff_t start = nr << FISC_CHUNK_SHIFT;
		pgoff_t end = start + FISC_CHUNK_PAGES - 1;

		down_write(&chunk->lock);
		if (chunk->leaf)
			fisc_chunk_remove(region, chunk, max(first, start),
					  min(last, end));
		up_write(&chunk->lock);
		cond_resched();
	}
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
			if ((state == FISC_ENTRY_PRIVATE ||
			     state == FISC_ENTRY_SHARED) == data)
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
 * Return: the region, or an error pointer: -ENOMEM, -ENOSPC if there are too
 * many files.
 */
struct fisc_region *fisc_region_create(struct inode *inode, struct fisc_vm *vm)
{
	struct fisc_region *region;
	int err;

	region = kzalloc(sizeof(*region), GFP_KERNEL);
	if (!region)
		return ERR_PTR(-ENOMEM);

	region->inode = inode;
	refcount_set(&region->users, 1);
	init_completion(&region->released);
	xa_init(&region->chunks);

	err = -ENOMEM;
	region->counters = alloc_percpu(struct fisc_counters);
	if (!region->counters)
		goto err_free;

	region->vm = fisc_vm_get(vm);
	spin_lock(&vm->lock);
	list_add_tail(&region->vm_node, &vm->regions);
	spin_unlock(&vm->lock);

	err = xa_alloc_cyclic(&fisc_regions, &region->id, region,
			      XA_LIMIT(1, FISC_REGION_ID_MAX),
			      &fisc_region_next_id, GFP_KERNEL);
	if (err < 0) {
		err = err == -EBUSY ? -ENOSPC : err;
		goto err_vm;
	}

	return region;

err_vm:
	spin_lock(&vm->lock);
	list_del(&region->vm_node);
	spin_unlock(&vm->lock);
	fisc_vm_put(vm);
	free_percpu(region->counters);
err_free:
	kfree(region);
	return ERR_PTR(err);
}

/**
 * fisc_region_destroy() - free a file's memory and its frame map
 * @region: the region; nothing maps it any more
 *
 * Waits for whoever holds the region through fisc_region_tryget().
 *
 * Context: may sleep; no lock of this module held.
 */
void fisc_region_destroy(struct fisc_region *region)
{
	struct fisc_vm *vm = region->vm;
	struct fisc_chunk *chunk;
	enum fisc_counter c;
	unsigned long nr;

	xa_erase(&fisc_regions, region->id);
	fisc_region_put(region);
	wait_for_completion(&region->released);

	fisc_region_remove(region, 0, ULONG_MAX);
	xa_for_each(&region->chunks, nr, chunk) {
		fisc_count(region, FISC_MAP_BYTES, -(long)sizeof(*chunk));
		kfree(chunk);
	}
	xa_destroy(&region->chunks);

	spin_lock(&vm->lock);
	list_del(&region->vm_node);
	for (c = 0; c < FISC_NR_COUNTERS; c++)
		vm->gone.v[c] += fisc_region_sum(region, c);
	spin_unlock(&vm->lock);

	fisc_vm_put(vm);
	free_percpu(region->counters);
	kfree(region);
}

/* Return: the region with a user more, NULL if it is going away. */
static struct fisc_region *fisc_region_get_live(struct fisc_region *region)
{
	if (region && refcount_inc_not_zero(&region->users))
		return region;

	return NULL;
}

/**
 * fisc_region_tryget() - find a region by its id and hold it
 * @id: the id
 *
 * Context: any. Hold it for a short while: deleting the file waits.
 * Return: the region, NULL if there is none (any more).
 */
struct fisc_region *fisc_region_tryget(u32 id)
{
	struct fisc_region *region;

	xa_lock(&fisc_regions);
	region = fisc_region_get_live(xa_load(&fisc_regions, id));
	xa_unlock(&fisc_regions);

	return region;
}

/**
 * fisc_region_next() - find and hold the region that follows in order of ids
 * @id: where to start looking; the id found on return
 *
 * Context: any, as fisc_region_tryget().
 * Return: the region, NULL if no region has this id or a higher one.
 */
struct fisc_region *fisc_region_next(u32 *id)
{
	struct fisc_region *region;
	unsigned long index = *id;

	xa_lock(&fisc_regions);
	region = xa_find(&fisc_regions, &index, ULONG_MAX, XA_PRESENT);
	while (region && !fisc_region_get_live(region))
		region = xa_find_after(&fisc_regions, &index, ULONG_MAX,
				       XA_PRESENT);
	xa_unlock(&fisc_regions);

	*id = index;
	return region;
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
	struct fisc_region *region;
	unsigned int count = 0;
	unsigned long id;

	xa_for_each(&fisc_regions, id, region)
		count++;

	return count;
}

void fisc_region_exit(void)
{
	WARN_ON_ONCE(!xa_empty(&fisc_regions));
	xa_destroy(&fisc_regions);
}

#if IS_ENABLED(CONFIG_KUNIT)
#include "tests/region-kunit.h"
#endif
