// SPDX-License-Identifier: GPL-2.0
/*
 * Page faults of VMMs, of vhost and, through get_user_pages(), of KVM.
 *
 * A fault returns its page to the kernel with the folio locked, and the kernel
 * maps it; if the page belongs to a large frame, it maps the whole frame where
 * the mapping is aligned. The only other lock taken is that of the page's
 * chunk, and only copying a shared page takes it for writing.
 *
 * There is no fault-around: it would need VM_MIXEDMAP, which excludes large
 * pages (DOC: The frame map).
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched/clock.h>

#include "fs/fault.h"
#include "fs/page.h"
#include "fs/retry.h"
#include "kvm/vmm.h"
#include "memory/incoming.h"
#include "memory/large.h"
#include "memory/read.h"
#include "memory/region.h"
#include "reclaim/armed.h"
#include "reclaim/wait.h"
#include "sample/sample.h"

/* References on a frame above which it gets no further mappings. */
#define FISC_FRAME_MAX_REFS	BIT(30)

static vm_fault_t fisc_fault_error(int err)
{
	switch (err) {
	case -EAGAIN:	/* the page changed meanwhile: fault again */
	case -EINTR:	/* fault again, and be killed */
		return VM_FAULT_NOPAGE;
	case -EINPROGRESS: /* a page comes from swap; its fault cannot wait */
		return VM_FAULT_RETRY | VM_FAULT_MAJOR;
	case -ENOMEM:
		return VM_FAULT_OOM;
	case -EHWPOISON:
		return VM_FAULT_HWPOISON;
	default:
		return VM_FAULT_SIGBUS;
	}
}

/* The first write, or a write to a page that is not mapped. */
static vm_fault_t fisc_fault_write(struct vm_fault *vmf,
				   struct fisc_region *region)
{
	struct page *page;
	int err;

	err = fisc_region_own(region, vmf->pgoff, vmf, 0, &page);
	if (err)
		return fisc_fault_error(err);

	vmf->page = page;

	return VM_FAULT_LOCKED;
}

/* A zero frame has a memory error. Nothing is lost: replace it by another. */
static vm_fault_t fisc_fault_bad_zero(struct fisc_region *region,
				      struct fisc_chunk *chunk, pgoff_t index,
				      struct page *bad)
{
	fisc_zero_page_replace(bad);

	down_write(&chunk->lock);
	if (fisc_entry_state(fisc_chunk_entry(chunk, index)) == FISC_ENTRY_ZERO &&
	    fisc_entry_page(fisc_chunk_entry(chunk, index)) == bad) {
		fisc_region_replace(region, chunk, index,
				    fisc_entry_make(fisc_zero_page((unsigned long)chunk),
						    FISC_ENTRY_ZERO));
		fisc_region_unmap(region, index, 1);
	}
	up_write(&chunk->lock);

	return VM_FAULT_NOPAGE;
}

/* Fill a hole that is read, or leave that to whoever else does. */
static int fisc_fault_fill(struct fisc_region *region, struct fisc_chunk *chunk,
			   struct vm_fault *vmf)
{
	bool large;
	int err;

	/*
	 * Mapping a zero frame would put a page table in place, which the
	 * kernel does not replace by a large page later.
	 */
	down_read(&chunk->lock);
	large = fisc_large_wanted(region, chunk);
	up_read(&chunk->lock);
	if (large && !fisc_large_fill(region, chunk, vmf))
		return 0;
	err = fisc_chunk_make_leaf(region, chunk);
	if (err)
		return err;

	down_read(&chunk->lock);
	if (vmf->pgoff < fisc_region_size_pages(region))
		err = fisc_region_fill_zero(region, chunk, vmf->pgoff);
	up_read(&chunk->lock);

	return err == -EAGAIN ? 0 : err;
}

static vm_fault_t fisc_fault_read(struct vm_fault *vmf,
				  struct fisc_region *region)
{
	struct fisc_chunk *chunk = fisc_region_make_chunk(region, vmf->pgoff);
	struct page *page;
	unsigned long e;
	int err;

	if (!chunk)
		return VM_FAULT_OOM;

again:
	down_read(&chunk->lock);
	if (vmf->pgoff >= fisc_region_size_pages(region)) {
		up_read(&chunk->lock);
		return VM_FAULT_SIGBUS;
	}

	fisc_sample_touch(region, chunk, vmf->pgoff);
	fisc_armed_touch(chunk, vmf->pgoff);
	e = fisc_chunk_entry(chunk, vmf->pgoff);
	if (!fisc_entry_has_page(e)) {
		up_read(&chunk->lock);
		if (fisc_entry_state(e) == FISC_ENTRY_SWAPPED)
			err = fisc_page_in(region, chunk, vmf->pgoff, e, vmf,
					   0);
		else
			err = fisc_fault_fill(region, chunk, vmf);
		if (err)
			return fisc_fault_error(err);
		goto again;
	}
	page = fisc_entry_page(e);
	fisc_read_touch(region, page);
	if (PageHWPoison(page)) {
		up_read(&chunk->lock);
		if (fisc_entry_state(e) == FISC_ENTRY_ZERO)
			return fisc_fault_bad_zero(region, chunk, vmf->pgoff,
						   page);
		return VM_FAULT_HWPOISON;
	}
	/* Many users with many mappings each must not overflow the count. */
	if (page_ref_count(page) > FISC_FRAME_MAX_REFS) {
		up_read(&chunk->lock);
		return fisc_fault_write(vmf, region);
	}
	get_page(page);
	folio_lock(page_folio(page));
	up_read(&chunk->lock);
	vmf->page = page;

	return VM_FAULT_LOCKED;
}

/* Map the page, unless it must be mapped on its own and would not be. */
static vm_fault_t fisc_fault_map(struct vm_fault *vmf,
				 struct fisc_region *region)
{
	struct fisc_chunk *chunk = fisc_region_find_chunk(region, vmf->pgoff);

	if (!fisc_sample_splits(vmf, chunk))
		return VM_FAULT_LOCKED;
	unlock_page(vmf->page);
	put_page(vmf->page);
	vmf->page = NULL;

	return fisc_sample_split(vmf);
}

/* Have a page of memory that is being adopted come in. */
static vm_fault_t fisc_fault_settle(struct fisc_region *region,
				    struct vm_fault *vmf)
{
	struct fisc_chunk *chunk = fisc_region_find_chunk(region, vmf->pgoff);
	u64 start = local_clock();
	struct file *file;
	int err;

	if (!fisc_incoming_has(chunk, vmf->pgoff))
		return 0;
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;
	file = fisc_fault_unlock(vmf, vmf->vma->vm_file);
	err = fisc_incoming_settle_page(region, chunk, vmf->pgoff);
	fisc_wait_account(FISC_WAIT_ADOPT_COPY, start);
	if (file) {
		fisc_fault_done(file);
		return VM_FAULT_RETRY;
	}

	return err ? fisc_fault_error(err) : 0;
}

/* Test whether the fault would take memory in the page's current state. */
static bool fisc_fault_takes(struct fisc_region *region,
			     const struct vm_fault *vmf)
{
	enum fisc_state state = fisc_region_look(region, vmf->pgoff);

	return state == FISC_ENTRY_SWAPPED ||
	       (vmf->flags & FAULT_FLAG_WRITE && state != FISC_ENTRY_PRIVATE);
}

static vm_fault_t fisc_fault(struct vm_fault *vmf)
{
	struct fisc_region *region = fisc_region_of(file_inode(vmf->vma->vm_file));
	vm_fault_t ret;

	fisc_count(region, FISC_FAULTS, 1);
	if (vmf->pgoff >= fisc_region_size_pages(region))
		return VM_FAULT_SIGBUS;
	fisc_vmm_faults(region->vm, vmf);
	if (unlikely(region->adopted)) {
		ret = fisc_fault_settle(region, vmf);
		if (ret)
			return ret;
	}
	if (fisc_reclaim_blocks(region->vm) && fisc_fault_takes(region, vmf)) {
		ret = fisc_reclaim_block_fault(region->vm, vmf);
		if (ret)
			return ret;
	}
	if (vmf->flags & FAULT_FLAG_WRITE)
		ret = fisc_fault_write(vmf, region);
	else
		ret = fisc_fault_read(vmf, region);

	return ret == VM_FAULT_LOCKED ? fisc_fault_map(vmf, region) : ret;
}

/* The first write to a page that is mapped read-only. */
static vm_fault_t fisc_page_mkwrite(struct vm_fault *vmf)
{
	struct fisc_region *region = fisc_region_of(file_inode(vmf->vma->vm_file));
	struct page *page;
	int err;

	fisc_count(region, FISC_WRITE_FAULTS, 1);
	/*
	 * The lock of the address space cannot be released here, so this cannot
	 * wait. Let the kernel find nothing mapped: .fault waits.
	 */
	if (fisc_reclaim_blocks(region->vm) &&
	    fisc_region_look(region, vmf->pgoff) != FISC_ENTRY_PRIVATE) {
		fisc_region_unmap(region, vmf->pgoff, 1);
		return VM_FAULT_NOPAGE;
	}

	err = fisc_region_own(region, vmf->pgoff, vmf, 0, &page);
	if (err)
		return fisc_fault_error(err);

	/*
	 * The frame is private now. The map's reference keeps it while its
	 * folio is locked; the caller has one on vmf->page.
	 */
	put_page(page);
	if (page == vmf->page) {
		file_update_time(vmf->vma->vm_file);
		return VM_FAULT_LOCKED;
	}

	folio_unlock(page_folio(page));

	return VM_FAULT_NOPAGE;
}

/*
 * Map nothing, but let the kernel call .fault under the VMA's lock: without
 * .map_pages it takes mmap_lock first, which all threads of the VMM share.
 */
static vm_fault_t fisc_map_pages(struct vm_fault *vmf, pgoff_t start,
				 pgoff_t end)
{
	return 0;
}

const struct vm_operations_struct fisc_vm_operations = {
	.fault = fisc_fault,
	.map_pages = fisc_map_pages,
	.page_mkwrite = fisc_page_mkwrite,
};

static void fisc_adopted_open(struct vm_area_struct *vma)
{
	struct fisc_region *region = fisc_region_of(file_inode(vma->vm_file));

	if (fisc_fault_keep_from_child(vma, region))
		return;
	/* A part of a mapping, or one that was moved? */
	if (vma->vm_start - (vma->vm_pgoff << PAGE_SHIFT) != region->hva)
		WRITE_ONCE(region->moved, true);
}

static vm_fault_t fisc_adopted_fault(struct vm_fault *vmf)
{
	if (fisc_fault_is_of_child(vmf->vma))
		return VM_FAULT_SIGSEGV;

	return fisc_fault(vmf);
}

static const char *fisc_adopted_name(struct vm_area_struct *vma)
{
	return fisc_fault_name(vma, fisc_region_of(file_inode(vma->vm_file)));
}

/* As fisc_vm_operations, for memory that only one process may have. */
const struct vm_operations_struct fisc_adopted_vm_operations = {
	.open = fisc_adopted_open,
	.name = fisc_adopted_name,
	.fault = fisc_adopted_fault,
	.map_pages = fisc_map_pages,
	.page_mkwrite = fisc_page_mkwrite,
};
