/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_RECLAIM_VMS_H
#define _FISC_RECLAIM_VMS_H

#include <linux/atomic.h>
#include <linux/types.h>

struct fisc_vm;

#define FISC_BALLOON_STUCK_MS	2000

/**
 * enum fisc_reclaim_reason - what is done about a VM
 * @FISC_REASON_NONE: nothing
 * @FISC_REASON_BALLOON: its balloon grows
 * @FISC_REASON_PAGING: it is paged
 * @FISC_REASON_BLOCKED: it is paged, and waits when it wants more
 * @FISC_NR_REASONS: number of these
 */
enum fisc_reclaim_reason {
	FISC_REASON_NONE,
	FISC_REASON_BALLOON,
	FISC_REASON_PAGING,
	FISC_REASON_BLOCKED,
	FISC_NR_REASONS,
};

/**
 * struct fisc_rate - how often something happens
 * @count: how often it had when last looked at
 * @rate: how often in a second, then
 */
struct fisc_rate {
	u64 count;
	u64 rate;
};

/**
 * struct fisc_reclaim_vm - what the thread knows of a VM
 * @excess: pages that it has above its target, when last looked at
 * @wanted: pages that its balloon is asked for, 0 if nobody serves it; set by the
 *	balloon
 * @balloon: pages in its balloon, when last looked at
 * @moved: when that was another number, in jiffies
 * @reason: what is done about it
 * @in: pages that come back from swap
 * @out: pages that go there
 * @blocked_ns: for how long faults have waited for memory
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
