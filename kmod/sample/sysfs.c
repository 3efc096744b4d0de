// SPDX-License-Identifier: GPL-2.0
/*
 * Sampling in sysfs and debugfs.
 */
#include <linux/kobject.h>
#include <linux/math64.h>
#include <linux/seq_file.h>
#include <linux/sysfs.h>

#include "base/fraction.h"
#include "base/knob.h"
#include "base/poke.h"
#include "base/stats.h"
#include "sample/sample.h"
#include "sample/sysfs.h"
#include "uapi/fisc.h"
#include "vm/knob.h"

static struct fisc_knob fisc_sample_knobs[] = {
	FISC_KNOB_NOTIFY(pages, &fisc_sample_pages, FISC_SAMPLE_PAGES_MIN,
			 FISC_SAMPLE_PAGES_MAX, fisc_policy_poke),
	FISC_KNOB_NOTIFY(period_ms, &fisc_sample_period_ms,
			 FISC_SAMPLE_PERIOD_MS_MIN, FISC_SAMPLE_PERIOD_MS_MAX,
			 fisc_policy_poke),
	FISC_KNOB(slow_percent, &fisc_sample_slow, 1, 100),
	FISC_KNOB(fast_percent, &fisc_sample_fast, 1, 100),
};

static struct attribute *fisc_sample_attrs[] = {
	&fisc_sample_knobs[0].attr.attr,
	&fisc_sample_knobs[1].attr.attr,
	&fisc_sample_knobs[2].attr.attr,
	&fisc_sample_knobs[3].attr.attr,
	NULL,
};

const struct attribute_group fisc_sample_group = {
	.name = "sample",
	.attrs = fisc_sample_attrs,
};

static struct fisc_vm_knob fisc_sample_vm_knobs[] = {
	FISC_VM_KNOB(sample_pages, sampler, struct fisc_sampler, nr_pages,
		     &fisc_sample_pages, FISC_SAMPLE_PAGES_MIN,
		     FISC_SAMPLE_PAGES_MAX, fisc_policy_poke),
	FISC_VM_KNOB(sample_period_ms, sampler, struct fisc_sampler, period_ms,
		     &fisc_sample_period_ms, FISC_SAMPLE_PERIOD_MS_MIN,
		     FISC_SAMPLE_PERIOD_MS_MAX, fisc_policy_poke),
	FISC_VM_KNOB(sample_slow_percent, sampler, struct fisc_sampler,
		     slow_percent, &fisc_sample_slow, 1, 100, fisc_policy_poke),
	FISC_VM_KNOB(sample_fast_percent, sampler, struct fisc_sampler,
		     fast_percent, &fisc_sample_fast, 1, 100, fisc_policy_poke),
};

#define FISC_ACTIVITY_ATTR(_name, _field)				\
static ssize_t _name##_show(struct kobject *kobj,			\
			    struct kobj_attribute *attr, char *buf)	\
{									\
	struct fisc_vm *vm = to_fisc_vm(kobj);				\
	struct fisc_activity activity;					\
									\
	fisc_sample_activity(vm, &activity);				\
	return sysfs_emit(buf, "%llu\n",				\
			  fisc_fraction_of(fisc_vm_size(vm),		\
					   activity._field));		\
}									\
static struct kobj_attribute _name##_attr = __ATTR_RO(_name)

FISC_ACTIVITY_ATTR(active, active);
FISC_ACTIVITY_ATTR(active_slow, slow);
FISC_ACTIVITY_ATTR(active_fast, fast);
FISC_ACTIVITY_ATTR(active_error, error);

static struct attribute *fisc_sample_vm_attrs[] = {
	&fisc_sample_vm_knobs[0].attr.attr,
	&fisc_sample_vm_knobs[1].attr.attr,
	&fisc_sample_vm_knobs[2].attr.attr,
	&fisc_sample_vm_knobs[3].attr.attr,
	&active_attr.attr,
	&active_slow_attr.attr,
	&active_fast_attr.attr,
	&active_error_attr.attr,
	NULL,
};

const struct attribute_group fisc_sample_vm_group = {
	.attrs = fisc_sample_vm_attrs,
};

/**
 * fisc_sample_stats_show() - print the counters of sampling
 * @m: the file "sample" in debugfs
 * @v: unused
 *
 * Context: may sleep.
 * Return: 0.
 */
int fisc_sample_stats_show(struct seq_file *m, void *v)
{
	seq_printf(m, "periods: %ld\n", fisc_total_sum(FISC_SAMPLE_PERIODS));
	seq_printf(m, "sampled: %ld\n", fisc_total_sum(FISC_SAMPLED));
	seq_printf(m, "touched: %ld\n", fisc_total_sum(FISC_SAMPLE_TOUCHED));
	seq_printf(m, "faults: %ld\n", fisc_total_sum(FISC_SAMPLE_FAULTS));
	seq_printf(m, "cpu_us: %llu\n",
		   div_u64(fisc_sample_cpu_ns(), NSEC_PER_USEC));

	return 0;
}
