/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_FS_FILE_H
#define _FISC_FS_FILE_H

#include <linux/fs.h>

extern const struct file_operations fisc_file_operations;
extern const struct inode_operations fisc_file_inode_operations;

long fisc_fallocate(struct file *file, int mode, loff_t offset, loff_t len);

#endif /* _FISC_FS_FILE_H */
