// SPDX-License-Identifier: GPL-2.0
/*
 * fisc: VMware-class memory overcommit for KVM.
 */
#include <linux/debugfs.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "adopt/adopt.h"
#include "balloon/balloon.h"
#include "frame.h"
#include "fs.h"
#include "large.h"
#include "policy.h"
#include "reclaim/reclaim.h"
#include "region.h"
#include "share/hint.h"
#include "share/share.h"
#include "stats.h"
#include "tax/target.h"
#include "vm.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static struct kobject *fisc_kobj;
static struct dentry *fisc_debugfs;

static int fisc_core_stats_show(struct seq_file *m, void *v)
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
DEFINE_SHOW_ATTRIBUTE(fisc_core_stats);

static int __init fisc_init(void)
{
	int err = -ENOMEM;

	fisc_kobj = kobject_create_and_add("fisc", kernel_kobj);
	if (!fisc_kobj)
		return err;
	fisc_debugfs = debugfs_create_dir("fisc", NULL);
	debugfs_create_file("core", 0444, fisc_debugfs, NULL,
			    &fisc_core_stats_fops);

	err = fisc_frame_init();
	if (err)
		goto err_kobj;
	err = fisc_shared_init();
	if (err)
		goto err_frame;
	err = fisc_hint_init();
	if (err)
		goto err_shared;
	err = fisc_vm_init(fisc_kobj);
	if (err)
		goto err_hint;
	err = fisc_policy_init();
	if (err)
		goto err_vm;
	err = fisc_balloon_init(fisc_kobj);
	if (err)
		goto err_policy;
	fisc_kvm_init(fisc_debugfs);
	fisc_target_init(fisc_debugfs);
	err = fisc_sample_init(fisc_kobj, fisc_debugfs);
	if (err)
		goto err_policy;
	err = fisc_quota_init(fisc_kobj);
	if (err)
		goto err_policy;
	err = fisc_large_init(fisc_kobj);
	if (err)
		goto err_policy;
	err = fisc_scan_init(fisc_kobj, fisc_debugfs);
	if (err)
		goto err_policy;
	err = fisc_reclaim_init(fisc_kobj, fisc_debugfs);
	if (err)
		goto err_scan;
	err = fisc_adopt_init(fisc_kobj, fisc_debugfs);
	if (err)
		goto err_reclaim;
	err = fisc_fs_init();
	if (err)
		goto err_adopt;

	return 0;

err_adopt:
	fisc_adopt_exit();
err_reclaim:
	fisc_reclaim_exit();
err_scan:
	debugfs_remove(fisc_debugfs);
	fisc_debugfs = NULL;
	fisc_scan_exit();
err_policy:
	fisc_policy_exit();
err_vm:
	fisc_vm_exit();
err_hint:
	fisc_hint_exit();
err_shared:
	fisc_shared_exit();
err_frame:
	fisc_frame_exit();
err_kobj:
	debugfs_remove(fisc_debugfs);
	kobject_put(fisc_kobj);
	return err;
}

static void __exit fisc_exit(void)
{
	fisc_adopt_exit();
	fisc_fs_exit();
	debugfs_remove(fisc_debugfs);
	fisc_reclaim_exit();
	fisc_vm_exit();
	kobject_put(fisc_kobj);
	fisc_policy_exit();
	fisc_scan_exit();
	fisc_hint_exit();
	fisc_shared_exit();
	fisc_frame_exit();
}

module_init(fisc_init);
module_exit(fisc_exit);

MODULE_DESCRIPTION("VMware-class memory overcommit for KVM");
MODULE_LICENSE("GPL");
