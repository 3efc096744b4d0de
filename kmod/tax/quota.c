// SPDX-License-Identifier: GPL-2.0
/*
 * What VMs are promised, and that it can be kept. See DOC: Min, max, shares and
 * admission control in quota.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/mm.h>
#include <linux/mutex.h>

#include "../../uapi/fisc.h"
#include "../knob.h"
#include "../policy.h"
#include "../reclaim/backing.h"
#include "../vm.h"
#include "quota.h"
#include "tax.h"

/* 1/1000 of a VM's size that the module takes to describe it, at most. */
#define FISC_OVERHEAD_PERMILLE	6

#define FISC_PAGES_PER_MIB	(SZ_1M / PAGE_SIZE)

static DEFINE_MUTEX(fisc_quota_mutex);
static LIST_HEAD(fisc_quotas);
static u64 fisc_capacity = FISC_PAGES_FOLLOW;
static unsigned int fisc_reserve_percent = FISC_RESERVE_PERCENT_DEFAULT;
static unsigned int fisc_min_percent;
static unsigned int fisc_tax_rate = FISC_TAX_RATE_DEFAULT;
static unsigned int fisc_overcommit;

/* Pages reserved for all VMs, and those that they may have at once. */
static u64 fisc_reserved;
static u64 fisc_promised;

/* Refusals, and what the last one lacked. */
static u64 fisc_refused;
static u64 fisc_missing;

static u64 fisc_capacity_of(u64 chosen, unsigned int reserve_percent)
{
	if (chosen != FISC_PAGES_FOLLOW)
		return chosen;

	return div_u64((u64)totalram_pages() * (100 - reserve_percent), 100);
}

/* What a VM of @size pages takes to be described. */
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

/* @needed pages do not fit into @there. Return: what is missing, in MiB. */
static u64 fisc_refuse(u64 needed, u64 there)
{
	lockdep_assert_held(&fisc_quota_mutex);

	fisc_refused++;
	fisc_missing = needed - there;

	return DIV_ROUND_UP_ULL(fisc_missing, FISC_PAGES_PER_MIB);
}

/* Can @reserved pages be reserved of @capacity? @what for? */
static int fisc_admit_reserved(u64 reserved, u64 capacity, const char *what)
{
	u64 missing;

	if (reserved <= capacity)
		return 0;

	missing = fisc_refuse(reserved, capacity);
	pr_warn_ratelimited("%s is refused, as %llu MiB are missing to keep what all VMs are guaranteed: lower a min, or raise /sys/kernel/fisc/tax/capacity\n",
			    what, missing);

	return -ENOSPC;
}

/* Is there a place for @promised pages, be it in swap? @what for? */
static int fisc_admit_promised(u64 promised, u64 capacity, const char *what)
{
	u64 there = capacity + max(fisc_backing_room(), 0L) +
		    fisc_total_sum(FISC_SWAPPED);
	u64 missing;

	if (READ_ONCE(fisc_overcommit) || promised <= there)
		return 0;

	missing = fisc_refuse(promised, there);
	pr_warn_ratelimited("%s is refused, as %llu MiB of swap are missing to hold what all VMs may have at once: add swap, lower a max, or write 1 to /sys/kernel/fisc/tax/overcommit\n",
			    what, missing);

	return -ENOSPC;
}

/* Is so much less capacity than before enough for what there is? */
static int fisc_admit_capacity(u64 capacity, const char *what)
{
	int err = fisc_admit_reserved(fisc_reserved, capacity, what);

	if (err || capacity >= fisc_capacity_of(fisc_capacity, fisc_reserve_percent))
		return err;

	return fisc_admit_promised(fisc_promised, capacity, what);
}

/* A VM's part of what is reserved becomes what @new says, if that is possible. */
static int fisc_quota_change(struct fisc_vm *vm, const struct fisc_quota *new,
			     const char *what)
{
	u64 capacity = fisc_capacity_of(fisc_capacity, fisc_reserve_percent);
	u64 needed = fisc_quota_reserve(new, fisc_min_percent);
	u64 promise = fisc_quota_promise(new);
	u64 reserved = fisc_reserved - vm->quota.reserved + needed;
	u64 promised = fisc_promised - vm->quota.promise + promise;
	int err = 0;

	lockdep_assert_held(&fisc_quota_mutex);

	/* Less than before is always possible. */
	if (needed > vm->quota.reserved)
		err = fisc_admit_reserved(reserved, capacity, what);
	if (!err && promise > vm->quota.promise)
		err = fisc_admit_promised(promised, capacity, what);
	if (err)
		return err;
	fisc_reserved = reserved;
	fisc_promised = promised;
	vm->quota.min = new->min;
	vm->quota.max = new->max;
	vm->quota.size = new->size;
	vm->quota.reserved = needed;
	vm->quota.promise = promise;
	fisc_policy_poke();

	return 0;
}

/* Inode locked, or nobody else has it. */
static int fisc_admit_pages(struct fisc_region *region, u64 pages)
{
	struct fisc_vm *vm = region->vm;
	struct fisc_quota new;
	int err;

	guard(mutex)(&fisc_quota_mutex);

	if (pages == region->admitted)
		return 0;
	new = vm->quota;
	new.size += pages - region->admitted;
	err = fisc_quota_change(vm, &new, "a larger file");
	if (!err)
		region->admitted = pages;

	return err;
}

/**
 * fisc_admit() - may a file be as large as this?
 * @region: the file
 * @size: size in bytes that it is going to have; reserved, if it may
 *
 * Context: may sleep; the inode locked.
 * Return: 0; -ENOSPC if the VM's min and overhead do not fit into the capacity
 * then, or its max not into capacity and swap. The log and sysfs say what is missing.
 */
int fisc_admit(struct fisc_region *region, loff_t size)
{
	u64 pages = DIV_ROUND_UP_ULL(size, PAGE_SIZE);

	return pages > region->admitted ? fisc_admit_pages(region, pages) : 0;
}

/**
 * fisc_admit_settle() - a file has the size it has
 * @region: the file
 * @size: its size in bytes, not more than was admitted
 *
 * Context: may sleep; the inode locked, or the file going away.
 */
void fisc_admit_settle(struct fisc_region *region, loff_t size)
{
	u64 pages = DIV_ROUND_UP_ULL(size, PAGE_SIZE);

	fisc_admit_pages(region, pages);
	/* Targets that were made since it was admitted are of the old size. */
	if (pages != region->settled) {
		region->settled = pages;
		fisc_policy_poke();
	}
}

/**
 * fisc_quota_add() - a VM comes
 * @quota: its quota, all zero
 *
 * Context: may sleep.
 */
void fisc_quota_add(struct fisc_quota *quota)
{
	quota->min = FISC_PAGES_FOLLOW;
	quota->max = FISC_PAGES_FOLLOW;
	quota->shares = FISC_SHARES_NORMAL;
	quota->per_mib = true;
	quota->tax_rate = FISC_FOLLOW;

	guard(mutex)(&fisc_quota_mutex);
	list_add(&quota->node, &fisc_quotas);
}

/**
 * fisc_quota_remove() - a VM goes
 * @quota: its quota; it has no files any more
 *
 * Context: may sleep.
 */
void fisc_quota_remove(struct fisc_quota *quota)
{
	guard(mutex)(&fisc_quota_mutex);
	list_del(&quota->node);
}

static u64 fisc_quota_shares(const struct fisc_quota *quota)
{
	if (!quota->per_mib)
		return quota->shares;

	return max(div_u64(quota->size * quota->shares, FISC_PAGES_PER_MIB), 1);
}

/**
 * fisc_quota_claim() - what a VM claims of the memory
 * @vm: the VM
 * @claim: all but what it is active in
 *
 * Context: may sleep.
 */
void fisc_quota_claim(struct fisc_vm *vm, struct fisc_claim *claim)
{
	guard(mutex)(&fisc_quota_mutex);

	claim->shares = fisc_quota_shares(&vm->quota);
	claim->max = fisc_quota_max(&vm->quota);
	claim->min = fisc_quota_min(&vm->quota, fisc_min_percent);
	claim->tax_rate = fisc_knob_value(&vm->quota.tax_rate, &fisc_tax_rate);
}

/**
 * fisc_quota_capacity() - memory that VMs may have, metadata included
 *
 * Context: may sleep.
 * Return: pages.
 */
u64 fisc_quota_capacity(void)
{
	guard(mutex)(&fisc_quota_mutex);

	return fisc_capacity_of(fisc_capacity, fisc_reserve_percent);
}

/**
 * fisc_quota_reserved() - memory reserved for mins and metadata
 *
 * Context: may sleep.
 * Return: pages.
 */
u64 fisc_quota_reserved(void)
{
	guard(mutex)(&fisc_quota_mutex);

	return fisc_reserved;
}

static u64 fisc_to_bytes(u64 pages)
{
	return pages << PAGE_SHIFT;
}

static ssize_t capacity_show(struct kobject *kobj, struct kobj_attribute *attr,
			     char *buf)
{
	return sysfs_emit(buf, "%llu\n", fisc_to_bytes(fisc_quota_capacity()));
}

static ssize_t capacity_store(struct kobject *kobj, struct kobj_attribute *attr,
			      const char *buf, size_t count)
{
	u64 pages;
	int err;

	err = fisc_knob_parse_bytes(buf, &pages);
	if (err)
		return err;
	if (!pages)
		pages = FISC_PAGES_FOLLOW;

	guard(mutex)(&fisc_quota_mutex);
	err = fisc_admit_capacity(fisc_capacity_of(pages, fisc_reserve_percent),
				  "a lower capacity");
	if (err)
		return err;
	fisc_capacity = pages;
	fisc_policy_poke();

	return count;
}

static struct kobj_attribute capacity_attr = __ATTR_RW(capacity);

/* Sum of what would be reserved if VMs that chose no min had @min_percent. */
static u64 fisc_reserved_at(unsigned int min_percent)
{
	struct fisc_quota *quota;
	u64 sum = 0;

	list_for_each_entry(quota, &fisc_quotas, node)
		sum += fisc_quota_reserve(quota, min_percent);

	return sum;
}

static ssize_t min_percent_show(struct kobject *kobj,
				struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(fisc_min_percent));
}

static ssize_t min_percent_store(struct kobject *kobj,
				 struct kobj_attribute *attr, const char *buf,
				 size_t count)
{
	struct fisc_quota *quota;
	unsigned int percent;
	u64 reserved;
	int err;

	if (kstrtouint(buf, 0, &percent) || percent > 100)
		return -EINVAL;

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

	return count;
}

static struct kobj_attribute min_percent_attr = __ATTR_RW(min_percent);

static ssize_t reserve_percent_show(struct kobject *kobj,
				    struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(fisc_reserve_percent));
}

static ssize_t reserve_percent_store(struct kobject *kobj,
				     struct kobj_attribute *attr,
				     const char *buf, size_t count)
{
	unsigned int percent;
	int err;

	if (kstrtouint(buf, 0, &percent) || percent > FISC_RESERVE_PERCENT_MAX)
		return -EINVAL;

	guard(mutex)(&fisc_quota_mutex);
	err = fisc_admit_capacity(fisc_capacity_of(fisc_capacity, percent),
				  "a larger reserve");
	if (err)
		return err;
	WRITE_ONCE(fisc_reserve_percent, percent);
	fisc_policy_poke();

	return count;
}

static struct kobj_attribute reserve_percent_attr = __ATTR_RW(reserve_percent);

static struct fisc_knob fisc_tax_rate_knob =
	FISC_KNOB_NOTIFY(tax_rate, &fisc_tax_rate, 0, FISC_TAX_RATE_MAX,
			 fisc_policy_poke);

static struct fisc_knob fisc_overcommit_knob =
	FISC_KNOB(overcommit, &fisc_overcommit, 0, 1);

#define FISC_ADMISSION_ATTR(_name, _value)				\
static ssize_t _name##_show(struct kobject *kobj,			\
			    struct kobj_attribute *attr, char *buf)	\
{									\
	guard(mutex)(&fisc_quota_mutex);				\
									\
	return sysfs_emit(buf, "%llu\n", _value);			\
}									\
static struct kobj_attribute _name##_attr = __ATTR_RO(_name)

FISC_ADMISSION_ATTR(reserved, fisc_to_bytes(fisc_reserved));
FISC_ADMISSION_ATTR(promised, fisc_to_bytes(fisc_promised));
FISC_ADMISSION_ATTR(missing, fisc_to_bytes(fisc_missing));
FISC_ADMISSION_ATTR(refused, fisc_refused);

static struct attribute *fisc_quota_attrs[] = {
	&fisc_tax_rate_knob.attr.attr,
	&capacity_attr.attr,
	&min_percent_attr.attr,
	&reserve_percent_attr.attr,
	&reserved_attr.attr,
	&fisc_overcommit_knob.attr.attr,
	&promised_attr.attr,
	&missing_attr.attr,
	&refused_attr.attr,
	NULL,
};

static const struct attribute_group fisc_quota_group = {
	.name = "tax",
	.attrs = fisc_quota_attrs,
};

static ssize_t min_show(struct kobject *kobj, struct kobj_attribute *attr,
			char *buf)
{
	struct fisc_claim claim;

	fisc_quota_claim(to_fisc_vm(kobj), &claim);

	return sysfs_emit(buf, "%llu\n", fisc_to_bytes(claim.min));
}

static ssize_t min_store(struct kobject *kobj, struct kobj_attribute *attr,
			 const char *buf, size_t count)
{
	struct fisc_vm *vm = to_fisc_vm(kobj);
	u64 pages = FISC_PAGES_FOLLOW;
	struct fisc_quota new;
	int err;

	if (!sysfs_streq(buf, "") && fisc_knob_parse_bytes(buf, &pages))
		return -EINVAL;

	guard(mutex)(&fisc_quota_mutex);
	if (pages != FISC_PAGES_FOLLOW && pages > fisc_quota_max(&vm->quota))
		return -EINVAL;
	new = vm->quota;
	new.min = pages;
	err = fisc_quota_change(vm, &new, "a higher min");

	return err ?: count;
}

static struct kobj_attribute min_attr = __ATTR_RW(min);

static ssize_t max_show(struct kobject *kobj, struct kobj_attribute *attr,
			char *buf)
{
	struct fisc_claim claim;

	fisc_quota_claim(to_fisc_vm(kobj), &claim);

	return sysfs_emit(buf, "%llu\n", fisc_to_bytes(claim.max));
}

static ssize_t max_store(struct kobject *kobj, struct kobj_attribute *attr,
			 const char *buf, size_t count)
{
	struct fisc_vm *vm = to_fisc_vm(kobj);
	struct fisc_quota new;
	u64 pages = 0;
	int err;

	if (!sysfs_streq(buf, "") && fisc_knob_parse_bytes(buf, &pages))
		return -EINVAL;

	guard(mutex)(&fisc_quota_mutex);
	new = vm->quota;
	new.max = pages ?: FISC_PAGES_FOLLOW;
	if (new.min != FISC_PAGES_FOLLOW && new.max < new.min)
		return -EINVAL;
	err = fisc_quota_change(vm, &new, "a higher max");

	return err ?: count;
}

static struct kobj_attribute max_attr = __ATTR_RW(max);

static const struct {
	const char *name;
	unsigned int shares;
} fisc_shares_levels[] = {
	{ "low", FISC_SHARES_LOW },
	{ "normal", FISC_SHARES_NORMAL },
	{ "high", FISC_SHARES_HIGH },
};

static ssize_t shares_show(struct kobject *kobj, struct kobj_attribute *attr,
			   char *buf)
{
	const struct fisc_quota *quota = &to_fisc_vm(kobj)->quota;
	unsigned int i;

	guard(mutex)(&fisc_quota_mutex);
	for (i = 0; quota->per_mib && i < ARRAY_SIZE(fisc_shares_levels); i++)
		if (quota->shares == fisc_shares_levels[i].shares)
			return sysfs_emit(buf, "%s\n",
					  fisc_shares_levels[i].name);

	return sysfs_emit(buf, "%u\n", quota->shares);
}

static ssize_t shares_store(struct kobject *kobj, struct kobj_attribute *attr,
			    const char *buf, size_t count)
{
	struct fisc_quota *quota = &to_fisc_vm(kobj)->quota;
	unsigned int i, shares = 0;

	for (i = 0; i < ARRAY_SIZE(fisc_shares_levels); i++)
		if (sysfs_streq(buf, fisc_shares_levels[i].name))
			break;
	if (i < ARRAY_SIZE(fisc_shares_levels))
		shares = fisc_shares_levels[i].shares;
	else if (kstrtouint(buf, 0, &shares) || !shares ||
		 shares > FISC_SHARES_MAX)
		return -EINVAL;

	guard(mutex)(&fisc_quota_mutex);
	quota->shares = shares;
	quota->per_mib = i < ARRAY_SIZE(fisc_shares_levels);
	fisc_policy_poke();

	return count;
}

static struct kobj_attribute shares_attr = __ATTR_RW(shares);

static struct fisc_vm_knob fisc_quota_vm_knob =
	FISC_VM_KNOB(tax_rate, quota.tax_rate, &fisc_tax_rate, 0,
		     FISC_TAX_RATE_MAX);

static struct attribute *fisc_quota_vm_attrs[] = {
	&min_attr.attr,
	&max_attr.attr,
	&shares_attr.attr,
	&fisc_quota_vm_knob.attr.attr,
	NULL,
};

const struct attribute_group fisc_quota_vm_group = {
	.attrs = fisc_quota_vm_attrs,
};

/**
 * fisc_quota_init() - make the knobs
 * @parent: /sys/kernel/fisc
 *
 * Context: may sleep.
 * Return: 0 or -errno.
 */
int fisc_quota_init(struct kobject *parent)
{
	return sysfs_create_group(parent, &fisc_quota_group);
}
