/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_DEVICE_WORKER_H
#define _FISC_BALLOON_DEVICE_WORKER_H

#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

struct vhost_task;

/**
 * DOC: Who does a device's work
 *
 * A guest decides how much work there is, so the time is its VMM's: a thread of
 * the VMM does the work (struct vhost_task, as for vhost's own devices), in its
 * cgroups, wherever these are moved. It ends with the VMM, at the end of a
 * turn. With loop-back there is no VMM, and a workqueue does it.
 */

/**
 * struct fisc_worker - does one device's work
 * @lock: innermost, and taken in any context; protects @task
 * @task: the VMM's thread; NULL if there is none, so that @work has to do
 * @pending: bit 0: there is work
 * @turns: held during a turn: when a thread comes or goes, @work may still be,
 *	or be again, in a turn of its own; outermost
 * @work: does it in a workqueue
 * @turn: does some of the work, without waiting for user space; returns true if
 *	more can be done at once
 * @arg: its argument
 */
struct fisc_worker {
	spinlock_t lock;	/* see above */
	struct vhost_task *task;
	unsigned long pending;
	struct mutex turns;	/* see above */
	struct work_struct work;
	bool (*turn)(void *arg);
	void *arg;
};

void fisc_worker_init(struct fisc_worker *worker, bool (*turn)(void *arg),
		      void *arg);
int fisc_worker_hire(struct fisc_worker *worker);
void fisc_worker_dismiss(struct fisc_worker *worker);
void fisc_worker_wake(struct fisc_worker *worker);
void fisc_worker_exit(struct fisc_worker *worker);
int fisc_worker_module_init(void);
void fisc_worker_module_exit(void);

#endif /* _FISC_BALLOON_DEVICE_WORKER_H */
