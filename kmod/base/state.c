// SPDX-License-Identifier: GPL-2.0
/* How scarce memory is. See DOC: States of memory in state.h. */
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/swap.h>
#include <linux/vmstat.h>

#include "base/poke.h"
#include "base/state.h"
#include "base/stats.h"
#include "uapi/fisc.h"

const char * const fisc_reclaim_names[FISC_RECLAIM_STATES] = {
	"high", "clear", "soft", "hard", "low",
};

DECLARE_WAIT_QUEUE_HEAD(fisc_reclaim_wait);
static bool fisc_reclaim_poked;

/* Written by the reclaim thread only. */
enum fisc_reclaim_state fisc_reclaim_now;
bool fisc_reclaim_acting;

/* Frames in use at which the thread is poked: the state may have changed. */
static u64 fisc_reclaim_wake_at = U64_MAX;

DEFINE_PER_CPU(unsigned int, fisc_reclaim_charged);

static DEFINE_MUTEX(fisc_levels_mutex);	/* protects fisc_percent */
static unsigned int fisc_percent[FISC_RECLAIM_STATES] = {
	[FISC_RECLAIM_CLEAR] = FISC_HIGH_PERCENT_DEFAULT,
	[FISC_RECLAIM_SOFT] = FISC_SOFT_PERCENT_DEFAULT,
	[FISC_RECLAIM_HARD] = FISC_HARD_PERCENT_DEFAULT,
	[FISC_RECLAIM_LOW] = FISC_LOW_PERCENT_DEFAULT,
};

unsigned int fisc_reclaim_sliding;

/* ESXi's sliding scale: a percentage of each range of memory. */
static const struct {
	u64 bytes;
	unsigned int percent;
} fisc_scale[] = {
	{ 4ULL * SZ_1G, 6 },
	{ 8ULL * SZ_1G, 4 },
	{ 16ULL * SZ_1G, 2 },
	{ U64_MAX, 1 },
};

/**
 * fisc_levels_scale() - return the memory to keep free, by the sliding scale
 * @total: total memory in pages
 *
 * 6 % of the first 4 GiB, 4 % of the next 8, 2 % of the next 16 and 1 % of the
 * rest: a large host does not need to keep as large a part free as a small one.
 *
 * Context: any.
 * Return: pages.
 */
u64 fisc_levels_scale(u64 total)
{
	u64 sum = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fisc_scale); i++) {
		u64 part = min(total, fisc_scale[i].bytes >> PAGE_SHIFT);

		sum += part * fisc_scale[i].percent;
		total -= part;
	}

	return div_u64(sum, 100);
}

/**
 * fisc_levels_set() - compute the free memory at which states begin
 * @levels: the result
 * @total: total memory in pages
 * @percent: percentage of @total for each state; never more than that of the
 *	state before it
 * @sliding: use the sliding scale: 6 % stand for fisc_levels_scale(), other
 *	percentages are in proportion
 *
 * Context: any.
 */
void fisc_levels_set(struct fisc_levels *levels, u64 total,
		     const unsigned int *percent, bool sliding)
{
	unsigned int i;

	levels->below[FISC_RECLAIM_HIGH] = U64_MAX;
	for (i = FISC_RECLAIM_CLEAR; i < FISC_RECLAIM_STATES; i++)
		levels->below[i] = sliding ?
			div_u64(fisc_levels_scale(total) * percent[i], 6) :
			div_u64(total * percent[i], 100);
}

/**
 * fisc_levels_leave() - return the free memory at which a state ends
 * @levels: where states begin
 * @state: the state; not the first one
 *
 * A state ends a quarter of the way from where it begins to where the state
 * before it begins. For the state after "high", which begins nowhere, it is a
 * quarter of half as much again. So a state does not end as soon as it has
 * begun.
 *
 * Context: any.
 * Return: pages.
 */
u64 fisc_levels_leave(const struct fisc_levels *levels,
		      enum fisc_reclaim_state state)
{
	u64 begin = levels->below[state];
	u64 next = state == FISC_RECLAIM_CLEAR ? begin + begin / 2 :
						 levels->below[state - 1];

	return begin + DIV_ROUND_UP_ULL(next - begin, 4);
}

/**
 * fisc_levels_state() - compute the next state
 * @levels: where states begin
 * @before: the current state
 * @free: free pages
 *
 * Context: any.
 * Return: the state, possibly the same.
 */
enum fisc_reclaim_state fisc_levels_state(const struct fisc_levels *levels,
					  enum fisc_reclaim_state before,
					  u64 free)
{
	enum fisc_reclaim_state state = before;

	while (state < FISC_RECLAIM_LOW && free < levels->below[state + 1])
		state++;
	while (state > FISC_RECLAIM_HIGH &&
	       free >= fisc_levels_leave(levels, state))
		state--;

	return state;
}

/**
 * fisc_levels_now() - compute where states begin, with the current settings
 * @levels: the result
 * @total: total memory in pages
 *
 * Context: may sleep.
 */
void fisc_levels_now(struct fisc_levels *levels, u64 total)
{
	guard(mutex)(&fisc_levels_mutex);
	fisc_levels_set(levels, total, fisc_percent,
			READ_ONCE(fisc_reclaim_sliding));
}

/**
 * fisc_levels_percent() - return the free memory at which a state begins
 * @state: the state; not the first one
 *
 * Context: any.
 * Return: a percentage.
 */
unsigned int fisc_levels_percent(enum fisc_reclaim_state state)
{
	return READ_ONCE(fisc_percent[state]);
}

/**
 * fisc_levels_set_percent() - set the free memory at which a state begins
 * @state: the state; not the first one
 * @percent: the percentage
 *
 * Context: may sleep.
 * Return: 0; -EINVAL if @percent is more than for the state before it, or less
 * than for the state after it.
 */
int fisc_levels_set_percent(enum fisc_reclaim_state state, unsigned int percent)
{
	unsigned int most = FISC_STATE_PERCENT_MAX, least = 0;

	guard(mutex)(&fisc_levels_mutex);
	if (state > FISC_RECLAIM_CLEAR)
		most = fisc_percent[state - 1];
	if (state < FISC_RECLAIM_LOW)
		least = fisc_percent[state + 1];
	if (percent < least || percent > most)
		return -EINVAL;
	WRITE_ONCE(fisc_percent[state], percent);
	fisc_policy_poke();
	fisc_reclaim_poke();

	return 0;
}

/**
 * fisc_reclaim_keep() - return the memory that is not divided among VMs
 * @total: total memory of the pool or the host, in pages
 *
 * When VMs have what they should have, this much is free, which is enough for
 * "high" from whatever state memory is in.
 *
 * Context: may sleep.
 * Return: pages.
 */
u64 fisc_reclaim_keep(u64 total)
{
	struct fisc_levels levels;

	fisc_levels_now(&levels, total);

	return fisc_levels_leave(&levels, FISC_RECLAIM_CLEAR);
}

/**
 * fisc_reclaim_set_state() - enter a state
 * @state: the state
 *
 * VMs give what they have above their targets from "soft" on, until "high".
 *
 * Context: the reclaim thread.
 */
void fisc_reclaim_set_state(enum fisc_reclaim_state state)
{
	WRITE_ONCE(fisc_reclaim_now, state);
	if (state != FISC_RECLAIM_CLEAR)
		WRITE_ONCE(fisc_reclaim_acting, state >= FISC_RECLAIM_SOFT);
}

/**
 * fisc_reclaim_stay() - note that memory has come to rest in the state "clear"
 *
 * From now on VMs give what they have above their targets, until "high".
 *
 * Context: the reclaim thread.
 */
void fisc_reclaim_stay(void)
{
	WRITE_ONCE(fisc_reclaim_acting, true);
}

/**
 * fisc_reclaim_set_wake() - set when the reclaim thread is poked
 * @frames: number of frames in use at which it is poked
 *
 * Context: the reclaim thread.
 */
void fisc_reclaim_set_wake(u64 frames)
{
	WRITE_ONCE(fisc_reclaim_wake_at, frames);
}

/**
 * fisc_reclaim_poke() - make the reclaim thread check memory now
 *
 * Context: any.
 */
void fisc_reclaim_poke(void)
{
	WRITE_ONCE(fisc_reclaim_poked, true);
	wake_up(&fisc_reclaim_wait);
}

/**
 * fisc_reclaim_is_poked() - test whether the reclaim thread was poked
 *
 * Context: the reclaim thread.
 * Return: true if it was poked since fisc_reclaim_clear_poke().
 */
bool fisc_reclaim_is_poked(void)
{
	return READ_ONCE(fisc_reclaim_poked);
}

/**
 * fisc_reclaim_clear_poke() - clear the poke, before checking memory
 *
 * Context: the reclaim thread.
 */
void fisc_reclaim_clear_poke(void)
{
	WRITE_ONCE(fisc_reclaim_poked, false);
}

/**
 * __fisc_reclaim_charge() - account for a CPU's last FISC_RECLAIM_CHARGE frames
 *
 * Context: any.
 */
void __fisc_reclaim_charge(void)
{
	this_cpu_write(fisc_reclaim_charged, 0);
	if (fisc_frames_in_use() >= READ_ONCE(fisc_reclaim_wake_at))
		fisc_reclaim_poke();
}

/*
 * Pages that are in swap, too, and that only have to be let go: nobody maps
 * them, and they are not being written. What is on the lists of pages that swap
 * backs, and is neither mapped nor shared memory that has not gone out, is in
 * the swap cache. The kernel does not say which of the pages under writeback
 * are in the swap cache, so all are taken to be.
 */
static long fisc_swap_cache_idle(void)
{
	long idle = global_node_page_state(NR_INACTIVE_ANON) +
		    global_node_page_state(NR_ACTIVE_ANON) +
		    global_node_page_state(NR_UNEVICTABLE) -
		    global_node_page_state(NR_ANON_MAPPED) -
		    global_node_page_state(NR_SHMEM);

	idle = min_t(long, idle, global_node_page_state(NR_SWAPCACHE));

	return idle - (long)global_node_page_state(NR_WRITEBACK);
}

/**
 * fisc_host_available() - return how much memory the host can provide
 *
 * What it can provide without writing to swap first. The kernel's own number,
 * si_mem_available(), lacks pages of the swap cache.
 *
 * Context: any.
 * Return: pages.
 */
u64 fisc_host_available(void)
{
	return max(si_mem_available(), 0L) + max(fisc_swap_cache_idle(), 0L);
}

/**
 * fisc_host_lacks_mib() - return how much too little memory there is
 * @pages: what is needed at once, in pages
 *
 * Context: any.
 * Return: MiB, rounded up; 0 if it is there, by the kernel's own number.
 */
u64 fisc_host_lacks_mib(u64 pages)
{
	u64 there = max(si_mem_available(), 0L);

	if (pages <= there)
		return 0;

	return DIV_ROUND_UP_ULL((pages - there) << PAGE_SHIFT, SZ_1M);
}

/* What the paging device has room for, in pages. */
static atomic_long_t fisc_swap_room_own;

/**
 * fisc_swap_room() - return how many pages that go out there is room for
 *
 * Context: any.
 * Return: their number, in the kernel's swap and on the paging device.
 */
long fisc_swap_room(void)
{
	return max(get_nr_swap_pages(), 0L) +
	       atomic_long_read(&fisc_swap_room_own);
}

/**
 * fisc_swap_room_add() - note that the paging device has more room
 * @pages: how much more; may be negative
 *
 * Context: any.
 */
void fisc_swap_room_add(long pages)
{
	atomic_long_add(pages, &fisc_swap_room_own);
}

#ifdef FISC_KUNIT
#include "tests/state-kunit.h"
#endif
