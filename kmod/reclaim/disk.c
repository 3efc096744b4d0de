// SPDX-License-Identifier: GPL-2.0
/*
 * Which paging device is in use, and bringing back what is on it. See DOC: The
 * paging device in memory/disk.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>

#include "memory/disk.h"
#include "memory/region.h"
#include "memory/swap.h"
#include "reclaim/disk.h"
#include "vm/vm.h"

/* Held by whoever changes the device. */
static DEFINE_MUTEX(fisc_disk_lock);

/* Bring back what a file has on the device. */
static int fisc_disk_fetch(struct fisc_region *region, void *unused)
{
	struct fisc_chunk *chunk;
	unsigned long nr;
	int err;

	xa_for_each(&region->chunks, nr, chunk) {
		err = fisc_swap_fetch(region, chunk, true);
		if (err == -EIO) {
			rcu_read_lock();
			pr_err_ratelimited("%s: a page cannot be read from the paging device, which stays in use: restart the VM\n",
					   fisc_vm_name(region->vm));
			rcu_read_unlock();
		}
		if (err)
			return err;
		if (signal_pending(current))
			return -EINTR;
		cond_resched();
	}

	return 0;
}

static u32 fisc_disk_in_use(void)
{
	struct fisc_disk_stats stats;

	fisc_disk_get_stats(&stats);

	return stats.used;
}

/* Bring back what is on the device, to which nothing goes any more. */
static int fisc_disk_fetch_all(void)
{
	int err = 0;

	while (!err && fisc_disk_in_use()) {
		struct fisc_vm *vm = NULL;

		while (!err && (vm = fisc_vm_after(vm)))
			err = fisc_vm_each_region(vm, fisc_disk_fetch, NULL);
		if (vm)
			fisc_vm_put_later(vm);
		if (err || !fisc_disk_in_use())
			break;
		/* Others are about to read or write the rest, or to drop it. */
		schedule_timeout_interruptible(1);
		if (signal_pending(current))
			err = -EINTR;
	}

	return err;
}

static int fisc_disk_end(void)
{
	long needed = fisc_disk_in_use();
	int err;

	if (si_mem_available() < needed) {
		pr_warn_ratelimited("the paging device stays in use: what is on it needs %ld MiB of memory, which is not available\n",
				    needed >> (20 - PAGE_SHIFT));
		return -ENOMEM;
	}
	fisc_disk_leave(true);
	err = fisc_disk_fetch_all();
	if (err)
		fisc_disk_leave(false);
	else
		fisc_disk_close();

	return err;
}

/**
 * fisc_reclaim_set_device() - use another paging device, or none
 * @path: its name, in the caller's name space; NULL for none
 *
 * Context: may sleep: for none, as long as it takes to read what is on the
 * device.
 * Return: 0; what fisc_disk_open() returns; for none, -ENOMEM if there is too
 * little memory, -EIO if a page is lost, and -EINTR if there is a signal.
 */
int fisc_reclaim_set_device(const char *path)
{
	int err;

	if (mutex_lock_interruptible(&fisc_disk_lock))
		return -EINTR;
	err = path ? fisc_disk_open(path) : fisc_disk_end();
	mutex_unlock(&fisc_disk_lock);

	return err;
}
