/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_TAX_QUOTA_H
#define _FISC_TAX_QUOTA_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

struct fisc_claim;
struct fisc_region;
struct fisc_vm;

/**
 * DOC: Min, max, shares and admission control
 *
 * A VM is guaranteed its *min* and never gets more than its *max* (the size of
 * its files, unless a lower max is set). In between, its *shares* decide (DOC:
 * Idle memory tax). Guarantees must be backed: the mins of all VMs, and the
 * memory that the module needs to describe them, are *reserved* out of the
 * host's capacity. A request that would reserve more than the capacity is
 * refused and changes nothing: growing a file, raising a min, lowering the
 * capacity.
 *
 * What all VMs may have at once, their maxes and the overhead, is *promised*. A
 * VM may use all of its max at any time, and what is not in memory then must be
 * in swap. So a request that would promise more than the capacity plus the room
 * in swap is refused, too, unless overcommit is set. ESX reserves max - min in
 * swap for each VM (section 6.2 of the paper); here, memory that no min takes
 * counts as well. Swap belongs to the host: nothing prevents others from using
 * it afterwards, or a swapoff.
 *
 * What a file can have frames for is admitted before (fisc_admit()), and no
 * page beyond gets one (DOC: The frame map). What the file did not grow to is
 * given back afterwards (fisc_admit_settle()). Both happen with the inode
 * locked. Sizes here are the admitted ones.
 *
 * A *latency-sensitive* VM has all of its memory guaranteed: its min is its
 * size, whatever was chosen, and follows that. So it can be made one only if
 * that much can be reserved, and if its max is not less (DOC: Latency-sensitive
 * VMs).
 *
 * Metadata is reserved as FISC_OVERHEAD_PERMILLE of a VM's size, which is its
 * upper bound (Documentation/benchmarks.rst).
 *
 * Locks: fisc_quota_mutex protects the settings and the reservations. It nests
 * inside the inode's lock, and no lock nests inside it. Never drop a reference
 * to a VM while holding it: the last put waits for readers of the VM's sysfs
 * files, which may be waiting for the mutex.
 */

/* A number of pages: use the module's default, or the VM's own size. */
#define FISC_PAGES_FOLLOW	U64_MAX

/**
 * struct fisc_quota - how much memory a VM should have
 * @node: in the list of all quotas
 * @min: chosen min in pages, or FISC_PAGES_FOLLOW
 * @max: chosen max in pages, or FISC_PAGES_FOLLOW
 * @shares: number of shares, per MiB if @per_mib, else the total
 * @per_mib: @shares is per MiB
 * @tax_rate: in percent, or FISC_FOLLOW
 * @size: pages of all files, as admitted
 * @reserved: pages reserved: min and overhead
 * @promise: pages promised: max and overhead
 * @limit: most pages that it may have if that is less than @size, else U64_MAX
 * @sensitive: the VM is latency-sensitive (tax/sensitive.c): its min is @size
 * @sensitive_lock: serialises changes of @sensitive
 * @target: pages that the VM should have (tax/target.c)
 *
 * fisc_quota_mutex protects all but @tax_rate and @target; @limit is also read
 * without it.
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
	u64 limit;
	bool sensitive;
	struct mutex sensitive_lock;	/* outermost */
	u64 target;
};

/**
 * struct fisc_admission - what has been promised, and what was refused
 * @reserved: pages reserved for mins and metadata
 * @promised: pages that VMs may have at once
 * @missing: pages that the last refused request was short of
 * @refused: number of refusals
 */
struct fisc_admission {
	u64 reserved;
	u64 promised;
	u64 missing;
	u64 refused;
};

/* Knobs: the default tax rate in percent; 1 to promise more than there is. */
extern unsigned int fisc_tax_rate;
extern unsigned int fisc_overcommit;

int fisc_quota_begin(struct fisc_vm *vm);
void fisc_quota_end(struct fisc_vm *vm);
void fisc_quota_claim(struct fisc_vm *vm, struct fisc_claim *claim);
u64 fisc_quota_target(const struct fisc_vm *vm);
u64 fisc_quota_limit(const struct fisc_vm *vm);
bool fisc_quota_has_limits(void);
int fisc_quota_set_sensitive(struct fisc_vm *vm, bool sensitive);
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

int fisc_admit(struct fisc_region *region, u64 pages);
void fisc_admit_settle(struct fisc_region *region);

#endif /* _FISC_TAX_QUOTA_H */
