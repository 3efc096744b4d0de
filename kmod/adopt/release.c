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
#include "memory/frame.h"
#include "memory/hole.h"
#include "memory/incoming.h"
#include "memory/pin.h"
#include "memory/region.h"

/* How long a page is waited for that is held, not pinned, in jiffies. */
#define FISC_RELEASE_HELD	(HZ / 20)

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
 * Does anybody write to a page? Its frame is mapped no more, so that nobody
 * begins to. I/O pins it; that of some file systems, such as NFS, only holds
 * it, as does what merely reads, perhaps for long: a pipe after vmsplice().
 */
static bool fisc_release_is_busy(struct fisc_region *region, pgoff_t index,
				 bool held)
{
	struct folio *folio;
	struct page *page;
	bool busy;

	if (fisc_region_look(region, index) != FISC_ENTRY_PRIVATE ||
	    fisc_region_read(region, index, &page) || !page)
		return false;
	folio = page_folio(page);
	busy = folio_maybe_dma_pinned(folio) ||
	       (held && fisc_frame_in_use(folio, 2));
	put_page(page);

	return busy;
}

/*
 * Wait until nobody writes to a page; if @held, also while it is only held.
 * Return: 0, -EINTR or -ETIME.
 */
static int fisc_release_wait(struct fisc_region *region, pgoff_t index,
			     bool held)
{
	unsigned long start = jiffies;
	int err;

	while (fisc_release_is_busy(region, index, held)) {
		err = fisc_pins_poll(start);
		if (err != -EAGAIN)
			return err;
		held &= time_before(jiffies, start + FISC_RELEASE_HELD);
	}

	return 0;
}

/*
 * The same without the fault's lock, if it may let go. What is only held is
 * waited for once, and not with the lock.
 */
static vm_fault_t fisc_release_settle(struct vm_fault *vmf,
				      struct fisc_region *region)
{
	bool held = fault_flag_allow_retry_first(vmf->flags);
	struct file *file;
	int err;

	if (!fisc_release_is_busy(region, vmf->pgoff, held))
		return 0;
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;
	file = fisc_fault_unlock(vmf, fisc_release_source(vmf->vma));
	err = fisc_release_wait(region, vmf->pgoff, held && file);
	if (file) {
		fisc_fault_done(file);
		return VM_FAULT_RETRY;
	}

	return err ? VM_FAULT_SIGBUS : 0;
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
	ret = fisc_release_page_in(vmf, region) ?:
	      fisc_release_settle(vmf, region);
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

static const char *fisc_release_name(struct vm_area_struct *vma)
{
	struct inode *inode = file_inode(fisc_release_source(vma));

	return fisc_fault_name(vma, fisc_region_of(inode));
}

static const struct vm_operations_struct fisc_release_vm_operations = {
	.open = fisc_release_open,
	.close = fisc_release_close,
	.name = fisc_release_name,
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
 * @empty: the file that it becomes a mapping of
 *
 * The mapping holds a reference on the file until it is filled or removed.
 *
 * Context: mmap_lock held for writing.
 */
void fisc_release_map(struct vm_area_struct *vma, struct file *empty)
{
	vma->vm_private_data = get_file(vma->vm_file);
	vma_set_file(vma, empty);
	vma->vm_ops = &fisc_release_vm_operations;
}

/* The mapping that a file serves a page of, wherever the process has it. */
static struct vm_area_struct *fisc_release_find(struct mm_struct *mm,
						const struct file *file,
						pgoff_t index)
{
	struct vm_area_struct *vma;

	VMA_ITERATOR(vmi, mm, 0);

	for_each_vma(vmi, vma)
		if (fisc_release_is_of(vma, file) &&
		    index - vma->vm_pgoff < vma_pages(vma))
			return vma;

	return NULL;
}

/*
 * Have the kernel copy a page with content. If it is not mapped any more, there
 * is nothing to copy. @addr is where it was found last.
 * Return: 1 if the page needs nothing more, or -errno.
 */
static long fisc_release_page(struct mm_struct *mm, const struct file *file,
			      pgoff_t index, unsigned long *addr)
{
	struct page *page = NULL;
	struct vm_area_struct *vma;
	long done = 1;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, *addr);
	if (!vma || !fisc_release_is_of(vma, file) ||
	    linear_page_index(vma, *addr) != index)
		vma = fisc_release_find(mm, file, index);
	if (vma) {
		*addr = vma->vm_start + ((index - vma->vm_pgoff) << PAGE_SHIFT);
		/* In a private mapping, this copies read-only pages, too. */
		done = pin_user_pages_remote(mm, *addr, 1,
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
static int fisc_release_chunk(struct mm_struct *mm, const struct file *file,
			      pgoff_t first, pgoff_t last)
{
	struct fisc_region *region = fisc_region_of(file_inode(file));
	struct fisc_chunk *chunk = fisc_region_find_chunk(region, first);
	unsigned long addr = 0;
	pgoff_t index = first;

	while (index <= last) {
		long done = fisc_release_wait(region, index, true) ? -ETIME : 1;

		if (done > 0 &&
		    (fisc_state_has_content(fisc_region_look(region, index)) ||
		     fisc_incoming_has(chunk, index)))
			done = fisc_release_page(mm, file, index, &addr);
		if (done > 0) {
			index++;
			addr += PAGE_SIZE;
		} else if ((done == -ENOMEM || done == -ETIME) &&
			   atomic_read(&mm->mm_users) > 1) {
			msleep(FISC_ADOPT_RETRY_MS);
		} else {
			return done ?: -EFAULT;
		}
	}
	fisc_region_remove(region, first, last);

	return 0;
}

/**
 * fisc_release_fill() - copy what a file holds to its private mapping
 * @mm: the process's memory
 * @file: the file
 * @first: its first page that is mapped so
 * @nr: number of these pages
 *
 * Afterwards, the file is empty there; see fisc_release_done(). The process may
 * have moved the mapping.
 *
 * Context: may sleep; the inode is locked. Takes mmap_lock.
 * Return: 0; -EFAULT, -EHWPOISON if something cannot be read: then the file
 * still serves the mapping, and an access to that page fails in the same way.
 */
int fisc_release_fill(struct mm_struct *mm, const struct file *file,
		      pgoff_t first, pgoff_t nr)
{
	pgoff_t index = first, stop = first + nr;
	int err = 0;

	while (index < stop) {
		pgoff_t last = min(stop - 1, index | (FISC_CHUNK_PAGES - 1));

		err = err ?: fisc_release_chunk(mm, file, index, last);
		index = last + 1;
		cond_resched();
	}
	fisc_release_unhold();

	return err;
}

/**
 * fisc_release_done() - make released memory independent of the module
 * @mm: the process's memory
 * @file: the file that it was in
 * @first: first page of a range of @file, all of which has been copied
 * @nr: number of pages of the range
 * @busy: tells whether a part of @mm is still to be discarded
 *
 * Context: may sleep; takes mmap_lock, with which held @busy is called.
 * Return: false if some of it is busy: try again.
 */
bool fisc_release_done(struct mm_struct *mm, const struct file *file,
		       pgoff_t first, pgoff_t nr,
		       bool (*busy)(const struct mm_struct *mm,
				    unsigned long start, unsigned long end))
{
	struct vm_area_struct *vma;
	bool all = true;

	VMA_ITERATOR(vmi, mm, 0);

	mmap_write_lock(mm);
	for_each_vma(vmi, vma) {
		if (!fisc_release_is_of(vma, file) ||
		    vma->vm_pgoff < first ||
		    vma->vm_pgoff + vma_pages(vma) > first + nr)
			continue;
		vma_start_write(vma);
		if (busy(mm, vma->vm_start, vma->vm_end)) {
			all = false;
			continue;
		}
		fisc_release_close(vma);
		vma_set_anonymous(vma);
		vma->vm_private_data = NULL;
	}
	mmap_write_unlock(mm);

	return all;
}

static bool fisc_release_has_any(struct mm_struct *mm, unsigned long start,
				 unsigned long end)
{
	struct vm_area_struct *vma;
	bool any = false;

	VMA_ITERATOR(vmi, mm, start);

	mmap_read_lock(mm);
	for_each_vma_range(vmi, vma, end)
		any |= vma->vm_ops == &fisc_release_vm_operations;
	mmap_read_unlock(mm);

	return any;
}

/*
 * No page fault is being served here, and no page copied. Nobody else has
 * memory in the mapping's file: a child has none of it.
 */
static void fisc_release_discard_vma(struct vm_area_struct *vma,
				     unsigned long start, unsigned long end)
{
	struct inode *inode = file_inode(fisc_release_source(vma));
	pgoff_t first = linear_page_index(vma, start);
	pgoff_t last = linear_page_index(vma, end - 1);

	fisc_region_remove(fisc_region_of(inode), first, last);
	unmap_mapping_pages(vma->vm_file->f_mapping, first, last - first + 1,
			    true);
}

/**
 * fisc_release_discard() - discard memory that is being released
 * @mm: the memory of the current process, which has just had it unmapped
 * @start: first address
 * @end: address after the last
 *
 * Removes it from the file, and what has been copied since it was unmapped from
 * the process.
 *
 * Context: may sleep; takes mmap_lock.
 */
void fisc_release_discard(struct mm_struct *mm, unsigned long start,
			  unsigned long end)
{
	struct vm_area_struct *vma;

	VMA_ITERATOR(vmi, mm, start);

	if (!fisc_release_has_any(mm, start, end) || mmap_write_lock_killable(mm))
		return;
	for_each_vma_range(vmi, vma, end) {
		if (vma->vm_ops != &fisc_release_vm_operations)
			continue;
		vma_start_write(vma);
		fisc_release_discard_vma(vma, max(start, vma->vm_start),
					 min(end, vma->vm_end));
	}
	mmap_write_unlock(mm);
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
