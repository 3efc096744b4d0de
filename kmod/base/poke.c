// SPDX-License-Identifier: GPL-2.0
/*
 * The policy's work queue. Any part of the module may ask for the policy to
 * run; policy.c, at the top, decides what it does.
 */
#include <linux/workqueue.h>

#include "base/later.h"
#include "base/poke.h"

static struct workqueue_struct *fisc_policy_queue;
static struct delayed_work fisc_policy_work;
static bool fisc_policy_poked;

/**
 * fisc_policy_poke() - run the policy now, because targets may have changed
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
 * fisc_policy_take_poke() - test whether the policy was poked, and clear that
 *
 * Context: the policy's work.
 * Return: true if it was poked since the last call.
 */
bool fisc_policy_take_poke(void)
{
	return xchg(&fisc_policy_poked, false);
}

/**
 * fisc_policy_again() - run the policy again later
 * @delay: in jiffies from now
 *
 * Context: the policy's work.
 */
void fisc_policy_again(unsigned long delay)
{
	queue_delayed_work(fisc_policy_queue, &fisc_policy_work, delay);
}

/**
 * fisc_policy_init() - create the policy's queue
 * @run: the policy
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_policy_init(void (*run)(struct work_struct *work))
{
	INIT_DELAYED_WORK(&fisc_policy_work, run);
	/* Reclaim follows the targets: the policy must run without memory. */
	fisc_policy_queue = alloc_workqueue("fisc", WQ_UNBOUND | WQ_FREEZABLE |
						    WQ_MEM_RECLAIM, 1);

	return fisc_policy_queue ? 0 : -ENOMEM;
}

/**
 * fisc_policy_exit() - stop the policy
 *
 * Nothing that could poke it is left, no knob, scanner or reclaimer, but
 * perhaps the end of a VM that the policy has just visited.
 *
 * Context: may sleep.
 */
void fisc_policy_exit(void)
{
	disable_delayed_work_sync(&fisc_policy_work);
	fisc_later_flush();
	destroy_workqueue(fisc_policy_queue);
	fisc_policy_queue = NULL;
}
