/* SPDX-License-Identifier: GPL-2.0 */
/* KUnit: fractions, averages and their errors. */
#include <kunit/test.h>
#include <linux/sizes.h>

#define FISC_TEST_PERCENT(_n)	((u32)((_n) * FISC_FRACTION_ONE / 100))

static void fraction_of_a_sample(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, fisc_fraction(0, 0), 0);
	KUNIT_EXPECT_EQ(test, fisc_fraction(0, 100), 0);
	KUNIT_EXPECT_EQ(test, fisc_fraction(50, 100), FISC_FRACTION_ONE / 2);
	KUNIT_EXPECT_EQ(test, fisc_fraction(100, 100), FISC_FRACTION_ONE);
	KUNIT_EXPECT_EQ(test, fisc_fraction(UINT_MAX, UINT_MAX),
			FISC_FRACTION_ONE);
}

static void fraction_of_a_size_does_not_overflow(struct kunit *test)
{
	static const u64 sizes[] = { 0, 1, 4096, SZ_1G, 1ULL << 44, S64_MAX };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		KUNIT_EXPECT_EQ(test, fisc_fraction_of(sizes[i], 0), 0);
		KUNIT_EXPECT_EQ(test,
				fisc_fraction_of(sizes[i], FISC_FRACTION_ONE),
				sizes[i]);
		KUNIT_EXPECT_EQ(test,
				fisc_fraction_of(sizes[i],
						 FISC_FRACTION_ONE / 2),
				sizes[i] / 2);
	}
}

static void nothing_known_is_all_active(struct kunit *test)
{
	struct fisc_estimate estimate = {};

	KUNIT_EXPECT_EQ(test, fisc_estimate_active(&estimate, 0),
			FISC_FRACTION_ONE);
}

static void first_sample_is_all_that_is_known(struct kunit *test)
{
	struct fisc_estimate estimate = {};

	fisc_estimate_add(&estimate, 12345, 1, 2);
	KUNIT_EXPECT_EQ(test, estimate.slow, 12345);
	KUNIT_EXPECT_EQ(test, estimate.fast, 12345);
	KUNIT_EXPECT_EQ(test, fisc_estimate_active(&estimate, 0), 12345);
}

/* From 20 to 60 percent, 40 points: 30 % of them is 12, 70 % is 28. */
static void averages_go_part_of_the_way(struct kunit *test)
{
	struct fisc_estimate estimate = {};

	fisc_estimate_add(&estimate, FISC_TEST_PERCENT(20), 30, 70);
	fisc_estimate_add(&estimate, FISC_TEST_PERCENT(60), 30, 70);
	KUNIT_EXPECT_LE(test, abs_diff(estimate.slow, FISC_TEST_PERCENT(32)), 2);
	KUNIT_EXPECT_LE(test, abs_diff(estimate.fast, FISC_TEST_PERCENT(48)), 2);
}

static void averages_arrive(struct kunit *test)
{
	static const u32 goals[] = { 0, 1, 999, FISC_FRACTION_ONE };
	unsigned int percent, i, k;

	for (percent = 1; percent <= 100; percent++) {
		struct fisc_estimate estimate = {};

		for (i = 0; i < ARRAY_SIZE(goals); i++) {
			for (k = 0; k < 2000; k++)
				fisc_estimate_add(&estimate, goals[i], percent,
						  100);
			KUNIT_EXPECT_EQ(test, estimate.slow, goals[i]);
			KUNIT_EXPECT_EQ(test, estimate.fast, goals[i]);
		}
	}
}

static void growth_is_seen_at_once_and_decline_slowly(struct kunit *test)
{
	struct fisc_estimate estimate = {};
	u32 before;

	fisc_estimate_add(&estimate, FISC_TEST_PERCENT(10), 30, 70);
	KUNIT_EXPECT_EQ(test,
			fisc_estimate_active(&estimate, FISC_TEST_PERCENT(90)),
			FISC_TEST_PERCENT(90));
	fisc_estimate_add(&estimate, FISC_TEST_PERCENT(90), 30, 70);
	before = fisc_estimate_active(&estimate, 0);
	KUNIT_EXPECT_GE(test, before, FISC_TEST_PERCENT(65));
	fisc_estimate_add(&estimate, 0, 30, 70);
	KUNIT_EXPECT_GE(test, fisc_estimate_active(&estimate, 0),
			FISC_TEST_PERCENT(19));
	KUNIT_EXPECT_LT(test, fisc_estimate_active(&estimate, 0), before);
}

/* sqrt(p (1 - p) / n) with p = (t + 2) / (n + 4) and n + 4 pages. */
static void error_is_the_standard_error(struct kunit *test)
{
	/* 52 of 104: 0.04903; 2 of 104: 0.01348; 1002 of 1004: 0.00141 */
	KUNIT_EXPECT_EQ(test, fisc_estimate_error(FISC_FRACTION_ONE / 2, 100),
			3213);
	KUNIT_EXPECT_EQ(test, fisc_estimate_error(0, 100), 882);
	KUNIT_EXPECT_EQ(test, fisc_estimate_error(FISC_FRACTION_ONE, 1000), 92);
	KUNIT_EXPECT_EQ(test, fisc_estimate_error(0, 0), FISC_FRACTION_ONE);
}

static struct kunit_case fisc_estimate_cases[] = {
	KUNIT_CASE(fraction_of_a_sample),
	KUNIT_CASE(fraction_of_a_size_does_not_overflow),
	KUNIT_CASE(nothing_known_is_all_active),
	KUNIT_CASE(first_sample_is_all_that_is_known),
	KUNIT_CASE(averages_go_part_of_the_way),
	KUNIT_CASE(averages_arrive),
	KUNIT_CASE(growth_is_seen_at_once_and_decline_slowly),
	KUNIT_CASE(error_is_the_standard_error),
	{}
};

static struct kunit_suite fisc_estimate_suite = {
	.name = "fisc_estimate",
	.test_cases = fisc_estimate_cases,
};

kunit_test_suite(fisc_estimate_suite);
