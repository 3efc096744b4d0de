/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_KVM_VMM_H
#define _FISC_KVM_VMM_H

#include <linux/mm.h>

#include "vm/vm.h"

struct task_struct;

void fisc_vmm_set(struct fisc_vm *vm, struct pid *pid, const void *mm);
struct task_struct *fisc_vmm_thread(struct pid *pid);
struct task_struct *fisc_vmm_task(struct fisc_vm *vm);
void fisc_vmm_maps(struct fisc_vm *vm);
void __fisc_vmm_faults(struct fisc_vm *vm, const struct vm_area_struct *vma);
void fisc_vmm_forget(struct fisc_vm *vm);

/**
 * fisc_vmm_faults() - note that a process faults on memory of a VM
 * @vm: the VM
 * @vmf: the fault
 *
 * A fault within KVM_RUN comes from the kernel, so user faults prove nothing.
 *
 * Context: a page fault.
 */
static inline void fisc_vmm_faults(struct fisc_vm *vm,
				   const struct vm_fault *vmf)
{
	if (unlikely(READ_ONCE(vm->vmm.mm) != vmf->vma->vm_mm) &&
	    !(vmf->flags & FAULT_FLAG_USER))
		__fisc_vmm_faults(vm, vmf->vma);
}

#endif /* _FISC_KVM_VMM_H */
