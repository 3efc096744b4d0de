// SPDX-License-Identifier: GPL-2.0
/*
 * A VM's size and counters in sysfs, and the module's counters in debugfs.
 */
#include <linux/kobject.h>
#include <linux/seq_file.h>
#include <linux/sysfs.h>

#include "memory/frame.h"
#include "memory/region.h"
#include "vm/sysfs.h"
#include "vm/vm.h"

static ssize_t size_bytes_show(struct kobject *kobj,
			       struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", fisc_vm_size(to_fisc_vm(kobj)));
}

static ssize_t present_pages_show(struct kobject *kobj,
				  struct kobj_attribute *attr, char *buf)
{
	struct fisc_vm *vm = to_fisc_vm(kobj);

	return sysfs_emit(buf, "%ld\n", fisc_vm_sum(vm, FISC_PRIVATE) +
					fisc_vm_sum(vm, FISC_SHARING) +
					fisc_vm_sum(vm, FISC_ZERO));
}

#define FISC_VM_ATTR(_name, _counter)					\
static ssize_t _name##_show(struct kobject *kobj,			\
			    struct kobj_attribute *attr, char *buf)	\
{									\
	return sysfs_emit(buf, "%ld\n",					\
			  fisc_vm_sum(to_fisc_vm(kobj), _counter));		\
}									\
static struct kobj_attribute _name##_attr = __ATTR_RO(_name)

static struct kobj_attribute size_bytes_attr = __ATTR_RO(size_bytes);
static struct kobj_attribute present_pages_attr = __ATTR_RO(present_pages);
FISC_VM_ATTR(private_pages, FISC_PRIVATE);
FISC_VM_ATTR(sharing_pages, FISC_SHARING);
FISC_VM_ATTR(zero_pages, FISC_ZERO);
FISC_VM_ATTR(large_pages, FISC_LARGE);
FISC_VM_ATTR(faults, FISC_FAULTS);
FISC_VM_ATTR(cow_breaks, FISC_COW_BREAKS);

static struct attribute *fisc_vm_attrs[] = {
	&size_bytes_attr.attr,
	&present_pages_attr.attr,
	&private_pages_attr.attr,
	&sharing_pages_attr.attr,
	&zero_pages_attr.attr,
	&large_pages_attr.attr,
	&faults_attr.attr,
	&cow_breaks_attr.attr,
	NULL,
};

const struct attribute_group fisc_vm_group = {
	.attrs = fisc_vm_attrs,
};

/**
 * fisc_core_stats_show() - print the counters of the frame map and large pages
 * @m: the file "core" in debugfs
 * @v: unused
 *
 * Context: may sleep.
 * Return: 0.
 */
int fisc_core_stats_show(struct seq_file *m, void *v)
{
	long private = fisc_total_sum(FISC_PRIVATE);
	long sharing = fisc_total_sum(FISC_SHARING);
	long shared = fisc_total_sum(FISC_SHARED);
	long zero = fisc_total_sum(FISC_ZERO);

	seq_printf(m, "vms: %u\n", fisc_vm_count());
	seq_printf(m, "regions: %u\n", fisc_region_count());
	seq_printf(m, "present: %ld\n", private + sharing + zero);
	seq_printf(m, "private: %ld\n", private);
	seq_printf(m, "sharing: %ld\n", sharing);
	seq_printf(m, "shared: %ld\n", shared);
	seq_printf(m, "zero: %ld\n", zero);
	seq_printf(m, "swapped: %ld\n", fisc_total_sum(FISC_SWAPPED));
	seq_printf(m, "frames: %ld\n", fisc_frames_in_use());
	seq_printf(m, "faults: %ld\n", fisc_total_sum(FISC_FAULTS));
	seq_printf(m, "write_faults: %ld\n", fisc_total_sum(FISC_WRITE_FAULTS));
	seq_printf(m, "large: %ld\n", fisc_total_sum(FISC_LARGE));
	seq_printf(m, "large_allocs: %ld\n",
		   fisc_total_sum(FISC_LARGE_ALLOCS));
	seq_printf(m, "large_failed: %ld\n",
		   fisc_total_sum(FISC_LARGE_FAILED));
	seq_printf(m, "large_breaks: %ld\n",
		   fisc_total_sum(FISC_LARGE_BREAKS));
	seq_printf(m, "large_rebuilds: %ld\n",
		   fisc_total_sum(FISC_LARGE_REBUILDS));
	seq_printf(m, "map_bytes: %ld\n", fisc_total_sum(FISC_MAP_BYTES));
	seq_printf(m, "metadata_bytes: %lu\n", fisc_metadata_bytes());

	return 0;
}
