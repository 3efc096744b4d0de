/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_RECLAIM_H
#define _FISC_RECLAIM_H

#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sysfs.h>

#include "state.h"

struct dentry;
struct fisc_vm;
struct kobject;

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
 * @balloon: pages in its balloon then
 * @moved: when that was another number, in jiffies
 * @reason: what is done about it
 * @in: pages that come back from swap
 * @out: pages that go there
 * @blocked_ns: for how long faults have waited for memory
 */
struct fisc_reclaim_vm {
	u64 excess;
	u64 balloon;
	unsigned long moved;
	enum fisc_reclaim_reason reason;
	struct fisc_rate in;
	struct fisc_rate out;
	atomic64_t blocked_ns;
};

DECLARE_PER_CPU(unsigned int, fisc_reclaim_charged);
extern const struct attribute_group fisc_reclaim_vm_group;

enum fisc_reclaim_state fisc_reclaim_state(void);
u64 fisc_reclaim_keep(u64 total);
void __fisc_reclaim_charge(void);
bool fisc_reclaim_blocks(const struct fisc_vm *vm);
vm_fault_t fisc_reclaim_block_fault(struct fisc_vm *vm, struct vm_fault *vmf);
int fisc_reclaim_block(struct fisc_vm *vm);
void fisc_reclaim_pause(struct fisc_vm *vm);
int fisc_reclaim_init(struct kobject *parent, struct dentry *debugfs);
void fisc_reclaim_exit(void);

/* vms.c */
void fisc_reclaim_rates(void);
void fisc_reclaim_vms_init(struct dentry *debugfs);

/* Frames that are allocated between two looks of a CPU at what is free. */
#define FISC_RECLAIM_CHARGE	128

/**
 * fisc_reclaim_charge() - frames have been allocated
 * @nr: how many
 *
 * Context: any.
 */
static inline void fisc_reclaim_charge(unsigned int nr)
{
	if (unlikely(this_cpu_add_return(fisc_reclaim_charged, nr) >=
		     FISC_RECLAIM_CHARGE))
		__fisc_reclaim_charge();
}

#endif /* _FISC_RECLAIM_H */
