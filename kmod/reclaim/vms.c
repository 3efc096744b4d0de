// SPDX-License-Identifier: GPL-2.0
/*
 * Per-VM state of reclaim: what decides which VMs are paged, and which wait.
 * See DOC: Progress in vms.h.
 */
#include <linux/jiffies.h>
#include <linux/math64.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "base/state.h"
#include "base/stats.h"
#include "reclaim/vms.h"
#include "share/account.h"
#include "tax/quota.h"
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
	kfree(vm->reclaim->armed);
	kfree(vm->reclaim);
}

/**
 * fisc_reclaim_let_balloon() - note how far a VM's balloon may grow
 * @vm: the VM
 * @pages: its size in pages at most; 0 if no device serves the balloon
 *
 * Context: any.
 */
void fisc_reclaim_let_balloon(struct fisc_vm *vm, u64 pages)
{
	WRITE_ONCE(vm->reclaim->balloon_may, pages);
}

/*
 * See DOC: Progress. @gave: pages given so far; @period and @now: in jiffies.
 * Return: true if what is wanted can be expected.
 */
static bool fisc_progress_look(struct fisc_progress *progress, u64 wanted,
			       u64 gave, unsigned long period,
			       unsigned long now)
{
	bool idle = !progress->wanted;
	bool grace = wanted > 2 * progress->failed &&
		     (idle || !progress->enough);
	s64 more = gave - progress->gave;

	if (!wanted) {
		progress->wanted = 0;
		return false;
	}
	if (!idle && !grace && time_before(now, progress->since + period))
		return progress->enough;

	if (idle || grace) {
		progress->enough = grace;
		progress->gave = gave;
	} else {
		progress->enough = more > 0 && more * FISC_PROGRESS_PARTS >=
					       (s64)progress->wanted;
		progress->failed = progress->enough ? 0 :
				   max(progress->failed, wanted);
		if (more > 0)
			progress->gave = gave;
	}
	progress->wanted = wanted;
	progress->since = now;

	return progress->enough;
}

/* Test whether a VM's balloon gives what the VM has above its target. */
static bool fisc_reclaim_balloon_works(struct fisc_reclaim_vm *known,
				       u64 actual)
{
	u64 may = READ_ONCE(known->balloon_may);
	u64 room = may - min(may, actual);

	if (may > 2 * known->balloon_might) {
		known->balloon = (struct fisc_progress){};
		known->balloon_might = may;
	}

	return fisc_progress_look(&known->balloon, known->excess, actual,
				  msecs_to_jiffies(FISC_PROGRESS_MS),
				  jiffies) &&
	       room && room * FISC_PROGRESS_PARTS >= known->excess;
}

/* Test whether what a VM has above its target goes anywhere while it waits. */
static bool fisc_reclaim_gives(struct fisc_vm *vm, u64 actual,
			       const struct fisc_reclaim_need *need)
{
	struct fisc_reclaim_vm *known = vm->reclaim;
	u64 gave;

	if (!known->wait.wanted || known->excess < known->least)
		known->least = known->excess;
	gave = fisc_vm_sum(vm, FISC_SWAP_OUT) + actual - known->least;

	return fisc_progress_look(&known->wait, min(known->excess, need->lack),
				  gave, msecs_to_jiffies(need->wait_ms), jiffies);
}

/* @works: the VM's balloon gives what is wanted. */
static enum fisc_reclaim_reason fisc_reclaim_reason(const struct fisc_vm *vm,
						    const struct fisc_reclaim_need *need,
						    bool works)
{
	enum fisc_reclaim_state state = fisc_reclaim_state();

	if (!vm->reclaim->excess || fisc_vm_is_sensitive(vm))
		return FISC_REASON_NONE;
	if (need->lack && need->blocking && !vm->reclaim->helpless)
		return FISC_REASON_BLOCKED;
	if (works && (state <= FISC_RECLAIM_SOFT || !need->paging))
		return FISC_REASON_BALLOON;

	return need->paging ? FISC_REASON_PAGING : FISC_REASON_NONE;
}

/**
 * fisc_reclaim_weigh_vm() - decide what is done about a VM
 * @vm: the VM
 * @need: what the state asks for
 *
 * Context: the thread that reclaims.
 * Return: true if the VM may have had to wait, and no longer has to.
 */
bool fisc_reclaim_weigh_vm(struct fisc_vm *vm,
			   const struct fisc_reclaim_need *need)
{
	struct fisc_reclaim_vm *known = vm->reclaim;
	u64 actual = fisc_vm_sum(vm, FISC_BALLOON);
	u64 limit = fisc_quota_limit(vm);
	u64 target = need->acts ? fisc_quota_target(vm) : limit;
	bool waited = need->lack && known->excess && !known->helpless;
	u64 has = fisc_vm_allocated(vm);
	bool works, gives;

	known->over = has - min(limit, has);
	WRITE_ONCE(known->excess, has - min(target, has));
	if (!need->acts && !known->over) {
		known->balloon = (struct fisc_progress){};
		known->balloon_might = 0;
		known->wait = (struct fisc_progress){};
		WRITE_ONCE(known->helpless, false);
		WRITE_ONCE(known->reason, FISC_REASON_NONE);
		return false;
	}
	works = fisc_reclaim_balloon_works(known, actual);
	gives = fisc_reclaim_gives(vm, actual, need);
	WRITE_ONCE(known->helpless, !works && !(gives && need->paging));
	WRITE_ONCE(known->reason, fisc_reclaim_reason(vm, need, works));

	return waited && known->reason != FISC_REASON_BLOCKED;
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

#ifdef FISC_KUNIT
#include "tests/vms-kunit.h"
#endif
