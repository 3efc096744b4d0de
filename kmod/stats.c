// SPDX-License-Identifier: GPL-2.0
/*
 * Per-CPU counters of the module as a whole.
 */
#include <linux/minmax.h>

#include "stats.h"

DEFINE_PER_CPU(struct fisc_counters, fisc_total);

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

#if IS_ENABLED(CONFIG_KUNIT)
#include "tests/stats-kunit.h"
#endif
