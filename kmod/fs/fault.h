/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_FS_FAULT_H
#define _FISC_FS_FAULT_H

#include <linux/mm.h>
#include <linux/sched/coredump.h>

#include "memory/map.h"

extern const struct vm_operations_struct fisc_vm_operations;
extern const struct vm_operations_struct fisc_adopted_vm_operations;

/**
 * fisc_fault_keep_from_child() - keep a forked process from adopted memory
 * @vma: a mapping, in its .open
 * @region: the adopted file
 *
 * If it is the child's copy of a mapping, the kernel copies no page of it, and
 * an access to it is to get a SIGSEGV: see fisc_fault_is_of_child().
 *
 * Context: mmap_lock held for writing.
 * Return: true if it is the child's.
 */
static inline bool fisc_fault_keep_from_child(struct vm_area_struct *vma,
					      const struct fisc_region *region)
{
	if (vma->vm_mm == region->owner)
		return false;
	/* No process can set it for a mapping of a file. */
	vm_flags_set(vma, VM_WIPEONFORK);

	return true;
}

/**
 * fisc_fault_is_of_child() - tell whether a forked process has the mapping
 * @vma: the mapping
 *
 * Context: any.
 * Return: true if fisc_fault_keep_from_child() has returned true.
 */
static inline bool fisc_fault_is_of_child(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_WIPEONFORK;
}

/**
 * fisc_fault_name() - have a mapping of adopted memory dumped or not
 * @vma: the mapping
 * @region: the file
 *
 * A core dump has what is not in the process's filter for shared mappings of
 * files if it has a name. The memory is to be dumped as it was before.
 *
 * Context: any.
 * Return: a name, or NULL for a mapping that is not dumped.
 */
static inline const char *fisc_fault_name(const struct vm_area_struct *vma,
					  const struct fisc_region *region)
{
	int bit = READ_ONCE(region->source) ? MMF_DUMP_ANON_SHARED :
					      MMF_DUMP_ANON_PRIVATE;

	if (vma->vm_flags & VM_DONTDUMP || !test_bit(bit, &vma->vm_mm->flags))
		return NULL;

	return "[guest]";
}

#endif /* _FISC_FS_FAULT_H */
