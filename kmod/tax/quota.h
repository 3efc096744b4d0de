/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_TAX_QUOTA_H
#define _FISC_TAX_QUOTA_H

#include <linux/list.h>
#include <linux/types.h>

struct fisc_claim;
struct fisc_region;
struct fisc_vm;

/**
 * DOC: Min, max, shares and admission control
 *
 * A VM is guaranteed its *min*, gets no more than its *max* (the size of its files
 * unless less is chosen), and in between as much as its *shares* say (DOC: Idle
 * memory tax). What is guaranteed has to be there: the mins of all VMs, and what
 * the module needs itself to describe their memory, are *reserved* of the
 * capacity of the host. Whatever would reserve more is refused, and nothing has
 * changed then: making a file larger, raising a min, lowering the capacity.
 *
 * What VMs may have at once, their maxes and the overhead, is *promised*. A VM may use
 * all of that any time, and what is not in memory then has to be in swap: what would
 * promise more than the capacity and the room in swap is refused, too, unless
 * overcommit is set. ESX reserves max - min in swap for each VM (section 6.2 of the
 * paper); here, memory that no min takes serves as well. Swap is the host's: what
 * others take of it afterwards, or swapoff, is not prevented.
 *
 * What a file may grow to is admitted before it grows (fisc_admit()), and what it
 * has not grown to is given back afterwards (fisc_admit_settle()), both with the
 * inode locked. Sizes here are the admitted ones.
 *
 * Metadata is reserved as FISC_OVERHEAD_PERMILLE of a VM's size, which is what
 * it comes to at most (Documentation/benchmarks.rst).
 *
 * Locks: fisc_quota_mutex protects what is chosen and what is reserved. It is
 * taken within the inode's lock, and nothing within it. No VM is let go of while
 * it is held: the last to do so waits for readers of the VM's sysfs files, who
 * may wait for the mutex.
 */

/* In pages: as many as the module's default says, or as the VM has. */
#define FISC_PAGES_FOLLOW	U64_MAX

/**
 * struct fisc_quota - what a VM is to have
 * @node: in the list of all VMs'
 * @min: chosen min in pages, or FISC_PAGES_FOLLOW
 * @max: chosen max in pages, or FISC_PAGES_FOLLOW
 * @shares: shares for each MiB if @per_mib, or in all
 * @per_mib: see there
 * @tax_rate: in percent, or FISC_FOLLOW
 * @size: pages of all files, as admitted
 * @reserved: pages reserved: min and overhead
 * @promise: pages promised: max and overhead
 * @target: pages it should have (tax/target.c)
 *
 * All but @tax_rate and @target under fisc_quota_mutex.
 */
struct fisc_quota {
	struct list_head node;
	u64 min;
	u64 max;
	unsigned int shares;
	bool per_mib;
	unsigned int tax_rate;
	u64 size;
	u64 reserved;
	u64 promise;
	u64 target;
};

/**
 * struct fisc_admission - what has been promised, and what could not be
 * @reserved: pages reserved for mins and metadata
 * @promised: pages that VMs may have at once
 * @missing: pages that the last refusal lacked
 * @refused: number of refusals
 */
struct fisc_admission {
	u64 reserved;
	u64 promised;
	u64 missing;
	u64 refused;
};

extern unsigned int fisc_tax_rate;
extern unsigned int fisc_overcommit;

int fisc_quota_begin(struct fisc_vm *vm);
void fisc_quota_end(struct fisc_vm *vm);
void fisc_quota_claim(struct fisc_vm *vm, struct fisc_claim *claim);
u64 fisc_quota_target(const struct fisc_vm *vm);
int fisc_quota_set_min(struct fisc_vm *vm, u64 pages);
int fisc_quota_set_max(struct fisc_vm *vm, u64 pages);
unsigned int fisc_quota_shares(struct fisc_vm *vm, bool *per_mib);
void fisc_quota_set_shares(struct fisc_vm *vm, unsigned int shares, bool per_mib);

u64 fisc_quota_capacity(void);
int fisc_quota_set_capacity(u64 pages);
unsigned int fisc_quota_reserve_percent(void);
int fisc_quota_set_reserve_percent(unsigned int percent);
unsigned int fisc_quota_min_percent(void);
int fisc_quota_set_min_percent(unsigned int percent);
void fisc_quota_admission(struct fisc_admission *admission);

int fisc_admit(struct fisc_region *region, loff_t size);
void fisc_admit_settle(struct fisc_region *region, loff_t size);

#endif /* _FISC_TAX_QUOTA_H */
