/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_FS_H
#define _FISC_FS_H

#include <linux/fs.h>
#include <linux/mm.h>

#include "region.h"

extern const struct file_operations fisc_file_operations;
extern const struct inode_operations fisc_file_inode_operations;
extern const struct vm_operations_struct fisc_vm_operations;

/**
 * fisc_vma_region() - the file that a mapping is of
 * @vma: the mapping
 *
 * Context: mmap_lock, or the mapping's own lock, held.
 * Return: the file, or NULL if it is none of ours.
 */
static inline struct fisc_region *fisc_vma_region(const struct vm_area_struct *vma)
{
	return vma->vm_ops == &fisc_vm_operations ?
	       fisc_region_of(file_inode(vma->vm_file)) : NULL;
}

int fisc_fs_pin(struct vfsmount **mount, int *count);
int fisc_fs_init(void);
void fisc_fs_exit(void);

#endif /* _FISC_FS_H */
