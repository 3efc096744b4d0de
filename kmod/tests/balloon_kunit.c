// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: pages in the balloon.
 */
#include "fs/page.h"
#include "tests/unit.h"

#define FISC_TEST_BALLOON_PAGES	(4 * FISC_CHUNK_PAGES)

static int fisc_balloon_test_init(struct kunit *test)
{
	test->priv = fisc_unit_begin(test, "kunit-balloon",
				     FISC_TEST_BALLOON_PAGES, 0);

	return 0;
}

static void fisc_balloon_test_exit(struct kunit *test)
{
	if (test->priv)
		fisc_unit_end(test->priv);
}

static struct fisc_region *fisc_balloon_test_region(struct kunit *test)
{
	return ((struct fisc_unit *)test->priv)->region;
}

/* Expect @region's numbers of pages in the balloon, and of pages popped. */
static void fisc_balloon_expect(struct kunit *test, long pages, long popped)
{
	struct fisc_region *region = fisc_balloon_test_region(test);

	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_BALLOON), pages);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_BALLOON_POPPED),
			popped);
}

static void pages_of_the_balloon_have_no_frame(struct kunit *test)
{
	struct fisc_region *region = fisc_balloon_test_region(test);

	fisc_unit_write(test, region, 3, 1);
	fisc_unit_write(test, region, 4, 1);
	KUNIT_ASSERT_EQ(test, fisc_region_inflate(region, 3, 3), 0);
	fisc_balloon_expect(test, 1, 0);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_PRIVATE), 1);
	KUNIT_EXPECT_EQ(test, fisc_region_look(region, 3), FISC_ENTRY_HOLE);
	fisc_region_deflate(region, 3, 3);
	fisc_balloon_expect(test, 0, 0);
	KUNIT_EXPECT_EQ(test, fisc_region_look(region, 3), FISC_ENTRY_HOLE);
}

static void nothing_is_in_the_balloon_twice(struct kunit *test)
{
	struct fisc_region *region = fisc_balloon_test_region(test);

	KUNIT_ASSERT_EQ(test, fisc_region_inflate(region, 0, 9), 0);
	KUNIT_ASSERT_EQ(test, fisc_region_inflate(region, 5, 14), 0);
	fisc_balloon_expect(test, 15, 0);
	fisc_region_deflate(region, 10, 19);
	fisc_region_deflate(region, 10, 19);
	fisc_balloon_expect(test, 10, 0);
}

static void touched_page_leaves_the_balloon_zeroed(struct kunit *test)
{
	struct fisc_region *region = fisc_balloon_test_region(test);
	struct page *page;

	fisc_unit_write(test, region, 600, 0xff);
	KUNIT_ASSERT_EQ(test, fisc_region_inflate(region, 512, 1023), 0);
	fisc_balloon_expect(test, 512, 0);
	KUNIT_ASSERT_EQ(test, fisc_region_own(region, 600, NULL, 0, &page), 0);
	KUNIT_EXPECT_EQ(test, *(u8 *)page_address(page), 0);
	folio_unlock(page_folio(page));
	put_page(page);
	fisc_balloon_expect(test, 511, 1);
	/* A page that was popped may enter the balloon again. */
	KUNIT_ASSERT_EQ(test, fisc_region_inflate(region, 600, 600), 0);
	fisc_balloon_expect(test, 512, 1);
}

static void range_may_span_chunks(struct kunit *test)
{
	struct fisc_region *region = fisc_balloon_test_region(test);

	KUNIT_ASSERT_EQ(test, fisc_region_inflate(region, 500, 1600), 0);
	fisc_balloon_expect(test, 1101, 0);
	fisc_region_deflate(region, 0, ULONG_MAX);
	fisc_balloon_expect(test, 0, 0);
}

static void nothing_beyond_the_end_is_in_the_balloon(struct kunit *test)
{
	struct fisc_region *region = fisc_balloon_test_region(test);

	KUNIT_ASSERT_EQ(test, fisc_region_inflate(region,
						  FISC_TEST_BALLOON_PAGES - 2,
						  FISC_TEST_BALLOON_PAGES + 600),
			0);
	fisc_balloon_expect(test, 2, 0);
}

static void chunk_with_pages_in_the_balloon_gets_no_large_frame(struct kunit *test)
{
	struct fisc_region *region = fisc_balloon_test_region(test);
	struct fisc_chunk *chunk;

	fisc_large_enabled = 1;
	KUNIT_ASSERT_EQ(test, fisc_region_inflate(region, 0, 1), 0);
	chunk = fisc_region_find_chunk(region, 0);
	down_read(&chunk->lock);
	KUNIT_EXPECT_FALSE(test, fisc_large_wanted(region, chunk));
	up_read(&chunk->lock);
	fisc_unit_write(test, region, 0, 1);
	fisc_balloon_expect(test, 1, 1);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_LARGE), 0);
}

static struct kunit_case fisc_balloon_cases[] = {
	KUNIT_CASE(pages_of_the_balloon_have_no_frame),
	KUNIT_CASE(nothing_is_in_the_balloon_twice),
	KUNIT_CASE(touched_page_leaves_the_balloon_zeroed),
	KUNIT_CASE(range_may_span_chunks),
	KUNIT_CASE(nothing_beyond_the_end_is_in_the_balloon),
	KUNIT_CASE(chunk_with_pages_in_the_balloon_gets_no_large_frame),
	{}
};

static struct kunit_suite fisc_balloon_suite = {
	.name = "fisc_balloon",
	.init = fisc_balloon_test_init,
	.exit = fisc_balloon_test_exit,
	.test_cases = fisc_balloon_cases,
};

kunit_test_suite(fisc_balloon_suite);
