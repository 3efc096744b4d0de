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

long fisc_counters_sum(const struct fisc_counters __percpu *set,
		       enum fisc_counter c);
long fisc_total_sum(enum fisc_counter c);

#endif /* _FISC_STATS_H */
