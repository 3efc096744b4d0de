// SPDX-License-Identifier: GPL-2.0
/*
 * The thread that does a device's work. See DOC: Who does a device's work in
 * worker.h.
 */
#include <linux/err.h>
#include <linux/sched.h>
#include <linux/sched/vhost_task.h>

#include "balloon/device/worker.h"

static struct workqueue_struct *fisc_worker_queue;

/* Return: true if a turn was taken. */
static bool fisc_worker_turn(struct fisc_worker *worker)
{
	if (!test_and_clear_bit(0, &worker->pending))
		return false;
	/* The thread is about to sleep when it asks. */
	__set_current_state(TASK_RUNNING);
	scoped_guard(mutex, &worker->turns)
		if (worker->turn(worker->arg))
			set_bit(0, &worker->pending);
	cond_resched();

	return true;
}

static bool fisc_worker_task_turn(void *data)
{
	return fisc_worker_turn(data);
}

/* The VMM is killed, and its device closed soon: nothing is left to do. */
static void fisc_worker_task_killed(void *data)
{
}

static void fisc_worker_work(struct work_struct *work)
{
	struct fisc_worker *worker = container_of(work, struct fisc_worker,
						  work);

	if (fisc_worker_turn(worker) && test_bit(0, &worker->pending))
		fisc_worker_wake(worker);
}

/**
 * fisc_worker_init() - initialize a worker that uses the workqueue
 * @worker: the worker
 * @turn: does some of the work; returns true if more can be done at once
 * @arg: argument for @turn
 *
 * Context: any.
 */
void fisc_worker_init(struct fisc_worker *worker, bool (*turn)(void *arg),
		      void *arg)
{
	spin_lock_init(&worker->lock);
	worker->task = NULL;
	worker->pending = 0;
	mutex_init(&worker->turns);
	INIT_WORK(&worker->work, fisc_worker_work);
	worker->turn = turn;
	worker->arg = arg;
}

/* Set the thread, which is asked for what has been left undone. */
static struct vhost_task *fisc_worker_set(struct fisc_worker *worker,
					  struct vhost_task *task)
{
	unsigned long flags;

	spin_lock_irqsave(&worker->lock, flags);
	swap(worker->task, task);
	spin_unlock_irqrestore(&worker->lock, flags);

	return task;
}

/**
 * fisc_worker_hire() - have a thread of the current process do the work
 * @worker: the worker, which has no thread
 *
 * Context: may sleep; no lock of this module held.
 * Return: 0; -EAGAIN if the process may not have another thread; -ENOMEM.
 */
int fisc_worker_hire(struct fisc_worker *worker)
{
	struct vhost_task *task;

	task = vhost_task_create(fisc_worker_task_turn, fisc_worker_task_killed,
				 worker, "fisc_vdpa");
	if (IS_ERR_OR_NULL(task))
		return task ? PTR_ERR(task) : -ENOMEM;
	fisc_worker_set(worker, task);
	vhost_task_start(task);

	return 0;
}

/**
 * fisc_worker_dismiss() - undo fisc_worker_hire()
 * @worker: the worker; it need not have a thread
 *
 * Context: may sleep, as long as a turn takes; no lock of this module held.
 */
void fisc_worker_dismiss(struct fisc_worker *worker)
{
	struct vhost_task *task = fisc_worker_set(worker, NULL);

	if (task)
		vhost_task_stop(task);
}

/**
 * fisc_worker_wake() - say that there is work
 * @worker: the worker
 *
 * Context: any.
 */
void fisc_worker_wake(struct fisc_worker *worker)
{
	unsigned long flags;

	spin_lock_irqsave(&worker->lock, flags);
	set_bit(0, &worker->pending);
	if (worker->task)
		vhost_task_wake(worker->task);
	else
		queue_work(fisc_worker_queue, &worker->work);
	spin_unlock_irqrestore(&worker->lock, flags);
}

/**
 * fisc_worker_exit() - end a worker
 * @worker: the worker; nobody wakes it any more
 *
 * Context: may sleep; no lock of this module held.
 */
void fisc_worker_exit(struct fisc_worker *worker)
{
	fisc_worker_dismiss(worker);
	cancel_work_sync(&worker->work);
}

/**
 * fisc_worker_module_init() - set up what all workers share
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_worker_module_init(void)
{
	/* The work frees memory, so it must not wait for any. */
	fisc_worker_queue = alloc_workqueue("fisc_vdpa",
					    WQ_UNBOUND | WQ_FREEZABLE |
					    WQ_MEM_RECLAIM, 0);

	return fisc_worker_queue ? 0 : -ENOMEM;
}

/**
 * fisc_worker_module_exit() - undo fisc_worker_module_init()
 *
 * Context: may sleep; no worker exists any more.
 */
void fisc_worker_module_exit(void)
{
	destroy_workqueue(fisc_worker_queue);
}
