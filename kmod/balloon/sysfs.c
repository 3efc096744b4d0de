// SPDX-License-Identifier: GPL-2.0
/*
 * Balloons in sysfs.
 */
#include <linux/kobject.h>
#include <linux/mm.h>
#include <linux/sysfs.h>

#include "balloon/balloon.h"
#include "balloon/sysfs.h"
#include "base/knob.h"
#include "tax/quota.h"
#include "uapi/fisc.h"
#include "vm/vm.h"

static ssize_t fisc_balloon_show_pages(char *buf, u64 pages)
{
	return sysfs_emit(buf, "%llu\n", pages << PAGE_SHIFT);
}

/* An empty line unsets the choice. */
static int fisc_balloon_parse(const char *buf, u64 *pages)
{
	*pages = FISC_PAGES_FOLLOW;

	return sysfs_streq(buf, "") ? 0 : fisc_knob_parse_bytes(buf, pages);
}

static ssize_t balloon_target_show(struct kobject *kobj,
				   struct kobj_attribute *attr, char *buf)
{
	return fisc_balloon_show_pages(buf,
				       READ_ONCE(to_fisc_vm(kobj)->balloon->wanted));
}

static ssize_t balloon_target_store(struct kobject *kobj,
				    struct kobj_attribute *attr,
				    const char *buf, size_t count)
{
	u64 pages;
	int err = fisc_balloon_parse(buf, &pages);

	err = err ?: fisc_balloon_set_target(to_fisc_vm(kobj), pages);

	return err ?: count;
}

static struct kobj_attribute balloon_target_attr =
	__ATTR(target, 0644, balloon_target_show, balloon_target_store);

static ssize_t balloon_max_show(struct kobject *kobj,
				struct kobj_attribute *attr, char *buf)
{
	return fisc_balloon_show_pages(buf, fisc_balloon_max(to_fisc_vm(kobj)));
}

static ssize_t balloon_max_store(struct kobject *kobj,
				 struct kobj_attribute *attr, const char *buf,
				 size_t count)
{
	u64 pages;
	int err = fisc_balloon_parse(buf, &pages);

	err = err ?: fisc_balloon_set_max(to_fisc_vm(kobj), pages);

	return err ?: count;
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

/* Statistics of guests, by enum fisc_balloon_stat. */
static struct kobj_attribute fisc_stats[FISC_NR_STATS];

static ssize_t fisc_stat_show(struct kobject *kobj, struct kobj_attribute *attr,
			      char *buf)
{
	struct fisc_balloon *balloon = to_fisc_vm(kobj)->balloon;
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

static struct attribute *fisc_balloon_vm_attrs[] = {
	&balloon_target_attr.attr,
	&balloon_max_attr.attr,
	&actual_attr.attr,
	&popped_attr.attr,
	&fisc_stats[FISC_STAT_SWAP_IN].attr,
	&fisc_stats[FISC_STAT_SWAP_OUT].attr,
	&fisc_stats[FISC_STAT_MAJOR_FAULTS].attr,
	&fisc_stats[FISC_STAT_MINOR_FAULTS].attr,
	&fisc_stats[FISC_STAT_FREE].attr,
	&fisc_stats[FISC_STAT_TOTAL].attr,
	&fisc_stats[FISC_STAT_AVAILABLE].attr,
	&fisc_stats[FISC_STAT_DISK_CACHES].attr,
	&fisc_stats[FISC_STAT_HUGETLB_ALLOCATIONS].attr,
	&fisc_stats[FISC_STAT_HUGETLB_FAILURES].attr,
	&fisc_stats[FISC_STAT_OOM_KILLS].attr,
	&fisc_stats[FISC_STAT_ALLOC_STALLS].attr,
	&fisc_stats[FISC_STAT_ASYNC_SCANNED].attr,
	&fisc_stats[FISC_STAT_DIRECT_SCANNED].attr,
	&fisc_stats[FISC_STAT_ASYNC_RECLAIMED].attr,
	&fisc_stats[FISC_STAT_DIRECT_RECLAIMED].attr,
	&fisc_stats[FISC_STAT_PSI_SOME].attr,
	&fisc_stats[FISC_STAT_PSI_FULL].attr,
	&fisc_stats[FISC_STAT_REFAULTS].attr,
	&fisc_stats[FISC_STAT_SMALL].attr,
	&fisc_stats[FISC_STAT_LARGE].attr,
	&fisc_stats[FISC_STAT_FLOOR].attr,
	&fisc_stats[FISC_STAT_SHORT].attr,
	NULL,
};

static_assert(ARRAY_SIZE(fisc_balloon_vm_attrs) == FISC_NR_STATS + 5);

const struct attribute_group fisc_balloon_vm_group = {
	.name = "balloon",
	.attrs = fisc_balloon_vm_attrs,
};

static struct fisc_knob fisc_balloon_stats_knob =
	FISC_KNOB_NOTIFY(stats_ms, &fisc_balloon_stats_ms,
			 FISC_BALLOON_STATS_MS_MIN, FISC_BALLOON_STATS_MS_MAX,
			 fisc_balloon_ask_all);

static struct attribute *fisc_balloon_attrs[] = {
	&fisc_balloon_stats_knob.attr.attr,
	NULL,
};

const struct attribute_group fisc_balloon_group = {
	.name = "balloon",
	.attrs = fisc_balloon_attrs,
};
