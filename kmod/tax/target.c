// SPDX-License-Identifier: GPL-2.0
/**
 * DOC: Targets
 *
 * Every VM's claim, what it is promised and how active it is, is handed to the
 * tax (tax/tax.c), which says how much memory each should have: its target. What
 * is divided is the capacity less the module's own memory; or what VMs have and
 * the host could still give them, if that is less, since a host whose memory
 * others use has no more to divide. The reserve is left alone, and so is what has to
 * be free for nothing to be taken back (DOC: Reclaim).
 *
 * What a VM has (allocated) is the frames it has alone and a part of those it
 * shares. Each user of a shared frame pays the same part of it. That is not
 * counted frame by frame, which would have every break of sharing look for the
 * frame's other users, but over a domain: of its shared frames, a VM pays as many
 * as its sharing pages are of all sharing pages of the domain. So all frames are
 * paid for, once, nobody pays for those of a domain he is not in, and VMs with
 * the same memory pay the same. Zero pages are free. Who brings pages that many
 * others have makes it cheaper for all in the domain, himself included.
 *
 * A claim's active pages are the estimate's fraction of the VM's size: what is
 * active of a VM is in memory.
 */
#include <linux/debugfs.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/sched/clock.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "../sample/sample.h"
#include "../trace.h"
#include "../vm.h"
#include "quota.h"
#include "target.h"
#include "tax.h"

static u64 fisc_target_runs;
static u64 fisc_target_ns;
static u64 fisc_target_pool;

static void fisc_target_claim(struct fisc_vm *vm, struct fisc_claim *claim)
{
	fisc_quota_claim(vm, claim);
	claim->active = fisc_sample_active(vm);
}

/* Pages that there are to be divided. */
static u64 fisc_pool(void)
{
	u64 capacity = fisc_quota_capacity();
	u64 apart = fisc_metadata_pages() + fisc_reclaim_keep(capacity);
	u64 host = fisc_frames_in_use() + max(si_mem_available(), 0L);

	host -= min(host, fisc_reclaim_keep(totalram_pages()));

	return min(capacity - min(apart, capacity), host);
}

static void fisc_target_set(struct fisc_vm *vm, const struct fisc_claim *claim)
{
	trace_fisc_target(vm, fisc_vm_allocated(vm), claim->active,
			  claim->target);
	if (claim->target == READ_ONCE(vm->quota.target))
		return;
	WRITE_ONCE(vm->quota.target, claim->target);
	sysfs_notify(&vm->kobj, NULL, "target");
}

/* Return: number of VMs held in @vms. */
static unsigned int fisc_target_gather(struct fisc_vm **vms,
				       struct fisc_claim *claims,
				       unsigned int room)
{
	unsigned long id = 0;
	unsigned int nr = 0;

	while (nr < room && (vms[nr] = fisc_vm_next(&id))) {
		fisc_target_claim(vms[nr], &claims[nr]);
		nr++;
		id++;
		cond_resched();
	}

	return nr;
}

/**
 * fisc_targets_update() - say anew how much memory each VM should have
 *
 * Context: may sleep; from one thread only.
 */
void fisc_targets_update(void)
{
	unsigned int room = fisc_vm_count();
	struct fisc_claim *claims;
	struct fisc_vm **vms;
	unsigned int i, nr;
	u64 start;

	/* VMs that come after this have poked, or are going to. */
	claims = kvmalloc_array(room, sizeof(*claims), GFP_KERNEL);
	vms = kvmalloc_array(room, sizeof(struct fisc_vm *), GFP_KERNEL);
	if (claims && vms) {
		nr = fisc_target_gather(vms, claims, room);
		fisc_target_pool = fisc_pool();
		start = local_clock();
		fisc_tax_targets(claims, nr, fisc_target_pool);
		fisc_target_ns += local_clock() - start;
		fisc_target_runs++;
		for (i = 0; i < nr; i++) {
			fisc_target_set(vms[i], &claims[i]);
			fisc_vm_put(vms[i]);
		}
	}
	kvfree(vms);
	kvfree(claims);
}

static ssize_t target_show(struct kobject *kobj, struct kobj_attribute *attr,
			   char *buf)
{
	return sysfs_emit(buf, "%llu\n",
			  READ_ONCE(to_fisc_vm(kobj)->quota.target) << PAGE_SHIFT);
}

static struct kobj_attribute target_attr = __ATTR_RO(target);

static ssize_t allocated_show(struct kobject *kobj, struct kobj_attribute *attr,
			      char *buf)
{
	return sysfs_emit(buf, "%llu\n",
			  fisc_vm_allocated(to_fisc_vm(kobj)) << PAGE_SHIFT);
}

static struct kobj_attribute allocated_attr = __ATTR_RO(allocated);

static ssize_t rho_show(struct kobject *kobj, struct kobj_attribute *attr,
			char *buf)
{
	struct fisc_vm *vm = to_fisc_vm(kobj);
	struct fisc_claim claim;
	u64 rho;

	fisc_target_claim(vm, &claim);
	rho = fisc_tax_rho(&claim, fisc_vm_allocated(vm));
	if (rho == U64_MAX)
		return sysfs_emit(buf, "inf\n");

	return sysfs_emit(buf, "%llu.%06llu\n", rho >> 32,
			  ((rho & U32_MAX) * 1000000) >> 32);
}

static struct kobj_attribute rho_attr = __ATTR_RO(rho);

static struct attribute *fisc_target_vm_attrs[] = {
	&target_attr.attr,
	&allocated_attr.attr,
	&rho_attr.attr,
	NULL,
};

const struct attribute_group fisc_target_vm_group = {
	.attrs = fisc_target_vm_attrs,
};

static int fisc_target_stats_show(struct seq_file *m, void *v)
{
	seq_printf(m, "runs: %llu\n", fisc_target_runs);
	seq_printf(m, "cpu_us: %llu\n", div_u64(fisc_target_ns, NSEC_PER_USEC));
	seq_printf(m, "capacity: %llu\n", fisc_quota_capacity() << PAGE_SHIFT);
	seq_printf(m, "reserved: %llu\n", fisc_quota_reserved() << PAGE_SHIFT);
	seq_printf(m, "pool: %llu\n", fisc_target_pool << PAGE_SHIFT);

	return 0;
}
DEFINE_SHOW_ATTRIBUTE(fisc_target_stats);

/**
 * fisc_target_init() - show what targets cost
 * @debugfs: /sys/kernel/debug/fisc
 *
 * Context: may sleep.
 */
void fisc_target_init(struct dentry *debugfs)
{
	debugfs_create_file("tax", 0444, debugfs, NULL,
			    &fisc_target_stats_fops);
}
