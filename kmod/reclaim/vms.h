/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_RECLAIM_VMS_H
#define _FISC_RECLAIM_VMS_H

#include <linux/atomic.h>
#include <linux/types.h>

struct fisc_vm;

/* A balloon that should grow and has not moved for this long is stuck. */
#define FISC_BALLOON_STUCK_MS	2000

/**
 * enum fisc_reclaim_reason - what is being done about a VM
 * @FISC_REASON_NONE: nothing
 * @FISC_REASON_BALLOON: its balloon grows
 * @FISC_REASON_PAGING: it is paged
 * @FISC_REASON_BLOCKED: it is paged, and has to wait for more memory
 * @FISC_NR_REASONS: number of reasons
 */
enum fisc_reclaim_reason {
	FISC_REASON_NONE,
	FISC_REASON_BALLOON,
	FISC_REASON_PAGING,
	FISC_REASON_BLOCKED,
	FISC_NR_REASONS,
};

/**
 * struct fisc_rate - rate of an event
 * @count: total at the last update
 * @rate: events per second at the last update
 */
struct fisc_rate {
	u64 count;
	u64 rate;
};

/**
 * struct fisc_reclaim_vm - reclaim's knowledge of a VM
 * @excess: pages above its target, at the last turn
 * @wanted: pages requested of its balloon, 0 if no device serves it; set by the
 *	balloon
 * @balloon: pages in its balloon, at the last turn
 * @moved: when @balloon last changed, in jiffies
 * @reason: what is being done about the VM
 * @in: pages coming back from swap
 * @out: pages going to swap
 * @blocked_ns: total time that faults have waited for memory, in ns
 */
struct fisc_reclaim_vm {
	u64 excess;
	u64 wanted;
	u64 balloon;
	unsigned long moved;
	enum fisc_reclaim_reason reason;
	struct fisc_rate in;
	struct fisc_rate out;
	atomic64_t blocked_ns;
};

int fisc_reclaim_begin_vm(struct fisc_vm *vm);
void fisc_reclaim_end_vm(struct fisc_vm *vm);
void fisc_reclaim_want_balloon(struct fisc_vm *vm, u64 pages);
bool fisc_reclaim_balloon_works(struct fisc_vm *vm);
void fisc_reclaim_rates(void);

#endif /* _FISC_RECLAIM_VMS_H */
