// SPDX-License-Identifier: GPL-2.0
/*
 * Access to a page of a file, for reading or writing: what faults and system
 * calls have in common.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/export.h>
#include <linux/mm.h>

#include "fs/page.h"
#include "fs/retry.h"
#include "memory/backing.h"
#include "memory/cow.h"
#include "memory/incoming.h"
#include "memory/large.h"
#include "memory/read.h"
#include "memory/region.h"
#include "memory/swap.h"
#include "reclaim/armed.h"
#include "sample/sample.h"
#include "vm/vm.h"

/* Page in from the paging device, and let go of the fault's lock to wait. */
static int fisc_page_read(struct fisc_region *region, struct fisc_chunk *chunk,
			  pgoff_t index, struct vm_fault *vmf, gfp_t gfp)
{
	struct fisc_read *read = fisc_read_begin(region, chunk, index, vmf, gfp,
						 0);
	struct file *file = NULL;
	int err;

	if (IS_ERR(read))
		return PTR_ERR(read);
	if (vmf && !fisc_read_is_done(read))
		file = fisc_fault_unlock(vmf, vmf->vma->vm_file);
	err = fisc_read_end(region, chunk, read);
	if (!file)
		return err;
	/* Another attempt sees what became of it. */
	fisc_fault_done(file);

	return -EINPROGRESS;
}

/* Page in from the backing, without the fault's lock if it may let go. */
static int fisc_page_fetch(struct fisc_region *region, struct fisc_chunk *chunk,
			   pgoff_t index, struct vm_fault *vmf, gfp_t gfp)
{
	struct file *file = NULL;
	struct folio *folio;
	int err;

	folio = fisc_frame_alloc(vmf ? vmf->vma : NULL, vmf ? vmf->address : 0,
				 gfp);
	if (!folio)
		return -ENOMEM;
	/* Nobody waits for what is in memory. */
	if (vmf && !fisc_backing_is_present(region, index))
		file = fisc_fault_unlock(vmf, vmf->vma->vm_file);
	err = fisc_swap_in(region, chunk, index, folio);
	if (err)
		folio_put(folio);
	if (!file)
		return err;
	fisc_fault_done(file);

	return -EINPROGRESS;
}

/* Test whether a page that was paged out can be had without I/O. */
static bool fisc_page_is_present(struct fisc_region *region, pgoff_t index,
				 unsigned long e)
{
	return !fisc_entry_slot(e) && fisc_backing_is_present(region, index);
}

/**
 * fisc_page_in() - bring back a page that was paged out
 * @region: the region
 * @chunk: the chunk of @index
 * @index: the page
 * @e: its entry when last looked at: swapped
 * @vmf: the fault that wants it, or NULL
 * @gfp: modifiers for the allocation of the frame
 *
 * Counts and logs content that is lost.
 *
 * Context: may sleep, for as long as swap takes; no lock of this module held.
 * Return: 0 if the caller should look the page up again; -EINPROGRESS if the
 * fault must return VM_FAULT_RETRY and touch nothing before, as its lock has
 * been released, unless its flags forbid to wait; -EAGAIN if the kernel should
 * find out that the page is not mapped; -ENOMEM; -EIO, also for a fault of a
 * process that is being killed; -EINTR for others.
 */
int fisc_page_in(struct fisc_region *region, struct fisc_chunk *chunk,
		 pgoff_t index, unsigned long e, struct vm_fault *vmf, gfp_t gfp)
{
	int err;

	/* Only .fault can let go of the lock, and learns the fault's flags. */
	if (vmf && vmf->flags & FAULT_FLAG_MKWRITE)
		return -EAGAIN;
	if (vmf && vmf->flags & FAULT_FLAG_RETRY_NOWAIT &&
	    !fisc_page_is_present(region, index, e))
		return -EINPROGRESS;
	if (fisc_entry_slot(e))
		err = fisc_page_read(region, chunk, index, vmf, gfp);
	else
		err = fisc_page_fetch(region, chunk, index, vmf, gfp);
	if (err == -EAGAIN)
		return 0;
	/* A fault that is only repeated would not see that it is killed. */
	if (err == -EINTR)
		return vmf ? -EIO : err;
	if (!err || err == -ENOMEM || err == -EINPROGRESS)
		return err;
	fisc_count(region, FISC_SWAP_LOST, 1);
	guard(rcu)();
	pr_err_ratelimited("%s: page %lu of a file cannot be read from swap (%pe): check the log for errors of the swap device, and restart the VM\n",
			   fisc_vm_name(region->vm), index, ERR_PTR(err));

	return -EIO;
}

/**
 * fisc_region_own() - make sure that a page has a private frame
 * @region: the region
 * @index: the page
 * @vmf: the fault that wants it, or NULL
 * @gfp: modifiers for the allocation of a frame
 * @frame: the result: the page's frame, with its folio locked and a reference
 *	for the caller
 *
 * Every write comes through here. Builds on fisc_chunk_own(): brings a swapped
 * page back first, and gives an empty chunk a large frame if there is memory
 * for it.
 *
 * Context: may sleep; no lock of this module held.
 * Return: 0, -ENOMEM, -ENXIO if a fault lies beyond the end of the file,
 * -EHWPOISON if a memory error destroyed the content, -EIO if a swap error did;
 * -EINTR if the process is being killed; for a fault also -EINPROGRESS and
 * -EAGAIN: see fisc_page_in().
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
		enum fisc_state state;
		unsigned long e;

		down_read(&chunk->lock);
		if (vmf && index >= fisc_region_size_pages(region)) {
			up_read(&chunk->lock);
			return -ENXIO;
		}
		if (vmf)
			fisc_sample_touch(region, chunk, index);
		fisc_armed_touch(chunk, index);
		e = fisc_chunk_entry(chunk, index);
		state = fisc_entry_state(e);
		if (state == FISC_ENTRY_PRIVATE)
			fisc_read_touch(region, fisc_entry_page(e));
		if (state == FISC_ENTRY_SWAPPED) {
			up_read(&chunk->lock);
			err = fisc_page_in(region, chunk, index, e, vmf, gfp);
			if (err)
				return err;
			err = -EAGAIN;
			continue;
		}
		try_large = try_large && state != FISC_ENTRY_PRIVATE &&
			    fisc_large_wanted(region, chunk);
		if (try_large) {
			up_read(&chunk->lock);
			try_large = !fisc_large_fill(region, chunk, vmf);
			err = -EAGAIN;
			continue;
		}
		err = fisc_chunk_own(region, chunk, index, vmf, gfp, frame);
	} while (err == -EAGAIN);

	return err;
}
EXPORT_SYMBOL_NS_GPL(fisc_region_own, FISC);

/**
 * fisc_region_read() - return a page to read from
 * @region: the region
 * @index: the page
 * @page: the result, with a reference for the caller; NULL for a hole
 *
 * A private frame may be written to, or leave the file, while the caller reads
 * it.
 *
 * Context: may sleep; no lock of this module held.
 * Return: 0, -EHWPOISON, -ENOMEM, -EIO, -EINTR if the process is being killed.
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
		fisc_armed_touch(chunk, index);
		if (fisc_entry_has_page(e)) {
			*page = fisc_entry_page(e);
			get_page(*page);
			fisc_read_touch(region, *page);
		}
		up_read(&chunk->lock);
		if (fisc_entry_state(e) != FISC_ENTRY_SWAPPED)
			break;
		err = fisc_page_in(region, chunk, index, e, NULL,
				   FISC_GFP_SYSCALL);
		if (err)
			return err;
	}
	/* A bad zero frame loses nothing: it reads as a hole. */
	if (*page && PageHWPoison(*page)) {
		put_page(*page);
		*page = NULL;
		if (fisc_entry_state(e) != FISC_ENTRY_ZERO)
			return -EHWPOISON;
	}

	/* Who reads waits for pages that come in; this one cannot. */
	return !*page && fisc_incoming_has(chunk, index) ? -EHWPOISON : 0;
}
EXPORT_SYMBOL_NS_GPL(fisc_region_read, FISC);
