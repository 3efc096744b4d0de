// SPDX-License-Identifier: GPL-2.0
/*
 * Balloon targets and guest statistics. See DOC: Balloons in balloon.h.
 */
#include <linux/export.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "balloon/balloon.h"
#include "base/poke.h"
#include "base/state.h"
#include "base/trace.h"
#include "memory/balloon.h"
#include "memory/region.h"
#include "reclaim/vms.h"
#include "share/account.h"
#include "tax/quota.h"
#include "uapi/fisc.h"
#include "vm/vm.h"

static DEFINE_MUTEX(fisc_balloon_mutex);
/* Devices that VMMs have opened; protected by fisc_balloon_mutex. */
static LIST_HEAD(fisc_balloon_plugs);
unsigned int fisc_balloon_stats_ms = FISC_BALLOON_STATS_MS_DEFAULT;

static u64 fisc_balloon_size(struct fisc_vm *vm)
{
	return fisc_vm_size(vm) >> PAGE_SHIFT;
}

/* fisc_balloon_mutex held, or the result may be out of date. */
static u64 fisc_balloon_limit(struct fisc_vm *vm)
{
	u64 size = fisc_balloon_size(vm);

	if (vm->balloon->max != FISC_PAGES_FOLLOW)
		return min(vm->balloon->max, size);

	return div_u64(size * FISC_BALLOON_MAX_PERCENT, 100);
}

/*
 * The balloon size for which a VM gives everything that it has above @target.
 * Paged-out memory counts as well: it belongs to the guest, which would
 * choose better what to give up with a balloon of that size, and what it keeps
 * would be in memory.
 */
static u64 fisc_balloon_above(struct fisc_vm *vm, u64 target)
{
	u64 had = fisc_vm_allocated(vm) + fisc_vm_sum(vm, FISC_SWAPPED) +
		  fisc_balloon_actual(vm);

	return had - min(had, target);
}

/* Tell reclaim how far the balloon may grow, before the guest is told. */
static void fisc_balloon_let(struct fisc_vm *vm)
{
	const struct fisc_balloon *balloon = vm->balloon;

	fisc_reclaim_let_balloon(vm, balloon->plug ?
				 min(balloon->target, fisc_balloon_limit(vm)) : 0);
}

static void fisc_balloon_update(struct fisc_vm *vm)
{
	struct fisc_balloon *balloon = vm->balloon;
	u64 wanted = balloon->target;

	lockdep_assert_held(&fisc_balloon_mutex);

	/* Without a device, nothing can follow the tax. */
	if (wanted == FISC_PAGES_FOLLOW) {
		wanted = balloon->plug ?
			 fisc_balloon_above(vm, fisc_quota_target(vm)) : 0;
		/* Memory suffices for now: shrink only, but to its max. */
		if (!fisc_reclaim_acts())
			wanted = min(wanted,
				     max(balloon->wanted,
					 fisc_balloon_above(vm, fisc_quota_limit(vm))));
	}
	wanted = min(wanted, fisc_balloon_limit(vm));
	fisc_balloon_let(vm);
	if (wanted == balloon->wanted)
		return;

	WRITE_ONCE(balloon->wanted, wanted);
	scoped_guard(rcu)
		trace_fisc_balloon(fisc_vm_name(vm), wanted,
				   fisc_balloon_actual(vm));
	if (balloon->plug)
		balloon->plug->ops->retarget(balloon->plug->device);
	fisc_vm_tell(vm, FISC_NEWS_BALLOON);
}

/**
 * fisc_balloon_follow() - adjust a balloon to the current target of memory
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
 * fisc_balloon_begin() - give a new VM its balloon
 * @vm: the VM
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_balloon_begin(struct fisc_vm *vm)
{
	struct fisc_balloon *balloon = kzalloc(sizeof(*balloon), GFP_KERNEL);

	if (!balloon)
		return -ENOMEM;

	balloon->target = FISC_PAGES_FOLLOW;
	balloon->max = FISC_PAGES_FOLLOW;
	vm->balloon = balloon;

	return 0;
}

/**
 * fisc_balloon_end() - undo fisc_balloon_begin()
 * @vm: the VM, which ends; it has no device
 *
 * Context: any.
 */
void fisc_balloon_end(struct fisc_vm *vm)
{
	kfree(vm->balloon);
}

/* Set *@choice to a size in pages, or to FISC_PAGES_FOLLOW. */
static int fisc_balloon_choose(struct fisc_vm *vm, u64 *choice, u64 pages)
{
	if (pages != FISC_PAGES_FOLLOW && pages > fisc_balloon_size(vm))
		return -EINVAL;

	guard(mutex)(&fisc_balloon_mutex);
	*choice = pages;
	fisc_balloon_update(vm);

	return 0;
}

/**
 * fisc_balloon_set_target() - set the target of a VM's balloon
 * @vm: the VM
 * @pages: the target in pages; FISC_PAGES_FOLLOW to follow the tax
 *
 * Context: may sleep.
 * Return: 0, or -EINVAL if @pages exceeds the VM's size.
 */
int fisc_balloon_set_target(struct fisc_vm *vm, u64 pages)
{
	return fisc_balloon_choose(vm, &vm->balloon->target, pages);
}

/**
 * fisc_balloon_max() - return the max of a VM's balloon
 * @vm: the VM
 *
 * Context: may sleep.
 * Return: the max in pages.
 */
u64 fisc_balloon_max(struct fisc_vm *vm)
{
	guard(mutex)(&fisc_balloon_mutex);

	return fisc_balloon_limit(vm);
}

/**
 * fisc_balloon_set_max() - set the max of a VM's balloon
 * @vm: the VM
 * @pages: the max in pages; FISC_PAGES_FOLLOW for FISC_BALLOON_MAX_PERCENT of
 *	the VM
 *
 * Context: may sleep.
 * Return: 0, or -EINVAL if @pages exceeds the VM's size.
 */
int fisc_balloon_set_max(struct fisc_vm *vm, u64 pages)
{
	return fisc_balloon_choose(vm, &vm->balloon->max, pages);
}

/*
 * Does every VM whose files a process has mapped have a device? -ENODATA if it
 * has none mapped.
 */
static int fisc_balloon_have_devices(struct mm_struct *mm)
{
	struct vm_area_struct *vma;
	int have = -ENODATA;

	VMA_ITERATOR(vmi, mm, 0);

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	for_each_vma(vmi, vma) {
		const struct fisc_region *region = fisc_region_of_file(vma->vm_file);

		if (!region)
			continue;
		have = READ_ONCE(region->vm->balloon->plug) ? 1 : 0;
		if (!have)
			break;
	}
	mmap_read_unlock(mm);

	return have;
}

static bool fisc_balloon_is_plugged(const struct mm_struct *mm)
{
	const struct fisc_balloon_plug *plug;

	list_for_each_entry(plug, &fisc_balloon_plugs, node)
		if (plug->mm == mm)
			return true;

	return false;
}

/**
 * fisc_balloon_plug() - add a device to those that VMMs have opened
 * @plug: the device, with @ops and @device set
 * @mm: memory of the VMM
 *
 * A VMM that maps no files of ours yet may have one device: that of the VM that
 * is adopted later.
 *
 * Context: may sleep; takes mmap_lock.
 * Return: 0; -EBUSY if the VMM's VMs have a device each; -EINTR.
 */
int fisc_balloon_plug(struct fisc_balloon_plug *plug, struct mm_struct *mm)
{
	int have = fisc_balloon_have_devices(mm);

	if (have == -EINTR)
		return have;

	guard(mutex)(&fisc_balloon_mutex);
	if (have == 1 || (have == -ENODATA && fisc_balloon_is_plugged(mm)))
		return -EBUSY;
	plug->mm = mm;
	plug->vm = NULL;
	list_add_tail(&plug->node, &fisc_balloon_plugs);

	return 0;
}
EXPORT_SYMBOL_NS_GPL(fisc_balloon_plug, FISC);

/**
 * fisc_balloon_unplug() - undo fisc_balloon_plug()
 * @plug: the device, attached to no VM; it need not have been plugged
 *
 * Context: may sleep.
 */
void fisc_balloon_unplug(struct fisc_balloon_plug *plug)
{
	guard(mutex)(&fisc_balloon_mutex);
	list_del_init(&plug->node);
}
EXPORT_SYMBOL_NS_GPL(fisc_balloon_unplug, FISC);

/**
 * fisc_balloon_look() - have devices find out which VM is theirs
 * @mm: memory of their VMM, which has been adopted or released
 *
 * Context: may sleep.
 */
void fisc_balloon_look(const struct mm_struct *mm)
{
	const struct fisc_balloon_plug *plug;

	guard(mutex)(&fisc_balloon_mutex);
	list_for_each_entry(plug, &fisc_balloon_plugs, node)
		if (plug->mm == mm)
			plug->ops->look(plug->device);
}

/**
 * fisc_balloon_attach() - attach a device to a VM
 * @vm: the VM; the device holds a reference from now on
 * @plug: the device, plugged
 *
 * A balloon that follows the tax is adjusted soon after.
 *
 * Context: may sleep; mmap_lock may be held.
 * Return: 0, or -EBUSY if the VM has a device already.
 */
int fisc_balloon_attach(struct fisc_vm *vm, struct fisc_balloon_plug *plug)
{
	guard(mutex)(&fisc_balloon_mutex);

	if (vm->balloon->plug)
		return -EBUSY;
	plug->vm = fisc_vm_get(vm);
	WRITE_ONCE(vm->balloon->plug, plug);
	fisc_balloon_let(vm);
	fisc_policy_poke();

	return 0;
}
EXPORT_SYMBOL_NS_GPL(fisc_balloon_attach, FISC);

/**
 * fisc_balloon_detach() - detach the device from a VM
 * @vm: the VM
 *
 * Drops the device's reference on the VM. Devices without a VM look whether
 * this one is theirs.
 *
 * Context: may sleep.
 */
void fisc_balloon_detach(struct fisc_vm *vm)
{
	const struct fisc_balloon_plug *plug;

	scoped_guard(mutex, &fisc_balloon_mutex) {
		vm->balloon->plug->vm = NULL;
		WRITE_ONCE(vm->balloon->plug, NULL);
		fisc_balloon_let(vm);
		list_for_each_entry(plug, &fisc_balloon_plugs, node)
			if (!plug->vm)
				plug->ops->look(plug->device);
	}
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
 * fisc_balloon_empty() - forget the balloon's pages and the guest's statistics
 * @vm: the VM
 *
 * Context: may sleep.
 */
void fisc_balloon_empty(struct fisc_vm *vm)
{
	fisc_vm_each_region(vm, fisc_balloon_empty_region, NULL);
	fisc_balloon_forget_stats(vm);
}
EXPORT_SYMBOL_NS_GPL(fisc_balloon_empty, FISC);

/**
 * fisc_balloon_empty_id() - empty the balloon of a VM that may be gone
 * @id: number of the VM
 *
 * Leaves it alone if it has a device by now.
 *
 * Context: may sleep.
 */
void fisc_balloon_empty_id(u64 id)
{
	unsigned long found = id;
	struct fisc_vm *vm = fisc_vm_next(&found);

	if (!vm)
		return;
	if (found == id && !READ_ONCE(vm->balloon->plug))
		fisc_balloon_empty(vm);
	fisc_vm_put(vm);
}
EXPORT_SYMBOL_NS_GPL(fisc_balloon_empty_id, FISC);

/**
 * fisc_balloon_forget_stats() - forget the guest's statistics
 * @vm: the VM
 *
 * Context: any.
 */
void fisc_balloon_forget_stats(struct fisc_vm *vm)
{
	WRITE_ONCE(vm->balloon->said, 0);
}
EXPORT_SYMBOL_NS_GPL(fisc_balloon_forget_stats, FISC);

/**
 * fisc_balloon_actual() - return the number of pages in a VM's balloon
 * @vm: the VM
 *
 * Context: any.
 * Return: the number of pages.
 */
u64 fisc_balloon_actual(struct fisc_vm *vm)
{
	return fisc_vm_sum(vm, FISC_BALLOON);
}
EXPORT_SYMBOL_NS_GPL(fisc_balloon_actual, FISC);

/**
 * fisc_balloon_say() - record a statistic that the guest has sent
 * @vm: the VM
 * @stat: which one
 * @value: its value, in the unit of the standard or of uapi/fisc_balloon.h
 *
 * Context: any; one caller at a time.
 */
void fisc_balloon_say(struct fisc_vm *vm, enum fisc_balloon_stat stat,
		      u64 value)
{
	WRITE_ONCE(vm->balloon->stats[stat], value);
	set_bit(stat, &vm->balloon->said);
}
EXPORT_SYMBOL_NS_GPL(fisc_balloon_say, FISC);

/**
 * fisc_balloon_stats_period() - return how often to ask guests for statistics
 *
 * Context: any.
 * Return: the period in ms.
 */
unsigned int fisc_balloon_stats_period(void)
{
	return READ_ONCE(fisc_balloon_stats_ms);
}
EXPORT_SYMBOL_NS_GPL(fisc_balloon_stats_period, FISC);

static void fisc_balloon_ask(const struct fisc_balloon_plug *plug)
{
	if (plug)
		plug->ops->ask(plug->device);
}

/**
 * fisc_balloon_ask_all() - ask all guests for statistics after a new period
 *
 * Context: may sleep.
 */
void fisc_balloon_ask_all(void)
{
	struct fisc_vm *vm = NULL;

	while ((vm = fisc_vm_after(vm)))
		scoped_guard(mutex, &fisc_balloon_mutex)
			fisc_balloon_ask(vm->balloon->plug);
}
