/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KUnit: the fields of a map entry, and when a page is due.
 */
#include <kunit/test.h>

static unsigned long fisc_test_entry(unsigned int level, u16 stamp,
				     unsigned long flags)
{
	return fisc_entry_set_history(FISC_ENTRY_PRIVATE, level, stamp) | flags;
}

static void fields_do_not_touch_each_other(struct kunit *test)
{
	static const u16 stamps[] = { 0, 1, 0x7fff, 0x8000, 0xffff };
	struct page *page = ZERO_PAGE(0);
	unsigned int level, i;

	for (level = 0; level <= FISC_ENTRY_LEVEL_MAX; level++) {
		for (i = 0; i < ARRAY_SIZE(stamps); i++) {
			unsigned long e = fisc_entry_make(page,
							  FISC_ENTRY_SHARED);

			e = fisc_entry_set_history(e | FISC_ENTRY_KNOWN, level,
						   stamps[i]);
			KUNIT_EXPECT_EQ(test, fisc_entry_level(e), level);
			KUNIT_EXPECT_EQ(test, fisc_entry_stamp(e), stamps[i]);
			KUNIT_EXPECT_EQ(test, fisc_entry_state(e),
					FISC_ENTRY_SHARED);
			KUNIT_EXPECT_PTR_EQ(test, fisc_entry_page(e), page);
			KUNIT_EXPECT_EQ(test, e & FISC_ENTRY_KNOWN,
					FISC_ENTRY_KNOWN);
		}
	}
}

static void successor_keeps_history(struct kunit *test)
{
	struct page *page = ZERO_PAGE(0);
	unsigned long e = fisc_entry_succeed(fisc_test_entry(5, 77,
							     FISC_ENTRY_KNOWN),
					     page, FISC_ENTRY_ZERO);

	KUNIT_EXPECT_EQ(test, fisc_entry_level(e), 5);
	KUNIT_EXPECT_EQ(test, fisc_entry_stamp(e), 77);
	KUNIT_EXPECT_EQ(test, fisc_entry_state(e), FISC_ENTRY_ZERO);
	KUNIT_EXPECT_EQ(test, e & FISC_ENTRY_KNOWN, FISC_ENTRY_CLEAN);
	KUNIT_EXPECT_PTR_EQ(test, fisc_entry_page(e), page);
}

static void swapped_entry_has_history_and_no_page(struct kunit *test)
{
	unsigned long e = fisc_entry_swapped(fisc_test_entry(5, 77,
							     FISC_ENTRY_KNOWN),
					     U32_MAX);

	KUNIT_EXPECT_EQ(test, fisc_entry_state(e), FISC_ENTRY_SWAPPED);
	KUNIT_EXPECT_FALSE(test, fisc_entry_has_page(e));
	KUNIT_EXPECT_EQ(test, fisc_entry_level(e), 5);
	KUNIT_EXPECT_EQ(test, fisc_entry_stamp(e), 77);
	KUNIT_EXPECT_EQ(test, e & FISC_ENTRY_KNOWN, 0);
	KUNIT_EXPECT_EQ(test, fisc_entry_slot(e), U32_MAX);
	KUNIT_EXPECT_EQ(test, fisc_entry_slot(fisc_entry_swapped(e, 0)), 0);
	/* Swapped in again, to another frame. */
	e = fisc_entry_succeed(e, ZERO_PAGE(0), FISC_ENTRY_PRIVATE);
	KUNIT_EXPECT_EQ(test, fisc_entry_level(e), 5);
	KUNIT_EXPECT_PTR_EQ(test, fisc_entry_page(e), ZERO_PAGE(0));
}

static void write_to_a_page_not_clean_changes_nothing(struct kunit *test)
{
	unsigned long e = fisc_test_entry(3, 10, 0);

	KUNIT_EXPECT_EQ(test, fisc_entry_written(e, 11), e);
}

static void soon_written_is_left_alone_for_longer(struct kunit *test)
{
	unsigned int level;
	unsigned long e;

	for (level = 0; level <= FISC_ENTRY_LEVEL_MAX; level++) {
		/* The stamp is before the epochs wrap, the write after. */
		u16 stamp = U16_MAX - level;
		u16 soon = stamp + (2U << level);

		e = fisc_entry_written(fisc_test_entry(level, stamp,
						       FISC_ENTRY_KNOWN), soon);
		KUNIT_EXPECT_EQ(test, fisc_entry_level(e),
				min(level + 1, (unsigned int)FISC_ENTRY_LEVEL_MAX));
		KUNIT_EXPECT_EQ(test, fisc_entry_stamp(e), soon);
		KUNIT_EXPECT_EQ(test, e & FISC_ENTRY_KNOWN, 0);

		e = fisc_entry_written(fisc_test_entry(level, stamp,
						       FISC_ENTRY_CLEAN),
				       soon + 1);
		KUNIT_EXPECT_EQ(test, fisc_entry_level(e), 1);
	}
}

static void due_when_its_time_has_come(struct kunit *test)
{
	unsigned int level;
	u16 stamp;

	KUNIT_EXPECT_TRUE(test, fisc_entry_is_due(fisc_test_entry(0, 9, 0), 9));
	for (level = 1; level <= FISC_ENTRY_LEVEL_MAX; level++) {
		for (stamp = U16_MAX - 70; stamp != 70; stamp++) {
			unsigned long e = fisc_test_entry(level, stamp, 0);
			u16 wait = fisc_entry_due(e) - stamp;

			KUNIT_EXPECT_GE(test, wait, 1 << level);
			KUNIT_EXPECT_LE(test, wait, 5 << level >> 2);
			KUNIT_EXPECT_FALSE(test, fisc_entry_is_due(e, stamp));
			KUNIT_EXPECT_FALSE(test, fisc_entry_is_due(e, stamp +
								   wait - 1));
			KUNIT_EXPECT_TRUE(test, fisc_entry_is_due(e, stamp +
								  wait));
		}
	}
}

static void due_at_few_epochs(struct kunit *test)
{
	unsigned int level, stamp;

	for (level = 3; level <= FISC_ENTRY_LEVEL_MAX; level++) {
		unsigned long seen = 0;

		for (stamp = 0; stamp < 1U << level; stamp++) {
			unsigned long e = fisc_test_entry(level, stamp, 0);

			seen |= BIT(fisc_entry_due(e) >> (level - 2));
		}
		KUNIT_EXPECT_LE(test, hweight_long(seen), 5);
	}
}

static void known_is_not_due_and_clean_alone_is(struct kunit *test)
{
	KUNIT_EXPECT_FALSE(test, fisc_entry_is_due(fisc_test_entry(0, 1,
								   FISC_ENTRY_KNOWN),
						   1000));
	KUNIT_EXPECT_TRUE(test, fisc_entry_is_due(fisc_test_entry(9, 1,
								  FISC_ENTRY_CLEAN),
						  1));
}

static struct kunit_case fisc_entry_cases[] = {
	KUNIT_CASE(fields_do_not_touch_each_other),
	KUNIT_CASE(successor_keeps_history),
	KUNIT_CASE(swapped_entry_has_history_and_no_page),
	KUNIT_CASE(write_to_a_page_not_clean_changes_nothing),
	KUNIT_CASE(soon_written_is_left_alone_for_longer),
	KUNIT_CASE(due_when_its_time_has_come),
	KUNIT_CASE(due_at_few_epochs),
	KUNIT_CASE(known_is_not_due_and_clean_alone_is),
	{}
};

static struct kunit_suite fisc_entry_suite = {
	.name = "fisc_entry",
	.test_cases = fisc_entry_cases,
};

kunit_test_suite(fisc_entry_suite);
