/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KUnit: counters.
 */
#include <kunit/test.h>

static void sum_adds_all_cpus(struct kunit *test)
{
	struct fisc_counters __percpu *set = alloc_percpu(struct fisc_counters);
	long expected = 0;
	int cpu;

	KUNIT_ASSERT_TRUE(test, set);
	for_each_possible_cpu(cpu) {
		per_cpu_ptr(set, cpu)->v[FISC_ZERO] = cpu + 1;
		expected += cpu + 1;
	}
	KUNIT_EXPECT_EQ(test, fisc_counters_sum(set, FISC_ZERO), expected);
	KUNIT_EXPECT_EQ(test, fisc_counters_sum(set, FISC_PRIVATE), 0);
	free_percpu(set);
}

static void one_cpu_may_go_below_zero(struct kunit *test)
{
	struct fisc_counters __percpu *set = alloc_percpu(struct fisc_counters);
	int cpu = cpumask_first(cpu_possible_mask);

	KUNIT_ASSERT_TRUE(test, set);
	per_cpu_ptr(set, cpu)->v[FISC_ZERO] = -3;
	KUNIT_EXPECT_EQ(test, fisc_counters_sum(set, FISC_ZERO), 0);
	if (num_possible_cpus() > 1) {
		cpu = cpumask_next(cpu, cpu_possible_mask);
		per_cpu_ptr(set, cpu)->v[FISC_ZERO] = 5;
		KUNIT_EXPECT_EQ(test, fisc_counters_sum(set, FISC_ZERO), 2);
	}
	free_percpu(set);
}

static struct kunit_case fisc_stats_cases[] = {
	KUNIT_CASE(sum_adds_all_cpus),
	KUNIT_CASE(one_cpu_may_go_below_zero),
	{}
};

static struct kunit_suite fisc_stats_suite = {
	.name = "fisc_stats",
	.test_cases = fisc_stats_cases,
};

kunit_test_suite(fisc_stats_suite);
