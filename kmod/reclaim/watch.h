/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_RECLAIM_WATCH_H
#define _FISC_RECLAIM_WATCH_H

#include <linux/types.h>

#include "base/state.h"

#define FISC_RECLAIM_HISTORY	32

/**
 * struct fisc_reclaim_event - the start of a state
 * @ns: time by ktime_get_boottime_ns()
 * @state: the state
 * @free: free pages of the pool
 * @host: free pages of the host
 */
struct fisc_reclaim_event {
	u64 ns;
	enum fisc_reclaim_state state;
	u64 free;
	u64 host;
};

/**
 * struct fisc_reclaim_pool - memory that determines the state
 * @total: total pages
 * @free: free pages
 * @levels: levels at which states begin
 */
struct fisc_reclaim_pool {
	u64 total;
	u64 free;
	struct fisc_levels levels;
};

/**
 * struct fisc_reclaim_history - the latest state changes
 * @nr: number of changes so far
 * @events: the latest ones; the nth is at n modulo FISC_RECLAIM_HISTORY
 */
struct fisc_reclaim_history {
	unsigned int nr;
	struct fisc_reclaim_event events[FISC_RECLAIM_HISTORY];
};

void fisc_reclaim_look(void);
u64 fisc_reclaim_lacks(enum fisc_reclaim_state state);
u64 fisc_reclaim_wanted(void);
u64 fisc_reclaim_slice(void);
void fisc_reclaim_freed(u64 pages);
void fisc_reclaim_pools(struct fisc_reclaim_pool *pool,
			struct fisc_reclaim_pool *host);
void fisc_reclaim_get_history(struct fisc_reclaim_history *history);

#endif /* _FISC_RECLAIM_WATCH_H */
