// SPDX-License-Identifier: GPL-2.0
/*
 * Accounting of shared frames to VMs. See DOC: Targets in tax/target.c.
 */
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/sched.h>

#include "base/fraction.h"
#include "memory/domain.h"
#include "share/account.h"
#include "share/member.h"
#include "vm/vm.h"

/* Compute what a sharing page pays in a domain, and reset its count. */
static void fisc_share_account_domain(struct fisc_domain *domain)
{
	u64 frames = max(atomic_long_read(&domain->frames), 0L);
	u64 part = 0;

	if (domain->sharing)
		part = div64_u64(frames << FISC_FRACTION_SHIFT, domain->sharing);
	WRITE_ONCE(domain->part, min(part, FISC_FRACTION_ONE));
	domain->sharing = 0;
}

/**
 * fisc_share_account() - compute what a sharing page pays in each domain
 *
 * Counts each domain's sharing pages, and sets the fraction of a frame that
 * fisc_vm_allocated() charges for each of them.
 *
 * Context: may sleep; from one thread only.
 */
void fisc_share_account(void)
{
	struct fisc_vm *vm = NULL;

	while ((vm = fisc_vm_after(vm))) {
		fisc_member_count(vm);
		cond_resched();
	}
	fisc_domain_each(fisc_share_account_domain);
}

/**
 * fisc_vm_allocated() - return the memory that is charged to a VM
 * @vm: the VM
 *
 * Private frames and the VM's part of shared frames; see DOC: Targets.
 *
 * Context: any.
 * Return: the amount, in pages.
 */
u64 fisc_vm_allocated(struct fisc_vm *vm)
{
	return fisc_vm_sum(vm, FISC_PRIVATE) +
	       fisc_fraction_of(fisc_vm_sum(vm, FISC_SHARING),
				fisc_member_part(vm));
}
