// SPDX-License-Identifier: GPL-2.0
/*
 * Per-CPU counters of the module as a whole.
 */
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/sched/clock.h>
#include <linux/time64.h>

#include "frame.h"
#include "stats.h"

DEFINE_PER_CPU(struct fisc_counters, fisc_total);

static DEFINE_PER_CPU(unsigned long [FISC_HOLD_BUCKETS], fisc_hold);
static DEFINE_PER_CPU(u64, fisc_hold_longest);

/**
 * fisc_hold_account() - a chunk's lock was held for writing
 * @start_ns: since when, by local_clock()
 *
 * Context: any.
 */
void fisc_hold_account(u64 start_ns)
{
	u64 now = local_clock();
	/* The clock of another CPU may be a little behind. */
	u64 ns = now > start_ns ? now - start_ns : 0;
	u64 us = div_u64(ns, NSEC_PER_USEC);
	unsigned int bucket = us ? ilog2(us) + 1 : 0;

	this_cpu_inc(fisc_hold[min(bucket, FISC_HOLD_BUCKETS - 1)]);
	preempt_disable();
	if (ns > __this_cpu_read(fisc_hold_longest))
		__this_cpu_write(fisc_hold_longest, ns);
	preempt_enable();
}

/**
 * fisc_hold_count() - how often a chunk's lock was held for so long
 * @bucket: 0 for less than 1 us, n for less than 2^n us, the last for all else
 *
 * Context: any.
 * Return: the number.
 */
unsigned long fisc_hold_count(unsigned int bucket)
{
	unsigned long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(fisc_hold, cpu)[bucket]);

	return sum;
}

/**
 * fisc_hold_max_ns() - the longest time a chunk's lock was held for writing
 *
 * Context: any.
 * Return: the time in ns, since the module was loaded.
 */
u64 fisc_hold_max_ns(void)
{
	u64 longest = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		longest = max(longest, READ_ONCE(per_cpu(fisc_hold_longest, cpu)));

	return longest;
}

/**
 * fisc_counters_sum() - value of one counter over all CPUs
 * @set: the set of counters
 * @c: the counter
 *
 * Exact when nothing changes meanwhile. CPUs are read one after the other, so
 * a pair of changes on two CPUs may be half seen: never let that show as a
 * negative number.
 *
 * Context: any.
 * Return: the sum, at least 0.
 */
long fisc_counters_sum(const struct fisc_counters __percpu *set,
		       enum fisc_counter c)
{
	long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(set, cpu)->v[c]);

	return max(sum, 0L);
}

/**
 * fisc_total_sum() - value of one counter for the whole module
 * @c: the counter
 *
 * Context: any.
 * Return: the sum, at least 0.
 */
long fisc_total_sum(enum fisc_counter c)
{
	return fisc_counters_sum(&fisc_total, c);
}

/**
 * fisc_metadata_bytes() - memory that the module takes to describe guests'
 *
 * Context: any.
 * Return: bytes.
 */
unsigned long fisc_metadata_bytes(void)
{
	return fisc_total_sum(FISC_MAP_BYTES) +
	       fisc_total_sum(FISC_META_BYTES) +
	       FISC_NR_ZERO_FRAMES * PAGE_SIZE;
}

#if IS_ENABLED(CONFIG_KUNIT)
#include "tests/stats-kunit.h"
#endif
