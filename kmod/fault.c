// SPDX-License-Identifier: GPL-2.0
/*
 * Page faults: a VMM's, vhost's and, through get_user_pages(), KVM's.
 *
 * The only lock taken is that of the chunk the page lies in, and only copying a
 * shared page takes it for writing.
 */
#include <linux/fs.h>
#include <linux/mm.h>

#include "fs.h"
#include "region.h"

static vm_fault_t fisc_fault_error(int err)
{
	switch (err) {
	case -EAGAIN:	/* the page has changed under us: fault again */
	case -EBUSY:	/* somebody else has mapped it meanwhile */
		return VM_FAULT_NOPAGE;
	case -ENOMEM:
		return VM_FAULT_OOM;
	default:
		return VM_FAULT_SIGBUS;
	}
}

/* The first write, or the write to a page that is not mapped. */
static vm_fault_t fisc_fault_write(struct vm_fault *vmf,
				   struct fisc_region *region)
{
	struct folio *folio;
	int err;

	err = fisc_region_own(region, vmf->pgoff, vmf, 0, &folio);
	if (err)
		return fisc_fault_error(err);

	vmf->page = &folio->page;

	return VM_FAULT_LOCKED;
}

/*
 * A read. Frames that are not private are mapped here and now, under the
 * chunk's lock: their folio lock would be a point of contention for the whole
 * host, and the zero frame's above all.
 */
static vm_fault_t fisc_fault_read(struct vm_fault *vmf,
				  struct fisc_region *region)
{
	struct fisc_chunk *chunk = fisc_region_make_chunk(region, vmf->pgoff);
	struct folio *folio = fisc_zero_frame;
	unsigned long e;
	int err = 0;

	if (!chunk)
		return VM_FAULT_OOM;

	down_read(&chunk->lock);
	if (vmf->pgoff >= fisc_region_size_pages(region)) {
		up_read(&chunk->lock);
		return VM_FAULT_SIGBUS;
	}

	e = fisc_chunk_entry(chunk, vmf->pgoff);
	switch (fisc_entry_state(e)) {
	case FISC_ENTRY_PRIVATE:
		folio = fisc_entry_frame(e);
		folio_get(folio);
		folio_lock(folio);
		up_read(&chunk->lock);
		vmf->page = &folio->page;
		return VM_FAULT_LOCKED;
	case FISC_ENTRY_HOLE:
		err = fisc_region_fill_zero(region, chunk, vmf->pgoff);
		break;
	case FISC_ENTRY_SHARED:
	case FISC_ENTRY_ZERO:
		folio = fisc_entry_frame(e);
		break;
	}
	if (!err)
		err = vm_insert_page(vmf->vma, vmf->address & PAGE_MASK,
				     &folio->page);
	up_read(&chunk->lock);

	return err ? fisc_fault_error(err) : VM_FAULT_NOPAGE;
}

static vm_fault_t fisc_fault(struct vm_fault *vmf)
{
	struct fisc_region *region = fisc_region_of(file_inode(vmf->vma->vm_file));

	fisc_count(region, FISC_FAULTS, 1);
	if (vmf->pgoff >= fisc_region_size_pages(region))
		return VM_FAULT_SIGBUS;
	if (vmf->flags & FAULT_FLAG_WRITE)
		return fisc_fault_write(vmf, region);

	return fisc_fault_read(vmf, region);
}

/* The first write to a page that is mapped read-only. */
static vm_fault_t fisc_page_mkwrite(struct vm_fault *vmf)
{
	struct fisc_region *region = fisc_region_of(file_inode(vmf->vma->vm_file));
	struct folio *folio;
	int err;

	fisc_count(region, FISC_WRITE_FAULTS, 1);
	file_update_time(vmf->vma->vm_file);

	err = fisc_region_own(region, vmf->pgoff, vmf, 0, &folio);
	if (err)
		return fisc_fault_error(err);

	/* A private frame now; the caller's reference is enough for it. */
	folio_put(folio);
	if (folio == page_folio(vmf->page))
		return VM_FAULT_LOCKED;

	folio_unlock(folio);

	return VM_FAULT_NOPAGE;
}

/*
 * Maps nothing, but lets the kernel call .fault under the VMA's lock: without
 * .map_pages it takes mmap_lock first, which all the VMM's threads share.
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
