/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_RECLAIM_RECLAIM_H
#define _FISC_RECLAIM_RECLAIM_H

#include <linux/atomic.h>
#include <linux/mm_types.h>
#include <linux/types.h>

#include "base/state.h"

/**
 * DOC: Reclaim
 *
 * One thread watches free memory, of the pool that VMs share and of the host, and
 * does what the *state* asks for (enum fisc_reclaim_state). The state is that of
 * whichever is scarcer. Free of the pool is the capacity less all frames and the
 * module's own memory; free of the host is what the kernel could give without
 * swapping, and what it has in swap already. States begin when less than so many
 * percent are free, and end when there is a bit more (fisc_levels_leave()), so that
 * they do not flicker.
 *
 * Whose memory goes is decided by the tax: VMs give what they have above their
 * targets (DOC: Targets), in proportion. When a state begins, targets are computed
 * anew.
 *
 * - From *clear* on, balloons that are too small do not grow, large frames with a
 *   duplicate are broken and the scanner is faster (fisc_share_under_pressure()),
 *   and new memory comes in small frames.
 * - From *soft* on, balloons follow the targets. A VM whose balloon is missing, has
 *   reached what it can, or has not moved for FISC_BALLOON_STUCK_MS although it
 *   should, is paged.
 * - From *hard* on, every VM above its target is paged (DOC: Host paging).
 * - In *low*, faults that would take memory for a VM above its target wait until
 *   the state ends, or the VM is within its target, or a signal kills the process.
 *   They wait without the lock of the address space, so that the VMM can go on with
 *   all else. Nobody waits while there is nothing to hope for, as there is no swap
 *   and no balloon that grows.
 *
 * What targets divide leaves so much free that the state is "clear": VMs that have
 * what they should have are left in peace.
 *
 * The thread looks ten times a second, and as soon as so much has been allocated
 * since it looked that a state may have begun (fisc_reclaim_charge()).
 *
 * *The rest of the host* asks through a shrinker and, when nothing else helps, an OOM
 * notifier. Both only tell the thread how much is wanted, the latter waits for a
 * moment to see whether it comes: neither takes a lock or allocates, so they can be
 * called from any allocation that may reclaim. VMs give what they have above their
 * targets, and these fall with the memory that the host has left.
 */

#define FISC_RECLAIM_HISTORY	32

/**
 * struct fisc_reclaim_event - a state has begun
 * @ns: when, by ktime_get_boottime_ns()
 * @state: the state
 * @free: pages of the pool that were free
 * @host: pages of the host that were free
 */
struct fisc_reclaim_event {
	u64 ns;
	enum fisc_reclaim_state state;
	u64 free;
	u64 host;
};

/**
 * struct fisc_reclaim_pool - memory that states depend on
 * @total: pages in all
 * @free: of them
 * @levels: where states begin
 */
struct fisc_reclaim_pool {
	u64 total;
	u64 free;
	struct fisc_levels levels;
};

/**
 * struct fisc_reclaim_history - the latest changes of state
 * @nr: how many there have been
 * @events: the last of them, the nth at n modulo FISC_RECLAIM_HISTORY
 */
struct fisc_reclaim_history {
	unsigned int nr;
	struct fisc_reclaim_event events[FISC_RECLAIM_HISTORY];
};

extern unsigned int fisc_reclaim_paging;
extern unsigned int fisc_reclaim_cold_ms;

void fisc_reclaim_pools(struct fisc_reclaim_pool *pool,
			struct fisc_reclaim_pool *host);
void fisc_reclaim_get_history(struct fisc_reclaim_history *history);
u64 fisc_reclaim_excess(void);
int fisc_reclaim_init(void);
void fisc_reclaim_exit(void);

#endif /* _FISC_RECLAIM_RECLAIM_H */
