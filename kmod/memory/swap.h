/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_SWAP_H
#define _FISC_MEMORY_SWAP_H

#include <linux/mm_types.h>

#include "memory/map.h"

struct vm_fault;

/**
 * DOC: Host paging
 *
 * What a VM does not part with itself, the host takes: cold pages leave memory and
 * come back, byte for byte, when somebody wants them. (C. Waldspurger, Memory
 * Resource Management in VMware ESX Server, OSDI 2002, sections 3.1 and 6.3.)
 *
 * *Where to.* A file has a *backing*: an object of the kernel's shared memory, of
 * which the page of the same index holds the content. The kernel swaps that as it
 * swaps all shared memory, so every kind of swap serves, compressed memory included
 * (zswap, zram), and encryption, priorities, swapoff and errors are its business. A
 * page is copied into the backing and sent to swap at once, as graphics drivers do
 * with theirs. What was sent is in swap and, until the kernel needs that memory,
 * also in its swap cache. A page whose content is zero costs nothing: a zero frame
 * serves it.
 *
 * *Which.* Pages at random, as any order of the host's meets the guest's own worst
 * case sooner or later: a guest that pages, too, chooses those that were not used
 * for long, and would have to bring back from the host what it then writes to its
 * own disk. (That is double paging, section 3.3 there.) So: random chunks, and of
 * these the pages that nobody has touched for a while. A chunk is *armed* first: it
 * is unmapped from all page tables, and the time is noted. When it is met again
 * after cold_ms, pages that are still unmapped are cold. A large frame is cold as a
 * whole, or it is not; it is taken apart then. If there are no cold pages and memory
 * is needed all the same, any are taken.
 *
 * Every candidate is tried for sharing first: the scanner's turn on the chunk is
 * brought forward, when it is armed and when it is met again.
 *
 * *How.* As in sharing: under the chunk's lock pages are unmapped, and marked clean
 * if nobody else has a reference; copied without a lock; and, if they are clean and
 * unmapped still, replaced by a swapped entry under the lock. Guests wait for no
 * I/O. On the way in a fault reads the backing without a lock, and copies it
 * into a new frame, puts that in place and drops the page of the backing under
 * the chunk's lock held for writing. So what the backing has is the content of a
 * page as long as its entry is swapped, and only then.
 *
 * *Read-ahead* is the kernel's: pages of a chunk go out one after the other and lie
 * so in swap, of which the kernel reads up to eight at once as long as that pays
 * (selftests/swap: one request for seven or eight pages). They wait in the swap
 * cache for their own faults, which wait for no I/O then. They are not put into the
 * map at once: nobody has asked for them yet, and the cache is the first memory that
 * the kernel takes when it is short.
 *
 * *Whose.* One thread pages out, for the whole module (reclaim/reclaim.c). Faults
 * and system calls page in, at any time.
 *
 * *When it fails.* Without room in swap nothing goes out. A page that swap cannot
 * give back is an I/O error: SIGBUS for who touches it, EFAULT from KVM_RUN and
 * EIO from read(). The page stays swapped, and the log says whose it is.
 *
 * *Reclaim.* The thread is one that the rest of the host may wait for, so it may use
 * the last reserves (memalloc_noreclaim_save()): it frees a frame for each page
 * that it gets. It takes no lock that is held around an allocation which may wait
 * for reclaim, but chunks' locks: these are held around page table allocations only
 * (DOC: The frame map), and by nothing that reclaim itself calls; and the scanner's,
 * for which it waits for a moment only (fisc_scan_chunk()).
 */

int fisc_swap_in(struct fisc_region *region, struct fisc_chunk *chunk,
		 pgoff_t index, struct vm_fault *vmf, gfp_t gfp);

#endif /* _FISC_MEMORY_SWAP_H */
