/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_FS_SUPER_H
#define _FISC_FS_SUPER_H

struct vfsmount;

int fisc_fs_pin(struct vfsmount **mount, int *count);
int fisc_fs_init(void);
void fisc_fs_exit(void);

#endif /* _FISC_FS_SUPER_H */
