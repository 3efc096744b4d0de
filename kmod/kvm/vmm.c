// SPDX-License-Identifier: GPL-2.0
/*
 * The process that a VM belongs to. See DOC: KVM in kvm.h.
 */
#include <linux/cleanup.h>
#include <linux/jiffies.h>
#include <linux/kvm_host.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "kvm/vmm.h"

/* Protects fisc_vmm.pid of all VMs; innermost lock. */
static DEFINE_SPINLOCK(fisc_vmm_lock);

/**
 * fisc_vmm_set() - set the process that a VM belongs to
 * @vm: the VM
 * @pid: the process, or NULL
 * @mm: its memory if it is certain to be the VMM, else NULL; compared only
 *
 * Context: any.
 */
void fisc_vmm_set(struct fisc_vm *vm, struct pid *pid, const void *mm)
{
	struct pid *old;

	spin_lock(&fisc_vmm_lock);
	old = vm->vmm.pid;
	vm->vmm.pid = get_pid(pid);
	WRITE_ONCE(vm->vmm.mm, mm);
	spin_unlock(&fisc_vmm_lock);
	put_pid(old);
}

/**
 * fisc_vmm_thread() - return a thread of a process that has its memory
 * @pid: the process
 *
 * The first thread of a process can exit before the others.
 *
 * Context: any.
 * Return: the thread, held, or the first one if none has memory any more; NULL
 * if the process has exited.
 */
struct task_struct *fisc_vmm_thread(struct pid *pid)
{
	struct task_struct *first, *thread;

	guard(rcu)();
	first = pid_task(pid, PIDTYPE_TGID);
	if (!first)
		return NULL;
	if (!READ_ONCE(first->mm))
		for_each_thread(first, thread)
			if (READ_ONCE(thread->mm))
				return get_task_struct(thread);

	return get_task_struct(first);
}

/**
 * fisc_vmm_task() - return the process that a VM belongs to
 * @vm: the VM
 *
 * Context: any.
 * Return: a thread as of fisc_vmm_thread(), held, or NULL if the process is not
 * known or has exited.
 */
struct task_struct *fisc_vmm_task(struct fisc_vm *vm)
{
	struct task_struct *task = NULL;

	spin_lock(&fisc_vmm_lock);
	if (vm->vmm.pid)
		task = fisc_vmm_thread(vm->vmm.pid);
	spin_unlock(&fisc_vmm_lock);

	return task;
}

/**
 * fisc_vmm_maps() - note that the current process maps memory of a VM
 * @vm: the VM
 *
 * The process becomes the VMM unless another one is alive.
 *
 * Context: any.
 */
void fisc_vmm_maps(struct fisc_vm *vm)
{
	struct task_struct *task = fisc_vmm_task(vm);

	/* A live process stays the VMM until a fault proves otherwise. */
	if (!task || !READ_ONCE(task->mm))
		fisc_vmm_set(vm, task_tgid(current), NULL);
	if (task)
		put_task_struct(task);
}

/**
 * __fisc_vmm_faults() - check whether a faulting process is the VMM
 * @vm: the VM
 * @vma: the faulting mapping of its memory
 *
 * Makes the current process the VMM if it runs a vCPU on this memory. Called at
 * any rate, so it checks at most once every 50 ms for each VM.
 *
 * Context: a page fault.
 */
void __fisc_vmm_faults(struct fisc_vm *vm, const struct vm_area_struct *vma)
{
	struct kvm_vcpu *(*running_vcpu)(void);
	struct kvm_vcpu *vcpu;

	/* 0: not checked yet. */
	if (READ_ONCE(vm->vmm.looked) &&
	    time_before(jiffies, READ_ONCE(vm->vmm.looked) + HZ / 20))
		return;
	WRITE_ONCE(vm->vmm.looked, jiffies);

	running_vcpu = symbol_get(kvm_get_running_vcpu);
	if (!running_vcpu)
		return;
	/* The current task runs it and cannot release it during the fault. */
	vcpu = running_vcpu();
	if (vcpu && vcpu->kvm->mm == vma->vm_mm)
		fisc_vmm_set(vm, task_tgid(current), vma->vm_mm);
	symbol_put(kvm_get_running_vcpu);
}

/**
 * fisc_vmm_forget() - forget the process that a VM belongs to
 * @vm: the VM, which is ending
 *
 * Context: any.
 */
void fisc_vmm_forget(struct fisc_vm *vm)
{
	fisc_vmm_set(vm, NULL, NULL);
}
