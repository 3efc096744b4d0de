/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_RECLAIM_WAIT_H
#define _FISC_RECLAIM_WAIT_H

#include <linux/mm_types.h>
#include <linux/types.h>

struct fisc_vm;
struct vm_fault;

/* Knob: 0 to never make a VM wait for memory. */
extern unsigned int fisc_reclaim_blocking;

bool fisc_reclaim_blocks(const struct fisc_vm *vm);
vm_fault_t fisc_reclaim_block_fault(struct fisc_vm *vm, struct vm_fault *vmf);
int fisc_reclaim_block(struct fisc_vm *vm);
void fisc_reclaim_unblock(void);

#endif /* _FISC_RECLAIM_WAIT_H */
