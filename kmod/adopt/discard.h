/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPT_DISCARD_H
#define _FISC_ADOPT_DISCARD_H

#include <linux/mmu_notifier.h>
#include <linux/types.h>

/**
 * DOC: Memory that the VMM discards
 *
 * A VMM gives memory back with madvise(MADV_DONTNEED): memory that its guest
 * has put into the balloon, or reports as free. For anonymous memory, that
 * frees the pages, and the memory reads as zeroes. For a file, only the
 * mapping is removed, and the VMM does not know that its memory belongs to a
 * file now. (For shared memory, see DOC: Adoption of shared memory.) So
 * adoption has to do the rest: the pages become holes in the file before the
 * system call returns.
 *
 * *How it is detected.* An MMU notifier of the process reports that a range is
 * being unmapped (MMU_NOTIFY_CLEAR). The range is discarded if the current
 * thread belongs to the process and is in a system call madvise() with that
 * advice (or MADV_DONTNEED_LOCKED). In all other cases it is not: pages are
 * unmapped for many reasons, by this module, too. Only addresses that the
 * system call names are discarded: if a mapped large page loses a part, the
 * kernel unmaps all of it. What is mapped there is looked up later: here, no
 * lock may be held that keeps the mappings.
 *
 * *When it is done.* Not in the notifier: this module unmaps pages with its
 * locks held, and unmapping calls notifiers, so they cannot take these locks.
 * A task work does it, which the thread runs before it returns to user space,
 * with no lock held. It locks the inode, so that it waits for a step of an
 * adoption or a release, and removes the pages. Meanwhile notifiers are called
 * again, and the registers of the system call are unchanged; each work records
 * that it is running (fisc_discard.running), and those calls are ignored.
 *
 * *While a VM is being released*, the file may have served a page again after
 * the kernel had unmapped it. So the work removes the pages from the file, and
 * unmaps them once more, both while no page fault is being served there
 * (fisc_release_discard()). What others write between the two is lost; they
 * cannot tell it from having been written before. Until then, the mapping does
 * not become anonymous memory (fisc_discard_is_pending()).
 *
 * Works come from a pool, so that some are possible without memory.
 *
 * Locks: fisc_discard_lock protects the list of works; it is an innermost
 * lock. A work holds a reference on the module until it is done; fisc_exit()
 * waits for the code that it runs after dropping that reference.
 */

int fisc_discard_init(void);
void fisc_discard_exit(void);

bool fisc_discard_is_pending(const struct mm_struct *mm, unsigned long start,
			     unsigned long end);

/* Operations of fisc_adoption.notifier. */
extern const struct mmu_notifier_ops fisc_discard_ops;

#endif /* _FISC_ADOPT_DISCARD_H */
