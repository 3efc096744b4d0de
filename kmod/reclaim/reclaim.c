// SPDX-License-Identifier: GPL-2.0
/*
 * The thread that reclaims memory from VMs. See DOC: Reclaim in reclaim.h.
 */
#include <linux/freezer.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/minmax.h>
#include <linux/sched/mm.h>
#include <linux/wait.h>

#include "base/state.h"
#include "reclaim/host.h"
#include "reclaim/pager.h"
#include "reclaim/reclaim.h"
#include "reclaim/vms.h"
#include "reclaim/wait.h"
#include "reclaim/watch.h"
#include "tax/quota.h"
#include "vm/vm.h"

/* Time between two turns of the thread, in ms. */
#define FISC_LOOK_MS		100	/* nothing to do */
#define FISC_LOOK_SHORT_MS	20	/* more to do; no longer than cold_ms */

static struct task_struct *fisc_reclaimer;

/* Used by the thread only, except for readers of debugfs. */
static u64 fisc_excess;			/* excess of paged VMs, in pages */
static u64 fisc_over;			/* what these have above their maxes */

unsigned int fisc_reclaim_paging = 1;

/*
 * Compute each VM's excess: over its target, or only over its max while memory
 * is not short. Needed only if it is, or if a VM has a max.
 */
static void fisc_reclaim_weigh(void)
{
	static bool weighed;
	enum fisc_reclaim_state state = fisc_reclaim_state();
	bool paging = READ_ONCE(fisc_reclaim_paging);
	bool acts = fisc_reclaim_acts();
	bool needed = acts || fisc_quota_has_limits();
	struct fisc_reclaim_need need = {
		.acts = acts,
		.paging = paging && fisc_swap_room() > 0,
		.blocking = READ_ONCE(fisc_reclaim_blocking),
		.lack = state < FISC_RECLAIM_LOW ? 0 :
			max(fisc_reclaim_lacks(state), 1ULL),
		.wait_ms = fisc_pagers_patience() + FISC_PROGRESS_MS,
	};
	struct fisc_vm *vm = NULL;
	u64 sum = 0, over = 0;
	bool unblock = false;

	/*
	 * Once more after the shortage ends, to reset what is done about each
	 * VM.
	 */
	if (!needed && !weighed)
		return;
	weighed = needed;
	while ((vm = fisc_vm_after(vm))) {
		unblock |= fisc_reclaim_weigh_vm(vm, &need);
		if (vm->reclaim->reason >= FISC_REASON_PAGING) {
			sum += vm->reclaim->excess;
			over += vm->reclaim->over;
		}
		cond_resched();
	}
	WRITE_ONCE(fisc_excess, sum);
	fisc_over = over;
	fisc_host_set_available(paging ? sum : 0);
	if (unblock)
		fisc_reclaim_unblock();
}

/* Do what the state asks for. Return: true if there is more to do. */
static bool fisc_reclaim_turn(void)
{
	bool is_short;

	fisc_pagers_settle(0);
	fisc_reclaim_look();
	fisc_reclaim_weigh();
	fisc_reclaim_rates();
	is_short = fisc_reclaim_state() >= FISC_RECLAIM_SOFT;
	if (!fisc_excess || !READ_ONCE(fisc_reclaim_paging) ||
	    (!fisc_reclaim_wanted() && !fisc_over)) {
		fisc_host_forget();
		fisc_pagers_rest();
		return is_short;
	}

	return fisc_pagers_turn(fisc_excess) || is_short;
}

static int fisc_reclaim_thread(void *data)
{
	unsigned int flags = memalloc_noreclaim_save();

	set_freezable();
	while (!kthread_should_stop()) {
		unsigned int ms = fisc_reclaim_turn() ?
			min_t(unsigned int, FISC_LOOK_SHORT_MS,
			      READ_ONCE(fisc_reclaim_cold_ms)) : FISC_LOOK_MS;

		wait_event_freezable_timeout(fisc_reclaim_wait,
					     kthread_should_stop() ||
					     fisc_reclaim_is_poked(),
					     msecs_to_jiffies(ms));
		fisc_reclaim_clear_poke();
	}
	memalloc_noreclaim_restore(flags);

	return 0;
}

/* --- statistics, start and stop ------------------------------------------- */

/**
 * fisc_reclaim_excess() - return what paged VMs have above their targets
 *
 * Context: any.
 * Return: the number of pages.
 */
u64 fisc_reclaim_excess(void)
{
	return READ_ONCE(fisc_excess);
}

/**
 * fisc_reclaim_init() - start to watch memory
 *
 * Context: may sleep.
 * Return: 0 or -errno.
 */
int fisc_reclaim_init(void)
{
	int err = fisc_pagers_init();

	if (err)
		return err;
	err = fisc_host_init();
	if (err)
		goto err_pagers;
	fisc_reclaimer = kthread_run(fisc_reclaim_thread, NULL, "fisc_reclaim");
	err = PTR_ERR_OR_ZERO(fisc_reclaimer);
	if (err)
		goto err_host;

	return 0;

err_host:
	fisc_host_exit();
err_pagers:
	fisc_pagers_exit();
	return err;
}

/**
 * fisc_reclaim_exit() - stop; no files and no knobs are left
 *
 * Context: may sleep.
 */
void fisc_reclaim_exit(void)
{
	fisc_host_exit();
	kthread_stop(fisc_reclaimer);
	fisc_pagers_exit();
}
