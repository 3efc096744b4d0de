/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_RECLAIM_SYSFS_H
#define _FISC_RECLAIM_SYSFS_H

#include <linux/sysfs.h>

struct seq_file;

extern const struct attribute_group fisc_reclaim_group;
extern const struct attribute_group fisc_reclaim_vm_group;

int fisc_reclaim_stats_show(struct seq_file *m, void *v);
int fisc_vms_show(struct seq_file *m, void *v);

#endif /* _FISC_RECLAIM_SYSFS_H */
