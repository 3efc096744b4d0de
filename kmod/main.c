// SPDX-License-Identifier: GPL-2.0
/*
 * fisc: VMware-class memory overcommit for KVM. The parts of the module, and
 * the order in which they start and stop.
 */
#include <linux/debugfs.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>

#include "adopt/adopt.h"
#include "adopt/auto.h"
#include "adopt/discard.h"
#include "adopt/drain.h"
#include "adopt/sysfs.h"
#include "balloon/balloon.h"
#include "balloon/sysfs.h"
#include "base/knob.h"
#include "base/later.h"
#include "base/poke.h"
#include "fs/super.h"
#include "kvm/debugfs.h"
#include "kvm/vmm.h"
#include "memory/backing.h"
#include "memory/disk.h"
#include "memory/frame.h"
#include "memory/large.h"
#include "memory/shared.h"
#include "policy.h"
#include "reclaim/reclaim.h"
#include "reclaim/sysfs.h"
#include "reclaim/vms.h"
#include "sample/sample.h"
#include "sample/sysfs.h"
#include "share/hint.h"
#include "share/member.h"
#include "share/scan.h"
#include "share/sysfs.h"
#include "tax/quota.h"
#include "tax/sysfs.h"
#include "vm/sysfs.h"
#include "vm/vm.h"

/* --- parts of a VM -------------------------------------------------------- */

static const struct fisc_vm_part fisc_parts[] = {
	{ &fisc_vm_group },
	{ &fisc_share_vm_group, fisc_member_begin, fisc_member_end },
	{ .end = fisc_vmm_forget },
	{ &fisc_sample_vm_group, fisc_sampler_begin, fisc_sampler_end },
	{ &fisc_tax_vm_group, fisc_quota_begin, fisc_quota_end },
	{ &fisc_reclaim_vm_group, fisc_reclaim_begin_vm, fisc_reclaim_end_vm },
	{ &fisc_balloon_vm_group, fisc_balloon_begin, fisc_balloon_end },
	{ &fisc_adopt_vm_group, fisc_adopt_begin, fisc_adopt_end },
};

static int fisc_vm_start(void)
{
	return fisc_vm_init(fisc_parts, ARRAY_SIZE(fisc_parts));
}

/* --- sysfs and debugfs ---------------------------------------------------- */

static const struct attribute_group *fisc_groups[] = {
	&fisc_large_group,
	&fisc_share_group,
	&fisc_sample_group,
	&fisc_tax_group,
	&fisc_reclaim_group,
	&fisc_balloon_group,
	&fisc_adopt_group,
	&fisc_adoption_group,
	NULL,
};

/**
 * struct fisc_stats_file - a file in debugfs
 * @name: its name
 * @show: prints its content
 */
struct fisc_stats_file {
	const char *name;
	int (*show)(struct seq_file *m, void *v);
};

static const struct fisc_stats_file fisc_stats_files[] = {
	{ "core", fisc_core_stats_show },
	{ "share", fisc_share_stats_show },
	{ "sample", fisc_sample_stats_show },
	{ "tax", fisc_tax_stats_show },
	{ "reclaim", fisc_reclaim_stats_show },
	{ "vms", fisc_vms_show },
	{ "adopt", fisc_adopt_stats_show },
};

static const struct fisc_stats_file fisc_kvm_slots_file = {
	"kvm", fisc_kvm_slots_show
};

static int fisc_stats_open(struct inode *inode, struct file *file)
{
	const struct fisc_stats_file *stats = inode->i_private;

	return single_open(file, stats->show, NULL);
}

static const struct file_operations fisc_stats_fops = {
	.owner = THIS_MODULE,
	.open = fisc_stats_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = single_release,
};

static struct dentry *fisc_debugfs;

static int fisc_publish(void)
{
	const struct fisc_stats_file *stats = fisc_stats_files;
	unsigned int i;
	int err;

	err = sysfs_create_groups(fisc_kobj, fisc_groups);
	if (err)
		return err;

	fisc_debugfs = debugfs_create_dir("fisc", NULL);
	for (i = 0; i < ARRAY_SIZE(fisc_stats_files); i++)
		debugfs_create_file(stats[i].name, 0444, fisc_debugfs,
				    (void *)&stats[i], &fisc_stats_fops);
	debugfs_create_file("kvm", 0400, fisc_debugfs,
			    (void *)&fisc_kvm_slots_file, &fisc_stats_fops);
	debugfs_create_file("young", 0400, fisc_debugfs, NULL,
			    &fisc_kvm_young_fops);

	return 0;
}

static void fisc_withdraw(void)
{
	debugfs_remove(fisc_debugfs);
	sysfs_remove_groups(fisc_kobj, fisc_groups);
}

/* --- start and stop ------------------------------------------------------- */

/*
 * Each step may use the steps before it. Nothing outside the module can reach
 * it before fisc_publish(), and no VM exists before the last step,
 * fisc_fs_init(). So if a step fails, the steps before it are undone while
 * nobody uses them: fisc_withdraw() waits for users of sysfs and debugfs.
 */
static const struct {
	int (*init)(void);
	void (*exit)(void);
} fisc_steps[] = {
	{ fisc_knob_init, fisc_knob_exit },
	{ fisc_later_init, fisc_later_exit },
	{ fisc_frame_init, fisc_frame_exit },
	{ fisc_backing_init, fisc_backing_exit },
	{ .exit = fisc_disk_exit },
	{ fisc_shared_init, fisc_shared_exit },
	{ fisc_hint_init, fisc_hint_exit },
	{ fisc_policy_start, fisc_policy_exit },
	{ fisc_vm_start, fisc_vm_exit },
	{ fisc_scan_init, fisc_scan_exit },
	{ fisc_reclaim_init, fisc_reclaim_exit },
	{ fisc_discard_init, fisc_discard_exit },
	{ fisc_drain_init, fisc_drain_exit },
	{ .exit = fisc_adopt_exit },
	{ .exit = fisc_auto_exit },
	{ fisc_publish, fisc_withdraw },
	{ fisc_fs_init, fisc_fs_exit },
};

static void fisc_undo(unsigned int steps)
{
	while (steps--)
		if (fisc_steps[steps].exit)
			fisc_steps[steps].exit();
}

static int __init fisc_init(void)
{
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(fisc_steps); i++) {
		err = fisc_steps[i].init ? fisc_steps[i].init() : 0;
		if (err) {
			fisc_undo(i);
			return err;
		}
	}

	return 0;
}

static void __exit fisc_exit(void)
{
	/*
	 * A task that held the module until now, in a fault that waited for
	 * memory or in task work, may still execute the module's code.
	 */
	synchronize_rcu_tasks();
	fisc_undo(ARRAY_SIZE(fisc_steps));
}

module_init(fisc_init);
module_exit(fisc_exit);

MODULE_DESCRIPTION("VMware-class memory overcommit for KVM");
MODULE_LICENSE("GPL");
