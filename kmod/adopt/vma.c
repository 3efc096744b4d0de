// SPDX-License-Identifier: GPL-2.0
/*
 * Decide which mappings can be adopted, and why others cannot.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pkeys.h>
#include <linux/shmem_fs.h>
#include <linux/userfaultfd_k.h>

#include "adopt/vma.h"
#include "memory/region.h"

/* Flags of mappings that cannot be moved; flags that a mapping must have. */
#define FISC_VM_FOREIGN		(VM_IO | VM_PFNMAP | VM_MIXEDMAP | VM_HUGETLB | \
				 VM_GROWSDOWN | VM_GROWSUP | VM_WIPEONFORK | \
				 VM_EXEC)
#define FISC_VM_WANTED		(VM_READ | VM_WRITE)

unsigned int fisc_adopt_shared;

/**
 * fisc_vma_is_shared() - tell whether a mapping is shared memory
 * @vma: the mapping
 *
 * System V shared memory does not count: it keeps track of its mappings.
 *
 * Context: mmap_lock held.
 * Return: true if it is.
 */
static bool fisc_vma_is_shared(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_SHARED && vma->vm_file &&
	       shmem_mapping(vma->vm_file->f_mapping) && !vma->vm_ops->open;
}

static bool fisc_vmas_overlap(struct vm_area_struct *a, struct vm_area_struct *b)
{
	return a->vm_pgoff < b->vm_pgoff + vma_pages(b) &&
	       b->vm_pgoff < a->vm_pgoff + vma_pages(a);
}

/*
 * Is the shared memory of a mapping mapped elsewhere, too? It is if another
 * process could write to the file, or if this process has another mapping of
 * the same part. mmap_lock held.
 */
static bool fisc_vma_is_elsewhere(struct vm_area_struct *vma)
{
	struct address_space *mapping = vma->vm_file->f_mapping;
	struct vm_area_struct *other;
	int writable = 0;

	VMA_ITERATOR(vmi, vma->vm_mm, 0);

	for_each_vma(vmi, other) {
		if (!other->vm_file || other->vm_file->f_mapping != mapping)
			continue;
		if (other != vma && fisc_vmas_overlap(other, vma))
			return true;
		writable += vma_is_shared_maywrite(other);
	}

	return atomic_read(&mapping->i_mmap_writable) != writable;
}

/**
 * fisc_vma_refused() - return the reason why a mapping cannot be adopted
 * @vma: the mapping
 *
 * Context: mmap_lock held.
 * Return: the reason, or FISC_NR_LEFT if the mapping can be adopted.
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
	if (!READ_ONCE(fisc_adopt_shared) || fisc_vma_is_elsewhere(vma))
		return FISC_LEFT_SHARED;

	return FISC_NR_LEFT;
}

/**
 * fisc_vma_is_of() - tell whether a mapping is one of a VM's files
 * @vma: the mapping
 * @vm: the VM
 *
 * Context: mmap_lock held.
 * Return: true if it is.
 */
bool fisc_vma_is_of(const struct vm_area_struct *vma, const struct fisc_vm *vm)
{
	const struct fisc_region *region = fisc_region_of_file(vma->vm_file);

	return region && region->vm == vm;
}

/**
 * fisc_vma_is_unmergeable() - tell whether pages are not to be shared
 * @vma: the mapping, one that can be adopted or has been
 *
 * The kernel merges a page with an equal one only if the process has asked for
 * that, by madvise(MADV_MERGEABLE) or PR_SET_MEMORY_MERGE. QEMU does, unless it
 * has the option mem-merge=off. A kernel without KSM cannot be asked.
 *
 * Context: mmap_lock held.
 * Return: true if they are not.
 */
bool fisc_vma_is_unmergeable(const struct vm_area_struct *vma)
{
	return IS_ENABLED(CONFIG_KSM) && !(vma->vm_flags & VM_MERGEABLE);
}

/* Does a process have a mapping of that kind? */
static bool fisc_mm_has(struct mm_struct *mm,
			bool (*test)(struct vm_area_struct *vma))
{
	struct vm_area_struct *vma;
	bool found = false;

	VMA_ITERATOR(vmi, mm, 0);

	mmap_read_lock(mm);
	for_each_vma(vmi, vma)
		found |= test(vma);
	mmap_read_unlock(mm);

	return found;
}

static bool fisc_vma_is_watched(struct vm_area_struct *vma)
{
	return userfaultfd_armed(vma);
}

static bool fisc_vma_is_own_file(struct vm_area_struct *vma)
{
	const struct fisc_region *region = fisc_region_of_file(vma->vm_file);

	return region && !region->adopted;
}

/**
 * fisc_mm_is_watched() - tell whether userfaultfd() watches a process's memory
 * @mm: memory of the process
 *
 * Context: may sleep; takes mmap_lock.
 * Return: true if it does.
 */
bool fisc_mm_is_watched(struct mm_struct *mm)
{
	return fisc_mm_has(mm, fisc_vma_is_watched);
}

/**
 * fisc_mm_has_files() - tell whether a process has mapped a VM's files itself
 * @mm: memory of the process
 *
 * Context: may sleep; takes mmap_lock.
 * Return: true if it has.
 */
bool fisc_mm_has_files(struct mm_struct *mm)
{
	return fisc_mm_has(mm, fisc_vma_is_own_file);
}
