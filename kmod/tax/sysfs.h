/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_TAX_SYSFS_H
#define _FISC_TAX_SYSFS_H

#include <linux/sysfs.h>

struct seq_file;

extern const struct attribute_group fisc_tax_group;
extern const struct attribute_group fisc_tax_vm_group;

int fisc_tax_stats_show(struct seq_file *m, void *v);

#endif /* _FISC_TAX_SYSFS_H */
