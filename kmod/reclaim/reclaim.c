// SPDX-License-Identifier: GPL-2.0
/*
 * The thread that reclaims memory from VMs. See DOC: Reclaim in reclaim.h.
 */
#include <linux/freezer.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/spinlock.h>
#include <linux/sysfs.h>
#include <linux/timekeeping.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "base/knob.h"
#include "base/later.h"
#include "base/poke.h"
#include "base/stats.h"
#include "base/trace.h"
#include "memory/frame.h"
#include "memory/region.h"
#include "reclaim/host.h"
#include "reclaim/pageout.h"
#include "reclaim/reclaim.h"
#include "reclaim/vms.h"
#include "reclaim/wait.h"
#include "share/account.h"
#include "tax/quota.h"
#include "uapi/fisc.h"
#include "vm/vm.h"

/* Time between two turns of the thread, in ms. */
#define FISC_LOOK_MS		100	/* nothing to do */
#define FISC_LOOK_SHORT_MS	20	/* more to do */

/* Most random chunks visited per VM and turn. */
#define FISC_RECLAIM_TRIES	256

/* Chunks armed for each chunk's worth of pages wanted. */
#define FISC_RECLAIM_ARM	4

/*
 * How long to wait beyond cold_ms before pages in use are taken, in ms, if
 * there are too few cold ones.
 */
#define FISC_COLD_ENOUGH_MS	500

static struct task_struct *fisc_reclaimer;
static struct fisc_swap_batch *fisc_reclaim_batch;

/* Used by the thread only, except for readers of debugfs. */
static struct fisc_reclaim_pool fisc_pool, fisc_host;
static u64 fisc_excess;			/* excess of paged VMs, in pages */
static unsigned long fisc_cold_enough;	/* when cold pages last sufficed */

static DEFINE_SPINLOCK(fisc_history_lock);
static struct fisc_reclaim_history fisc_history;

unsigned int fisc_reclaim_paging = 1;
unsigned int fisc_reclaim_cold_ms = FISC_COLD_MS_DEFAULT;

/* --- free memory ---------------------------------------------------------- */

static void fisc_pool_look(struct fisc_reclaim_pool *pool, u64 total, u64 used)
{
	pool->total = total;
	pool->free = total - min(used, total);
	fisc_levels_now(&pool->levels, total);
}

static void fisc_reclaim_note(enum fisc_reclaim_state state)
{
	struct fisc_reclaim_event *event;

	trace_fisc_state(fisc_reclaim_names[state], fisc_pool.free,
			 fisc_host.free);
	spin_lock(&fisc_history_lock);
	event = &fisc_history.events[fisc_history.nr++ % FISC_RECLAIM_HISTORY];
	event->ns = ktime_get_boottime_ns();
	event->state = state;
	event->free = fisc_pool.free;
	event->host = fisc_host.free;
	spin_unlock(&fisc_history_lock);
}

/* Wake those who poll the state. */
static void fisc_state_tell(struct work_struct *work)
{
	sysfs_notify(fisc_kobj, "reclaim", "state");
}

static DECLARE_WORK(fisc_state_work, fisc_state_tell);

static void fisc_reclaim_set(enum fisc_reclaim_state state)
{
	if (state == fisc_reclaim_state())
		return;
	fisc_reclaim_set_state(state);
	fisc_reclaim_note(state);
	fisc_later(&fisc_state_work);
	fisc_policy_poke();
	fisc_reclaim_unblock();
}

/* Pages in use at which the pool's next state begins. */
static u64 fisc_reclaim_next(void)
{
	enum fisc_reclaim_state state = fisc_reclaim_state();
	u64 below;

	if (state == FISC_RECLAIM_LOW)
		return U64_MAX;
	below = fisc_pool.levels.below[state + 1];

	return fisc_frames_in_use() + (fisc_pool.free - min(below, fisc_pool.free));
}

static void fisc_reclaim_look(void)
{
	u64 host = fisc_host_available(), ram = totalram_pages();
	enum fisc_reclaim_state state = fisc_reclaim_state();

	fisc_pool_look(&fisc_pool, fisc_quota_capacity(),
		       fisc_frames_in_use() + fisc_metadata_pages());
	fisc_pool_look(&fisc_host, ram, ram - min(host, ram));
	fisc_reclaim_set(max(fisc_levels_state(&fisc_pool.levels, state,
					       fisc_pool.free),
			     fisc_levels_state(&fisc_host.levels, state,
					       fisc_host.free)));
	fisc_reclaim_set_wake(fisc_reclaim_next());
}

/* Pages to free in order to leave a state. */
static u64 fisc_pool_lacks(const struct fisc_reclaim_pool *pool,
			   enum fisc_reclaim_state state)
{
	u64 wanted = fisc_levels_leave(&pool->levels, state);

	return wanted - min(wanted, pool->free);
}

static u64 fisc_reclaim_lacks(enum fisc_reclaim_state state)
{
	return max(fisc_pool_lacks(&fisc_pool, state),
		   fisc_pool_lacks(&fisc_host, state));
}

/* --- choosing VMs and pages ----------------------------------------------- */

/*
 * Compute each VM's excess over its target; needed only when memory is short.
 */
static void fisc_reclaim_weigh(void)
{
	static bool weighed;
	enum fisc_reclaim_state state = fisc_reclaim_state();
	bool paging = READ_ONCE(fisc_reclaim_paging);
	bool is_short = state >= FISC_RECLAIM_SOFT;
	struct fisc_reclaim_need need = {
		.paging = paging && fisc_swap_room() > 0,
		.blocking = READ_ONCE(fisc_reclaim_blocking),
		.lack = state < FISC_RECLAIM_LOW ? 0 :
			max(fisc_reclaim_lacks(state), 1ULL),
		.wait_ms = READ_ONCE(fisc_reclaim_cold_ms) +
			   FISC_COLD_ENOUGH_MS + FISC_PROGRESS_MS,
	};
	struct fisc_vm *vm = NULL;
	bool unblock = false;
	u64 sum = 0;

	/*
	 * Once more after the shortage ends, to reset what is done about each
	 * VM.
	 */
	if (!is_short && !weighed)
		return;
	weighed = is_short;
	while ((vm = fisc_vm_after(vm))) {
		unblock |= fisc_reclaim_weigh_vm(vm, &need);
		if (vm->reclaim->reason >= FISC_REASON_PAGING)
			sum += vm->reclaim->excess;
		cond_resched();
	}
	WRITE_ONCE(fisc_excess, sum);
	fisc_host_set_available(paging ? sum : 0);
	if (unblock)
		fisc_reclaim_unblock();
}

/* Page out @want pages at random places of a VM. Return: how many went out. */
static u64 fisc_reclaim_pages(struct fisc_vm *vm, u64 want, bool any)
{
	unsigned int arm = want * FISC_RECLAIM_ARM / FISC_CHUNK_PAGES + 1;
	unsigned int cold_ms = READ_ONCE(fisc_reclaim_cold_ms);
	unsigned int tries = FISC_RECLAIM_TRIES;
	u64 taken = 0;

	while (taken < want && tries-- && !kthread_should_stop()) {
		struct fisc_region *region;
		struct fisc_chunk *chunk;
		pgoff_t index;

		region = fisc_vm_random_page(vm, &index);
		if (!region)
			break;
		chunk = fisc_region_find_chunk(region, index);
		if (chunk && (any || fisc_swap_is_armed(chunk, cold_ms))) {
			taken += fisc_swap_out(fisc_reclaim_batch, region,
					       chunk, want - taken, any);
		} else if (chunk && arm && !READ_ONCE(chunk->armed)) {
			fisc_swap_arm(region, chunk);
			arm--;
		}
		fisc_region_put(region);
		cond_resched();
	}

	return taken;
}

/*
 * Page out @want pages of the VMs that are paged, in proportion to their
 * excess.
 */
static u64 fisc_reclaim_page_out(u64 want, bool any)
{
	struct fisc_vm *vm = NULL;
	u64 sum = fisc_excess, taken = 0;

	want = min(want, sum);
	while (want && (vm = fisc_vm_after(vm))) {
		u64 part = vm->reclaim->excess;

		if (vm->reclaim->reason >= FISC_REASON_PAGING && part)
			taken += fisc_reclaim_pages(vm,
						    mul_u64_u64_div_u64(want, part, sum) + 1,
						    any);
		cond_resched();
	}

	return taken;
}

/* Do what the state asks for. Return: true if there is more to do. */
static bool fisc_reclaim_turn(void)
{
	u64 want, taken;
	bool is_short, any;

	fisc_reclaim_look();
	fisc_reclaim_weigh();
	fisc_reclaim_rates();
	is_short = fisc_reclaim_state() >= FISC_RECLAIM_SOFT;
	want = is_short ? fisc_reclaim_lacks(FISC_RECLAIM_SOFT) : 0;
	want = max_t(u64, want, fisc_host_asked());
	if (!want || !fisc_excess || !READ_ONCE(fisc_reclaim_paging)) {
		fisc_host_forget();
		fisc_cold_enough = jiffies;
		return is_short;
	}

	any = fisc_reclaim_state() >= FISC_RECLAIM_HARD &&
	      time_after(jiffies, fisc_cold_enough +
			 msecs_to_jiffies(READ_ONCE(fisc_reclaim_cold_ms) +
					  FISC_COLD_ENOUGH_MS));
	taken = fisc_reclaim_page_out(want, any);
	if (taken >= want / 2)
		fisc_cold_enough = jiffies;
	fisc_host_freed(taken);

	return true;
}

static int fisc_reclaim_thread(void *data)
{
	unsigned int flags = memalloc_noreclaim_save();

	set_freezable();
	while (!kthread_should_stop()) {
		unsigned int ms = fisc_reclaim_turn() ? FISC_LOOK_SHORT_MS :
							FISC_LOOK_MS;

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
 * fisc_reclaim_pools() - return how much memory there is
 * @pool: the memory that VMs share
 * @host: the host's memory
 *
 * Context: any; the numbers may come from two different turns of the thread.
 */
void fisc_reclaim_pools(struct fisc_reclaim_pool *pool,
			struct fisc_reclaim_pool *host)
{
	*pool = fisc_pool;
	*host = fisc_host;
}

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
 * fisc_reclaim_get_history() - copy the latest state changes
 * @history: the result
 *
 * Context: any.
 */
void fisc_reclaim_get_history(struct fisc_reclaim_history *history)
{
	spin_lock(&fisc_history_lock);
	*history = fisc_history;
	spin_unlock(&fisc_history_lock);
}

/**
 * fisc_reclaim_init() - start to watch memory
 *
 * Context: may sleep.
 * Return: 0 or -errno.
 */
int fisc_reclaim_init(void)
{
	int err;

	fisc_reclaim_batch = vzalloc(sizeof(*fisc_reclaim_batch));
	if (!fisc_reclaim_batch)
		return -ENOMEM;
	err = fisc_host_init();
	if (err)
		goto err_batch;
	fisc_reclaimer = kthread_run(fisc_reclaim_thread, NULL, "fisc_reclaim");
	err = PTR_ERR_OR_ZERO(fisc_reclaimer);
	if (err)
		goto err_host;

	return 0;

err_host:
	fisc_host_exit();
err_batch:
	vfree(fisc_reclaim_batch);
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
	vfree(fisc_reclaim_batch);
}
