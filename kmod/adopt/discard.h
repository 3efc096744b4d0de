/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPT_DISCARD_H
#define _FISC_ADOPT_DISCARD_H

#include <linux/mmu_notifier.h>

/**
 * DOC: Memory that the VMM throws away
 *
 * A VMM gives memory back by madvise(MADV_DONTNEED): what its guest put into its
 * balloon, or reports to be free. Of anonymous memory nothing is left after that, and
 * it reads as zeroes. Of a file's nothing but the mapping is gone, and the VMM does
 * not know that its memory is a file's now. (Of memory that was shared: see DOC: Adoption
 * of shared memory.) So adoption has to do the rest: the
 * pages become holes of the file before the system call returns.
 *
 * *How it is noticed.* An MMU notifier of the process is told that a range is being
 * unmapped (MMU_NOTIFY_CLEAR). That is discarded if the current thread is the
 * process's, in a system call madvise() with that advice, and the range is a mapping of an
 * adopted file. Nothing else is: pages are unmapped for many reasons, by this
 * module, too. Nor is what the call does not name: of a mapped large page that loses a
 * part, the kernel unmaps all.
 *
 * *When it is done.* Not in the notifier, where the module's locks cannot be taken: they
 * are held where pages are unmapped, which calls notifiers. A task work does it, that the
 * thread runs before it returns to user space, with no lock held: it locks the inode,
 * so that it waits for a step of an adoption or a release, and removes the pages. While it
 * does so notifiers are called again, with the system call's registers still there; each
 * work says that it is running (fisc_discard.running), and those calls are ignored.
 *
 * Without memory for a work the content stays, as it would of any file. So it may of a page
 * that is discarded while the VM is being released.
 *
 * Locks: fisc_discard_lock protects the list of works; nothing is taken within it. A work
 * holds the module until it has run; fisc_exit() waits for what it does after letting
 * go.
 */

extern const struct mmu_notifier_ops fisc_discard_ops;

#endif /* _FISC_ADOPT_DISCARD_H */
