/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_STATS_H
#define _FISC_STATS_H

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

/* How long guests were held off: below 1, 2, 4 ... microseconds. */
#define FISC_HOLD_BUCKETS	20

void fisc_hold_account(u64 start_ns);
unsigned long fisc_hold_count(unsigned int bucket);
u64 fisc_hold_max_ns(void);

long fisc_counters_sum(const struct fisc_counters __percpu *set,
		       enum fisc_counter c);
long fisc_total_sum(enum fisc_counter c);
unsigned long fisc_metadata_bytes(void);

#endif /* _FISC_STATS_H */
