/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPT_SYSFS_H
#define _FISC_ADOPT_SYSFS_H

#include <linux/sysfs.h>

struct seq_file;

/* /sys/kernel/fisc/adopt, /sys/kernel/fisc/adoption/ and vms/<vm>/adoption. */
extern const struct attribute_group fisc_adopt_group;
extern const struct attribute_group fisc_adoption_group;
extern const struct attribute_group fisc_adopt_vm_group;

int fisc_adopt_stats_show(struct seq_file *m, void *v);

#endif /* _FISC_ADOPT_SYSFS_H */
