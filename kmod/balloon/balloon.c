// SPDX-License-Identifier: GPL-2.0
/*
 * What a VM's balloon is to hold, and what its guest says. See DOC: Balloons in
 * balloon.h.
 */
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/mutex.h>

#include "../../uapi/fisc.h"
#include "../fs.h"
#include "../knob.h"
#include "../policy.h"
#include "../region.h"
#include "../trace.h"
#include "../vm.h"
#include "balloon.h"
#include "pages.h"

static DEFINE_MUTEX(fisc_balloon_mutex);
static unsigned int fisc_balloon_stats_ms = FISC_BALLOON_STATS_MS_DEFAULT;

static u64 fisc_balloon_size(struct fisc_vm *vm)
{
	return fisc_vm_size(vm) >> PAGE_SHIFT;
}

static u64 fisc_balloon_max(struct fisc_vm *vm)
{
	u64 size = fisc_balloon_size(vm);

	if (vm->balloon.max != FISC_PAGES_FOLLOW)
		return min(vm->balloon.max, size);

	return div_u64(size * FISC_BALLOON_MAX_PERCENT, 100);
}

/*
 * What the tax makes of it: all that the VM has above its target. What was paged
 * out is the guest's all the same: with a balloon of that size it would choose
 * better, and what is left would be in memory.
 */
static u64 fisc_balloon_taxed(struct fisc_vm *vm)
{
	u64 had = fisc_vm_allocated(vm) + fisc_vm_sum(vm, FISC_SWAPPED) +
		  fisc_balloon_actual(vm);
	u64 target = READ_ONCE(vm->quota.target);

	return had - min(had, target);
}

static void fisc_balloon_update(struct fisc_vm *vm)
{
	struct fisc_balloon *balloon = &vm->balloon;
	u64 wanted = balloon->target;

	lockdep_assert_held(&fisc_balloon_mutex);

	/* Without a device there is nobody to follow the tax. */
	if (wanted == FISC_PAGES_FOLLOW) {
		wanted = balloon->device ? fisc_balloon_taxed(vm) : 0;
		/* There is enough for all, for now. */
		if (fisc_reclaim_state() < FISC_RECLAIM_SOFT)
			wanted = min(wanted, balloon->wanted);
	}
	wanted = min(wanted, fisc_balloon_max(vm));
	if (wanted == balloon->wanted)
		return;

	WRITE_ONCE(balloon->wanted, wanted);
	trace_fisc_balloon(vm, wanted, fisc_balloon_actual(vm));
	if (balloon->device)
		balloon->ops->retarget(balloon->device);
	sysfs_notify(&vm->kobj, fisc_balloon_vm_group.name, "target");
}

/**
 * fisc_balloon_follow() - adjust a balloon to what the tax says now
 * @vm: the VM
 *
 * Context: may sleep.
 */
void fisc_balloon_follow(struct fisc_vm *vm)
{
	guard(mutex)(&fisc_balloon_mutex);
	fisc_balloon_update(vm);
}

/**
 * fisc_balloon_init_vm() - a VM comes
 * @balloon: its balloon, all zero
 *
 * Context: any.
 */
void fisc_balloon_init_vm(struct fisc_balloon *balloon)
{
	balloon->target = FISC_PAGES_FOLLOW;
	balloon->max = FISC_PAGES_FOLLOW;
}

/**
 * fisc_balloon_region() - is a file guest memory?
 * @file: the file
 *
 * Context: any.
 * Return: its region, which lives as long as the file is held; or NULL.
 */
struct fisc_region *fisc_balloon_region(const struct file *file)
{
	return file->f_op == &fisc_file_operations ?
	       fisc_region_of(file_inode(file)) : NULL;
}
EXPORT_SYMBOL_NS_GPL(fisc_balloon_region, FISC);

/**
 * fisc_balloon_attach() - a device begins to serve a VM
 * @vm: the VM; the device holds it from now on
 * @ops: how to tell it something
 * @device: for @ops
 *
 * What follows the tax does so soon after.
 *
 * Context: may sleep; mmap_lock may be held.
 * Return: 0, -EBUSY if the VM has a device.
 */
int fisc_balloon_attach(struct fisc_vm *vm, const struct fisc_balloon_ops *ops,
			void *device)
{
	guard(mutex)(&fisc_balloon_mutex);

	if (vm->balloon.device)
		return -EBUSY;
	fisc_vm_get(vm);
	vm->balloon.ops = ops;
	vm->balloon.device = device;
	fisc_policy_poke();

	return 0;
}
EXPORT_SYMBOL_NS_GPL(fisc_balloon_attach, FISC);

/**
 * fisc_balloon_detach() - a device serves a VM no longer
 * @vm: the VM, of which nothing is in the balloon
 *
 * Context: may sleep.
 */
void fisc_balloon_detach(struct fisc_vm *vm)
{
	scoped_guard(mutex, &fisc_balloon_mutex)
		vm->balloon.device = NULL;
	fisc_policy_poke();
	fisc_vm_put(vm);
}
EXPORT_SYMBOL_NS_GPL(fisc_balloon_detach, FISC);

static int fisc_balloon_empty_region(struct fisc_region *region, void *arg)
{
	fisc_region_deflate(region, 0, ULONG_MAX);

	return 0;
}

/**
 * fisc_balloon_empty() - forget what is in the balloon, and what the guest said
 * @vm: the VM
 *
 * Context: may sleep.
 */
void fisc_balloon_empty(struct fisc_vm *vm)
{
	fisc_vm_each_region(vm, fisc_balloon_empty_region, NULL);
	bitmap_zero(&vm->balloon.said, FISC_NR_STATS);
}
EXPORT_SYMBOL_NS_GPL(fisc_balloon_empty, FISC);

/**
 * fisc_balloon_actual() - what is in a VM's balloon
 * @vm: the VM
 *
 * Context: any.
 * Return: pages.
 */
u64 fisc_balloon_actual(struct fisc_vm *vm)
{
	return fisc_vm_sum(vm, FISC_BALLOON);
}
EXPORT_SYMBOL_NS_GPL(fisc_balloon_actual, FISC);

/**
 * fisc_balloon_say() - the guest says something of itself
 * @vm: the VM
 * @stat: what
 * @value: how much, as the standard and uapi/fisc_balloon.h say
 *
 * Context: any; one caller at a time.
 */
void fisc_balloon_say(struct fisc_vm *vm, enum fisc_balloon_stat stat,
		      u64 value)
{
	WRITE_ONCE(vm->balloon.stats[stat], value);
	set_bit(stat, &vm->balloon.said);
}
EXPORT_SYMBOL_NS_GPL(fisc_balloon_say, FISC);

/**
 * fisc_balloon_stats_period() - how often guests are to be asked for statistics
 *
 * Context: any.
 * Return: the time in ms.
 */
unsigned int fisc_balloon_stats_period(void)
{
	return READ_ONCE(fisc_balloon_stats_ms);
}
EXPORT_SYMBOL_NS_GPL(fisc_balloon_stats_period, FISC);

static ssize_t fisc_balloon_show_pages(char *buf, u64 pages)
{
	return sysfs_emit(buf, "%llu\n", pages << PAGE_SHIFT);
}

/* A size for @choice, an empty line: none. Return: @count or -EINVAL. */
static ssize_t fisc_balloon_store(struct fisc_vm *vm, u64 *choice,
				  const char *buf, size_t count)
{
	u64 pages = FISC_PAGES_FOLLOW;

	if (!sysfs_streq(buf, "") &&
	    (fisc_knob_parse_bytes(buf, &pages) ||
	     pages > fisc_balloon_size(vm)))
		return -EINVAL;

	guard(mutex)(&fisc_balloon_mutex);
	*choice = pages;
	fisc_balloon_update(vm);

	return count;
}

static ssize_t balloon_target_show(struct kobject *kobj,
				   struct kobj_attribute *attr, char *buf)
{
	return fisc_balloon_show_pages(buf,
				       READ_ONCE(to_fisc_vm(kobj)->balloon.wanted));
}

static ssize_t balloon_target_store(struct kobject *kobj,
				    struct kobj_attribute *attr,
				    const char *buf, size_t count)
{
	struct fisc_vm *vm = to_fisc_vm(kobj);

	return fisc_balloon_store(vm, &vm->balloon.target, buf, count);
}

static struct kobj_attribute balloon_target_attr =
	__ATTR(target, 0644, balloon_target_show, balloon_target_store);

static ssize_t balloon_max_show(struct kobject *kobj,
				struct kobj_attribute *attr, char *buf)
{
	guard(mutex)(&fisc_balloon_mutex);

	return fisc_balloon_show_pages(buf, fisc_balloon_max(to_fisc_vm(kobj)));
}

static ssize_t balloon_max_store(struct kobject *kobj,
				 struct kobj_attribute *attr, const char *buf,
				 size_t count)
{
	struct fisc_vm *vm = to_fisc_vm(kobj);

	return fisc_balloon_store(vm, &vm->balloon.max, buf, count);
}

static struct kobj_attribute balloon_max_attr =
	__ATTR(max, 0644, balloon_max_show, balloon_max_store);

static ssize_t actual_show(struct kobject *kobj, struct kobj_attribute *attr,
			   char *buf)
{
	return fisc_balloon_show_pages(buf,
				       fisc_balloon_actual(to_fisc_vm(kobj)));
}

static struct kobj_attribute actual_attr = __ATTR_RO(actual);

static ssize_t popped_show(struct kobject *kobj, struct kobj_attribute *attr,
			   char *buf)
{
	return sysfs_emit(buf, "%ld\n", fisc_vm_sum(to_fisc_vm(kobj),
						    FISC_BALLOON_POPPED));
}

static struct kobj_attribute popped_attr = __ATTR_RO(popped);

/* What guests say, by enum fisc_balloon_stat. */
static struct kobj_attribute fisc_stats[FISC_NR_STATS];

static ssize_t fisc_stat_show(struct kobject *kobj, struct kobj_attribute *attr,
			      char *buf)
{
	struct fisc_balloon *balloon = &to_fisc_vm(kobj)->balloon;
	enum fisc_balloon_stat stat = attr - fisc_stats;

	if (!test_bit(stat, &balloon->said))
		return -ENODATA;

	return sysfs_emit(buf, "%llu\n", READ_ONCE(balloon->stats[stat]));
}

#define FISC_STAT(_name, _stat)						\
	[_stat] = __ATTR(stat_##_name, 0444, fisc_stat_show, NULL)

static struct kobj_attribute fisc_stats[FISC_NR_STATS] = {
	FISC_STAT(swap_in, FISC_STAT_SWAP_IN),
	FISC_STAT(swap_out, FISC_STAT_SWAP_OUT),
	FISC_STAT(major_faults, FISC_STAT_MAJOR_FAULTS),
	FISC_STAT(minor_faults, FISC_STAT_MINOR_FAULTS),
	FISC_STAT(free, FISC_STAT_FREE),
	FISC_STAT(total, FISC_STAT_TOTAL),
	FISC_STAT(available, FISC_STAT_AVAILABLE),
	FISC_STAT(disk_caches, FISC_STAT_DISK_CACHES),
	FISC_STAT(hugetlb_allocations, FISC_STAT_HUGETLB_ALLOCATIONS),
	FISC_STAT(hugetlb_failures, FISC_STAT_HUGETLB_FAILURES),
	FISC_STAT(oom_kills, FISC_STAT_OOM_KILLS),
	FISC_STAT(alloc_stalls, FISC_STAT_ALLOC_STALLS),
	FISC_STAT(async_scanned, FISC_STAT_ASYNC_SCANNED),
	FISC_STAT(direct_scanned, FISC_STAT_DIRECT_SCANNED),
	FISC_STAT(async_reclaimed, FISC_STAT_ASYNC_RECLAIMED),
	FISC_STAT(direct_reclaimed, FISC_STAT_DIRECT_RECLAIMED),
	FISC_STAT(psi_some, FISC_STAT_PSI_SOME),
	FISC_STAT(psi_full, FISC_STAT_PSI_FULL),
	FISC_STAT(refaults, FISC_STAT_REFAULTS),
	FISC_STAT(small, FISC_STAT_SMALL),
	FISC_STAT(large, FISC_STAT_LARGE),
	FISC_STAT(floor, FISC_STAT_FLOOR),
	FISC_STAT(short, FISC_STAT_SHORT),
};

#define FISC_BALLOON_OTHER_ATTRS	4

/* Those below, and fisc_stats: see fisc_balloon_init(). */
static struct attribute *fisc_balloon_vm_attrs[FISC_BALLOON_OTHER_ATTRS +
					       FISC_NR_STATS + 1] = {
	&balloon_target_attr.attr,
	&balloon_max_attr.attr,
	&actual_attr.attr,
	&popped_attr.attr,
};

const struct attribute_group fisc_balloon_vm_group = {
	.name = "balloon",
	.attrs = fisc_balloon_vm_attrs,
};

/* Who waits for a period to end waits for a new one. */
static void fisc_balloon_ask_all(void)
{
	struct fisc_vm *vm = NULL;

	while ((vm = fisc_vm_after(vm)))
		scoped_guard(mutex, &fisc_balloon_mutex)
			if (vm->balloon.device)
				vm->balloon.ops->ask(vm->balloon.device);
}

static struct fisc_knob fisc_balloon_stats_knob =
	FISC_KNOB_NOTIFY(stats_ms, &fisc_balloon_stats_ms,
			 FISC_BALLOON_STATS_MS_MIN, FISC_BALLOON_STATS_MS_MAX,
			 fisc_balloon_ask_all);

static struct attribute *fisc_balloon_attrs[] = {
	&fisc_balloon_stats_knob.attr.attr,
	NULL,
};

static const struct attribute_group fisc_balloon_group = {
	.name = "balloon",
	.attrs = fisc_balloon_attrs,
};

/**
 * fisc_balloon_init() - make the knobs
 * @parent: /sys/kernel/fisc
 *
 * Context: may sleep; no VM yet.
 * Return: 0 or -errno.
 */
int fisc_balloon_init(struct kobject *parent)
{
	unsigned int i;

	for (i = 0; i < FISC_NR_STATS; i++)
		fisc_balloon_vm_attrs[FISC_BALLOON_OTHER_ATTRS + i] =
			&fisc_stats[i].attr;

	return sysfs_create_group(parent, &fisc_balloon_group);
}
