/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_SAMPLE_SAMPLE_H
#define _FISC_SAMPLE_SAMPLE_H

#include <linux/mm.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "memory/map.h"
#include "sample/estimate.h"

struct fisc_vm;

/**
 * DOC: Active memory sampling
 *
 * The memory that a VM uses actively is estimated as in ESX (Waldspurger, OSDI
 * 2002, section 5.3): each period, choose pages at random, unmap them, and
 * count those that are touched again.
 *
 * A touch is a page fault on the VM's file (fisc_sample_touch()), so it does
 * not matter who touches the page: the guest, whose access KVM turns into a
 * fault of the VMM, the VMM itself, or vhost. KVM's access bits would cost no
 * fault, but they show the guest's accesses only, and a module cannot reach the
 * access bits of the VMM's page tables. So pages of all sizes are sampled by
 * faults, at the cost of one fault for each page of the sample that is touched.
 *
 * A page of 4 KiB is unmapped alone. A page in a mapping of 2 MiB cannot be:
 * the next access to any of the 512 pages would restore the mapping, and the
 * active memory would be rounded up to 2 MiB. So its chunk is *watched* from
 * then on: fisc_sample_split() gives the kernel a page table for it, and the
 * VMM and KVM map it page by page, while its frame stays large. As only the
 * kernel's core could remove the page table again, the number of watched chunks
 * of a VM is limited to about the number of pages in a sample (100: 200 MiB,
 * whatever the VM's size). A hash of a chunk's number decides whether it may be
 * watched. A page chosen in another large chunk is replaced by the same page of
 * a watched chunk, which is chosen at random. As the watched chunks are a
 * random choice themselves, the expected value does not change. In a VM with no
 * more chunks than the limit, no page is replaced.
 *
 * Pages that are holes, shared, or zero need no exception. If the scanner
 * unmaps a page of the sample meanwhile, a touch costs one more fault, which
 * changes nothing. Where a file has no chunk, there is nothing to unmap, and a
 * sample does not create one: every chunk begins as one that may have pages of
 * a sample (FISC_CHUNK_SAMPLED), so that its first touch looks.
 *
 * Latency-sensitive VMs are not sampled: all of their pages count as active.
 *
 * Lifetimes: a sample names regions and pages, but holds no reference on them;
 * its region pointers are only compared with those of live regions. The flag
 * FISC_CHUNK_SAMPLED of a chunk may outlive the sample; the next touch then
 * clears it.
 *
 * Locks: a page is unmapped with its chunk's lock held for writing and after
 * waiting for the folio lock, so that no fault that began earlier maps it
 * afterwards. fisc_sampler.lock is taken inside the chunk's lock, and no lock
 * is taken inside it.
 */

/**
 * struct fisc_sample_page - a page of a sample
 * @region: the page's region; compared only, never dereferenced
 * @index: the page's index
 * @touched: the page was touched in this period
 */
struct fisc_sample_page {
	const struct fisc_region *region;
	u32 index;
	bool touched;
};

/**
 * struct fisc_sampler - a VM's samples
 * @lock: protects the current sample and @estimate
 * @pages: the current sample, in order of region and index
 * @nr: number of elements of @pages
 * @touched: number of elements of @pages that have been touched
 * @began: when the sample was chosen, in jiffies
 * @estimate: averages of the complete samples
 * @nr_pages: size of a sample, or FISC_FOLLOW
 * @period_ms: length of a period, or FISC_FOLLOW
 * @slow_percent: weight in the slow average, or FISC_FOLLOW
 * @fast_percent: weight in the fast average, or FISC_FOLLOW
 */
struct fisc_sampler {
	spinlock_t lock;	/* see above */
	struct fisc_sample_page *pages;
	unsigned int nr;
	unsigned int touched;
	unsigned long began;
	struct fisc_estimate estimate;
	unsigned int nr_pages;
	unsigned int period_ms;
	unsigned int slow_percent;
	unsigned int fast_percent;
};

/* Knobs in sample/: defaults for VMs that set no value of their own. */
extern unsigned int fisc_sample_pages;
extern unsigned int fisc_sample_period_ms;
extern unsigned int fisc_sample_slow;
extern unsigned int fisc_sample_fast;

int fisc_sampler_begin(struct fisc_vm *vm);
void fisc_sampler_end(struct fisc_vm *vm);
void fisc_sample_activity(struct fisc_vm *vm, struct fisc_activity *activity);
u64 fisc_sample_cpu_ns(void);
u64 fisc_sample_active(struct fisc_vm *vm);
unsigned long fisc_sample_turn(struct fisc_vm *vm, bool *done);

void __fisc_sample_touch(struct fisc_region *region, struct fisc_chunk *chunk,
			 pgoff_t index);
bool __fisc_sample_splits(struct vm_fault *vmf);
vm_fault_t fisc_sample_split(struct vm_fault *vmf);

/**
 * fisc_sample_touch() - note that a fault or system call touches a page
 * @region: the region
 * @chunk: the page's chunk
 * @index: the page
 *
 * Context: @chunk->lock held.
 */
static inline void fisc_sample_touch(struct fisc_region *region,
				     struct fisc_chunk *chunk, pgoff_t index)
{
	if (unlikely(test_bit(FISC_CHUNK_SAMPLED, &chunk->flags)))
		__fisc_sample_touch(region, chunk, index);
}

/**
 * fisc_sample_splits() - test whether a fault needs fisc_sample_split() first
 * @vmf: a fault that has found its page
 * @chunk: the page's chunk
 *
 * Context: a page fault; the page's folio locked.
 * Return: true if the kernel would map all of a watched large frame.
 */
static inline bool fisc_sample_splits(struct vm_fault *vmf,
				      const struct fisc_chunk *chunk)
{
	return unlikely(test_bit(FISC_CHUNK_WATCHED, &chunk->flags)) &&
	       PageTransCompound(vmf->page) && __fisc_sample_splits(vmf);
}

#endif /* _FISC_SAMPLE_SAMPLE_H */
