// SPDX-License-Identifier: GPL-2.0
/*
 * Shared memory of a process: a memfd, a file of a tmpfs, or anonymous. See DOC:
 * Adoption of shared memory in shared.h.
 */
#include <linux/file.h>
#include <linux/iversion.h>
#include <linux/mm.h>
#include <linux/shmem_fs.h>

#include "../region.h"
#include "shared.h"

unsigned int fisc_shared_wanted;

/**
 * fisc_vma_is_shared() - is a mapping one of shared memory?
 * @vma: the mapping
 *
 * Shared memory of System V is not: it counts its mappings.
 *
 * Context: mmap_lock held.
 * Return: true if it is.
 */
bool fisc_vma_is_shared(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_SHARED && vma->vm_file &&
	       shmem_mapping(vma->vm_file->f_mapping) && !vma->vm_ops->open;
}

static bool fisc_vmas_overlap(struct vm_area_struct *a, struct vm_area_struct *b)
{
	return a->vm_pgoff < b->vm_pgoff + vma_pages(b) &&
	       b->vm_pgoff < a->vm_pgoff + vma_pages(a);
}

/**
 * fisc_vma_is_elsewhere() - is a mapping's memory mapped somewhere else, too?
 * @vma: the mapping, of shared memory
 *
 * Context: mmap_lock held.
 * Return: true if another process could write to the file, or this one has another
 * mapping of the same part.
 */
bool fisc_vma_is_elsewhere(struct vm_area_struct *vma)
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
 * fisc_shared_may_discard() - does MADV_DONTNEED throw away what a file holds?
 * @region: the file
 *
 * Context: the inode locked.
 * Return: true if its memory was anonymous; or if the file that it was the memory of
 * has had holes made since this was last asked about any of its memory.
 */
bool fisc_shared_may_discard(const struct fisc_region *region)
{
	struct fisc_source *source = region->source;
	u64 version;

	if (!source)
		return true;
	version = inode_peek_iversion(file_inode(source->file));
	if (version == READ_ONCE(source->version))
		return false;
	WRITE_ONCE(source->version, version);

	return true;
}
