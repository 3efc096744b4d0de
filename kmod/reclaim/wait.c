// SPDX-License-Identifier: GPL-2.0
/*
 * Making VMs wait for memory. See DOC: Reclaim in reclaim.h.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/wait.h>

#include "base/state.h"
#include "base/stats.h"
#include "reclaim/vms.h"
#include "reclaim/wait.h"
#include "vm/vm.h"

static DECLARE_WAIT_QUEUE_HEAD(fisc_unblock_wait);
unsigned int fisc_reclaim_blocking = 1;

/**
 * fisc_reclaim_blocks() - test whether a VM must wait before it gets memory
 * @vm: the VM
 *
 * Context: any.
 * Return: true if memory is very short, the VM is above its target, and waiting
 * can help (DOC: Progress).
 */
bool fisc_reclaim_blocks(const struct fisc_vm *vm)
{
	return unlikely(fisc_reclaim_state() == FISC_RECLAIM_LOW) &&
	       READ_ONCE(vm->reclaim->excess) && READ_ONCE(fisc_reclaim_blocking) &&
	       !READ_ONCE(vm->reclaim->helpless);
}

static void fisc_reclaim_waited(struct fisc_vm *vm, u64 start)
{
	fisc_wait_account(FISC_WAIT_BLOCKED, start);
	atomic64_add(max_t(s64, local_clock() - start, 0),
		     &vm->reclaim->blocked_ns);
}

/* @limit: in jiffies; 0 for none */
static int fisc_reclaim_block_for(struct fisc_vm *vm, long limit)
{
	u64 start = local_clock();
	long err = 0;

	if (!fisc_reclaim_blocks(vm))
		return 0;
	if (limit)
		wait_event_killable_timeout(fisc_unblock_wait,
					    !fisc_reclaim_blocks(vm), limit);
	else
		err = wait_event_state(fisc_unblock_wait,
				       !fisc_reclaim_blocks(vm),
				       (TASK_KILLABLE | TASK_FREEZABLE));
	fisc_reclaim_waited(vm, start);

	return err ? -EINTR : 0;
}

/**
 * fisc_reclaim_block() - wait until a VM may have more memory
 * @vm: the VM
 *
 * A kernel thread, which nobody can kill, waits briefly (DOC: Reclaim).
 *
 * Context: may sleep; no locks held.
 * Return: 0, or -EINTR if the process is being killed.
 */
int fisc_reclaim_block(struct fisc_vm *vm)
{
	return fisc_reclaim_block_for(vm, current->flags & PF_KTHREAD ?
					  FISC_WAIT_OTHERS : 0);
}

/**
 * fisc_reclaim_block_fault() - wait for memory in a page fault
 * @vm: a VM that must wait
 * @vmf: the fault
 *
 * Threads of the VMM wait, those of vhost and io_uring included: a signal that
 * kills the VMM ends their wait. Kernel threads, such as KVM's workers, and
 * other processes keep the VMM's memory while they wait, or even its exit, and
 * that signal does not reach them: they wait briefly, then take what they need.
 *
 * Context: A page fault; no lock of this module held.
 * Return: VM_FAULT_RETRY, with the lock of the address space released unless
 * the fault's flags forbid that; 0 if the fault has been retried already.
 */
vm_fault_t fisc_reclaim_block_fault(struct fisc_vm *vm, struct vm_fault *vmf)
{
	bool own = !(current->flags & PF_KTHREAD) &&
		   current->mm == vmf->vma->vm_mm;

	if (!fault_flag_allow_retry_first(vmf->flags))
		return 0;
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;

	/*
	 * Once the lock is released, the mapping may go, and with it the file,
	 * the VM and the module. See fisc_exit() for the code that runs after
	 * module_put().
	 */
	__module_get(THIS_MODULE);
	fisc_vm_get(vm);
	release_fault_lock(vmf);
	fisc_reclaim_block_for(vm, own ? 0 : FISC_WAIT_OTHERS);
	fisc_vm_put(vm);
	module_put(THIS_MODULE);

	return VM_FAULT_RETRY;
}

/**
 * fisc_reclaim_unblock() - let all waiters check whether they must still wait
 *
 * Context: any.
 */
void fisc_reclaim_unblock(void)
{
	wake_up_all(&fisc_unblock_wait);
}
