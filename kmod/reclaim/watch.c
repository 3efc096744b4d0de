// SPDX-License-Identifier: GPL-2.0
/*
 * Watching free memory: the state, and what is wanted of VMs. See DOC: Reclaim
 * in reclaim.h.
 */
#include <linux/atomic.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/sysfs.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>

#include "base/knob.h"
#include "base/later.h"
#include "base/poke.h"
#include "base/stats.h"
#include "base/trace.h"
#include "memory/frame.h"
#include "reclaim/host.h"
#include "reclaim/wait.h"
#include "reclaim/watch.h"
#include "tax/quota.h"

/* Most and least pages to take between two looks at memory. */
#define FISC_SLICE_MAX		1024
#define FISC_SLICE_MIN		64

/* How long memory may rest in "clear" before VMs give what is above targets. */
#define FISC_CLEAR_MS		10000

static DEFINE_MUTEX(fisc_look_mutex);	/* protects what follows */
static struct fisc_reclaim_pool fisc_pool, fisc_host;
static struct fisc_reclaim_history fisc_history;
static unsigned long fisc_changed;	/* when the state last changed */

/* Read without the mutex. */
static u64 fisc_wanted;			/* pages wanted of all VMs */
static atomic_long_t fisc_slice;	/* pages to take before the next look */

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
	event = &fisc_history.events[fisc_history.nr++ % FISC_RECLAIM_HISTORY];
	event->ns = ktime_get_boottime_ns();
	event->state = state;
	event->free = fisc_pool.free;
	event->host = fisc_host.free;
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

/**
 * fisc_reclaim_lacks() - return how much memory is missing for a state to end
 * @state: the state
 *
 * Context: the reclaim thread, while no pager works.
 * Return: the number of pages.
 */
u64 fisc_reclaim_lacks(enum fisc_reclaim_state state)
{
	return max(fisc_pool_lacks(&fisc_pool, state),
		   fisc_pool_lacks(&fisc_host, state));
}

/* Compute what is wanted of VMs, and how much of it to take before a look. */
static void fisc_reclaim_want(void)
{
	enum fisc_reclaim_state state = fisc_reclaim_state();
	u64 want = 0, slice = FISC_SLICE_MAX;

	if (state == FISC_RECLAIM_CLEAR && !fisc_reclaim_acts() &&
	    time_after(jiffies, fisc_changed + msecs_to_jiffies(FISC_CLEAR_MS))) {
		fisc_reclaim_stay();
		fisc_policy_poke();
	}
	if (fisc_reclaim_acts())
		want = fisc_reclaim_lacks(FISC_RECLAIM_CLEAR);
	WRITE_ONCE(fisc_wanted, max_t(u64, want, fisc_host_asked()));
	if (state > FISC_RECLAIM_HIGH)
		slice = clamp(fisc_reclaim_lacks(state),
			      (u64)FISC_SLICE_MIN, (u64)FISC_SLICE_MAX);
	atomic_long_set(&fisc_slice, slice);
}

/**
 * fisc_reclaim_look() - look at free memory: which state is it in?
 *
 * Also computes what is wanted of VMs.
 *
 * Context: may sleep; the reclaim thread and pagers.
 */
void fisc_reclaim_look(void)
{
	u64 host = fisc_host_available(), ram = totalram_pages();
	enum fisc_reclaim_state state;

	mutex_lock(&fisc_look_mutex);
	state = fisc_reclaim_state();
	fisc_pool_look(&fisc_pool, fisc_quota_capacity(),
		       fisc_frames_in_use() + fisc_metadata_pages());
	fisc_pool_look(&fisc_host, ram, ram - min(host, ram));
	fisc_reclaim_set(max(fisc_levels_state(&fisc_pool.levels, state,
					       fisc_pool.free),
			     fisc_levels_state(&fisc_host.levels, state,
					       fisc_host.free)));
	fisc_reclaim_set_wake(fisc_reclaim_next());
	fisc_reclaim_want();
	mutex_unlock(&fisc_look_mutex);
}

/**
 * fisc_reclaim_wanted() - return how much is wanted of all VMs together
 *
 * Context: any.
 * Return: the number of pages, at the last look.
 */
u64 fisc_reclaim_wanted(void)
{
	return READ_ONCE(fisc_wanted);
}

/**
 * fisc_reclaim_slice() - return how much may be taken before the next look
 *
 * Context: any.
 * Return: the number of pages; not 0.
 */
u64 fisc_reclaim_slice(void)
{
	return max_t(long, atomic_long_read(&fisc_slice), FISC_SLICE_MIN);
}

/**
 * fisc_reclaim_freed() - account for pages that VMs gave
 * @pages: their number
 *
 * Looks at memory again after each slice.
 *
 * Context: may sleep; the reclaim thread and pagers.
 */
void fisc_reclaim_freed(u64 pages)
{
	fisc_host_freed(pages);
	if (atomic_long_sub_return(pages, &fisc_slice) <= 0)
		fisc_reclaim_look();
}

/**
 * fisc_reclaim_pools() - return how much memory there is
 * @pool: the memory that VMs share
 * @host: the host's memory
 *
 * Context: may sleep.
 */
void fisc_reclaim_pools(struct fisc_reclaim_pool *pool,
			struct fisc_reclaim_pool *host)
{
	mutex_lock(&fisc_look_mutex);
	*pool = fisc_pool;
	*host = fisc_host;
	mutex_unlock(&fisc_look_mutex);
}

/**
 * fisc_reclaim_get_history() - copy the latest state changes
 * @history: the result
 *
 * Context: may sleep.
 */
void fisc_reclaim_get_history(struct fisc_reclaim_history *history)
{
	mutex_lock(&fisc_look_mutex);
	*history = fisc_history;
	mutex_unlock(&fisc_look_mutex);
}
