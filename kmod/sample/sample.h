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
 * How much of its memory a VM uses is found out as in ESX (Waldspurger, OSDI
 * 2002, section 5.3): each period, pages are chosen at random, their mappings are
 * taken away, and those that are touched again are counted.
 *
 * A touch is a page fault on the VM's file (fisc_sample_touch()), so it does not
 * matter who touches: the guest, whose access KVM turns into a fault of the
 * VMM, the VMM itself, or vhost. KVM's access bits would cost no fault, but they
 * know of the guest's accesses only, and those in the VMM's page tables are out
 * of a module's reach; so it is this way for pages of all sizes, at one fault
 * for each page of the sample that is touched.
 *
 * A page of 4 KiB is unmapped alone. One that is part of a mapping of 2 MiB
 * cannot be: the next access to any of the 512 pages would bring the mapping
 * back, and what is active would be rounded up to 2 MiB. So the chunk is
 * *watched* from then on: the kernel is given a page table for it
 * (fisc_sample_split()), and it is mapped page by page, by the VMM and by KVM,
 * while its frame stays large. A page table cannot be taken away again from
 * outside of the kernel's core. So about as many chunks of a VM may be watched
 * as a sample has pages (100: 200 MiB, whatever the VM's size), which ones is a
 * matter of a hash of their number; a page chosen in another large chunk is
 * exchanged for the same page of a watched one, chosen at random. As the watched
 * ones are a random choice themselves, the expectation stays what it was. A VM of
 * no more chunks than that has none exchanged.
 *
 * Pages that are holes, shared, or zero need no exception. A page the scanner
 * unmaps meanwhile is touched by one more fault, which changes nothing.
 *
 * Lifetimes: a sample names regions and pages, but holds none: a region is only
 * compared with one that is alive. Flags of chunks (FISC_CHUNK_SAMPLED) stay
 * when a sample is over, until the next touch finds that they are old.
 *
 * Locks: a page is unmapped under its chunk's lock held for writing, after the
 * folio lock has been waited for, so that no fault that began before maps it
 * afterwards. fisc_sampler.lock is taken within the chunk's lock, nothing within
 * it.
 */

/**
 * struct fisc_sample_page - a page of a sample
 * @region: its region; to be compared only
 * @index: its index
 * @touched: it was touched in this period
 */
struct fisc_sample_page {
	const struct fisc_region *region;
	u32 index;
	bool touched;
};

/**
 * struct fisc_sampler - a VM's samples
 * @lock: protects the sample under way and @estimate
 * @pages: the sample, in order of region and index
 * @nr: number of its pages
 * @touched: how many of them have been touched
 * @began: when it was chosen, in jiffies
 * @estimate: what earlier ones said
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
vm_fault_t __fisc_sample_split(struct vm_fault *vmf);

/**
 * fisc_sample_touch() - a fault wants a page
 * @region: the region
 * @chunk: its chunk
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
 * fisc_sample_split() - have a page mapped alone, if it is watched
 * @vmf: a fault that has found its page
 * @chunk: the page's chunk
 *
 * Context: a page fault; the page's folio locked.
 * Return: 0, or VM_FAULT_OOM.
 */
static inline vm_fault_t fisc_sample_split(struct vm_fault *vmf,
					   const struct fisc_chunk *chunk)
{
	if (likely(!test_bit(FISC_CHUNK_WATCHED, &chunk->flags)) ||
	    !PageTransCompound(vmf->page))
		return 0;

	return __fisc_sample_split(vmf);
}

#endif /* _FISC_SAMPLE_SAMPLE_H */
