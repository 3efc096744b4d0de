// SPDX-License-Identifier: GPL-2.0
/*
 * Per-VM state of reclaim: what decides which VMs are paged.
 */
#include <linux/jiffies.h>
#include <linux/math64.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "base/stats.h"
#include "reclaim/vms.h"
#include "vm/vm.h"

/**
 * fisc_reclaim_begin_vm() - start to watch a new VM
 * @vm: the VM
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_reclaim_begin_vm(struct fisc_vm *vm)
{
	vm->reclaim = kzalloc(sizeof(*vm->reclaim), GFP_KERNEL);

	return vm->reclaim ? 0 : -ENOMEM;
}

/**
 * fisc_reclaim_end_vm() - undo fisc_reclaim_begin_vm()
 * @vm: the VM, which ends
 *
 * Context: any.
 */
void fisc_reclaim_end_vm(struct fisc_vm *vm)
{
	kfree(vm->reclaim);
}

/**
 * fisc_reclaim_want_balloon() - note the size requested of a VM's balloon
 * @vm: the VM
 * @pages: the size in pages; 0 if no device serves the balloon
 *
 * Context: any.
 */
void fisc_reclaim_want_balloon(struct fisc_vm *vm, u64 pages)
{
	WRITE_ONCE(vm->reclaim->wanted, pages);
}

/**
 * fisc_reclaim_balloon_works() - test whether a VM's balloon is growing
 * @vm: the VM
 *
 * Context: the thread that reclaims.
 * Return: true if the balloon should grow and has moved within
 * FISC_BALLOON_STUCK_MS.
 */
bool fisc_reclaim_balloon_works(struct fisc_vm *vm)
{
	struct fisc_reclaim_vm *known = vm->reclaim;
	u64 actual = fisc_vm_sum(vm, FISC_BALLOON);

	if (actual != known->balloon) {
		known->balloon = actual;
		known->moved = jiffies;
	}

	return READ_ONCE(known->wanted) > actual &&
	       time_before(jiffies, known->moved +
			   msecs_to_jiffies(FISC_BALLOON_STUCK_MS));
}

static void fisc_rate_take(struct fisc_rate *rate, u64 count,
			   unsigned long elapsed)
{
	WRITE_ONCE(rate->rate, div_u64((count - rate->count) * HZ, elapsed));
	rate->count = count;
}

/**
 * fisc_reclaim_rates() - update the rates of paging, once a second
 *
 * Visits VMs only if pages moved in this second or in the one before.
 *
 * Context: may sleep; from the thread that reclaims only.
 */
void fisc_reclaim_rates(void)
{
	static unsigned long looked;
	static bool moving;
	static long known;
	unsigned long elapsed = jiffies - looked;
	struct fisc_vm *vm = NULL;
	bool moved;
	long moves;

	if (elapsed < HZ)
		return;
	looked = jiffies;
	moves = fisc_total_sum(FISC_SWAP_IN) + fisc_total_sum(FISC_SWAP_OUT);
	moved = moves != known;
	known = moves;
	if (!moved && !moving)
		return;
	moving = moved;
	while ((vm = fisc_vm_after(vm))) {
		fisc_rate_take(&vm->reclaim->in, fisc_vm_sum(vm, FISC_SWAP_IN),
			       elapsed);
		fisc_rate_take(&vm->reclaim->out, fisc_vm_sum(vm, FISC_SWAP_OUT),
			       elapsed);
		cond_resched();
	}
}
