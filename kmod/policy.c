// SPDX-License-Identifier: GPL-2.0
/*
 * When samples end and targets change. See DOC: Policy in policy.h.
 */
#include <linux/workqueue.h>

#include "policy.h"
#include "sample/sample.h"
#include "tax/quota.h"
#include "tax/target.h"
#include "vm.h"

static struct workqueue_struct *fisc_policy_queue;
static bool fisc_policy_poked;

static void fisc_policy_run(struct work_struct *work);
static DECLARE_DELAYED_WORK(fisc_policy_work, fisc_policy_run);

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
	bool update = xchg(&fisc_policy_poked, false);
	unsigned long next = HZ;
	struct fisc_vm *vm = NULL;
	bool none = true;
	bool done;

	while ((vm = fisc_vm_after(vm))) {
		next = min(next, fisc_sample_turn(vm, &done));
		update |= done;
		none = false;
		cond_resched();
	}
	fisc_domain_account();
	if (update)
		fisc_targets_update();
	fisc_policy_balloons();
	if (!none)
		queue_delayed_work(fisc_policy_queue, &fisc_policy_work,
				   max(next, 1UL));
}

/**
 * fisc_policy_poke() - something has changed that targets depend on
 *
 * Context: any.
 */
void fisc_policy_poke(void)
{
	WRITE_ONCE(fisc_policy_poked, true);
	if (fisc_policy_queue)
		mod_delayed_work(fisc_policy_queue, &fisc_policy_work, 0);
}

/**
 * fisc_policy_init() - begin
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_policy_init(void)
{
	fisc_policy_queue = alloc_workqueue("fisc", WQ_UNBOUND | WQ_FREEZABLE, 1);

	return fisc_policy_queue ? 0 : -ENOMEM;
}

/**
 * fisc_policy_exit() - end
 *
 * There are no VMs any more, nor knobs.
 *
 * Context: may sleep.
 */
void fisc_policy_exit(void)
{
	cancel_delayed_work_sync(&fisc_policy_work);
	destroy_workqueue(fisc_policy_queue);
}
