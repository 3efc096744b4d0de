/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_SHARE_ACCOUNT_H
#define _FISC_SHARE_ACCOUNT_H

#include <linux/types.h>

struct fisc_vm;

void fisc_share_account(void);
u64 fisc_vm_allocated(struct fisc_vm *vm);

#endif /* _FISC_SHARE_ACCOUNT_H */
