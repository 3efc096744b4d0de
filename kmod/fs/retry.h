/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_FS_RETRY_H
#define _FISC_FS_RETRY_H

struct file;
struct vm_fault;

struct file *fisc_fault_unlock(struct vm_fault *vmf, struct file *file);
void fisc_fault_done(struct file *file);

#endif /* _FISC_FS_RETRY_H */
