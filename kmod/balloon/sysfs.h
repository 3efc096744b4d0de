/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_SYSFS_H
#define _FISC_BALLOON_SYSFS_H

#include <linux/sysfs.h>

extern const struct attribute_group fisc_balloon_group;
extern const struct attribute_group fisc_balloon_vm_group;

#endif /* _FISC_BALLOON_SYSFS_H */
