// SPDX-License-Identifier: GPL-2.0
/*
 * Turn memory of a file into a process's memory again. See DOC: Adoption in
 * adopt.h.
 */
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/spinlock.h>

#include "adopt/adoption.h"
#include "adopt/release.h"
#include "fs/fault.h"
#include "fs/page.h"
#include "fs/retry.h"
#include "memory/hole.h"
#include "memory/region.h"

/*
 * Copies that page faults were given. The kernel unlocks such a page only after
 * mapping it, by when the page may have been copied again and unmapped: so it
 * is held until it is unlocked.
 */
static DEFINE_SPINLOCK(fisc_release_lock);
static LIST_HEAD(fisc_release_pages);

static void fisc_release_hold(struct page *page)
{
	get_page(page);
	spin_lock(&fisc_release_lock);
	list_add(&page->lru, &fisc_release_pages);
	spin_unlock(&fisc_release_lock);
}

static void fisc_release_unhold(void)
{
	struct page *page, *next;
	LIST_HEAD(done);

	spin_lock(&fisc_release_lock);
	list_for_each_entry_safe(page, next, &fisc_release_pages, lru)
		if (!PageLocked(page))
			list_move(&page->lru, &done);
	spin_unlock(&fisc_release_lock);
	list_for_each_entry_safe(page, next, &done, lru) {
		list_del(&page->lru);
		put_page(page);
	}
}

static struct file *fisc_release_source(const struct vm_area_struct *vma)
{
	return vma->vm_private_data;
}

static void fisc_release_open(struct vm_area_struct *vma)
{
	struct inode *inode = file_inode(fisc_release_source(vma));

	/*
	 * A child keeps the file, and with it the module, but can see neither
	 * its content nor what has been copied so far.
	 */
	fisc_fault_keep_from_child(vma, fisc_region_of(inode));
	get_file(fisc_release_source(vma));
}

static void fisc_release_close(struct vm_area_struct *vma)
{
	fput(fisc_release_source(vma));
}

/* Map a copy: a page with no other owner, so it may outlive the module. */
static vm_fault_t fisc_release_copy(struct vm_fault *vmf, struct page *from)
{
	struct page *page = alloc_page(GFP_HIGHUSER |
				       (from ? 0 : __GFP_ZERO));

	if (!page)
		return VM_FAULT_OOM;
	if (from && copy_mc_highpage(page, from)) {
		put_page(page);
		return VM_FAULT_HWPOISON;
	}
	lock_page(page);
	fisc_release_unhold();
	fisc_release_hold(page);
	vmf->page = page;

	return VM_FAULT_LOCKED;
}

/* Bring back a page from swap, without the fault's lock if it may let go. */
static vm_fault_t fisc_release_page_in(struct vm_fault *vmf,
				       struct fisc_region *region)
{
	struct page *page;
	struct file *file;

	if (fisc_region_look(region, vmf->pgoff) != FISC_ENTRY_SWAPPED)
		return 0;
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;
	file = fisc_fault_unlock(vmf, fisc_release_source(vmf->vma));
	if (!file)
		return 0;
	if (!fisc_region_read(region, vmf->pgoff, &page) && page)
		put_page(page);
	fisc_fault_done(file);

	return VM_FAULT_RETRY | VM_FAULT_MAJOR;
}

/*
 * Serve a page that is not present yet. Before a write, the kernel makes its
 * own copy.
 */
static vm_fault_t fisc_release_fault(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(fisc_release_source(vmf->vma));
	struct fisc_region *region = fisc_region_of(inode);
	struct page *page;
	vm_fault_t ret;
	int err;

	if (fisc_fault_is_of_child(vmf->vma))
		return VM_FAULT_SIGSEGV;
	ret = fisc_release_page_in(vmf, region);
	if (ret)
		return ret;
	err = fisc_region_read(region, vmf->pgoff, &page);
	if (err)
		return err == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
	if (page && vmf->cow_page) {
		lock_page(page);
		vmf->page = page;
		return VM_FAULT_LOCKED;
	}
	ret = fisc_release_copy(vmf, page);
	if (page)
		put_page(page);

	return ret;
}

static const struct vm_operations_struct fisc_release_vm_operations = {
	.open = fisc_release_open,
	.close = fisc_release_close,
	.fault = fisc_release_fault,
};

/**
 * fisc_release_is_of() - tell whether a mapping is being filled from a file
 * @vma: the mapping
 * @file: the file
 *
 * If something could not be read, that can last.
 *
 * Context: mmap_lock held.
 * Return: true if the file still serves the mapping, at its offset there.
 */
bool fisc_release_is_of(const struct vm_area_struct *vma,
			const struct file *file)
{
	return vma->vm_ops == &fisc_release_vm_operations &&
	       fisc_release_source(vma) == file;
}

/**
 * fisc_release_map() - prepare a private mapping of a file for being filled
 * @vma: the mapping, a new one
 * @zero: /dev/zero, which it becomes a mapping of
 *
 * The mapping holds a reference on the file until it is filled or removed.
 *
 * Context: mmap_lock held for writing.
 */
void fisc_release_map(struct vm_area_struct *vma, struct file *zero)
{
	vma->vm_private_data = get_file(vma->vm_file);
	vma_set_file(vma, zero);
	vma->vm_ops = &fisc_release_vm_operations;
}

/*
 * Have the kernel copy a page with content. If the process has changed or
 * removed the mapping, there is nothing to copy.
 * Return: 1 if the page needs nothing more, or -errno.
 */
static long fisc_release_page(struct mm_struct *mm, unsigned long addr)
{
	struct page *page = NULL;
	struct vm_area_struct *vma;
	long done = 1;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, addr);
	if (vma && vma->vm_ops == &fisc_release_vm_operations) {
		/* In a private mapping, this copies read-only pages, too. */
		done = pin_user_pages_remote(mm, addr, 1,
					     FOLL_WRITE | FOLL_FORCE, &page,
					     NULL);
		if (done == 1)
			unpin_user_page(page);
	}
	mmap_read_unlock(mm);

	return done;
}

/*
 * Release one chunk's part of a mapping.
 * Return: 0, or -errno if not all is copied.
 */
static int fisc_release_chunk(struct mm_struct *mm, struct fisc_region *region,
			      pgoff_t first, pgoff_t last, unsigned long base)
{
	pgoff_t index = first;

	while (index <= last) {
		long done = 1;

		if (fisc_state_has_content(fisc_region_look(region, index)))
			done = fisc_release_page(mm, base + (index << PAGE_SHIFT));
		if (done > 0)
			index++;
		else if (done == -ENOMEM && atomic_read(&mm->mm_users) > 1)
			msleep(FISC_ADOPT_RETRY_MS);
		else
			return done ?: -EFAULT;
	}
	fisc_region_remove(region, first, last);

	return 0;
}

/* All is copied: make the mapping anonymous, without the module. */
static void fisc_release_done(struct mm_struct *mm, struct inode *inode,
			      unsigned long start, unsigned long end)
{
	struct vm_area_struct *vma;

	VMA_ITERATOR(vmi, mm, start);

	mmap_write_lock(mm);
	for_each_vma_range(vmi, vma, end) {
		struct file *file;

		if (vma->vm_ops != &fisc_release_vm_operations)
			continue;
		file = fisc_release_source(vma);
		if (file_inode(file) != inode)
			continue;
		vma_start_write(vma);
		vma_set_anonymous(vma);
		vma->vm_private_data = NULL;
		fput(file);
	}
	mmap_write_unlock(mm);
}

/**
 * fisc_release_fill() - copy what a file holds to its private mapping
 * @mm: the process's memory
 * @region: the file
 * @start: first address of the mapping
 * @end: address after its last
 * @base: address of the file's first page
 *
 * Afterwards, the file is empty there, and the mapping is one of /dev/zero that
 * the module has no part in.
 *
 * Context: may sleep; the inode is locked. Takes mmap_lock.
 * Return: 0; -EFAULT, -EHWPOISON if something cannot be read: then the file
 * still serves the mapping, and an access to that page fails in the same way.
 */
int fisc_release_fill(struct mm_struct *mm, struct fisc_region *region,
		      unsigned long start, unsigned long end,
		      unsigned long base)
{
	pgoff_t index = (start - base) >> PAGE_SHIFT;
	pgoff_t stop = (end - base) >> PAGE_SHIFT;
	int err = 0;

	while (index < stop) {
		pgoff_t last = min(stop - 1, index | (FISC_CHUNK_PAGES - 1));

		err = err ?: fisc_release_chunk(mm, region, index, last, base);
		index = last + 1;
		cond_resched();
	}
	if (!err)
		fisc_release_done(mm, region->inode, start, end);
	fisc_release_unhold();

	return err;
}

/**
 * fisc_release_exit() - drop the references on copies given to page faults
 *
 * By now, no file serves a mapping any more.
 *
 * Context: does not sleep.
 */
void fisc_release_exit(void)
{
	fisc_release_unhold();
}
