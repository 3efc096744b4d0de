/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_KVM_DEBUGFS_H
#define _FISC_KVM_DEBUGFS_H

#include <linux/fs.h>

struct seq_file;

extern const struct file_operations fisc_kvm_young_fops;

int fisc_kvm_slots_show(struct seq_file *m, void *v);

#endif /* _FISC_KVM_DEBUGFS_H */
