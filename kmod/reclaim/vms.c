// SPDX-License-Identifier: GPL-2.0
/*
 * What is taken from each VM, as sysfs and debugfs show it.
 */
#include <linux/debugfs.h>
#include <linux/jiffies.h>
#include <linux/seq_file.h>
#include <linux/string_helpers.h>

#include "../vm.h"
#include "reclaim.h"

static const char * const fisc_reason_names[FISC_NR_REASONS] = {
	"none", "balloon", "paging", "blocked",
};

static const char *fisc_vm_reason(const struct fisc_vm *vm)
{
	return fisc_reason_names[READ_ONCE(vm->reclaim.reason)];
}

static u64 fisc_vm_blocked_ms(const struct fisc_vm *vm)
{
	return div_u64(atomic64_read(&vm->reclaim.blocked_ns), NSEC_PER_MSEC);
}

/* --- pages a second -------------------------------------------------------------- */

static void fisc_rate_take(struct fisc_rate *rate, u64 count,
			   unsigned long elapsed)
{
	WRITE_ONCE(rate->rate, div_u64((count - rate->count) * HZ, elapsed));
	rate->count = count;
}

/**
 * fisc_reclaim_rates() - once a second, see how many pages went in and out
 *
 * VMs are looked at only if there were any, or have been in the second before.
 *
 * Context: may sleep; from the thread that takes memory back only.
 */
void fisc_reclaim_rates(void)
{
	static unsigned long looked;
	static bool moving;
	static long known;
	unsigned long elapsed = jiffies - looked;
	struct fisc_vm *vm = NULL;
	bool moved;
	long moves;

	if (elapsed < HZ)
		return;
	looked = jiffies;
	moves = fisc_total_sum(FISC_SWAP_IN) + fisc_total_sum(FISC_SWAP_OUT);
	moved = moves != known;
	known = moves;
	if (!moved && !moving)
		return;
	moving = moved;
	while ((vm = fisc_vm_after(vm))) {
		fisc_rate_take(&vm->reclaim.in, fisc_vm_sum(vm, FISC_SWAP_IN),
			       elapsed);
		fisc_rate_take(&vm->reclaim.out, fisc_vm_sum(vm, FISC_SWAP_OUT),
			       elapsed);
		cond_resched();
	}
}

/* --- a directory for each ------------------------------------------------------- */

#define FISC_RECLAIM_ATTR(_name, _value)				\
static ssize_t _name##_show(struct kobject *kobj,			\
			    struct kobj_attribute *attr, char *buf)	\
{									\
	struct fisc_vm *vm = to_fisc_vm(kobj);				\
									\
	return sysfs_emit(buf, "%llu\n", (u64)(_value));		\
}									\
static struct kobj_attribute _name##_attr = __ATTR_RO(_name)

FISC_RECLAIM_ATTR(swapped, (u64)fisc_vm_sum(vm, FISC_SWAPPED) << PAGE_SHIFT);
FISC_RECLAIM_ATTR(swap_in, fisc_vm_sum(vm, FISC_SWAP_IN));
FISC_RECLAIM_ATTR(swap_out, fisc_vm_sum(vm, FISC_SWAP_OUT));
FISC_RECLAIM_ATTR(swap_in_rate, READ_ONCE(vm->reclaim.in.rate));
FISC_RECLAIM_ATTR(swap_out_rate, READ_ONCE(vm->reclaim.out.rate));
FISC_RECLAIM_ATTR(blocked_ms, fisc_vm_blocked_ms(vm));

static ssize_t reclaim_show(struct kobject *kobj, struct kobj_attribute *attr,
			    char *buf)
{
	return sysfs_emit(buf, "%s\n", fisc_vm_reason(to_fisc_vm(kobj)));
}

static struct kobj_attribute reclaim_attr = __ATTR_RO(reclaim);

static struct attribute *fisc_reclaim_vm_attrs[] = {
	&swapped_attr.attr,
	&swap_in_attr.attr,
	&swap_out_attr.attr,
	&swap_in_rate_attr.attr,
	&swap_out_rate_attr.attr,
	&blocked_ms_attr.attr,
	&reclaim_attr.attr,
	NULL,
};

const struct attribute_group fisc_reclaim_vm_group = {
	.attrs = fisc_reclaim_vm_attrs,
};

/* --- a table of all --------------------------------------------------------------- */

static void fisc_vms_line(struct seq_file *m, struct fisc_vm *vm)
{
	char *name __free(kfree) = kstrdup_quotable(kobject_name(&vm->kobj),
						    GFP_KERNEL);

	seq_printf(m, "%10llu %10ld %10ld %10ld %10llu %10ld %8llu %8llu %10llu %10llu %10llu %10llu %-7s %s\n",
		   fisc_vm_size(vm) >> PAGE_SHIFT,
		   fisc_vm_sum(vm, FISC_PRIVATE),
		   fisc_vm_sum(vm, FISC_SHARING),
		   fisc_vm_sum(vm, FISC_ZERO),
		   fisc_balloon_actual(vm),
		   fisc_vm_sum(vm, FISC_SWAPPED),
		   READ_ONCE(vm->reclaim.in.rate),
		   READ_ONCE(vm->reclaim.out.rate),
		   fisc_vm_blocked_ms(vm),
		   fisc_sample_active(vm),
		   fisc_vm_allocated(vm),
		   READ_ONCE(vm->quota.target),
		   fisc_vm_reason(vm), name ?: "?");
}

static int fisc_vms_show(struct seq_file *m, void *v)
{
	struct fisc_vm *vm = NULL;

	seq_printf(m, "%10s %10s %10s %10s %10s %10s %8s %8s %10s %10s %10s %10s %-7s %s\n",
		   "size", "private", "sharing", "zero", "ballooned", "swapped",
		   "in/s", "out/s", "blocked_ms", "active", "allocated", "target",
		   "reclaim", "vm");
	while ((vm = fisc_vm_after(vm))) {
		fisc_vms_line(m, vm);
		cond_resched();
	}

	return 0;
}
DEFINE_SHOW_ATTRIBUTE(fisc_vms);

/**
 * fisc_reclaim_vms_init() - show all VMs
 * @debugfs: /sys/kernel/debug/fisc
 *
 * Context: may sleep.
 */
void fisc_reclaim_vms_init(struct dentry *debugfs)
{
	debugfs_create_file("vms", 0444, debugfs, NULL, &fisc_vms_fops);
}
