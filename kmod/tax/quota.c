// SPDX-License-Identifier: GPL-2.0
/*
 * Quotas and admission control: what VMs are guaranteed and promised, and the
 * check that it can be provided. See DOC: Min, max, shares and admission
 * control in quota.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "base/poke.h"
#include "base/state.h"
#include "memory/map.h"
#include "tax/quota.h"
#include "tax/tax.h"
#include "uapi/fisc.h"
#include "vm/knob.h"
#include "vm/vm.h"

/* Upper bound of the metadata for a VM, in 1/1000 of the VM's size. */
#define FISC_OVERHEAD_PERMILLE	6

#define FISC_PAGES_PER_MIB	(SZ_1M / PAGE_SIZE)

static DEFINE_MUTEX(fisc_quota_mutex);
static LIST_HEAD(fisc_quotas);
static u64 fisc_capacity = FISC_PAGES_FOLLOW;
static unsigned int fisc_reserve_percent = FISC_RESERVE_PERCENT_DEFAULT;
static unsigned int fisc_min_percent;

unsigned int fisc_tax_rate = FISC_TAX_RATE_DEFAULT;
unsigned int fisc_overcommit;

/* Pages reserved for all VMs, and pages promised to all of them together. */
static u64 fisc_reserved;
static u64 fisc_promised;

/* VMs with a max below their size; also read without the mutex. */
static unsigned int fisc_limited;

/* Number of refusals, and the pages that the last one was short of. */
static u64 fisc_refused;
static u64 fisc_missing;

static u64 fisc_capacity_of(u64 chosen, unsigned int reserve_percent)
{
	if (chosen != FISC_PAGES_FOLLOW)
		return chosen;

	return div_u64((u64)totalram_pages() * (100 - reserve_percent), 100);
}

/* Metadata pages of a VM of @size pages. */
static u64 fisc_overhead(u64 size)
{
	return DIV_ROUND_UP_ULL(size * FISC_OVERHEAD_PERMILLE, 1000);
}

static u64 fisc_quota_max(const struct fisc_quota *quota)
{
	return min(quota->max, quota->size);
}

static u64 fisc_quota_min(const struct fisc_quota *quota,
			  unsigned int min_percent)
{
	u64 max = fisc_quota_max(quota);

	if (quota->sensitive)
		return max;
	if (quota->min != FISC_PAGES_FOLLOW)
		return min(quota->min, max);

	return div_u64(max * min_percent, 100);
}

static u64 fisc_quota_reserve(const struct fisc_quota *quota,
			      unsigned int min_percent)
{
	return fisc_quota_min(quota, min_percent) + fisc_overhead(quota->size);
}

static u64 fisc_quota_promise(const struct fisc_quota *quota)
{
	return fisc_quota_max(quota) + fisc_overhead(quota->size);
}

/* Count a refusal: @needed exceeds @there. Return: the shortage in MiB. */
static u64 fisc_refuse(u64 needed, u64 there)
{
	lockdep_assert_held(&fisc_quota_mutex);

	fisc_refused++;
	fisc_missing = needed - there;

	return DIV_ROUND_UP_ULL(fisc_missing, FISC_PAGES_PER_MIB);
}

/* Check that @reserved pages fit into @capacity; @what names the request. */
static int fisc_admit_reserved(u64 reserved, u64 capacity, const char *what)
{
	u64 missing;

	if (reserved <= capacity)
		return 0;

	missing = fisc_refuse(reserved, capacity);
	pr_warn_ratelimited("refusing %s: %llu MiB short of what all VMs are guaranteed: lower a min, or raise /sys/kernel/fisc/tax/capacity\n",
			    what, missing);

	return -ENOSPC;
}

/*
 * Check that @promised pages fit into @capacity and swap; @what names the
 * request.
 */
static int fisc_admit_promised(u64 promised, u64 capacity, const char *what)
{
	u64 there = capacity + max(fisc_swap_room(), 0L) +
		    fisc_total_sum(FISC_SWAPPED);
	u64 missing;

	if (READ_ONCE(fisc_overcommit) || promised <= there)
		return 0;

	missing = fisc_refuse(promised, there);
	pr_warn_ratelimited("refusing %s: %llu MiB of swap short of what all VMs may have at once: add swap, lower a max, or write 1 to /sys/kernel/fisc/tax/overcommit\n",
			    what, missing);

	return -ENOSPC;
}

/* Check that a new @capacity still covers what is reserved and promised. */
static int fisc_admit_capacity(u64 capacity, const char *what)
{
	int err = fisc_admit_reserved(fisc_reserved, capacity, what);

	if (err || capacity >= fisc_capacity_of(fisc_capacity, fisc_reserve_percent))
		return err;

	return fisc_admit_promised(fisc_promised, capacity, what);
}

/* Publish whether a VM has a max below its size. */
static void fisc_quota_publish(struct fisc_quota *quota)
{
	u64 limit = quota->max < quota->size ? quota->max : U64_MAX;

	lockdep_assert_held(&fisc_quota_mutex);

	WRITE_ONCE(fisc_limited, fisc_limited - (quota->limit != U64_MAX) +
				 (limit != U64_MAX));
	WRITE_ONCE(quota->limit, limit);
}

/* Return a copy to change. */
static struct fisc_quota fisc_quota_copy(const struct fisc_vm *vm)
{
	lockdep_assert_held(&fisc_quota_mutex);

	/* Fields that the mutex does not protect are not used. */
	return data_race(*vm->quota);
}

/* Check that a latency-sensitive VM may have all of its memory. */
static int fisc_admit_sensitive(const struct fisc_vm *vm,
				const struct fisc_quota *new, const char *what)
{
	if (!new->sensitive || new->max >= new->size)
		return 0;
	guard(rcu)();
	pr_warn_ratelimited("refusing %s: VM %s is latency-sensitive, and its max would be %llu MiB less than its size: raise its max\n",
			    what, fisc_vm_name(vm),
			    DIV_ROUND_UP_ULL(new->size - new->max,
					     FISC_PAGES_PER_MIB));

	return -ENOSPC;
}

/*
 * Replace a VM's quota by @new and adjust the totals, if admission allows it.
 */
static int fisc_quota_change(struct fisc_vm *vm, const struct fisc_quota *new,
			     const char *what)
{
	u64 capacity = fisc_capacity_of(fisc_capacity, fisc_reserve_percent);
	u64 needed = fisc_quota_reserve(new, fisc_min_percent);
	u64 promise = fisc_quota_promise(new);
	u64 reserved = fisc_reserved - vm->quota->reserved + needed;
	u64 promised = fisc_promised - vm->quota->promise + promise;
	int err = fisc_admit_sensitive(vm, new, what);

	lockdep_assert_held(&fisc_quota_mutex);

	/* A decrease is always admitted. */
	if (!err && needed > vm->quota->reserved)
		err = fisc_admit_reserved(reserved, capacity, what);
	if (!err && promise > vm->quota->promise)
		err = fisc_admit_promised(promised, capacity, what);
	if (err)
		return err;
	fisc_reserved = reserved;
	fisc_promised = promised;
	vm->quota->min = new->min;
	vm->quota->max = new->max;
	vm->quota->size = new->size;
	vm->quota->reserved = needed;
	vm->quota->promise = promise;
	vm->quota->sensitive = new->sensitive;
	fisc_quota_publish(vm->quota);
	fisc_policy_poke();

	return 0;
}

/* The inode is locked, or has no other user. */
static int fisc_admit_pages(struct fisc_region *region, u64 pages)
{
	struct fisc_vm *vm = region->vm;
	struct fisc_quota new;
	int err;

	guard(mutex)(&fisc_quota_mutex);

	if (pages == region->admitted)
		return 0;
	new = fisc_quota_copy(vm);
	new.size += pages - region->admitted;
	err = fisc_quota_change(vm, &new, "a larger file");
	if (!err)
		region->admitted = pages;

	return err;
}

/**
 * fisc_admit() - admit pages of a file and reserve memory for them
 * @region: the file
 * @pages: how many pages are about to be able to have frames
 *
 * Does nothing if that is within what is admitted already.
 *
 * Context: may sleep; the inode locked.
 * Return: 0; -ENOSPC if the VM's min and overhead would not fit into the
 * capacity, or its max and overhead not into capacity and swap. The log and
 * sysfs say how much is missing.
 */
int fisc_admit(struct fisc_region *region, u64 pages)
{
	return pages > region->admitted ? fisc_admit_pages(region, pages) : 0;
}

/**
 * fisc_admit_settle() - reduce what a file is admitted to its actual end
 * @region: the file, which ends no later than what was admitted
 *
 * Context: may sleep; the inode locked, or the file going away.
 */
void fisc_admit_settle(struct fisc_region *region)
{
	u64 pages = fisc_region_end(region);

	fisc_admit_pages(region, pages);
	/* Targets computed since the file was admitted used the old size. */
	if (pages != region->settled) {
		region->settled = pages;
		fisc_policy_poke();
	}
}

/**
 * fisc_quota_begin() - give a new VM its quota
 * @vm: the VM
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_quota_begin(struct fisc_vm *vm)
{
	struct fisc_quota *quota = kzalloc(sizeof(*quota), GFP_KERNEL);

	if (!quota)
		return -ENOMEM;

	quota->min = FISC_PAGES_FOLLOW;
	quota->max = FISC_PAGES_FOLLOW;
	quota->shares = FISC_SHARES_NORMAL;
	quota->per_mib = true;
	quota->tax_rate = FISC_FOLLOW;
	quota->limit = U64_MAX;
	mutex_init(&quota->sensitive_lock);
	vm->quota = quota;

	guard(mutex)(&fisc_quota_mutex);
	list_add(&quota->node, &fisc_quotas);

	return 0;
}

/**
 * fisc_quota_end() - undo fisc_quota_begin()
 * @vm: the VM, which has no files left
 *
 * Context: may sleep.
 */
void fisc_quota_end(struct fisc_vm *vm)
{
	scoped_guard(mutex, &fisc_quota_mutex) {
		list_del(&vm->quota->node);
		vm->quota->max = FISC_PAGES_FOLLOW;
		fisc_quota_publish(vm->quota);
	}
	kfree(vm->quota);
}

static u64 fisc_shares_of(const struct fisc_quota *quota)
{
	if (!quota->per_mib)
		return quota->shares;

	return max(div_u64(quota->size * quota->shares, FISC_PAGES_PER_MIB), 1);
}

/**
 * fisc_quota_claim() - return a VM's claim to memory, except its activity
 * @vm: the VM
 * @claim: the result; @claim->active and @claim->target are not set
 *
 * Context: may sleep.
 */
void fisc_quota_claim(struct fisc_vm *vm, struct fisc_claim *claim)
{
	guard(mutex)(&fisc_quota_mutex);

	claim->shares = fisc_shares_of(vm->quota);
	claim->max = fisc_quota_max(vm->quota);
	claim->min = fisc_quota_min(vm->quota, fisc_min_percent);
	claim->tax_rate = fisc_knob_value(&vm->quota->tax_rate, &fisc_tax_rate);
}

/**
 * fisc_quota_target() - return how much memory a VM should have
 * @vm: the VM
 *
 * Context: any.
 * Return: the target in pages.
 */
u64 fisc_quota_target(const struct fisc_vm *vm)
{
	return READ_ONCE(vm->quota->target);
}

/**
 * fisc_quota_limit() - return the most memory that a VM may have
 * @vm: the VM
 *
 * Context: any.
 * Return: its max in pages; U64_MAX if that is not below its size.
 */
u64 fisc_quota_limit(const struct fisc_vm *vm)
{
	return READ_ONCE(vm->quota->limit);
}

/**
 * fisc_quota_has_limits() - test whether any VM has a max below its size
 *
 * Context: any.
 * Return: true if one has.
 */
bool fisc_quota_has_limits(void)
{
	return READ_ONCE(fisc_limited);
}

/**
 * fisc_quota_set_min() - set the memory that a VM is guaranteed
 * @vm: the VM
 * @pages: the min in pages, or FISC_PAGES_FOLLOW
 *
 * Context: may sleep.
 * Return: 0; -EINVAL if @pages exceeds the VM's max; -EBUSY if the VM is
 * latency-sensitive; -ENOSPC if not admitted.
 */
int fisc_quota_set_min(struct fisc_vm *vm, u64 pages)
{
	struct fisc_quota new;

	guard(mutex)(&fisc_quota_mutex);
	if (pages != FISC_PAGES_FOLLOW && pages > fisc_quota_max(vm->quota))
		return -EINVAL;
	if (vm->quota->sensitive)
		return -EBUSY;
	new = fisc_quota_copy(vm);
	new.min = pages;

	return fisc_quota_change(vm, &new, "a higher min");
}

/**
 * fisc_quota_set_max() - set the most memory that a VM may have
 * @vm: the VM
 * @pages: the max in pages, or FISC_PAGES_FOLLOW
 *
 * Context: may sleep.
 * Return: 0; -EINVAL if @pages is below the chosen min; -EBUSY if it is below
 * the size of a VM that is latency-sensitive; -ENOSPC if not admitted.
 */
int fisc_quota_set_max(struct fisc_vm *vm, u64 pages)
{
	struct fisc_quota new;

	guard(mutex)(&fisc_quota_mutex);
	new = fisc_quota_copy(vm);
	new.max = pages;
	if (new.min != FISC_PAGES_FOLLOW && new.max < new.min)
		return -EINVAL;
	if (new.sensitive && new.max < new.size)
		return -EBUSY;

	return fisc_quota_change(vm, &new, "a higher max");
}

/**
 * fisc_quota_set_sensitive() - guarantee a VM all of its memory, or not
 * @vm: the VM
 * @sensitive: its min is its size; else what was chosen
 *
 * Context: may sleep.
 * Return: 0; -EINVAL if its max is below its size; -ENOSPC if not admitted.
 */
int fisc_quota_set_sensitive(struct fisc_vm *vm, bool sensitive)
{
	struct fisc_quota new;

	guard(mutex)(&fisc_quota_mutex);
	if (sensitive && vm->quota->max < vm->quota->size)
		return -EINVAL;
	new = fisc_quota_copy(vm);
	new.sensitive = sensitive;

	return fisc_quota_change(vm, &new, "a latency-sensitive VM");
}

/**
 * fisc_quota_shares() - return a VM's shares
 * @vm: the VM
 * @per_mib: set to true if the number is per MiB, false if it is the total
 *
 * Context: may sleep.
 * Return: the number of shares.
 */
unsigned int fisc_quota_shares(struct fisc_vm *vm, bool *per_mib)
{
	guard(mutex)(&fisc_quota_mutex);
	*per_mib = vm->quota->per_mib;

	return vm->quota->shares;
}

/**
 * fisc_quota_set_shares() - set a VM's shares
 * @vm: the VM
 * @shares: the number, at least 1
 * @per_mib: @shares is per MiB, not the total
 *
 * Context: may sleep.
 */
void fisc_quota_set_shares(struct fisc_vm *vm, unsigned int shares, bool per_mib)
{
	guard(mutex)(&fisc_quota_mutex);
	vm->quota->shares = shares;
	vm->quota->per_mib = per_mib;
	fisc_policy_poke();
}

/**
 * fisc_quota_capacity() - return the memory that VMs may use, with metadata
 *
 * Context: any.
 * Return: the capacity in pages.
 */
u64 fisc_quota_capacity(void)
{
	return fisc_capacity_of(READ_ONCE(fisc_capacity),
				READ_ONCE(fisc_reserve_percent));
}

/* Set what the capacity is derived from, if the result is large enough. */
static int fisc_quota_set_pool(u64 capacity, unsigned int reserve_percent,
			       const char *what)
{
	int err = fisc_admit_capacity(fisc_capacity_of(capacity, reserve_percent),
				      what);

	if (err)
		return err;
	WRITE_ONCE(fisc_capacity, capacity);
	WRITE_ONCE(fisc_reserve_percent, reserve_percent);
	fisc_policy_poke();

	return 0;
}

/**
 * fisc_quota_set_capacity() - set the memory that VMs may use
 * @pages: the capacity in pages, or FISC_PAGES_FOLLOW for all but the reserve
 *
 * Context: may sleep.
 * Return: 0, or -ENOSPC if that does not cover what has been reserved and
 * promised.
 */
int fisc_quota_set_capacity(u64 pages)
{
	guard(mutex)(&fisc_quota_mutex);

	return fisc_quota_set_pool(pages, fisc_reserve_percent,
				   "a lower capacity");
}

/**
 * fisc_quota_reserve_percent() - return the part of the host VMs do not get
 *
 * Context: any.
 * Return: the part in percent.
 */
unsigned int fisc_quota_reserve_percent(void)
{
	return READ_ONCE(fisc_reserve_percent);
}

/**
 * fisc_quota_set_reserve_percent() - set the part of the host VMs do not get
 * @percent: the part in percent
 *
 * Context: may sleep.
 * Return: 0, or -ENOSPC if the rest does not cover what has been reserved and
 * promised.
 */
int fisc_quota_set_reserve_percent(unsigned int percent)
{
	guard(mutex)(&fisc_quota_mutex);

	return fisc_quota_set_pool(fisc_capacity, percent, "a larger reserve");
}

/* Pages reserved if every VM without a min of its own had @min_percent. */
static u64 fisc_reserved_at(unsigned int min_percent)
{
	struct fisc_quota *quota;
	u64 sum = 0;

	list_for_each_entry(quota, &fisc_quotas, node)
		sum += fisc_quota_reserve(quota, min_percent);

	return sum;
}

/**
 * fisc_quota_min_percent() - return the min of VMs without one of their own
 *
 * Context: any.
 * Return: the min in percent of a VM's max.
 */
unsigned int fisc_quota_min_percent(void)
{
	return READ_ONCE(fisc_min_percent);
}

/**
 * fisc_quota_set_min_percent() - set the min of VMs without one of their own
 * @percent: the min in percent of a VM's max
 *
 * Context: may sleep.
 * Return: 0, or -ENOSPC if the capacity does not cover that.
 */
int fisc_quota_set_min_percent(unsigned int percent)
{
	struct fisc_quota *quota;
	u64 reserved;
	int err;

	guard(mutex)(&fisc_quota_mutex);
	reserved = fisc_reserved_at(percent);
	if (percent > fisc_min_percent) {
		err = fisc_admit_reserved(reserved,
					  fisc_capacity_of(fisc_capacity,
							   fisc_reserve_percent),
					  "a higher min_percent");
		if (err)
			return err;
	}
	WRITE_ONCE(fisc_min_percent, percent);
	fisc_reserved = reserved;
	list_for_each_entry(quota, &fisc_quotas, node)
		quota->reserved = fisc_quota_reserve(quota, percent);
	fisc_policy_poke();

	return 0;
}

/**
 * fisc_quota_admission() - return what has been promised, and what was refused
 * @admission: the result
 *
 * Context: may sleep.
 */
void fisc_quota_admission(struct fisc_admission *admission)
{
	guard(mutex)(&fisc_quota_mutex);
	admission->reserved = fisc_reserved;
	admission->promised = fisc_promised;
	admission->missing = fisc_missing;
	admission->refused = fisc_refused;
}
