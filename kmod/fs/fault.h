/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_FS_FAULT_H
#define _FISC_FS_FAULT_H

#include <linux/mm.h>

extern const struct vm_operations_struct fisc_vm_operations;

#endif /* _FISC_FS_FAULT_H */
