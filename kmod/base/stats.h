/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BASE_STATS_H
#define _FISC_BASE_STATS_H

#include <linux/percpu.h>
#include <linux/types.h>

/**
 * enum fisc_counter - what is counted for each region and for the module
 * @FISC_PRIVATE: map entries that own a frame alone; equals frames
 * @FISC_SHARING: map entries that refer to a shared frame
 * @FISC_ZERO: map entries served by the zero frame
 * @FISC_SHARED: shared frames; module only, no region owns them
 * @FISC_FAULTS: faults on pages not mapped (event)
 * @FISC_WRITE_FAULTS: first writes to pages mapped read-only (event)
 * @FISC_COW_BREAKS: writes that ended an entry's sharing (event)
 * @FISC_MAP_BYTES: memory the frame maps take themselves, in bytes
 * @FISC_LARGE: large frames; their pages are counted in @FISC_PRIVATE, too
 * @FISC_WRITTEN: first writes to pages whose hash was known (event)
 * @FISC_LARGE_ALLOCS: large frames given at a first touch (event)
 * @FISC_LARGE_FAILED: times there were no 2 MiB to be had (event)
 * @FISC_LARGE_BREAKS: large frames broken into small ones (event)
 * @FISC_LARGE_REBUILDS: large frames made of small ones (event)
 * @FISC_META_BYTES: memory of what belongs to no region, in bytes; module only
 * @FISC_SCANNED: pages read and hashed (event)
 * @FISC_MERGED: pages that became users of a shared frame (event)
 * @FISC_MERGED_ZERO: pages that a zero frame took over (event)
 * @FISC_PINNED: times a page was passed over as somebody used it (event)
 * @FISC_CHANGED: times a page was written while it was looked at (event)
 * @FISC_UNMAP_ROUNDS: runs of pages unmapped by the scanner (event)
 * @FISC_SAMPLE_PERIODS: samples completed (event)
 * @FISC_SAMPLED: pages chosen for samples (event)
 * @FISC_SAMPLE_TOUCHED: those of them that were touched (event)
 * @FISC_SAMPLE_FAULTS: faults that sampling has caused (event)
 * @FISC_BALLOON: pages in balloons
 * @FISC_BALLOON_INFLATED: pages that went into one (event)
 * @FISC_BALLOON_DEFLATED: pages that left one, as the guest said or at a reset
 *	(event)
 * @FISC_BALLOON_POPPED: pages that left one as somebody touched them (event)
 * @FISC_BALLOON_DUPLICATE: pages that were to go into one and were there already
 *	(event)
 * @FISC_SWAPPED: pages that were paged out
 * @FISC_SWAP_OUT: pages that went out (event)
 * @FISC_SWAP_IN: pages that came back in (event)
 * @FISC_SWAP_LOST: times that a page could not be brought back (event)
 * @FISC_SWAP_ARMED: chunks that were unmapped to see what is used (event)
 * @FISC_SWAP_NO_MEMORY: times there was no memory to page out (event)
 * @FISC_NR_COUNTERS: number of counters
 *
 * All but those marked (event), which only grow, describe the present state.
 */
enum fisc_counter {
	FISC_PRIVATE,
	FISC_SHARING,
	FISC_ZERO,
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
	FISC_BALLOON,
	FISC_BALLOON_INFLATED,
	FISC_BALLOON_DEFLATED,
	FISC_BALLOON_POPPED,
	FISC_BALLOON_DUPLICATE,
	FISC_SWAPPED,
	FISC_SWAP_OUT,
	FISC_SWAP_IN,
	FISC_SWAP_LOST,
	FISC_SWAP_ARMED,
	FISC_SWAP_NO_MEMORY,
	FISC_NR_COUNTERS,
};

/**
 * struct fisc_counters - one CPU's part of a set of counters
 * @v: indexed by enum fisc_counter; one CPU's part can be negative
 *
 * A set is a per-CPU variable, so counting touches no shared cache line.
 */
struct fisc_counters {
	long v[FISC_NR_COUNTERS];
};

DECLARE_PER_CPU(struct fisc_counters, fisc_total);

/**
 * fisc_count_total() - count something that belongs to no region
 * @c: the counter
 * @n: what to add; may be negative
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
 * @FISC_WAIT_BLOCKED: memory, as the VM has more than its target
 * @FISC_WAIT_ADOPT_MAP: the process's mappings, while a chunk is taken over
 * @FISC_WAIT_ADOPT_COPY: a chunk that was taken over to be copied
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

/* How long they waited: below 1, 2, 4 ... microseconds. */
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
