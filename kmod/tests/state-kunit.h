/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KUnit: reclaim states.
 */
#include <kunit/test.h>

static const unsigned int state_percent[FISC_RECLAIM_STATES] = { 0, 6, 4, 2, 1 };

static void states_begin_at_their_percent(struct kunit *test)
{
	struct fisc_levels levels;

	fisc_levels_set(&levels, 10000, state_percent, false);
	KUNIT_EXPECT_EQ(test, levels.below[FISC_RECLAIM_CLEAR], 600);
	KUNIT_EXPECT_EQ(test, levels.below[FISC_RECLAIM_SOFT], 400);
	KUNIT_EXPECT_EQ(test, levels.below[FISC_RECLAIM_HARD], 200);
	KUNIT_EXPECT_EQ(test, levels.below[FISC_RECLAIM_LOW], 100);

	KUNIT_EXPECT_EQ(test, fisc_levels_state(&levels, FISC_RECLAIM_HIGH, 600),
			FISC_RECLAIM_HIGH);
	KUNIT_EXPECT_EQ(test, fisc_levels_state(&levels, FISC_RECLAIM_HIGH, 599),
			FISC_RECLAIM_CLEAR);
	KUNIT_EXPECT_EQ(test, fisc_levels_state(&levels, FISC_RECLAIM_HIGH, 399),
			FISC_RECLAIM_SOFT);
	KUNIT_EXPECT_EQ(test, fisc_levels_state(&levels, FISC_RECLAIM_CLEAR, 199),
			FISC_RECLAIM_HARD);
	KUNIT_EXPECT_EQ(test, fisc_levels_state(&levels, FISC_RECLAIM_HIGH, 0),
			FISC_RECLAIM_LOW);
}

/* For each state and number of free pages: evaluating twice is stable. */
static void states_do_not_flicker(struct kunit *test)
{
	enum fisc_reclaim_state before, state;
	struct fisc_levels levels;
	u64 free;

	fisc_levels_set(&levels, 1000, state_percent, false);
	for (before = 0; before < FISC_RECLAIM_STATES; before++) {
		for (free = 0; free <= 1000; free++) {
			state = fisc_levels_state(&levels, before, free);
			KUNIT_ASSERT_EQ(test, state,
					fisc_levels_state(&levels, state, free));
			/* One page more or less after a change is, too. */
			if (state < before && free)
				KUNIT_ASSERT_EQ(test, state,
						fisc_levels_state(&levels, state,
								  free - 1));
			if (state > before)
				KUNIT_ASSERT_EQ(test, state,
						fisc_levels_state(&levels, state,
								  free + 1));
		}
	}
}

static void states_end_with_enough_memory(struct kunit *test)
{
	enum fisc_reclaim_state state;
	struct fisc_levels levels;

	fisc_levels_set(&levels, 10000, state_percent, false);
	for (state = FISC_RECLAIM_CLEAR; state < FISC_RECLAIM_STATES; state++) {
		u64 leave = fisc_levels_leave(&levels, state);

		KUNIT_EXPECT_GT(test, leave, levels.below[state]);
		KUNIT_EXPECT_LE(test, leave, levels.below[state - 1]);
		KUNIT_EXPECT_EQ(test, fisc_levels_state(&levels, state, leave - 1),
				state);
		KUNIT_EXPECT_LT(test, fisc_levels_state(&levels, state, leave),
				state);
	}
	KUNIT_EXPECT_EQ(test, fisc_levels_state(&levels, FISC_RECLAIM_LOW, 10000),
			FISC_RECLAIM_HIGH);
}

/* VMs that have all that is divided among them, and no more. */
static void what_is_kept_is_enough_for_high(struct kunit *test)
{
	enum fisc_reclaim_state before;
	unsigned int sliding;
	u64 total;

	for (sliding = 0; sliding < 2; sliding++) {
		for (total = 1; total < 1ULL << 40; total = total * 3 + 1) {
			struct fisc_levels levels;
			u64 kept;

			fisc_levels_set(&levels, total, state_percent, sliding);
			kept = fisc_levels_leave(&levels, FISC_RECLAIM_CLEAR);
			for (before = 0; before < FISC_RECLAIM_STATES; before++)
				KUNIT_ASSERT_EQ(test, FISC_RECLAIM_HIGH,
						fisc_levels_state(&levels, before,
								  kept));
		}
	}
}

static void sliding_scale_is_that_of_the_field(struct kunit *test)
{
	const u64 gib = SZ_1G >> PAGE_SHIFT;

	KUNIT_EXPECT_EQ(test, fisc_levels_scale(4 * gib), 4 * gib * 6 / 100);
	KUNIT_EXPECT_EQ(test, fisc_levels_scale(12 * gib),
			(4 * gib * 6 + 8 * gib * 4) / 100);
	KUNIT_EXPECT_EQ(test, fisc_levels_scale(28 * gib),
			(4 * gib * 6 + 8 * gib * 4 + 16 * gib * 2) / 100);
	KUNIT_EXPECT_EQ(test, fisc_levels_scale(128 * gib),
			(4 * gib * 6 + 8 * gib * 4 + 16 * gib * 2 + 100 * gib) / 100);
}

static void no_memory_at_all_does_no_harm(struct kunit *test)
{
	struct fisc_levels levels;

	fisc_levels_set(&levels, 0, state_percent, true);
	KUNIT_EXPECT_EQ(test, fisc_levels_state(&levels, FISC_RECLAIM_LOW, 0),
			FISC_RECLAIM_HIGH);
}

static struct kunit_case fisc_state_cases[] = {
	KUNIT_CASE(states_begin_at_their_percent),
	KUNIT_CASE(states_do_not_flicker),
	KUNIT_CASE(states_end_with_enough_memory),
	KUNIT_CASE(what_is_kept_is_enough_for_high),
	KUNIT_CASE(sliding_scale_is_that_of_the_field),
	KUNIT_CASE(no_memory_at_all_does_no_harm),
	{}
};

static struct kunit_suite fisc_state_suite = {
	.name = "fisc_state",
	.test_cases = fisc_state_cases,
};

kunit_test_suite(fisc_state_suite);
