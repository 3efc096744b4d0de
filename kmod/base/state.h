/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BASE_STATE_H
#define _FISC_BASE_STATE_H

#include <linux/percpu.h>
#include <linux/types.h>
#include <linux/wait.h>

/**
 * DOC: States of memory
 *
 * How scarce memory is, and where each state begins. The reclaim thread sets
 * the state (DOC: Reclaim). Every part of the module may read it, charge the
 * frames it allocates, and poke the thread. What a state means for VMs is
 * decided elsewhere.
 *
 * "High" is the state that VMs live in. The others cost them something, so they
 * are passed through: what is not divided among VMs (fisc_reclaim_keep()) is
 * enough for "high", and once memory was short, VMs give back what they have
 * above their targets until that state is reached (fisc_reclaim_acts()). The
 * gap between "soft", in which this begins, and "high", in which it ends, keeps
 * it from beginning anew with every page. A host that comes to rest in "clear"
 * is not left there either.
 */

/**
 * enum fisc_reclaim_state - how scarce memory is
 * @FISC_RECLAIM_HIGH: there is enough; nothing is done
 * @FISC_RECLAIM_CLEAR: large pages that hold duplicates are broken, the scanner
 *	runs faster; what "soft" began goes on
 * @FISC_RECLAIM_SOFT: balloons follow their targets; where that does not work,
 *	or is too slow, VMs are paged
 * @FISC_RECLAIM_HARD: VMs above their targets are paged
 * @FISC_RECLAIM_LOW: as before, and these VMs wait when they want more memory
 * @FISC_RECLAIM_STATES: number of states
 *
 * The states are those of ESX (Waldspurger, OSDI 2002, section 6.3), and
 * "clear" as in ESXi since version 6.
 */
enum fisc_reclaim_state {
	FISC_RECLAIM_HIGH,
	FISC_RECLAIM_CLEAR,
	FISC_RECLAIM_SOFT,
	FISC_RECLAIM_HARD,
	FISC_RECLAIM_LOW,
	FISC_RECLAIM_STATES,
};

/**
 * struct fisc_levels - free memory at which states begin
 * @below: for each state, in pages: it begins when less is free; U64_MAX for
 *	the first one
 */
struct fisc_levels {
	u64 below[FISC_RECLAIM_STATES];
};

extern const char * const fisc_reclaim_names[FISC_RECLAIM_STATES];
extern unsigned int fisc_reclaim_sliding;

/* The reclaim thread sleeps here. */
extern wait_queue_head_t fisc_reclaim_wait;

/* levels: arithmetic */
u64 fisc_levels_scale(u64 total);
void fisc_levels_set(struct fisc_levels *levels, u64 total,
		     const unsigned int *percent, bool sliding);
u64 fisc_levels_leave(const struct fisc_levels *levels,
		      enum fisc_reclaim_state state);
enum fisc_reclaim_state fisc_levels_state(const struct fisc_levels *levels,
					  enum fisc_reclaim_state before,
					  u64 free);

/* levels as they are set */
void fisc_levels_now(struct fisc_levels *levels, u64 total);
unsigned int fisc_levels_percent(enum fisc_reclaim_state state);
int fisc_levels_set_percent(enum fisc_reclaim_state state, unsigned int percent);
u64 fisc_reclaim_keep(u64 total);

/* the state */
extern enum fisc_reclaim_state fisc_reclaim_now;

/**
 * fisc_reclaim_state() - return how scarce memory is
 *
 * Context: any.
 * Return: the state.
 */
static inline enum fisc_reclaim_state fisc_reclaim_state(void)
{
	return READ_ONCE(fisc_reclaim_now);
}

extern bool fisc_reclaim_acting;

/**
 * fisc_reclaim_acts() - test whether VMs give what is above their targets
 *
 * Context: any.
 * Return: true if they do.
 */
static inline bool fisc_reclaim_acts(void)
{
	return READ_ONCE(fisc_reclaim_acting);
}

void fisc_reclaim_set_state(enum fisc_reclaim_state state);
void fisc_reclaim_stay(void);
void fisc_reclaim_set_wake(u64 frames);
void fisc_reclaim_poke(void);
bool fisc_reclaim_is_poked(void);
void fisc_reclaim_clear_poke(void);
void __fisc_reclaim_charge(void);
u64 fisc_host_available(void);
u64 fisc_host_lacks_mib(u64 pages);
long fisc_swap_room(void);
void fisc_swap_room_add(long pages);

/*
 * How long those wait at most who are not of the VMM, in jiffies: nobody can
 * kill a kernel thread, and others are not to pay for this VM.
 */
#define FISC_WAIT_OTHERS	(HZ / 10)

DECLARE_PER_CPU(unsigned int, fisc_reclaim_charged);

/* Frames that a CPU allocates between two checks of what is in use. */
#define FISC_RECLAIM_CHARGE	128

/**
 * fisc_reclaim_charge() - account for newly allocated frames
 * @nr: their number
 *
 * Context: any.
 */
static inline void fisc_reclaim_charge(unsigned int nr)
{
	if (unlikely(this_cpu_add_return(fisc_reclaim_charged, nr) >=
		     FISC_RECLAIM_CHARGE))
		__fisc_reclaim_charge();
}

#endif /* _FISC_BASE_STATE_H */
