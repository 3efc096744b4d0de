/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_FS_INODE_H
#define _FISC_FS_INODE_H

#include <linux/fs.h>

struct fisc_vm;

/* Mount option: permissions that new files do not get, whoever asks. */
#define FISC_FMASK_DEFAULT	0077
extern umode_t fisc_fmask;

struct inode *fisc_new_inode(struct super_block *sb, struct inode *dir,
			     umode_t mode, struct fisc_vm *vm);
void fisc_evict_inode(struct inode *inode);

#endif /* _FISC_FS_INODE_H */
