// SPDX-License-Identifier: GPL-2.0
/*
 * VMs whose memory is left alone. See DOC: Latency-sensitive VMs in
 * sensitive.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/mm.h>
#include <linux/mutex.h>

#include "memory/cow.h"
#include "memory/region.h"
#include "memory/swap.h"
#include "tax/quota.h"
#include "tax/sensitive.h"
#include "vm/vm.h"

/* Give a file all of its memory back. */
static int fisc_sensitive_fetch(struct fisc_region *region, void *unused)
{
	struct fisc_chunk *chunk;
	unsigned long nr;
	int err;

	err = fisc_region_unshare(region);
	if (err)
		return err;
	xa_for_each(&region->chunks, nr, chunk) {
		err = fisc_swap_fetch(region, chunk, false);
		if (err)
			return err;
		cond_resched();
	}

	return 0;
}

/* Is there room in the host for what the VM gets back? */
static int fisc_sensitive_fits(struct fisc_vm *vm)
{
	long needed = fisc_vm_sum(vm, FISC_SHARING) +
		      fisc_vm_sum(vm, FISC_SWAPPED);

	if (si_mem_available() >= needed)
		return 0;
	guard(rcu)();
	pr_warn_ratelimited("VM %s cannot become latency-sensitive: its shared and swapped pages need %ld MiB of host memory, which is not available\n",
			    fisc_vm_name(vm), needed >> (20 - PAGE_SHIFT));

	return -ENOMEM;
}

/**
 * fisc_sensitive_set() - make a VM latency-sensitive, or not any more
 * @vm: the VM
 * @sensitive: whether it is to be
 *
 * Context: may sleep, for as long as it takes to copy the VM's shared pages and
 * to read its swapped ones.
 * Return: 0; -EINVAL if its max is below its size; -ENOSPC if that much cannot
 * be guaranteed; -ENOMEM if the host lacks the memory now; -EINTR if the caller
 * is being killed; -EIO or -EHWPOISON if a page was lost. On error nothing has
 * changed, except that some pages have come back.
 */
int fisc_sensitive_set(struct fisc_vm *vm, bool sensitive)
{
	int err;

	if (mutex_lock_killable(&vm->quota->sensitive_lock))
		return -EINTR;
	err = 0;
	if (sensitive == vm->sensitive)
		goto unlock;
	if (sensitive)
		err = fisc_sensitive_fits(vm);
	if (!err)
		err = fisc_quota_set_sensitive(vm, sensitive);
	if (err)
		goto unlock;
	WRITE_ONCE(vm->sensitive, sensitive);
	if (!sensitive)
		goto unlock;
	err = fisc_vm_each_region(vm, fisc_sensitive_fetch, NULL);
	if (err) {
		rcu_read_lock();
		pr_warn_ratelimited("VM %s does not become latency-sensitive: cannot bring back its pages (error %d)\n",
				    fisc_vm_name(vm), err);
		rcu_read_unlock();
		WRITE_ONCE(vm->sensitive, false);
		/* Never refused: it reserves less. */
		fisc_quota_set_sensitive(vm, false);
	}
unlock:
	mutex_unlock(&vm->quota->sensitive_lock);

	return err;
}
