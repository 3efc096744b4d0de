// SPDX-License-Identifier: GPL-2.0
/* Per-CPU counters and histograms of waits, for the module as a whole. */
#include <linux/export.h>
#include <linux/log2.h>
#include <linux/math.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/sched/clock.h>
#include <linux/seq_file.h>
#include <linux/time64.h>

#include "base/stats.h"

DEFINE_PER_CPU(struct fisc_counters, fisc_total);

/* One CPU's share of the histograms of waits. */
struct fisc_waits {
	unsigned long count[FISC_NR_WAITS][FISC_WAIT_BUCKETS];
	u64 longest[FISC_NR_WAITS];
};

static DEFINE_PER_CPU(struct fisc_waits, fisc_waits);

/**
 * fisc_wait_account() - account for a wait, even one of no length
 * @wait: what was waited for
 * @start_ns: when it began, by local_clock()
 *
 * Context: any.
 */
void fisc_wait_account(enum fisc_wait wait, u64 start_ns)
{
	u64 now = local_clock();
	/* The clock of another CPU may be a little behind. */
	u64 ns = now > start_ns ? now - start_ns : 0;
	u64 us = div_u64(ns, NSEC_PER_USEC);
	unsigned int bucket = us ? ilog2(us) + 1 : 0;

	this_cpu_inc(fisc_waits.count[wait][min(bucket, FISC_WAIT_BUCKETS - 1)]);
	preempt_disable();
	if (ns > __this_cpu_read(fisc_waits.longest[wait]))
		__this_cpu_write(fisc_waits.longest[wait], ns);
	preempt_enable();
}

/**
 * fisc_wait_show() - print a histogram of waits
 * @m: where to print
 * @wait: what was waited for
 * @name: prefix of the names printed
 * @buckets: number of buckets to print; the last one includes all longer waits
 *
 * Context: may sleep.
 */
void fisc_wait_show(struct seq_file *m, enum fisc_wait wait, const char *name,
		    unsigned int buckets)
{
	unsigned long count[FISC_WAIT_BUCKETS] = {};
	u64 longest = 0;
	unsigned int i;
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct fisc_waits *waits = per_cpu_ptr(&fisc_waits, cpu);

		longest = max(longest, READ_ONCE(waits->longest[wait]));
		for (i = 0; i < FISC_WAIT_BUCKETS; i++)
			count[min(i, buckets - 1)] +=
				READ_ONCE(waits->count[wait][i]);
	}
	seq_printf(m, "%s_max_us: %llu\n", name,
		   div_u64(longest, NSEC_PER_USEC));
	for (i = 0; i < buckets; i++)
		seq_printf(m, "%s_us_%lu: %lu\n", name, 1UL << i, count[i]);
}

/**
 * fisc_counters_sum() - sum a counter over all CPUs
 * @set: the set of counters
 * @c: the counter
 *
 * Exact if nothing changes meanwhile. CPUs are read one after the other, so one
 * half of a pair of changes on two CPUs may be missed; that never shows as a
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
 * fisc_total_sum() - return a counter of the whole module
 * @c: the counter
 *
 * Context: any.
 * Return: the sum over all CPUs, at least 0.
 */
long fisc_total_sum(enum fisc_counter c)
{
	return fisc_counters_sum(&fisc_total, c);
}
EXPORT_SYMBOL_NS_GPL(fisc_total_sum, FISC);

/**
 * fisc_frames_in_use() - return the number of frames that hold guest memory
 *
 * Context: any.
 * Return: their number.
 */
long fisc_frames_in_use(void)
{
	return fisc_total_sum(FISC_PRIVATE) + fisc_total_sum(FISC_SHARED);
}

#ifdef FISC_KUNIT
#include "tests/stats-kunit.h"
#endif
