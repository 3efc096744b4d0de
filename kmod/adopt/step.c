// SPDX-License-Identifier: GPL-2.0
/*
 * One mapping takes the place of another. See DOC: Adoption in adopt.h.
 */
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pkeys.h>
#include <linux/sched/clock.h>
#include <linux/slab.h>
#include <linux/userfaultfd_k.h>

#include "../fs.h"
#include "../vm.h"
#include "adoption.h"
#include "incoming.h"
#include "release.h"
#include "shared.h"

/* What can be moved, and what can only be left alone. */
#define FISC_VM_FOREIGN		(VM_IO | VM_PFNMAP | VM_MIXEDMAP | VM_HUGETLB | \
				 VM_GROWSDOWN | VM_GROWSUP | VM_WIPEONFORK | \
				 VM_EXEC)
#define FISC_VM_WANTED		(VM_READ | VM_WRITE)
/* What a mapping keeps when another takes its place. */
#define FISC_VM_KEPT		(VM_DONTCOPY | VM_DONTDUMP | VM_HUGEPAGE | \
				 VM_NOHUGEPAGE)

/**
 * fisc_vma_refused() - why a mapping cannot be moved
 * @vma: the mapping
 *
 * Context: mmap_lock held.
 * Return: why; FISC_NR_LEFT if it can.
 */
enum fisc_adopt_left fisc_vma_refused(struct vm_area_struct *vma)
{
	if (vma->vm_flags & (VM_LOCKED | VM_LOCKONFAULT) || userfaultfd_armed(vma))
		return FISC_LEFT_LOCKED;
	if (vma->vm_flags & FISC_VM_FOREIGN || vma_pkey(vma) ||
	    (vma->vm_flags & FISC_VM_WANTED) != FISC_VM_WANTED)
		return FISC_LEFT_FILE;
	if (vma_is_anonymous(vma))
		return FISC_NR_LEFT;
	if (!fisc_vma_is_shared(vma))
		return FISC_LEFT_FILE;
	if (!READ_ONCE(fisc_shared_wanted) || fisc_vma_is_elsewhere(vma))
		return FISC_LEFT_SHARED;

	return FISC_NR_LEFT;
}

/**
 * fisc_vma_is_of() - is a mapping one of a VM's files?
 * @vma: the mapping
 * @vm: the VM
 *
 * Context: mmap_lock held.
 * Return: true if it is.
 */
bool fisc_vma_is_of(const struct vm_area_struct *vma, const struct fisc_vm *vm)
{
	const struct fisc_region *region = fisc_vma_region(vma);

	return region && region->vm == vm;
}

/* Is it memory of the file that the step is about, or anonymous as that was? */
static bool fisc_vma_is_expected(struct vm_area_struct *vma,
				 const struct fisc_ram *ram)
{
	if (!ram->source)
		return vma_is_anonymous(vma);

	return vma->vm_file &&
	       file_inode(vma->vm_file) == file_inode(ram->source->file);
}

static int fisc_adopt_take(struct fisc_step *step, struct vm_area_struct *vma,
			   unsigned long addr, unsigned long len)
{
	unsigned int first = (addr >> PAGE_SHIFT) & (FISC_CHUNK_PAGES - 1);

	if (!step->ram->source)
		return fisc_incoming_pin(step->incoming, vma->vm_mm, addr, first,
					 len >> PAGE_SHIFT);
	step->index = linear_page_index(vma, addr);

	return fisc_incoming_hold(step->incoming, file_inode(step->ram->source->file),
				  step->index, first, len >> PAGE_SHIFT);
}

/**
 * fisc_adopt_prepare() - a file of an adopted VM is going to be mapped
 * @adoption: the current thread's
 * @addr: where
 * @len: bytes, of one chunk
 *
 * Context: mmap_lock held for writing, by which the mapping will be made.
 * Return: 0; -EAGAIN if what is there is not what it was; otherwise as
 * fisc_incoming_pin().
 */
int fisc_adopt_prepare(struct fisc_adoption *adoption, unsigned long addr,
		       unsigned long len)
{
	struct fisc_step *step = &adoption->step;
	struct vm_area_struct *vma = vma_lookup(current->mm, addr);
	int err;

	/* It is tried again: what was there is pinned already, or in the file. */
	if (step->gap)
		return 0;
	if (!vma || addr + len > vma->vm_end)
		return -EAGAIN;
	if (step->zero)
		return fisc_vma_is_of(vma, adoption->vm) ? 0 : -EAGAIN;
	if (fisc_vma_refused(vma) != FISC_NR_LEFT ||
	    !fisc_vma_is_expected(vma, step->ram))
		return -EAGAIN;

	/* No fault from now on. */
	vma_start_write(vma);
	err = fisc_adopt_take(step, vma, addr, len);
	if (err)
		return err;
	step->kept = vma->vm_flags & FISC_VM_KEPT;
	down_write(&step->chunk->lock);
	WRITE_ONCE(step->chunk->incoming, step->incoming);
	up_write(&step->chunk->lock);

	return 0;
}

/**
 * fisc_adopt_map() - it is being mapped
 * @adoption: the current thread's
 * @vma: the mapping
 *
 * Context: mmap_lock held for writing.
 */
void fisc_adopt_map(struct fisc_adoption *adoption, struct vm_area_struct *vma)
{
	const struct fisc_step *step = &adoption->step;

	vm_flags_set(vma, step->kept);
	if (step->zero) {
		fisc_release_map(vma, step->zero);
	} else {
		vm_flags_set(vma, VM_DONTCOPY);
		vma->vm_ops = &fisc_vm_operations;
	}
}

/* Does the process end? Somebody works on its memory, and nobody else has it. */
static bool fisc_mm_ends(struct mm_struct *mm)
{
	return atomic_read(&mm->mm_users) == 1;
}

/*
 * Was there no memory, when nothing was mapped any more and the new mapping not
 * yet? Then there is no way back: it has to be mapped as long as it takes. Unless the
 * process ends, or maps something there itself.
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

/* MAP_FIXED for the first time, when it replaces what was looked at. */
static unsigned long fisc_adopt_map_flag(const struct fisc_step *step)
{
	return step->gap ? MAP_FIXED_NOREPLACE : MAP_FIXED;
}

/*
 * Map the file over memory that is to be moved. The process's memory is in use.
 * Return: 0; an error with nothing changed, or -ESRCH if the process ends.
 */
static int fisc_adopt_map_over(struct fisc_adoption *adoption,
			       const struct fisc_ram *ram, unsigned long addr,
			       unsigned long len)
{
	struct fisc_step *step = &adoption->step;
	struct fisc_incoming *incoming = step->incoming;
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
		if (!step->chunk->incoming)
			return (long)ret;
	} while (fisc_adopt_left_gap(step, (long)ret, addr, len));
	down_write(&step->chunk->lock);
	WRITE_ONCE(step->chunk->incoming, NULL);
	up_write(&step->chunk->lock);
	fisc_incoming_unpin(incoming);

	return (long)ret;
}

/**
 * fisc_adopt_move() - have memory of the process in a file
 * @adoption: the current thread's
 * @ram: the file
 * @addr: where the memory is, in one mapping
 * @len: bytes, of one chunk
 *
 * Context: may sleep; the process's memory in use (kthread_use_mm()).
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

	/* Nobody else changes the file. */
	inode_lock(inode);
	/* What was there before the process mapped something else is history. */
	fisc_region_remove(region, first, first + (len >> PAGE_SHIFT) - 1);
	err = fisc_adopt_map_over(adoption, ram, addr, len);
	if (err)
		kfree(incoming);
	/* It is the file's now, whatever happens. */
	while (!err && fisc_incoming_settle(region, step->chunk) == -ENOMEM &&
	       !fisc_mm_ends(current->mm))
		msleep(FISC_ADOPT_RETRY_MS);
	if (!err && ram->source && !step->chunk->incoming)
		fisc_source_remove(ram->source, step->index, len >> PAGE_SHIFT);
	inode_unlock(inode);
	step->incoming = NULL;

	return err;
}

/**
 * fisc_adopt_give_back() - have memory of a file be the process's own
 * @adoption: the current thread's
 * @ram: the file
 * @start: address of a mapping of it
 * @end: and its end
 * @prot: what the process may do there
 *
 * Context: may sleep; the process's memory in use (kthread_use_mm()).
 * Return: 0, or -errno; nothing is lost then.
 */
int fisc_adopt_give_back(struct fisc_adoption *adoption,
			 const struct fisc_ram *ram, unsigned long start,
			 unsigned long end, unsigned long prot)
{
	struct inode *inode = file_inode(ram->file);
	struct fisc_step *step = &adoption->step;
	unsigned long ret;
	int err;

	inode_lock(inode);
	step->kept = ram->kept;
	step->gap = false;
	do {
		u64 begin = local_clock();

		ret = vm_mmap(ram->file, start, end - start, prot,
			      MAP_PRIVATE | fisc_adopt_map_flag(step),
			      fisc_ram_offset(ram, start));
		fisc_wait_account(FISC_WAIT_RELEASE_MAP, begin);
	} while (IS_ERR_VALUE(ret) &&
		 fisc_adopt_left_gap(step, (long)ret, start, end - start));
	err = IS_ERR_VALUE(ret) ? (long)ret : 0;
	if (!err)
		err = fisc_release_fill(current->mm, fisc_region_of(inode),
					start, end, ram->start);
	inode_unlock(inode);

	return err;
}
