// SPDX-License-Identifier: GPL-2.0
/*
 * The periodic work: samples, targets, balloons. See DOC: Policy in policy.h.
 */
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/workqueue.h>

#include "balloon/balloon.h"
#include "base/poke.h"
#include "policy.h"
#include "sample/sample.h"
#include "share/account.h"
#include "tax/target.h"
#include "vm/vm.h"

static void fisc_policy_balloons(void)
{
	struct fisc_vm *vm = NULL;

	while ((vm = fisc_vm_after(vm))) {
		fisc_balloon_follow(vm);
		cond_resched();
	}
}

static void fisc_policy_run(struct work_struct *work)
{
	static bool update;	/* targets are to be computed */
	unsigned int flags = memalloc_noreclaim_save();
	unsigned long next = HZ;
	struct fisc_vm *vm = NULL;
	bool none = true;
	bool done;

	update |= fisc_policy_take_poke();

	while ((vm = fisc_vm_after(vm))) {
		next = min(next, fisc_sample_turn(vm, &done));
		update |= done;
		none = false;
		cond_resched();
	}
	fisc_share_account();
	if (update)
		update = !fisc_targets_update();
	fisc_policy_balloons();
	memalloc_noreclaim_restore(flags);
	if (!none)
		fisc_policy_again(max(update ? HZ / 10 : next, 1UL));
}

/**
 * fisc_policy_start() - make the policy ready to run when it is poked
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_policy_start(void)
{
	return fisc_policy_init(fisc_policy_run);
}
