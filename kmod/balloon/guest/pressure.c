// SPDX-License-Identifier: GPL-2.0
/*
 * How hard memory is to come by in this guest. See balloon.h.
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
		 "pressure is high if tasks wait for memory for so much of the time");

static struct fisc_guest_param refaults = { 1000, 1, UINT_MAX };
module_param_cb(refaults, &fisc_guest_param_ops, &refaults, 0644);
MODULE_PARM_DESC(refaults,
		 "pressure is high if so many pages a second are read again soon after they were reclaimed");

static struct fisc_guest_param swapouts = { 2000, 1, UINT_MAX };
module_param_cb(swapouts, &fisc_guest_param_ops, &swapouts, 0644);
MODULE_PARM_DESC(swapouts,
		 "pressure is high if so many pages a second are swapped out");

#define FISC_GUEST_PSI_FILE	"/proc/pressure/memory"
#define FISC_GUEST_PSI_FORMAT						\
	"some avg10=%u.%u avg60=%*u.%*u avg300=%*u.%*u total=%llu "	\
	"full avg10=%u.%u"

/*
 * Pressure stall information is said to readers of a file, and to nobody else.
 * kernel_read() does not read files of procfs of the older kind, so the file is
 * asked to show itself in a buffer of ours.
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
 * fisc_guest_pressure() - look how the guest is doing
 * @now: what is found
 *
 * Context: a kernel thread; may sleep.
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
 * fisc_guest_pressed() - does the guest reclaim hard?
 * @last: how it did
 * @now: how it does
 * @elapsed_ms: time between the two, more than 0
 *
 * The kernel brings stalls up to date every two seconds: one of a second may
 * appear to be of two, or of none. That evens out.
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
