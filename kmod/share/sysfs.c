// SPDX-License-Identifier: GPL-2.0
/*
 * Sharing in sysfs and debugfs.
 */
#include <linux/kobject.h>
#include <linux/math64.h>
#include <linux/seq_file.h>
#include <linux/sysfs.h>

#include "base/knob.h"
#include "base/stats.h"
#include "memory/domain.h"
#include "memory/shared.h"
#include "share/member.h"
#include "share/merge.h"
#include "share/scan.h"
#include "share/sysfs.h"
#include "uapi/fisc.h"
#include "vm/vm.h"

/* Buckets of the histogram of lock hold times: up to half a second. */
#define FISC_HOLD_BUCKETS	20

static ssize_t full_scans_show(struct kobject *kobj,
			       struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", fisc_scan_full_scans());
}

static struct kobj_attribute full_scans_attr = __ATTR_RO(full_scans);

static ssize_t domain_show(struct kobject *kobj, struct kobj_attribute *attr,
			   char *buf)
{
	char name[FISC_DOMAIN_NAME_MAX + 1];

	fisc_member_default(name);

	return sysfs_emit(buf, "%s\n", name);
}

static ssize_t domain_store(struct kobject *kobj, struct kobj_attribute *attr,
			    const char *buf, size_t count)
{
	return fisc_member_set_default(buf, count) ?: count;
}

static struct kobj_attribute domain_attr = __ATTR_RW(domain);

static ssize_t unmergeable_show(struct kobject *kobj,
				struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", fisc_member_unmergeable());
}

static ssize_t unmergeable_store(struct kobject *kobj,
				 struct kobj_attribute *attr, const char *buf,
				 size_t count)
{
	bool share;
	int err = kstrtobool(buf, &share);

	return err ?: fisc_member_set_unmergeable(share) ?: count;
}

static struct kobj_attribute unmergeable_attr = __ATTR_RW(unmergeable);

static struct fisc_knob fisc_scan_knobs[] = {
	FISC_KNOB_NOTIFY(run, &fisc_scan_run, FISC_SHARE_STOP, FISC_SHARE_RUN,
			 fisc_scan_turned),
	FISC_KNOB_NOTIFY(pages_per_sec, &fisc_scan_pages_per_sec,
			 FISC_PAGES_PER_SEC_MIN, FISC_PAGES_PER_SEC_MAX,
			 fisc_scan_turned),
	FISC_KNOB_NOTIFY(cpu_percent, &fisc_scan_cpu_percent, 1, 100,
			 fisc_scan_turned),
	FISC_KNOB_NOTIFY(recheck_ms, &fisc_scan_recheck_ms, FISC_RECHECK_MS_MIN,
			 FISC_RECHECK_MS_MAX, fisc_scan_turned),
	FISC_KNOB_NOTIFY(pressure_percent, &fisc_scan_pressure_percent, 0,
			 FISC_PRESSURE_PERCENT_MAX, fisc_scan_turned),
	FISC_KNOB(across_nodes, &fisc_share_across_nodes, 0, 1),
	FISC_KNOB(max_users, &fisc_share_max_users, FISC_MAX_USERS_MIN,
		  FISC_MAX_USERS_MAX),
};

static struct attribute *fisc_share_attrs[] = {
	&fisc_scan_knobs[0].attr.attr,
	&fisc_scan_knobs[1].attr.attr,
	&fisc_scan_knobs[2].attr.attr,
	&fisc_scan_knobs[3].attr.attr,
	&fisc_scan_knobs[4].attr.attr,
	&fisc_scan_knobs[5].attr.attr,
	&fisc_scan_knobs[6].attr.attr,
	&full_scans_attr.attr,
	&domain_attr.attr,
	&unmergeable_attr.attr,
	NULL,
};

const struct attribute_group fisc_share_group = {
	.name = "share",
	.attrs = fisc_share_attrs,
};

static ssize_t vm_domain_show(struct kobject *kobj, struct kobj_attribute *attr,
			      char *buf)
{
	char name[FISC_DOMAIN_NAME_MAX + 1];

	fisc_member_name(to_fisc_vm(kobj), name);

	return sysfs_emit(buf, "%s\n", name);
}

static ssize_t vm_domain_store(struct kobject *kobj,
			       struct kobj_attribute *attr, const char *buf,
			       size_t count)
{
	return fisc_member_choose(to_fisc_vm(kobj), buf, count) ?: count;
}

static struct kobj_attribute vm_domain_attr =
	__ATTR(domain, 0644, vm_domain_show, vm_domain_store);

static const char * const fisc_merges[] = {
	[FISC_MERGE_AUTO] = "auto",
	[FISC_MERGE_NO] = "no",
	[FISC_MERGE_YES] = "yes",
};

static ssize_t mergeable_show(struct kobject *kobj, struct kobj_attribute *attr,
			      char *buf)
{
	return sysfs_emit(buf, "%s\n",
			  fisc_merges[fisc_member_merge(to_fisc_vm(kobj))]);
}

static ssize_t mergeable_store(struct kobject *kobj,
			       struct kobj_attribute *attr, const char *buf,
			       size_t count)
{
	int merge = sysfs_match_string(fisc_merges, buf);

	if (merge < 0)
		return merge;

	return fisc_member_set_merge(to_fisc_vm(kobj), merge) ?: count;
}

static struct kobj_attribute vm_mergeable_attr = __ATTR_RW(mergeable);

static struct attribute *fisc_share_vm_attrs[] = {
	&vm_domain_attr.attr,
	&vm_mergeable_attr.attr,
	NULL,
};

const struct attribute_group fisc_share_vm_group = {
	.attrs = fisc_share_vm_attrs,
};

/**
 * fisc_share_stats_show() - print the counters of page sharing
 * @m: the file "share" in debugfs
 * @v: unused
 *
 * Context: may sleep.
 * Return: 0.
 */
int fisc_share_stats_show(struct seq_file *m, void *v)
{
	long shared = fisc_total_sum(FISC_SHARED);
	long sharing = fisc_total_sum(FISC_SHARING);
	long zero = fisc_total_sum(FISC_ZERO);

	seq_printf(m, "shared: %ld\n", shared);
	seq_printf(m, "sharing: %ld\n", sharing);
	seq_printf(m, "zero: %ld\n", zero);
	seq_printf(m, "saved: %ld\n", max(sharing - shared, 0L) + zero);
	seq_printf(m, "cow_breaks: %ld\n", fisc_total_sum(FISC_COW_BREAKS));
	seq_printf(m, "scanned: %ld\n", fisc_total_sum(FISC_SCANNED));
	seq_printf(m, "written: %ld\n", fisc_total_sum(FISC_WRITTEN));
	seq_printf(m, "merged: %ld\n", fisc_total_sum(FISC_MERGED));
	seq_printf(m, "merged_zero: %ld\n", fisc_total_sum(FISC_MERGED_ZERO));
	seq_printf(m, "pinned: %ld\n", fisc_total_sum(FISC_PINNED));
	seq_printf(m, "changed: %ld\n", fisc_total_sum(FISC_CHANGED));
	seq_printf(m, "unmap_rounds: %ld\n", fisc_total_sum(FISC_UNMAP_ROUNDS));
	seq_printf(m, "full_scans: %llu\n", fisc_scan_full_scans());
	seq_printf(m, "table_bytes: %ld\n", fisc_total_sum(FISC_META_BYTES));
	seq_printf(m, "pressure: %u\n", fisc_share_under_pressure());
	seq_printf(m, "cpu_us: %llu\n",
		   div_u64(fisc_scan_cpu_ns(), NSEC_PER_USEC));
	fisc_wait_show(m, FISC_WAIT_HOLD, "hold", FISC_HOLD_BUCKETS);

	return 0;
}
