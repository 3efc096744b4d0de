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
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/sched/clock.h>
#include <linux/slab.h>

#include "base/state.h"
#include "base/trace.h"
#include "memory/frame.h"
#include "sample/sample.h"
#include "share/account.h"
#include "tax/quota.h"
#include "tax/target.h"
#include "tax/tax.h"
#include "vm/vm.h"

static struct fisc_target_stats fisc_target_stats;

/**
 * fisc_target_claim() - return what a VM claims of the memory
 * @vm: the VM
 * @claim: the result
 *
 * Context: may sleep.
 */
void fisc_target_claim(struct fisc_vm *vm, struct fisc_claim *claim)
{
	fisc_quota_claim(vm, claim);
	claim->active = fisc_sample_active(vm);
}

/* Pages that there are to be divided. */
static u64 fisc_target_divisible(void)
{
	u64 capacity = fisc_quota_capacity();
	u64 apart = fisc_metadata_pages() + fisc_reclaim_keep(capacity);
	u64 host = fisc_frames_in_use() + max(si_mem_available(), 0L);

	host -= min(host, fisc_reclaim_keep(totalram_pages()));

	return min(capacity - min(apart, capacity), host);
}

static void fisc_target_set(struct fisc_vm *vm, const struct fisc_claim *claim)
{
	trace_fisc_target(kobject_name(&vm->kobj), fisc_vm_allocated(vm),
			  claim->active, claim->target);
	if (claim->target == fisc_quota_target(vm))
		return;
	WRITE_ONCE(vm->quota->target, claim->target);
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
		fisc_target_stats.pool = fisc_target_divisible();
		start = local_clock();
		fisc_tax_targets(claims, nr, fisc_target_stats.pool);
		fisc_target_stats.ns += local_clock() - start;
		fisc_target_stats.runs++;
		for (i = 0; i < nr; i++) {
			fisc_target_set(vms[i], &claims[i]);
			fisc_vm_put(vms[i]);
		}
	}
	kvfree(vms);
	kvfree(claims);
}

/**
 * fisc_target_get_stats() - say what targets have cost
 * @stats: the result
 *
 * Context: any.
 */
void fisc_target_get_stats(struct fisc_target_stats *stats)
{
	*stats = fisc_target_stats;
}
