// SPDX-License-Identifier: GPL-2.0
/*
 * Reclaim in sysfs and debugfs: states, and what is taken from each VM.
 */
#include <linux/kobject.h>
#include <linux/math64.h>
#include <linux/nodemask.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/string_helpers.h>
#include <linux/sysfs.h>
#include <linux/time64.h>

#include "base/knob.h"
#include "base/poke.h"
#include "base/state.h"
#include "base/stats.h"
#include "memory/backing.h"
#include "memory/disk.h"
#include "reclaim/disk.h"
#include "reclaim/host.h"
#include "reclaim/pager.h"
#include "reclaim/reclaim.h"
#include "reclaim/sysfs.h"
#include "reclaim/vms.h"
#include "reclaim/wait.h"
#include "reclaim/watch.h"
#include "sample/sample.h"
#include "share/account.h"
#include "tax/quota.h"
#include "uapi/fisc.h"
#include "vm/vm.h"

static ssize_t state_show(struct kobject *kobj, struct kobj_attribute *attr,
			  char *buf)
{
	return sysfs_emit(buf, "%s\n", fisc_reclaim_names[fisc_reclaim_state()]);
}

static struct kobj_attribute state_attr = __ATTR_RO(state);

static enum fisc_reclaim_state fisc_percent_of(const struct kobj_attribute *attr);

static ssize_t percent_show(struct kobject *kobj, struct kobj_attribute *attr,
			    char *buf)
{
	return sysfs_emit(buf, "%u\n",
			  fisc_levels_percent(fisc_percent_of(attr)));
}

static ssize_t percent_store(struct kobject *kobj, struct kobj_attribute *attr,
			     const char *buf, size_t count)
{
	unsigned int percent;
	int err;

	err = kstrtouint(buf, 0, &percent);
	if (!err)
		err = fisc_levels_set_percent(fisc_percent_of(attr), percent);

	return err ?: count;
}

static struct kobj_attribute fisc_percent_attrs[] = {
	__ATTR(high_percent, 0644, percent_show, percent_store),
	__ATTR(soft_percent, 0644, percent_show, percent_store),
	__ATTR(hard_percent, 0644, percent_show, percent_store),
	__ATTR(low_percent, 0644, percent_show, percent_store),
};

static enum fisc_reclaim_state fisc_percent_of(const struct kobj_attribute *attr)
{
	return FISC_RECLAIM_CLEAR + (attr - fisc_percent_attrs);
}

static void fisc_reclaim_turned(void)
{
	fisc_policy_poke();
	fisc_reclaim_poke();
	fisc_reclaim_unblock();
}

static ssize_t device_show(struct kobject *kobj, struct kobj_attribute *attr,
			   char *buf)
{
	return fisc_disk_show(buf);
}

static ssize_t device_store(struct kobject *kobj, struct kobj_attribute *attr,
			    const char *buf, size_t count)
{
	char *copy __free(kfree) = kstrndup(buf, count, GFP_KERNEL);
	const char *path;
	int err;

	if (!copy)
		return -ENOMEM;
	path = strim(copy);
	if (!*path || !strcmp(path, "none"))
		path = NULL;
	err = fisc_reclaim_set_device(path);
	if (!err)
		fisc_reclaim_turned();

	return err ?: count;
}

static struct kobj_attribute device_attr = __ATTR_RW(device);

static struct fisc_knob fisc_reclaim_knobs[] = {
	FISC_KNOB_NOTIFY(sliding, &fisc_reclaim_sliding, 0, 1, fisc_reclaim_turned),
	FISC_KNOB_NOTIFY(paging, &fisc_reclaim_paging, 0, 1, fisc_reclaim_turned),
	FISC_KNOB_NOTIFY(blocking, &fisc_reclaim_blocking, 0, 1, fisc_reclaim_turned),
	FISC_KNOB_NOTIFY(cold_ms, &fisc_reclaim_cold_ms, FISC_COLD_MS_MIN,
			 FISC_COLD_MS_MAX, fisc_reclaim_turned),
};

static struct attribute *fisc_reclaim_attrs[] = {
	&state_attr.attr,
	&device_attr.attr,
	&fisc_percent_attrs[0].attr,
	&fisc_percent_attrs[1].attr,
	&fisc_percent_attrs[2].attr,
	&fisc_percent_attrs[3].attr,
	&fisc_reclaim_knobs[0].attr.attr,
	&fisc_reclaim_knobs[1].attr.attr,
	&fisc_reclaim_knobs[2].attr.attr,
	&fisc_reclaim_knobs[3].attr.attr,
	NULL,
};

const struct attribute_group fisc_reclaim_group = {
	.name = "reclaim",
	.attrs = fisc_reclaim_attrs,
};

static void fisc_pool_show(struct seq_file *m, const char *name,
			   const struct fisc_reclaim_pool *pool)
{
	unsigned int i;

	seq_printf(m, "%s_total: %llu\n", name, pool->total);
	seq_printf(m, "%s_free: %llu\n", name, pool->free);
	for (i = FISC_RECLAIM_CLEAR; i < FISC_RECLAIM_STATES; i++)
		seq_printf(m, "%s_%s_below: %llu\n", name,
			   fisc_reclaim_names[i], pool->levels.below[i]);
}

static void fisc_history_show(struct seq_file *m)
{
	struct fisc_reclaim_history *history __free(kfree) =
		kmalloc(sizeof(*history), GFP_KERNEL);
	unsigned int i;

	if (!history)
		return;
	fisc_reclaim_get_history(history);
	seq_printf(m, "changes: %u\n", history->nr);
	for (i = history->nr - min(history->nr, FISC_RECLAIM_HISTORY);
	     i != history->nr; i++) {
		const struct fisc_reclaim_event *event =
			&history->events[i % FISC_RECLAIM_HISTORY];

		seq_printf(m, "at_ms_%llu: %s %llu %llu\n",
			   div_u64(event->ns, NSEC_PER_MSEC),
			   fisc_reclaim_names[event->state], event->free,
			   event->host);
	}
}

static int fisc_backing_add(struct fisc_region *region, void *total)
{
	*(unsigned long *)total += fisc_backing_pages(region);

	return 0;
}

/* Pages that the backings of all files hold. */
static unsigned long fisc_backing_total(void)
{
	struct fisc_vm *vm = NULL;
	unsigned long total = 0;

	while ((vm = fisc_vm_after(vm)))
		fisc_vm_each_region(vm, fisc_backing_add, &total);

	return total;
}

/**
 * fisc_reclaim_stats_show() - print the state of reclaim to debugfs
 * @m: the file
 * @v: unused
 *
 * Context: may sleep.
 * Return: 0.
 */
int fisc_reclaim_stats_show(struct seq_file *m, void *v)
{
	struct fisc_reclaim_pool pool, host;
	struct fisc_disk_stats disk;
	struct fisc_host_stats stats;
	int nid;

	fisc_reclaim_pools(&pool, &host);
	fisc_host_get_stats(&stats);
	seq_printf(m, "state: %s\n", fisc_reclaim_names[fisc_reclaim_state()]);
	fisc_pool_show(m, "pool", &pool);
	fisc_pool_show(m, "host", &host);
	seq_printf(m, "excess: %llu\n", fisc_reclaim_excess());
	seq_printf(m, "asked: %ld\n", stats.asked);
	seq_printf(m, "freed: %ld\n", stats.freed);
	seq_printf(m, "swap_room: %ld\n", fisc_swap_room());
	seq_printf(m, "swapped: %ld\n", fisc_total_sum(FISC_SWAPPED));
	seq_printf(m, "backing: %lu\n", fisc_backing_total());
	fisc_disk_get_stats(&disk);
	seq_printf(m, "device_slots: %u\n", disk.slots);
	seq_printf(m, "device_used: %u\n", disk.used);
	seq_printf(m, "read_ahead: %ld\n", fisc_total_sum(FISC_READ_AHEAD));
	seq_printf(m, "read_ahead_hits: %ld\n", fisc_total_sum(FISC_READ_HITS));
	seq_printf(m, "swap_out: %ld\n", fisc_total_sum(FISC_SWAP_OUT));
	for_each_node(nid)
		if (fisc_pager_total(nid) >= 0)
			seq_printf(m, "taken_node%d: %lld\n", nid,
				   fisc_pager_total(nid));
	seq_printf(m, "swap_in: %ld\n", fisc_total_sum(FISC_SWAP_IN));
	seq_printf(m, "swap_lost: %ld\n", fisc_total_sum(FISC_SWAP_LOST));
	seq_printf(m, "swap_no_memory: %ld\n",
		   fisc_total_sum(FISC_SWAP_NO_MEMORY));
	seq_printf(m, "armed: %ld\n", fisc_total_sum(FISC_SWAP_ARMED));
	fisc_wait_show(m, FISC_WAIT_SWAP_IN, "swap_in", FISC_WAIT_BUCKETS);
	fisc_wait_show(m, FISC_WAIT_BLOCKED, "blocked", FISC_WAIT_BUCKETS);
	fisc_history_show(m);

	return 0;
}

static const char * const fisc_reason_names[FISC_NR_REASONS] = {
	"none", "balloon", "paging", "blocked",
};

static const char *fisc_vm_reason(const struct fisc_vm *vm)
{
	return fisc_reason_names[READ_ONCE(vm->reclaim->reason)];
}

static u64 fisc_vm_blocked_ms(const struct fisc_vm *vm)
{
	return div_u64(atomic64_read(&vm->reclaim->blocked_ns), NSEC_PER_MSEC);
}

/* --- per VM --------------------------------------------------------------- */

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
FISC_RECLAIM_ATTR(swap_in_rate, READ_ONCE(vm->reclaim->in.rate));
FISC_RECLAIM_ATTR(swap_out_rate, READ_ONCE(vm->reclaim->out.rate));
FISC_RECLAIM_ATTR(read_ahead, fisc_vm_sum(vm, FISC_READ_AHEAD));
FISC_RECLAIM_ATTR(read_ahead_hits, fisc_vm_sum(vm, FISC_READ_HITS));
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
	&read_ahead_attr.attr,
	&read_ahead_hits_attr.attr,
	&blocked_ms_attr.attr,
	&reclaim_attr.attr,
	NULL,
};

const struct attribute_group fisc_reclaim_vm_group = {
	.attrs = fisc_reclaim_vm_attrs,
};

/* --- table of all VMs ----------------------------------------------------- */

static void fisc_vms_line(struct seq_file *m, struct fisc_vm *vm)
{
	char *name __free(kfree) = NULL;

	scoped_guard(rcu)
		name = kstrdup_quotable(fisc_vm_name(vm), GFP_NOWAIT);
	seq_printf(m, "%10llu %10ld %10ld %10ld %10ld %10ld %8llu %8llu %10llu %10llu %10llu %10llu %-7s %s\n",
		   fisc_vm_size(vm) >> PAGE_SHIFT,
		   fisc_vm_sum(vm, FISC_PRIVATE),
		   fisc_vm_sum(vm, FISC_SHARING),
		   fisc_vm_sum(vm, FISC_ZERO),
		   fisc_vm_sum(vm, FISC_BALLOON),
		   fisc_vm_sum(vm, FISC_SWAPPED),
		   READ_ONCE(vm->reclaim->in.rate),
		   READ_ONCE(vm->reclaim->out.rate),
		   fisc_vm_blocked_ms(vm),
		   fisc_sample_active(vm),
		   fisc_vm_allocated(vm),
		   fisc_quota_target(vm),
		   fisc_vm_reason(vm), name ?: "?");
}

/**
 * fisc_vms_show() - print a table of all VMs to debugfs
 * @m: the file
 * @v: unused
 *
 * Context: may sleep.
 * Return: 0.
 */
int fisc_vms_show(struct seq_file *m, void *v)
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
