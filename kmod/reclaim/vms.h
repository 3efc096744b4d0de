/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_RECLAIM_VMS_H
#define _FISC_RECLAIM_VMS_H

#include <linux/atomic.h>
#include <linux/types.h>

struct fisc_armed_queue;
struct fisc_vm;

/**
 * DOC: Progress
 *
 * Whether it is any use to wait for a VM, or to leave it to its balloon, is
 * judged by what it gives in comparison with what is wanted of it (struct
 * fisc_progress), VM by VM. A period of grace begins when more than twice as
 * much is wanted as it last failed to give. After that, in each period, at
 * least one part in FISC_PROGRESS_PARTS of what was wanted must have gone, or
 * the VM has failed. Only what exceeds the most it ever had given counts, so a
 * balloon that grows and shrinks by turns makes no progress. A failure is
 * forgotten with the next success, and when the shortage ends.
 *
 * - *A balloon* must give what its VM has above its target. Otherwise the VM is
 *   paged in "soft" as well. Its grace begins when there is something to give
 *   and the balloon may grow, which is before it is told: paging never comes
 *   first. It begins anew if the balloon may become more than twice as large as
 *   then, but not with every page, nor when the VMM opens the device again. A
 *   balloon that may not grow by one part in FISC_PROGRESS_PARTS of what is
 *   wanted does not give it.
 * - *A VM that waits* in "low" must give what is missing for the state to end,
 *   or all it has above its target if that is less, to its balloon or to swap.
 *   If it does not, as its excess is pages that are shared or pinned, or as
 *   swap refuses them, it is *helpless*: waiting does not help, so it does not
 *   wait. The period leaves time for pages in use to be taken, which happens
 *   after cold_ms. Without room in swap, a VM is helpless as soon as its
 *   balloon has failed.
 */

/* A balloon's period, in ms. That of a VM that waits is cold_ms longer. */
#define FISC_PROGRESS_MS	2000

/* In a minute, a balloon has given everything. */
#define FISC_PROGRESS_PARTS	30

/**
 * struct fisc_progress - how a VM gives what is wanted of it
 * @wanted: pages wanted when the current period began; 0 if nothing is wanted
 * @failed: most pages that were wanted in vain since the last success
 * @gave: most pages that had been given when the period began
 * @since: when it began, in jiffies
 * @enough: enough was given in the period before, or this one is of grace
 */
struct fisc_progress {
	u64 wanted;
	u64 failed;
	u64 gave;
	unsigned long since;
	bool enough;
};

/**
 * struct fisc_reclaim_need - what the current state asks of VMs
 * @acts: VMs give what they have above their targets, not only above their
 *	maxes
 * @paging: pages can go to swap
 * @blocking: VMs may have to wait
 * @lack: pages that are missing for the state "low" to end; 0 in other states
 * @wait_ms: how long a VM that waits has to give something, in ms
 */
struct fisc_reclaim_need {
	bool acts;
	bool paging;
	bool blocking;
	u64 lack;
	unsigned int wait_ms;
};

/**
 * enum fisc_reclaim_reason - what is being done about a VM
 * @FISC_REASON_NONE: nothing
 * @FISC_REASON_BALLOON: its balloon grows
 * @FISC_REASON_PAGING: it is paged
 * @FISC_REASON_BLOCKED: as the two before, and it has to wait for more memory
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
 * @excess: pages above its target, or only above its max while memory is not
 *	short, at the last turn, less what has been paged out since
 * @over: pages above its max, likewise
 * @least: its lowest excess while it waits
 * @balloon_may: most pages that may be requested of its balloon, 0 if no device
 *	serves it; set by the balloon
 * @balloon_might: the same when its grace last began; 0 if memory is not short
 * @balloon: how its balloon grows
 * @wait: what it gives while it waits
 * @helpless: waiting does not get it memory
 * @reason: what is being done about the VM
 * @in: pages coming back from swap
 * @out: pages going to swap
 * @armed: its armed chunks (reclaim/armed.h), or NULL
 * @pager: its pager in this turn, on a host with several nodes
 * @paged: when it was last paged, in jiffies
 * @cold: when it last had cold pages, in jiffies
 * @in_vain: private pages looked at since, in chunks without cold pages
 * @blocked_ns: total time that faults have waited for memory, in ns
 */
struct fisc_reclaim_vm {
	u64 excess;
	u64 over;
	u64 least;
	u64 balloon_may;
	u64 balloon_might;
	struct fisc_progress balloon;
	struct fisc_progress wait;
	bool helpless;
	enum fisc_reclaim_reason reason;
	struct fisc_rate in;
	struct fisc_rate out;
	struct fisc_armed_queue *armed;
	struct fisc_pager *pager;
	unsigned long paged;
	unsigned long cold;
	u64 in_vain;
	atomic64_t blocked_ns;
};

int fisc_reclaim_begin_vm(struct fisc_vm *vm);
void fisc_reclaim_end_vm(struct fisc_vm *vm);
void fisc_reclaim_let_balloon(struct fisc_vm *vm, u64 pages);
bool fisc_reclaim_weigh_vm(struct fisc_vm *vm,
			   const struct fisc_reclaim_need *need);
void fisc_reclaim_rates(void);

#endif /* _FISC_RECLAIM_VMS_H */
