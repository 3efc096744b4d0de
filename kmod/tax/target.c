// SPDX-License-Identifier: GPL-2.0
/**
 * DOC: Targets
 *
 * The claims of all VMs, with what they are promised and how active they are,
 * go to the tax (tax/tax.c), which says how much memory each VM should have:
 * its target. The memory to divide is the capacity minus the module's own
 * memory; or, if that is less, what VMs have plus what the host could still
 * give them, since a host whose memory others use has no more to divide. The
 * reserve is left alone, and so is what must stay free so that nothing needs to
 * be reclaimed (DOC: Reclaim).
 *
 * The memory that a VM has (*allocated*) is its private frames plus a part of
 * the frames it shares. Every user of a shared frame pays the same part of it.
 * That is not counted frame by frame, because then every break of sharing would
 * have to find the frame's other users, but over a domain: of the domain's
 * shared frames, a VM pays the fraction that its sharing pages are of all
 * sharing pages in the domain. So every frame is paid for exactly once, no VM
 * pays for frames of a domain that it is not in, and VMs with the same memory
 * pay the same. Zero pages are free. A VM whose pages many others have too
 * makes memory cheaper for all in the domain, itself included.
 *
 * A claim's active pages are the estimated active fraction times the VM's size:
 * the active part of a VM is in memory.
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
 * fisc_target_claim() - return a VM's claim to memory
 * @vm: the VM
 * @claim: the result; @claim->target is not set
 *
 * Context: may sleep.
 */
void fisc_target_claim(struct fisc_vm *vm, struct fisc_claim *claim)
{
	fisc_quota_claim(vm, claim);
	claim->active = fisc_sample_active(vm);
}

/* Pages to divide among the VMs. */
static u64 fisc_target_divisible(void)
{
	u64 capacity = fisc_quota_capacity();
	u64 apart = fisc_metadata_pages() + fisc_reclaim_keep(capacity);
	u64 host = fisc_frames_in_use() + fisc_host_available();

	host -= min(host, fisc_reclaim_keep(totalram_pages()));

	return min(capacity - min(apart, capacity), host);
}

static void fisc_target_set(struct fisc_vm *vm, const struct fisc_claim *claim)
{
	if (trace_fisc_target_enabled()) {
		guard(rcu)();
		trace_fisc_target(fisc_vm_name(vm), fisc_vm_allocated(vm),
				  claim->active, claim->target);
	}
	if (claim->target == fisc_quota_target(vm))
		return;
	WRITE_ONCE(vm->quota->target, claim->target);
	fisc_vm_tell(vm, FISC_NEWS_TARGET);
}

/*
 * Collect VMs, with a reference each, and their claims. Return: their number.
 */
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
 * fisc_targets_update() - compute the targets of all VMs anew
 *
 * Context: may sleep; from one thread only.
 * Return: false if there was no memory to do it.
 */
bool fisc_targets_update(void)
{
	unsigned int room = fisc_vm_count();
	struct fisc_claim *claims;
	struct fisc_vm **vms;
	unsigned int i, nr;
	bool done;
	u64 start;

	/* A VM created after this has poked the policy, or is about to. */
	claims = kvmalloc_array(room, sizeof(*claims), GFP_KERNEL);
	vms = kvmalloc_array(room, sizeof(struct fisc_vm *), GFP_KERNEL);
	done = claims && vms;
	if (done) {
		nr = fisc_target_gather(vms, claims, room);
		fisc_target_stats.pool = fisc_target_divisible();
		start = local_clock();
		fisc_tax_targets(claims, nr, fisc_target_stats.pool);
		fisc_target_stats.ns += local_clock() - start;
		fisc_target_stats.runs++;
		for (i = 0; i < nr; i++) {
			fisc_target_set(vms[i], &claims[i]);
			fisc_vm_put_later(vms[i]);
		}
	}
	kvfree(vms);
	kvfree(claims);

	return done;
}

/**
 * fisc_target_get_stats() - return the cost of computing targets
 * @stats: the result
 *
 * Context: any.
 */
void fisc_target_get_stats(struct fisc_target_stats *stats)
{
	/* Read by people only: some numbers may be those of the next run. */
	*stats = data_race(fisc_target_stats);
}
