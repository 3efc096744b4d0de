/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_SWAP_H
#define _FISC_MEMORY_SWAP_H

#include <linux/mm_types.h>

#include "memory/map.h"

struct folio;

/**
 * DOC: Host paging
 *
 * What a VM does not give up by itself, the host takes: cold pages leave memory
 * and come back, byte for byte, when they are needed. (C. Waldspurger, Memory
 * Resource Management in VMware ESX Server, OSDI 2002, sections 3.1 and 6.3.)
 *
 * *Destination.* There are two. If the administrator has named a paging device,
 * pages go there as long as it has room (DOC: The paging device). Otherwise,
 * they go to the kernel's swap, through shared memory: a file has a *backing*,
 * an object of the kernel's shared memory that holds each page's content at the
 * page's index. The kernel swaps it as it swaps all shared memory, so every
 * kind of swap works, including compressed memory (zswap, zram), and
 * encryption, priorities, swapoff and errors are the kernel's business. A page
 * is copied into the backing and sent to swap at once, as graphics drivers do
 * with theirs. Once sent, it is in swap and, until the kernel needs that
 * memory, also in the swap cache. That counts as free once it has been written.
 * A page of zeroes costs nothing: a zero frame serves it.
 *
 * The backing is on a mount of its own, without huge pages: they would take
 * 2 MiB of memory for the first page that goes out.
 *
 * *Choice of pages.* Pages are chosen at random, because any order the host
 * follows sooner or later meets the guest's own worst case: a guest that pages,
 * too, chooses pages that were not used for long, and the host would have to
 * page them in again only for the guest to write them to its own disk. (This is
 * double paging, section 3.3 of the paper.) So chunks are chosen at random, and
 * of these the pages that nobody has touched for a while. A chunk is first
 * *armed*: it is unmapped from all page tables. Pages that nobody has touched
 * within cold_ms are cold (DOC: Armed chunks). A large frame is cold as a whole
 * or not at all; if it is cold, it is split. If there are no cold pages and
 * memory is needed nevertheless, any pages are taken.
 *
 * Sharing is tried first for every candidate: the scanner's turn on the chunk
 * is brought forward, when the chunk is armed and when its cold pages are to
 * go.
 *
 * *Paging out* works like sharing. With the chunk's lock held, pages are
 * unmapped, and marked clean if nobody else has a reference. Then they are
 * copied into the backing, or written to the paging device, without a lock.
 * Those that are still clean and unmapped are replaced by swapped entries with
 * the lock held. Guests wait for no I/O. The pager waits for the paging device,
 * as only then are frames free, so each batch frees memory before the next one
 * is chosen. If the device takes longer than FISC_WRITE_MS, the pager's turn
 * ends, and the batch is finished in a later turn; it takes nothing else until
 * then.
 *
 * *Paging in.* What is on the paging device is read straight into new frames,
 * with its neighbours (DOC: Read-ahead). Otherwise, a fault reads the backing
 * without a lock. With the chunk's lock held for writing, it copies the page
 * into a new frame, puts that in place and drops the page from the backing. So
 * the backing holds the content of a page as long as the page's entry is
 * swapped, and only then: reading adds nothing, so that of several faults on
 * one page those that come late find neither (debugfs: backing and device_used
 * add up to swapped when nothing is on its way).
 *
 * A fault reads without the lock of the address space or the VMA, too, as a
 * page fault of any file does (fisc_page_in()): it allocates the frame, lets go
 * of the lock, pages in and has the kernel fault again. So the rest of the VMM
 * goes on meanwhile. KVM first asks not to wait at all; if a read would be
 * needed, it is told so, lets a worker read, and the guest do something else:
 * asynchronous page faults. A fault that has been retried once, or that may not
 * let go of the lock, keeps it.
 *
 * *Read-ahead* from swap is the kernel's: pages of a chunk go out one after the
 * other and lie in that order in swap, from which the kernel reads up to eight
 * at once as long as that pays off (selftests/swap: one request for seven or
 * eight pages). They wait in the swap cache for their own faults, which then
 * wait for no I/O. They are not added to the map at once: nobody has asked for
 * them yet, and the cache is the first memory that the kernel takes when it is
 * short of memory.
 *
 * *Threads.* A VM is paged out by one thread at a time, of one of its nodes
 * (DOC: Pagers). Faults and system calls page in, at any time.
 *
 * *Failures.* Without room in swap or on the device nothing goes out. A page
 * that cannot be written to the device stays in memory; for a second, pages go
 * to swap then, if there is any. A page that cannot be read is an I/O error:
 * SIGBUS for a process that touches it, EFAULT from KVM_RUN and EIO from
 * read(). The page stays swapped, and the log says which VM and page it is.
 *
 * *Reclaim.* The rest of the host may wait for pagers, so they may use the last
 * reserves (memalloc_noreclaim_save()): they free a frame for each page that
 * they allocate. Of the locks that are held around an allocation which may wait
 * for reclaim, they take only the scanner's, and wait for that only briefly
 * (fisc_scan_chunk()). Chunks' locks are not (DOC: The frame map).
 */

int fisc_swap_in(struct fisc_region *region, struct fisc_chunk *chunk,
		 pgoff_t index, struct folio *folio);
int fisc_swap_fetch(struct fisc_region *region, struct fisc_chunk *chunk,
		    bool slots);

#endif /* _FISC_MEMORY_SWAP_H */
