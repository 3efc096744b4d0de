/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_STATE_H
#define _FISC_STATE_H

#include <linux/types.h>

/**
 * enum fisc_reclaim_state - how short memory is
 * @FISC_RECLAIM_HIGH: there is enough; nothing is done
 * @FISC_RECLAIM_CLEAR: large pages that hold duplicates are broken, the scanner is
 *	faster, balloons grow no more
 * @FISC_RECLAIM_SOFT: balloons go to their targets; where that does not work, or
 *	not fast enough, VMs are paged
 * @FISC_RECLAIM_HARD: VMs above their targets are paged
 * @FISC_RECLAIM_LOW: and wait when they want more memory
 * @FISC_RECLAIM_STATES: number of states
 *
 * ESX's (Waldspurger, OSDI 2002, section 6.3), and "clear" as ESXi has had it since
 * version 6.
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
 * @below: pages; a state begins when there is less; nothing for the first one
 */
struct fisc_levels {
	u64 below[FISC_RECLAIM_STATES];
};

extern const char * const fisc_reclaim_names[FISC_RECLAIM_STATES];

u64 fisc_levels_scale(u64 total);
void fisc_levels_set(struct fisc_levels *levels, u64 total,
		     const unsigned int *percent, bool sliding);
u64 fisc_levels_leave(const struct fisc_levels *levels,
		      enum fisc_reclaim_state state);
enum fisc_reclaim_state fisc_levels_state(const struct fisc_levels *levels,
					  enum fisc_reclaim_state before,
					  u64 free);

#endif /* _FISC_STATE_H */
