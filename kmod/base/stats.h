/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BASE_STATS_H
#define _FISC_BASE_STATS_H

#include <linux/atomic.h>
#include <linux/percpu.h>
#include <linux/types.h>

/**
 * DOC: Counters
 *
 * The module as a whole counts on each CPU for itself: counting touches no
 * cache line that another CPU writes, and reading adds up all CPUs that the
 * host may ever have.
 *
 * Regions are read far more often than that allows: the policy and reclaim ask
 * for what every VM has, up to fifty times a second, and possible CPUs times
 * VMs can be a hundred thousand. So what they ask for is kept in one number for
 * each region (counters before FISC_NR_TALLIED). It changes when a page gets,
 * loses, or exchanges its frame. A fault that does so takes other cache lines
 * from the VM's other CPUs anyway: the lock of the mapping, and KVM's. Faults
 * that only map a page again do not touch it.
 */

/**
 * enum fisc_counter - counters of each region and of the module
 * @FISC_PRIVATE: map entries with a frame of their own; equals private frames,
 *	in pages
 * @FISC_SHARING: map entries that refer to a shared frame
 * @FISC_BALLOON: pages in balloons
 * @FISC_SWAPPED: pages that are paged out now
 * @FISC_SWAP_OUT: pages paged out (event)
 * @FISC_SWAP_IN: pages paged in (event)
 * @FISC_NR_TALLIED: number of the counters above: those of which a region keeps
 *	the sum
 * @FISC_ZERO: map entries served by a zero frame
 * @FISC_SHARED: shared frames; module only, as no region owns them
 * @FISC_FAULTS: faults on pages that were not mapped (event)
 * @FISC_WRITE_FAULTS: first writes to pages mapped read-only (event)
 * @FISC_COW_BREAKS: writes that ended an entry's sharing (event)
 * @FISC_MAP_BYTES: memory used by the frame maps themselves, in bytes
 * @FISC_LARGE: large frames; their pages are also counted in @FISC_PRIVATE
 * @FISC_WRITTEN: first writes to pages that were clean (event)
 * @FISC_LARGE_ALLOCS: large frames allocated for empty chunks (event)
 * @FISC_LARGE_FAILED: failed allocations of a large frame (event)
 * @FISC_LARGE_BREAKS: large frames broken into small ones (event)
 * @FISC_LARGE_REBUILDS: large frames rebuilt from small ones (event)
 * @FISC_META_BYTES: memory used by tables that belong to no region, in bytes;
 *	module only
 * @FISC_SCANNED: pages read and hashed (event)
 * @FISC_MERGED: pages that became users of a shared frame (event)
 * @FISC_MERGED_ZERO: pages replaced by a zero frame (event)
 * @FISC_PINNED: pages skipped because of other references (event)
 * @FISC_CHANGED: pages that were written while being examined (event)
 * @FISC_UNMAP_ROUNDS: runs of pages unmapped by the scanner (event)
 * @FISC_SAMPLE_PERIODS: samples completed (event)
 * @FISC_SAMPLED: pages chosen for samples (event)
 * @FISC_SAMPLE_TOUCHED: sampled pages that were touched (event)
 * @FISC_SAMPLE_FAULTS: faults caused by sampling (event)
 * @FISC_BALLOON_INFLATED: pages that entered a balloon (event)
 * @FISC_BALLOON_DEFLATED: pages that left a balloon at the guest's request or
 *	at a reset (event)
 * @FISC_BALLOON_POPPED: pages that left a balloon because they were touched
 *	(event)
 * @FISC_BALLOON_DUPLICATE: requests to put a page into a balloon that already
 *	held it (event)
 * @FISC_SWAP_LOST: failures to page in a page (event)
 * @FISC_SWAP_ARMED: chunks unmapped to see which pages are used (event)
 * @FISC_SWAP_NO_MEMORY: failures to page out for lack of memory (event)
 * @FISC_READ_AHEAD: pages read from the paging device that nobody had asked for
 *	yet (event)
 * @FISC_READ_HITS: those of them that were touched later (event)
 * @FISC_NR_COUNTERS: number of counters
 *
 * Counters marked (event) only grow; the others describe the present state.
 */
enum fisc_counter {
	FISC_PRIVATE,
	FISC_SHARING,
	FISC_BALLOON,
	FISC_SWAPPED,
	FISC_SWAP_OUT,
	FISC_SWAP_IN,
	FISC_NR_TALLIED,
	FISC_ZERO = FISC_NR_TALLIED,
	FISC_SHARED,
	FISC_FAULTS,
	FISC_WRITE_FAULTS,
	FISC_COW_BREAKS,
	FISC_MAP_BYTES,
	FISC_LARGE,
	FISC_WRITTEN,
	FISC_LARGE_ALLOCS,
	FISC_LARGE_FAILED,
	FISC_LARGE_BREAKS,
	FISC_LARGE_REBUILDS,
	FISC_META_BYTES,
	FISC_SCANNED,
	FISC_MERGED,
	FISC_MERGED_ZERO,
	FISC_PINNED,
	FISC_CHANGED,
	FISC_UNMAP_ROUNDS,
	FISC_SAMPLE_PERIODS,
	FISC_SAMPLED,
	FISC_SAMPLE_TOUCHED,
	FISC_SAMPLE_FAULTS,
	FISC_BALLOON_INFLATED,
	FISC_BALLOON_DEFLATED,
	FISC_BALLOON_POPPED,
	FISC_BALLOON_DUPLICATE,
	FISC_SWAP_LOST,
	FISC_SWAP_ARMED,
	FISC_SWAP_NO_MEMORY,
	FISC_READ_AHEAD,
	FISC_READ_HITS,
	FISC_NR_COUNTERS,
};

/**
 * struct fisc_counters - one CPU's share of a set of counters
 * @v: indexed by enum fisc_counter; one CPU's share can be negative
 */
struct fisc_counters {
	long v[FISC_NR_COUNTERS];
};

/**
 * struct fisc_tally - sums of a region's counters that are read often
 * @v: indexed by enum fisc_counter
 */
struct fisc_tally {
	atomic_long_t v[FISC_NR_TALLIED];
};

DECLARE_PER_CPU(struct fisc_counters, fisc_total);

/**
 * fisc_count_total() - count something that belongs to no region
 * @c: the counter
 * @n: number to add; may be negative
 *
 * Context: any.
 */
static inline void fisc_count_total(enum fisc_counter c, long n)
{
	this_cpu_add(fisc_total.v[c], n);
}

/**
 * enum fisc_wait - what guests may have to wait for
 * @FISC_WAIT_HOLD: a chunk's lock, held for writing
 * @FISC_WAIT_SWAP_IN: a page that was paged out
 * @FISC_WAIT_BLOCKED: memory, while the VM is above its target
 * @FISC_WAIT_ADOPT_MAP: the process's mappings, while a chunk is taken over
 * @FISC_WAIT_ADOPT_COPY: the copy of a chunk that was taken over
 * @FISC_WAIT_RELEASE_MAP: the process's mappings, while some are given back
 * @FISC_NR_WAITS: number of these
 */
enum fisc_wait {
	FISC_WAIT_HOLD,
	FISC_WAIT_SWAP_IN,
	FISC_WAIT_BLOCKED,
	FISC_WAIT_ADOPT_MAP,
	FISC_WAIT_ADOPT_COPY,
	FISC_WAIT_RELEASE_MAP,
	FISC_NR_WAITS,
};

/* Buckets of a histogram: waits below 1, 2, 4 ... microseconds. */
#define FISC_WAIT_BUCKETS	28

struct seq_file;

void fisc_wait_account(enum fisc_wait wait, u64 start_ns);
void fisc_wait_show(struct seq_file *m, enum fisc_wait wait, const char *name,
		    unsigned int buckets);

long fisc_counters_sum(const struct fisc_counters __percpu *set,
		       enum fisc_counter c);
long fisc_total_sum(enum fisc_counter c);
long fisc_frames_in_use(void);

#endif /* _FISC_BASE_STATS_H */
