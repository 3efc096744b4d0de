// SPDX-License-Identifier: GPL-2.0
/*
 * Memory pressure in this guest. See guest.h.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/magic.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/seq_file.h>
#include <linux/vmstat.h>

#include "balloon/guest/param.h"
#include "balloon/guest/pressure.h"

static struct fisc_guest_param stall_percent = { 10, 1, 100 };
module_param_cb(stall_percent, &fisc_guest_param_ops, &stall_percent, 0644);
MODULE_PARM_DESC(stall_percent,
		 "pressure is high if tasks wait for memory for this percentage of the time");

static struct fisc_guest_param refaults = { 1000, 1, UINT_MAX };
module_param_cb(refaults, &fisc_guest_param_ops, &refaults, 0644);
MODULE_PARM_DESC(refaults,
		 "pressure is high if this many pages per second are read again soon after they were reclaimed");

static struct fisc_guest_param swapouts = { 2000, 1, UINT_MAX };
module_param_cb(swapouts, &fisc_guest_param_ops, &swapouts, 0644);
MODULE_PARM_DESC(swapouts,
		 "pressure is high if this many pages per second are swapped out");

#define FISC_GUEST_PSI_FILE	"/proc/pressure/memory"
#define FISC_GUEST_PSI_FORMAT						\
	"some avg10=%u.%u avg60=%*u.%*u avg300=%*u.%*u total=%llu "	\
	"full avg10=%u.%u"

/*
 * The kernel provides pressure stall information only to readers of a file, and
 * kernel_read() does not read procfs files of the older kind. So have the
 * file's show operation print into a buffer here.
 */
static bool fisc_guest_read_psi(struct fisc_guest_pressure *now)
{
	struct file *file __free(fput) = filp_open(FISC_GUEST_PSI_FILE,
						   O_RDONLY, 0);
	unsigned int some, some_frac, full, full_frac;
	struct seq_file *opened;
	char text[256] = "";
	struct seq_file shown = {
		.buf = text,
		.size = sizeof(text) - 1,
	};

	if (IS_ERR(file) ||
	    file_inode(file)->i_sb->s_magic != PROC_SUPER_MAGIC)
		return false;

	opened = file->private_data;
	if (opened->op->show(&shown, NULL) ||
	    sscanf(text, FISC_GUEST_PSI_FORMAT, &some, &some_frac,
		   &now->stall_us, &full, &full_frac) != 5)
		return false;

	now->psi_some = some * 100 + some_frac;
	now->psi_full = full * 100 + full_frac;

	return true;
}

/**
 * fisc_guest_pressure() - measure the guest's memory pressure
 * @now: the result
 *
 * Context: A kernel thread; may sleep.
 */
void fisc_guest_pressure(struct fisc_guest_pressure *now)
{
	unsigned long events[NR_VM_EVENT_ITEMS] = {};

	memset(now, 0, sizeof(*now));
	now->psi = fisc_guest_read_psi(now);
	all_vm_events(events);
	now->swapouts = events[PSWPOUT];
	now->refaults = global_node_page_state(WORKINGSET_REFAULT_ANON) +
			global_node_page_state(WORKINGSET_REFAULT_FILE);
}

/**
 * fisc_guest_pressed() - test whether the guest reclaims hard
 * @last: the earlier measurement
 * @now: the later measurement
 * @elapsed_ms: time between the two in ms, more than 0
 *
 * The kernel updates stall times every two seconds: a stall of one second may
 * appear as two seconds, or as none. That evens out.
 *
 * Context: any.
 * Return: true if stalls, refaults or swapouts reach their limits.
 */
bool fisc_guest_pressed(const struct fisc_guest_pressure *last,
			const struct fisc_guest_pressure *now,
			unsigned int elapsed_ms)
{
	u64 stalled_us = now->stall_us - last->stall_us;
	u64 percent = div_u64(stalled_us, elapsed_ms * 10);

	if (now->psi && last->psi && percent >= READ_ONCE(stall_percent.value))
		return true;

	return (u64)(now->refaults - last->refaults) * MSEC_PER_SEC >=
	       (u64)READ_ONCE(refaults.value) * elapsed_ms ||
	       (u64)(now->swapouts - last->swapouts) * MSEC_PER_SEC >=
	       (u64)READ_ONCE(swapouts.value) * elapsed_ms;
}
