/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_VM_SYSFS_H
#define _FISC_VM_SYSFS_H

#include <linux/sysfs.h>

struct seq_file;

/* Files of this folder in a VM's directory. */
extern const struct attribute_group fisc_vm_group;

int fisc_core_stats_show(struct seq_file *m, void *v);

#endif /* _FISC_VM_SYSFS_H */
