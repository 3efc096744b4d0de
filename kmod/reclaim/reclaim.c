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
#include "reclaim/armed.h"
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
#define FISC_LOOK_SHORT_MS	20	/* more to do; no longer than cold_ms */

/* Most pages taken in a turn; most and least between two looks at memory. */
#define FISC_TURN_PAGES		16384
#define FISC_SLICE_MAX		1024
#define FISC_SLICE_MIN		64

/* Most chunks visited per VM and turn. */
#define FISC_RECLAIM_TRIES	256

/* Chunks that are armed for each chunk's worth of pages wanted. */
#define FISC_RECLAIM_ARM	4

/* A VM has cold pages if one in this many of those looked at is cold. */
#define FISC_COLD_PART		16

/*
 * How long to wait beyond cold_ms before pages in use are taken, in ms, if
 * there are too few cold ones.
 */
#define FISC_COLD_ENOUGH_MS	500

/* How long memory may rest in "clear" before VMs give what is above targets. */
#define FISC_CLEAR_MS		10000

static struct task_struct *fisc_reclaimer;
static struct fisc_swap_batch *fisc_reclaim_batch;

/* Used by the thread only, except for readers of debugfs. */
static struct fisc_reclaim_pool fisc_pool, fisc_host;
static u64 fisc_excess;			/* excess of paged VMs, in pages */
static u64 fisc_over;			/* what these have above their maxes */
static u64 fisc_wanted;			/* pages wanted of all VMs */
static long fisc_slice;			/* pages to take before the next look */
static unsigned long fisc_changed;	/* when the state last changed */
static unsigned long fisc_cold;		/* when any VM last had cold pages */

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
	fisc_changed = jiffies;
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

/* Pages to free in order to leave a state. */
static u64 fisc_pool_lacks(const struct fisc_reclaim_pool *pool,
			   enum fisc_reclaim_state state)
{
	u64 enough = fisc_levels_leave(&pool->levels, state);

	return enough - min(enough, pool->free);
}

static u64 fisc_reclaim_lacks(enum fisc_reclaim_state state)
{
	return max(fisc_pool_lacks(&fisc_pool, state),
		   fisc_pool_lacks(&fisc_host, state));
}

/* Compute what is wanted of VMs, and how much of it to take before a look. */
static void fisc_reclaim_want(void)
{
	enum fisc_reclaim_state state = fisc_reclaim_state();
	u64 want = 0;

	if (state == FISC_RECLAIM_CLEAR && !fisc_reclaim_acts() &&
	    time_after(jiffies, fisc_changed + msecs_to_jiffies(FISC_CLEAR_MS))) {
		fisc_reclaim_stay();
		fisc_policy_poke();
	}
	if (fisc_reclaim_acts())
		want = fisc_reclaim_lacks(FISC_RECLAIM_CLEAR);
	fisc_wanted = max_t(u64, want, fisc_host_asked());
	fisc_slice = FISC_SLICE_MAX;
	if (state > FISC_RECLAIM_HIGH)
		fisc_slice = clamp(fisc_reclaim_lacks(state),
				   (u64)FISC_SLICE_MIN, (u64)FISC_SLICE_MAX);
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
	fisc_reclaim_want();
}

/* --- choosing VMs --------------------------------------------------------- */

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
		.wait_ms = READ_ONCE(fisc_reclaim_cold_ms) +
			   FISC_COLD_ENOUGH_MS + FISC_PROGRESS_MS,
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

/* --- choosing pages ------------------------------------------------------- */

/* How long a VM must have had no cold pages before others are taken. */
static unsigned long fisc_reclaim_patience(void)
{
	return msecs_to_jiffies(READ_ONCE(fisc_reclaim_cold_ms) +
				FISC_COLD_ENOUGH_MS);
}

/* Account for pages taken of a VM, and look at memory after each slice. */
static void fisc_reclaim_took(struct fisc_vm *vm, u64 pages)
{
	struct fisc_reclaim_vm *known = vm->reclaim;

	known->over -= min(known->over, pages);
	WRITE_ONCE(known->excess, known->excess - min(known->excess, pages));
	if (pages && !known->excess)
		fisc_reclaim_unblock();
	fisc_host_freed(pages);
	fisc_slice -= pages;
	if (fisc_slice <= 0)
		fisc_reclaim_look();
}

/* Is more wanted of a VM? */
static bool fisc_reclaim_goes_on(const struct fisc_vm *vm)
{
	return (fisc_wanted || vm->reclaim->over) && fisc_swap_room() > 0 &&
	       !fisc_reclaim_batch->vm && !kthread_should_stop();
}

/*
 * Page out up to @want pages of a chunk, but no more than may be taken before
 * the next look. @region: is put. @any: take pages in use, too. Return: how
 * many went out.
 */
static u64 fisc_reclaim_chunk(struct fisc_vm *vm, struct fisc_region *region,
			      struct fisc_chunk *chunk, u64 want, bool any)
{
	unsigned int gone;

	gone = fisc_swap_out(fisc_reclaim_batch, region, chunk,
			     min_t(u64, want, fisc_slice), any);
	fisc_region_put(region);
	fisc_reclaim_took(vm, gone);
	cond_resched();

	return gone;
}

/* Arm chunks of a VM, so that @want cold pages are found later. */
static void fisc_reclaim_arm(struct fisc_vm *vm, u64 want)
{
	unsigned int room = fisc_armed_room(vm, want * FISC_RECLAIM_ARM /
					    FISC_CHUNK_PAGES + 1);
	unsigned int tries = FISC_RECLAIM_TRIES;

	while (room && tries-- && !kthread_should_stop()) {
		struct fisc_region *region;
		struct fisc_chunk *chunk;

		region = fisc_vm_random_chunk(vm, &chunk);
		if (!region)
			break;
		if (fisc_armed_arm(vm, region, chunk))
			room--;
		fisc_region_put(region);
		cond_resched();
	}
}

/* Page out up to @want cold pages of a VM. Return: how many went out. */
static u64 fisc_reclaim_cold(struct fisc_vm *vm, u64 want)
{
	unsigned int cold_ms = READ_ONCE(fisc_reclaim_cold_ms);
	struct fisc_swap_batch *batch = fisc_reclaim_batch;
	struct fisc_reclaim_vm *known = vm->reclaim;
	unsigned int tries = FISC_RECLAIM_TRIES;
	u64 taken = 0;

	batch->looked = 0;
	batch->cold = 0;
	while (taken < want && tries-- && fisc_reclaim_goes_on(vm)) {
		struct fisc_region *region;
		struct fisc_chunk *chunk;

		region = fisc_armed_first(vm, cold_ms, &chunk);
		if (!region)
			break;
		taken += fisc_reclaim_chunk(vm, region, chunk, want - taken,
					    false);
	}
	if (!batch->looked)
		return taken;
	known->in_vain += batch->looked;
	if ((u64)batch->cold * FISC_COLD_PART >= batch->looked) {
		known->in_vain = 0;
		known->cold = jiffies;
		fisc_cold = jiffies;
	}

	return taken;
}

/* May pages in use be taken of a VM, as it has no others? */
static bool fisc_reclaim_may_take_any(const struct fisc_vm *vm)
{
	unsigned long since = jiffies - fisc_reclaim_patience();

	if (!vm->reclaim->in_vain || time_before(since, vm->reclaim->cold))
		return false;

	return vm->reclaim->over ||
	       (fisc_reclaim_state() >= FISC_RECLAIM_HARD &&
		time_after(since, fisc_cold));
}

/*
 * Page out up to @want pages at random places of a VM. Return: how many went
 * out.
 */
static u64 fisc_reclaim_any(struct fisc_vm *vm, u64 want)
{
	unsigned int tries = FISC_RECLAIM_TRIES;
	u64 taken = 0;

	while (taken < want && tries-- && fisc_reclaim_goes_on(vm) &&
	       fisc_reclaim_may_take_any(vm)) {
		struct fisc_region *region;
		struct fisc_chunk *chunk;

		region = fisc_vm_random_chunk(vm, &chunk);
		if (!region)
			break;
		taken += fisc_reclaim_chunk(vm, region, chunk, want - taken,
					    true);
	}

	return taken;
}

/* Page out @want pages of a VM. Return: how many went out. */
static u64 fisc_reclaim_pages(struct fisc_vm *vm, u64 want)
{
	struct fisc_reclaim_vm *known = vm->reclaim;
	u64 taken;

	/* Nothing is known about its pages if it was left alone for long. */
	if (time_after(jiffies, known->paged + fisc_reclaim_patience())) {
		known->cold = jiffies;
		known->in_vain = 0;
	}
	known->paged = jiffies;

	taken = fisc_reclaim_cold(vm, want);
	if (taken < want)
		taken += fisc_reclaim_any(vm, want - taken);
	if (fisc_reclaim_goes_on(vm))
		fisc_reclaim_arm(vm, want);

	return taken;
}

/*
 * Page out what is wanted of the VMs that are paged, in proportion to their
 * excess, and at least what each has above its max. Return: how many pages went
 * out.
 */
static u64 fisc_reclaim_page_out(void)
{
	u64 sum = fisc_excess, want = min3(fisc_wanted, sum, (u64)FISC_TURN_PAGES);
	struct fisc_vm *vm = NULL;
	u64 taken = 0;

	while ((vm = fisc_vm_after(vm))) {
		u64 over = min_t(u64, vm->reclaim->over, FISC_TURN_PAGES);
		u64 part = 0;

		if (vm->reclaim->reason < FISC_REASON_PAGING)
			continue;
		if (want && fisc_wanted)
			part = mul_u64_u64_div_u64(want, vm->reclaim->excess,
						   sum) + 1;
		if (part || over)
			taken += fisc_reclaim_pages(vm, max(part, over));
		cond_resched();
	}

	return taken;
}

/* Do what the state asks for. Return: true if there is more to do. */
static bool fisc_reclaim_turn(void)
{
	bool is_short;

	fisc_swap_settle(fisc_reclaim_batch, 0);
	fisc_reclaim_look();
	fisc_reclaim_weigh();
	fisc_reclaim_rates();
	is_short = fisc_reclaim_state() >= FISC_RECLAIM_SOFT;
	if (!fisc_excess || !READ_ONCE(fisc_reclaim_paging) ||
	    (!fisc_wanted && !fisc_over)) {
		fisc_host_forget();
		fisc_cold = jiffies;
		return is_short;
	}

	return fisc_reclaim_page_out() || is_short;
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
 * fisc_reclaim_pools() - return how much memory there is
 * @pool: the memory that VMs share
 * @host: the host's memory
 *
 * Context: any; the numbers may come from two different turns of the thread.
 */
void fisc_reclaim_pools(struct fisc_reclaim_pool *pool,
			struct fisc_reclaim_pool *host)
{
	/* Read by people only: some numbers may be those of the next look. */
	*pool = data_race(fisc_pool);
	/* As above. */
	*host = data_race(fisc_host);
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
	err = fisc_write_alloc(&fisc_reclaim_batch->write);
	if (err)
		goto err_batch;
	err = fisc_host_init();
	if (err)
		goto err_write;
	fisc_reclaimer = kthread_run(fisc_reclaim_thread, NULL, "fisc_reclaim");
	err = PTR_ERR_OR_ZERO(fisc_reclaimer);
	if (err)
		goto err_host;

	return 0;

err_host:
	fisc_host_exit();
err_write:
	fisc_write_free(&fisc_reclaim_batch->write);
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
	fisc_swap_settle(fisc_reclaim_batch, MAX_SCHEDULE_TIMEOUT);
	fisc_write_free(&fisc_reclaim_batch->write);
	vfree(fisc_reclaim_batch);
}
