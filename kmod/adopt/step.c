// SPDX-License-Identifier: GPL-2.0
/*
 * Replace one mapping by another. See DOC: Adoption in adopt.h.
 */
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/sched/clock.h>
#include <linux/slab.h>

#include "adopt/adoption.h"
#include "adopt/discard.h"
#include "adopt/drain.h"
#include "adopt/release.h"
#include "adopt/source.h"
#include "adopt/step.h"
#include "adopt/vma.h"
#include "base/stats.h"
#include "fs/fault.h"
#include "fs/file.h"
#include "fs/released.h"
#include "memory/hole.h"
#include "memory/incoming.h"
#include "memory/region.h"

/* Flags that a mapping keeps when it is replaced. */
#define FISC_VM_KEPT		(VM_DONTCOPY | VM_DONTDUMP | VM_HUGEPAGE | \
				 VM_NOHUGEPAGE | VM_MERGEABLE)

/*
 * Is it the file that memory is moved from, or anonymous if there is none? And
 * can it be shared if, and only if, what is in the new file can be?
 */
static bool fisc_vma_is_expected(struct vm_area_struct *vma,
				 const struct fisc_ram *ram)
{
	if (fisc_vma_is_unmergeable(vma) !=
	    fisc_region_of(file_inode(ram->file))->unmergeable)
		return false;
	if (!ram->source)
		return vma_is_anonymous(vma);

	return vma->vm_file &&
	       file_inode(vma->vm_file) == file_inode(ram->source->file);
}

static int fisc_adopt_take(struct fisc_step *step, struct vm_area_struct *vma,
			   unsigned long addr, unsigned long len)
{
	unsigned int first = (addr >> PAGE_SHIFT) & (FISC_CHUNK_PAGES - 1);
	struct fisc_pins *pins = &step->incoming->pins;

	if (!step->ram->source)
		return fisc_pins_pin(pins, vma->vm_mm, addr, first,
				     len >> PAGE_SHIFT);
	step->index = linear_page_index(vma, addr);

	return fisc_pins_hold(pins, file_inode(step->ram->source->file),
			      step->index, first, len >> PAGE_SHIFT);
}

/* The mapping of a file of ours, which is to be released. */
static int fisc_step_prepare_release(struct fisc_step *step,
				     struct vm_area_struct *vma,
				     unsigned long addr)
{
	if (vma->vm_file != step->ram->file ||
	    linear_page_index(vma, addr) != step->index)
		return -EAGAIN;
	/* What it has been advised meanwhile counts. */
	step->kept = (vma->vm_flags & FISC_VM_KEPT & ~VM_DONTCOPY) |
		     (step->ram->kept & VM_DONTCOPY);

	return 0;
}

/*
 * Prepare to map a file at @addr, @len bytes of one chunk (in a release, more
 * than one), with mmap_lock held for writing.
 * Return: 0; -EAGAIN if the previous mapping has changed; otherwise as
 * fisc_pins_pin() and fisc_pins_hold().
 */
static int fisc_step_prepare(struct fisc_adoption *adoption, unsigned long addr,
			     unsigned long len)
{
	struct fisc_step *step = &adoption->step;
	struct vm_area_struct *vma = vma_lookup(current->mm, addr);
	int err;

	/* A retry: the pages are pinned already, or in the file. */
	if (step->gap)
		return 0;
	if (!vma || addr + len > vma->vm_end)
		return -EAGAIN;
	if (step->empty)
		return fisc_step_prepare_release(step, vma, addr);
	if (fisc_vma_refused(vma) != FISC_NR_LEFT ||
	    !fisc_vma_is_expected(vma, step->ram))
		return -EAGAIN;

	/* No page faults in this mapping from here on. */
	vma_start_write(vma);
	err = fisc_adopt_take(step, vma, addr, len);
	if (err)
		return err;
	step->kept = vma->vm_flags & FISC_VM_KEPT;
	err = fisc_incoming_set(step->chunk, step->incoming);
	if (err)
		fisc_incoming_drop_all(step->incoming);

	return err;
}

/* Set up the new mapping. */
static void fisc_step_map(const struct fisc_step *step,
			  struct vm_area_struct *vma)
{
	vm_flags_set(vma, step->kept);
	if (step->empty) {
		fisc_release_map(vma, step->empty);
	} else {
		vm_flags_set(vma, VM_DONTCOPY);
		vma->vm_ops = &fisc_adopted_vm_operations;
	}
}

/*
 * Is it the adoption's thread that maps its file? No other kernel thread has
 * the file. The process itself can get here at any time, by mremap() and
 * remap_file_pages(); the adoption may be gone by then.
 */
static bool fisc_step_is_ours(void)
{
	return current->flags & PF_KTHREAD;
}

static unsigned long fisc_step_get_unmapped_area(struct file *file,
						 unsigned long addr,
						 unsigned long len,
						 unsigned long pgoff,
						 unsigned long flags)
{
	if (!fisc_step_is_ours())
		return thp_get_unmapped_area(file, addr, len, pgoff, flags);

	return fisc_step_prepare(file->private_data, addr, len) ?: addr;
}

static int fisc_step_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct fisc_adoption *adoption = file->private_data;

	if (!fisc_step_is_ours())
		return fisc_file_operations.mmap(file, vma);
	fisc_step_map(&adoption->step, vma);

	return 0;
}

/* By MADV_REMOVE, which private memory refuses. */
static long fisc_step_fallocate(struct file *file, int mode, loff_t offset,
				loff_t len)
{
	if (!READ_ONCE(fisc_region_of(file_inode(file))->source))
		return -EINVAL;

	return fisc_fallocate(file, mode, offset, len);
}

/*
 * File operations reachable through mappings. No process has a descriptor of
 * this struct file: opening the file by its name gives an ordinary one.
 */
static const struct file_operations fisc_step_file_operations = {
	.mmap = fisc_step_mmap,
	.get_unmapped_area = fisc_step_get_unmapped_area,
	.fsync = noop_fsync,
	.fallocate = fisc_step_fallocate,
};

/**
 * fisc_step_own_file() - have an adoption's thread map a file in steps
 * @file: the file, to which the caller has the only reference
 * @adoption: the adoption
 *
 * Context: any.
 */
void fisc_step_own_file(struct file *file, struct fisc_adoption *adoption)
{
	replace_fops(file, &fisc_step_file_operations);
	file->private_data = adoption;
}

/* Has the process ended? Then this thread is the only user of its memory. */
static bool fisc_mm_ends(struct mm_struct *mm)
{
	return atomic_read(&mm->mm_users) == 1;
}

/*
 * Did memory run out after the previous mapping was removed and before the new
 * one was in place? Then there is no way back: mapping is tried again until it
 * succeeds, unless the process ends or maps something there itself.
 */
static bool fisc_adopt_left_gap(struct fisc_step *step, long err,
				unsigned long addr, unsigned long len)
{
	struct mm_struct *mm = current->mm;

	mmap_read_lock(mm);
	step->gap = err == -ENOMEM && !find_vma_intersection(mm, addr, addr + len);
	mmap_read_unlock(mm);
	if (!step->gap || fisc_mm_ends(mm))
		return false;
	msleep(FISC_ADOPT_RETRY_MS);

	return true;
}

/* MAP_FIXED at first, to replace the mapping that was checked. */
static unsigned long fisc_adopt_map_flag(const struct fisc_step *step)
{
	return step->gap ? MAP_FIXED_NOREPLACE : MAP_FIXED;
}

/*
 * Map the file over memory that is to be moved. kthread_use_mm() has been
 * called.
 * Return: 0, or -errno with nothing changed, unless memory ran out as in
 * fisc_adopt_left_gap() and the process ends or maps something there itself.
 */
static int fisc_adopt_map_over(struct fisc_adoption *adoption,
			       const struct fisc_ram *ram, unsigned long addr,
			       unsigned long len)
{
	struct fisc_step *step = &adoption->step;
	unsigned long ret;

	step->gap = false;
	do {
		u64 start = local_clock();

		ret = vm_mmap(ram->file, addr, len, PROT_READ | PROT_WRITE,
			      MAP_SHARED | fisc_adopt_map_flag(step),
			      fisc_ram_offset(ram, addr));
		fisc_wait_account(FISC_WAIT_ADOPT_MAP, start);
		if (!IS_ERR_VALUE(ret))
			return 0;
		/* Another part of the chunk may have a page with an error. */
		if (step->chunk->incoming != step->incoming)
			return (long)ret;
	} while (fisc_adopt_left_gap(step, (long)ret, addr, len));
	fisc_incoming_unset(step->chunk);

	return (long)ret;
}

/* Copy the memory, unless the process ends: faults do it then, if need be. */
static void fisc_adopt_settle(struct fisc_region *region,
			      struct fisc_chunk *chunk)
{
	unsigned long waits = 0;
	int err;

	do {
		err = fisc_incoming_settle(region, chunk);
		if (err == -ENOMEM)
			msleep(FISC_ADOPT_RETRY_MS);
		/*
		 * Perhaps it is the kernel's lists that use a page: those of a
		 * CPU that this thread has left while it unmapped memory.
		 */
		if (err == -ETIME && is_power_of_2(++waits))
			fisc_drain_lru();
	} while ((err == -ENOMEM || err == -ETIME) &&
		 !fisc_mm_ends(current->mm));
}

/**
 * fisc_adopt_move() - move memory of the process to a file
 * @adoption: the current thread's adoption
 * @ram: the file
 * @addr: first address of the memory, which is in one mapping
 * @len: length in bytes, all in one chunk
 *
 * Context: may sleep; after kthread_use_mm(). Takes the file's inode lock, then
 * mmap_lock.
 * Return: 0, or -errno with nothing changed.
 */
int fisc_adopt_move(struct fisc_adoption *adoption, const struct fisc_ram *ram,
		    unsigned long addr, unsigned long len)
{
	struct inode *inode = file_inode(ram->file);
	struct fisc_region *region = fisc_region_of(inode);
	struct fisc_step *step = &adoption->step;
	pgoff_t first = fisc_ram_offset(ram, addr) >> PAGE_SHIFT;
	struct fisc_incoming *incoming;
	int err;

	step->chunk = fisc_region_make_chunk(region, first);
	incoming = kzalloc(sizeof(*incoming), GFP_KERNEL);
	if (!step->chunk || !incoming) {
		kfree(incoming);
		return -ENOMEM;
	}
	step->incoming = incoming;
	step->ram = ram;

	/* Keeps the file from being changed. */
	inode_lock(inode);
	/* Remove content from before the process mapped something else here. */
	fisc_region_remove(region, first, first + (len >> PAGE_SHIFT) - 1);
	err = fisc_adopt_map_over(adoption, ram, addr, len);
	if (err)
		kfree(incoming);
	/* The memory is the file's now, whatever happens. */
	if (!err)
		fisc_adopt_settle(region, step->chunk);
	if (!err && ram->source && !step->chunk->incoming)
		fisc_source_remove(ram->source, step->index, len >> PAGE_SHIFT);
	inode_unlock(inode);
	step->incoming = NULL;

	return err;
}

/**
 * fisc_adopt_give_back() - turn memory of a file into the process's own
 * @adoption: the current thread's adoption
 * @ram: the file
 * @start: first address of a mapping of the file
 * @end: address after its last
 * @index: the page of the file that is mapped at @start
 * @prot: protection of the new mapping (PROT_READ, PROT_WRITE)
 *
 * Context: may sleep; after kthread_use_mm(). Takes the file's inode lock, then
 * mmap_lock.
 * Return: 0; -EAGAIN if the mapping has changed; another -errno, in which case
 * no content is lost either.
 */
int fisc_adopt_give_back(struct fisc_adoption *adoption,
			 const struct fisc_ram *ram, unsigned long start,
			 unsigned long end, pgoff_t index, unsigned long prot)
{
	struct inode *inode = file_inode(ram->file);
	struct fisc_step *step = &adoption->step;
	pgoff_t nr = (end - start) >> PAGE_SHIFT;
	unsigned long ret;
	int err;

	*step = (struct fisc_step){
		.ram = ram, .index = index, .empty = fisc_released_file(),
	};
	if (!step->empty)
		return -ENOMEM;
	inode_lock(inode);
	do {
		u64 begin = local_clock();

		ret = vm_mmap(ram->file, start, end - start, prot,
			      MAP_PRIVATE | fisc_adopt_map_flag(step),
			      index << PAGE_SHIFT);
		fisc_wait_account(FISC_WAIT_RELEASE_MAP, begin);
	} while (IS_ERR_VALUE(ret) &&
		 fisc_adopt_left_gap(step, (long)ret, start, end - start));
	err = IS_ERR_VALUE(ret) ? (long)ret : 0;
	if (!err)
		err = fisc_release_fill(current->mm, ram->file, index, nr);
	inode_unlock(inode);
	while (!err && !fisc_release_done(current->mm, ram->file, index, nr,
					  fisc_discard_is_pending))
		msleep(FISC_ADOPT_RETRY_MS);
	fput(step->empty);
	step->empty = NULL;

	return err;
}
