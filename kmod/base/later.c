// SPDX-License-Identifier: GPL-2.0
/*
 * A queue for work that may wait. The reclaim thread and the policy leave to it
 * what takes locks of the kernel that others hold while they allocate memory
 * (those of sysfs), and what waits for a process (the end of a VM waits for
 * those who read its files).
 */
#include <linux/workqueue.h>

#include "base/later.h"

static struct workqueue_struct *fisc_later_queue;

/**
 * fisc_later() - have work done by a thread that may wait
 * @work: the work
 *
 * Context: any.
 * Return: false if it was pending already.
 */
bool fisc_later(struct work_struct *work)
{
	return queue_work(fisc_later_queue, work);
}

/**
 * fisc_later_flush() - wait until all work is done
 *
 * Context: may sleep.
 */
void fisc_later_flush(void)
{
	flush_workqueue(fisc_later_queue);
}

/**
 * fisc_later_init() - create the queue
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_later_init(void)
{
	fisc_later_queue = alloc_workqueue("fisc_later", WQ_UNBOUND, 0);

	return fisc_later_queue ? 0 : -ENOMEM;
}

/**
 * fisc_later_exit() - undo fisc_later_init()
 *
 * Nothing is left that could hand it work.
 *
 * Context: may sleep.
 */
void fisc_later_exit(void)
{
	destroy_workqueue(fisc_later_queue);
}
