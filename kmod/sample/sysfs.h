/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_SAMPLE_SYSFS_H
#define _FISC_SAMPLE_SYSFS_H

#include <linux/sysfs.h>

struct seq_file;

/* The module's directory sample/, and this folder's files of each VM. */
extern const struct attribute_group fisc_sample_group;
extern const struct attribute_group fisc_sample_vm_group;

int fisc_sample_stats_show(struct seq_file *m, void *v);

#endif /* _FISC_SAMPLE_SYSFS_H */
