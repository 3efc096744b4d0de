/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_FS_H
#define _FISC_FS_H

#include <linux/fs.h>
#include <linux/mm.h>

extern const struct file_operations fisc_file_operations;
extern const struct inode_operations fisc_file_inode_operations;
extern const struct vm_operations_struct fisc_vm_operations;

int fisc_fs_pin(struct vfsmount **mount, int *count);
int fisc_fs_init(void);
void fisc_fs_exit(void);

#endif /* _FISC_FS_H */
