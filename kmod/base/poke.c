// SPDX-License-Identifier: GPL-2.0
/*
 * The policy's work queue. Any part of the module may ask for the policy to
 * run; policy.c, at the top, decides what it does.
 *
 * A run takes time in proportion to the number of VMs, and who asks for it may
 * be a VM. So after a run the policy rests for FISC_POLICY_REST times as long,
 * FISC_POLICY_REST_MAX at most; a poke meanwhile takes effect then.
 */
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/sched/clock.h>
#include <linux/workqueue.h>

#include "base/later.h"
#include "base/poke.h"

/* With this rest, the policy takes a twentieth of a CPU at most. */
#define FISC_POLICY_REST	19
#define FISC_POLICY_REST_MAX	(HZ / 4)

static struct workqueue_struct *fisc_policy_queue;
static struct delayed_work fisc_policy_work;
static void (*fisc_policy_run)(struct work_struct *work);
static bool fisc_policy_poked;
static unsigned long fisc_policy_ready;	/* when it has rested, in jiffies */

/* How long the policy has yet to rest, in jiffies. */
static unsigned long fisc_policy_rest(void)
{
	unsigned long ready = READ_ONCE(fisc_policy_ready);
	unsigned long now = jiffies;

	return time_before(now, ready) ? ready - now : 0;
}

/**
 * fisc_policy_poke() - run the policy as soon as it has rested
 *
 * Because targets may have changed.
 *
 * Context: any.
 */
void fisc_policy_poke(void)
{
	WRITE_ONCE(fisc_policy_poked, true);
	if (fisc_policy_queue)
		mod_delayed_work(fisc_policy_queue, &fisc_policy_work,
				 fisc_policy_rest());
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
	queue_delayed_work(fisc_policy_queue, &fisc_policy_work,
			   max(delay, fisc_policy_rest()));
}

static void fisc_policy_do(struct work_struct *work)
{
	u64 start = local_clock();

	/* A poke during the last run did not know how long to rest. */
	if (fisc_policy_rest()) {
		fisc_policy_again(0);
		return;
	}
	fisc_policy_run(work);
	WRITE_ONCE(fisc_policy_ready, jiffies +
		   min(nsecs_to_jiffies((local_clock() - start) *
					FISC_POLICY_REST),
		       FISC_POLICY_REST_MAX));
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
	fisc_policy_run = run;
	fisc_policy_ready = jiffies;
	INIT_DELAYED_WORK(&fisc_policy_work, fisc_policy_do);
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
