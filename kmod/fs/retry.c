// SPDX-License-Identifier: GPL-2.0
/*
 * Page faults that wait let go of the lock of the VMA or the address space, as
 * those of other files do, so that the rest of the VMM goes on. The kernel then
 * faults again.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>

#include "fs/retry.h"

/**
 * fisc_fault_unlock() - let go of a fault's lock before a wait
 * @vmf: a fault
 * @file: the file whose page it wants
 *
 * From then on the mapping may go: @vmf->vma must not be used any more, and the
 * fault returns VM_FAULT_RETRY. See fisc_exit() for the code that runs after
 * fisc_fault_done().
 *
 * Context: a page fault; no lock of this module held.
 * Return: what keeps the file, the VM and the module, for fisc_fault_done();
 * NULL if the fault must keep its lock, as it has been retried already, or
 * nobody would do so.
 */
struct file *fisc_fault_unlock(struct vm_fault *vmf, struct file *file)
{
	if (!fault_flag_allow_retry_first(vmf->flags) ||
	    vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return NULL;
	__module_get(THIS_MODULE);
	get_file(file);
	release_fault_lock(vmf);

	return file;
}

/**
 * fisc_fault_done() - end a wait that fisc_fault_unlock() began
 * @file: what it returned
 *
 * Context: may not sleep after this, up to the end of the fault.
 */
void fisc_fault_done(struct file *file)
{
	fput(file);
	module_put(THIS_MODULE);
}
