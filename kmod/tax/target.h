/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_TARGET_H
#define _FISC_TARGET_H

#include <linux/sysfs.h>

struct dentry;

extern const struct attribute_group fisc_target_vm_group;

void fisc_targets_update(void);
void fisc_target_init(struct dentry *debugfs);

#endif /* _FISC_TARGET_H */
