/* SPDX-License-Identifier: GPL-2.0 */
/* KUnit: whether enough is given. */
#include <kunit/test.h>

#define FISC_TEST_PERIOD	100UL

static bool fisc_test_look(struct fisc_progress *progress, u64 wanted, u64 gave,
			   unsigned long now)
{
	return fisc_progress_look(progress, wanted, gave, FISC_TEST_PERIOD, now);
}

static void grace_lasts_for_a_period(struct kunit *test)
{
	struct fisc_progress progress = {};

	KUNIT_EXPECT_FALSE(test, fisc_test_look(&progress, 0, 7, 1000));
	KUNIT_EXPECT_TRUE(test, fisc_test_look(&progress, 300, 7, 1001));
	KUNIT_EXPECT_TRUE(test, fisc_test_look(&progress, 300, 7, 1100));
	KUNIT_EXPECT_FALSE(test, fisc_test_look(&progress, 300, 7, 1101));
	KUNIT_EXPECT_FALSE(test, fisc_test_look(&progress, 300, 7, 1102));
	KUNIT_EXPECT_FALSE(test, fisc_test_look(&progress, 300, 7, 1201));
}

static void a_part_of_what_is_wanted_is_enough(struct kunit *test)
{
	struct fisc_progress progress = {};
	u64 part = 300 / FISC_PROGRESS_PARTS;

	fisc_test_look(&progress, 300, 0, 1000);
	KUNIT_EXPECT_TRUE(test, fisc_test_look(&progress, 300, part, 1100));
	KUNIT_EXPECT_FALSE(test,
			   fisc_test_look(&progress, 300, 2 * part - 1, 1200));
	KUNIT_EXPECT_TRUE(test,
			  fisc_test_look(&progress, 300, 3 * part, 1300));
	/* However little is wanted, nothing is not enough. */
	KUNIT_EXPECT_TRUE(test, fisc_test_look(&progress, 1, 100, 1400));
	KUNIT_EXPECT_FALSE(test, fisc_test_look(&progress, 1, 100, 1500));
}

static void to_and_fro_is_no_progress(struct kunit *test)
{
	struct fisc_progress progress = {};
	unsigned long now = 1000;
	unsigned int i;

	fisc_test_look(&progress, 300, 0, now);
	KUNIT_EXPECT_TRUE(test, fisc_test_look(&progress, 300, 100, now + 100));
	for (i = 2; i < 10; i++)
		KUNIT_EXPECT_FALSE(test,
				   fisc_test_look(&progress, 300,
						  i & 1 ? 100 : 0,
						  now + i * 100));
}

static void grace_begins_when_much_more_is_wanted(struct kunit *test)
{
	struct fisc_progress progress = {};

	fisc_test_look(&progress, 300, 0, 1000);
	KUNIT_EXPECT_FALSE(test, fisc_test_look(&progress, 300, 0, 1100));
	KUNIT_EXPECT_FALSE(test, fisc_test_look(&progress, 600, 0, 1101));
	/* Nor does it begin when nothing is wanted for a while. */
	KUNIT_EXPECT_FALSE(test, fisc_test_look(&progress, 0, 0, 1102));
	KUNIT_EXPECT_FALSE(test, fisc_test_look(&progress, 300, 0, 1103));
	KUNIT_EXPECT_TRUE(test, fisc_test_look(&progress, 601, 0, 1104));
	KUNIT_EXPECT_FALSE(test, fisc_test_look(&progress, 601, 0, 1204));
	/* What was given in the meantime is forgiven. */
	KUNIT_EXPECT_TRUE(test, fisc_test_look(&progress, 601, 601, 1304));
	KUNIT_EXPECT_FALSE(test, fisc_test_look(&progress, 0, 601, 1305));
	KUNIT_EXPECT_TRUE(test, fisc_test_look(&progress, 1, 0, 1306));
}

static void what_was_given_may_be_negative(struct kunit *test)
{
	struct fisc_progress progress = {};

	fisc_test_look(&progress, 300, -1000ULL, 1000);
	KUNIT_EXPECT_TRUE(test, fisc_test_look(&progress, 300, -900ULL, 1100));
	KUNIT_EXPECT_TRUE(test, fisc_test_look(&progress, 300, 10, 1200));
	KUNIT_EXPECT_FALSE(test, fisc_test_look(&progress, 300, -900ULL, 1300));
}

static struct kunit_case fisc_vms_cases[] = {
	KUNIT_CASE(grace_lasts_for_a_period),
	KUNIT_CASE(a_part_of_what_is_wanted_is_enough),
	KUNIT_CASE(to_and_fro_is_no_progress),
	KUNIT_CASE(grace_begins_when_much_more_is_wanted),
	KUNIT_CASE(what_was_given_may_be_negative),
	{}
};

static struct kunit_suite fisc_vms_suite = {
	.name = "fisc_vms",
	.test_cases = fisc_vms_cases,
};

kunit_test_suite(fisc_vms_suite);
