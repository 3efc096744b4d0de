// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: large frames that are filled, broken and rebuilt.
 */
#include "fs/page.h"
#include "tests/unit.h"

/* One whole chunk, and a partial one, which never gets a large frame. */
#define FISC_TEST_PAGES		(FISC_CHUNK_PAGES + FISC_CHUNK_PAGES / 2)

/* Like fisc_unit_write(), but an empty chunk gets a large frame. */
static struct page *fisc_test_write(struct kunit *test,
				    struct fisc_region *region, pgoff_t index,
				    u8 byte)
{
	struct page *page;

	KUNIT_ASSERT_EQ(test, fisc_region_own(region, index, NULL, 0, &page), 0);
	KUNIT_EXPECT_TRUE(test, PageLocked(page));
	folio_unlock(page_folio(page));
	*(u8 *)page_address(page) = byte;
	put_page(page);

	return page;
}

static int fisc_large_test_init(struct kunit *test)
{
	struct fisc_unit *unit = fisc_unit_begin(test, "kunit", FISC_TEST_PAGES,
						 1);

	test->priv = unit;
	fisc_test_write(test, unit->region, 1, 1);
	if (!fisc_region_sum(unit->region, FISC_LARGE))
		kunit_skip(test, "no free block of 2 MiB");

	return 0;
}

static void fisc_large_test_exit(struct kunit *test)
{
	if (test->priv)
		fisc_unit_end(test->priv);
}

static struct fisc_region *fisc_test_region(struct kunit *test)
{
	return ((struct fisc_unit *)test->priv)->region;
}

static struct fisc_chunk *fisc_test_chunk(struct kunit *test)
{
	return fisc_region_find_chunk(fisc_test_region(test), 0);
}

static u8 fisc_test_read(struct kunit *test, pgoff_t index)
{
	struct page *page;
	u8 byte;

	KUNIT_ASSERT_EQ(test, fisc_region_read(fisc_test_region(test), index,
					       &page), 0);
	if (!page)
		return 0;
	byte = *(u8 *)page_address(page);
	put_page(page);

	return byte;
}

static void first_write_makes_the_chunk_large(struct kunit *test)
{
	struct fisc_region *region = fisc_test_region(test);

	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_LARGE), 1);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_PRIVATE),
			FISC_LARGE_PAGES);
	KUNIT_EXPECT_NULL(test, fisc_test_chunk(test)->leaf);
	KUNIT_EXPECT_EQ(test, fisc_test_read(test, 1), 1);
	KUNIT_EXPECT_EQ(test, fisc_test_read(test, 511), 0);
}

static void chunk_beyond_the_end_stays_small(struct kunit *test)
{
	struct fisc_region *region = fisc_test_region(test);

	fisc_test_write(test, region, FISC_CHUNK_PAGES, 7);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_LARGE), 1);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_PRIVATE),
			FISC_LARGE_PAGES + 1);
}

static void zero_entries_give_way(struct kunit *test)
{
	struct fisc_region *region = fisc_test_region(test);
	struct fisc_chunk *chunk = fisc_test_chunk(test);

	fisc_region_remove(region, 0, FISC_CHUNK_PAGES - 1);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_LARGE), 0);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_PRIVATE), 0);
	KUNIT_ASSERT_EQ(test, fisc_chunk_make_leaf(region, chunk), 0);
	down_read(&chunk->lock);
	KUNIT_EXPECT_EQ(test, fisc_region_fill_zero(region, chunk, 3), 0);
	up_read(&chunk->lock);
	fisc_test_write(test, region, 4, 4);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_LARGE), 1);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_ZERO), 0);
	KUNIT_EXPECT_EQ(test, fisc_test_read(test, 3), 0);
	KUNIT_EXPECT_EQ(test, fisc_test_read(test, 4), 4);
}

static void hole_in_the_middle_breaks_it(struct kunit *test)
{
	struct fisc_region *region = fisc_test_region(test);

	fisc_test_write(test, region, 9, 9);
	fisc_test_write(test, region, 10, 10);
	fisc_region_remove(region, 2, 9);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_LARGE), 0);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_LARGE_BREAKS), 1);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_PRIVATE),
			FISC_LARGE_PAGES - 8);
	KUNIT_EXPECT_EQ(test, fisc_test_read(test, 1), 1);
	KUNIT_EXPECT_EQ(test, fisc_test_read(test, 9), 0);
	KUNIT_EXPECT_EQ(test, fisc_test_read(test, 10), 10);
}

static void hole_in_a_frame_in_use_is_zeroed(struct kunit *test)
{
	struct fisc_region *region = fisc_test_region(test);
	struct page *page = fisc_test_write(test, region, 9, 9);

	get_page(page);
	fisc_region_remove(region, 9, 9);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_LARGE), 1);
	KUNIT_EXPECT_EQ(test, fisc_test_read(test, 9), 0);
	KUNIT_EXPECT_EQ(test, fisc_test_read(test, 1), 1);
	put_page(page);
}

static int fisc_test_break(struct kunit *test, const unsigned long *wanted,
			   u64 domain)
{
	return fisc_large_break(fisc_test_region(test), fisc_test_chunk(test),
				wanted, domain);
}

static void equals_are_not_copied(struct kunit *test)
{
	struct fisc_region *region = fisc_test_region(test);
	struct fisc_chunk *chunk = fisc_test_chunk(test);
	unsigned long *wanted = fisc_leaf_alloc();
	u64 domain = region->key->domain;

	KUNIT_ASSERT_NOT_NULL(test, wanted);
	wanted[5] = fisc_entry_make(fisc_zero_page(0), FISC_ENTRY_ZERO);
	/* Not clean: it may have been written since it was found zero. */
	KUNIT_EXPECT_EQ(test, fisc_test_break(test, wanted, domain), -EAGAIN);
	chunk->large |= FISC_ENTRY_KNOWN;
	/* Found before the VM left the domain that it was in. */
	KUNIT_EXPECT_EQ(test, fisc_test_break(test, wanted, domain + 1),
			-EAGAIN);
	KUNIT_EXPECT_EQ(test, fisc_test_break(test, wanted, domain), 0);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_ZERO), 1);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_PRIVATE),
			FISC_LARGE_PAGES - 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&chunk->filled), FISC_LARGE_PAGES - 1);
	KUNIT_EXPECT_EQ(test, chunk->leaf[1] & FISC_ENTRY_KNOWN,
			FISC_ENTRY_CLEAN);
	KUNIT_EXPECT_EQ(test, fisc_test_break(test, wanted, domain), -EAGAIN);
	KUNIT_EXPECT_EQ(test, fisc_test_read(test, 1), 1);
	kfree(wanted);
}

static void all_private_is_rebuilt(struct kunit *test)
{
	struct fisc_region *region = fisc_test_region(test);
	struct fisc_chunk *chunk = fisc_test_chunk(test);
	struct page *page;

	fisc_region_remove(region, 2, 2);
	chunk->breaks = 0;
	KUNIT_EXPECT_EQ(test, fisc_large_rebuild(region, chunk), -EAGAIN);
	page = fisc_test_write(test, region, 2, 2);

	get_page(page);
	KUNIT_EXPECT_EQ(test, fisc_large_rebuild(region, chunk), -EBUSY);
	put_page(page);
	chunk->breaks = 1;
	KUNIT_EXPECT_EQ(test, fisc_large_rebuild(region, chunk), -EAGAIN);
	chunk->breaks = 0;
	KUNIT_EXPECT_EQ(test, fisc_large_rebuild(region, chunk), 0);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_LARGE), 1);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_LARGE_REBUILDS), 1);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_PRIVATE),
			FISC_LARGE_PAGES);
	KUNIT_EXPECT_EQ(test, atomic_read(&chunk->filled), 0);
	KUNIT_EXPECT_EQ(test, fisc_test_read(test, 1), 1);
	KUNIT_EXPECT_EQ(test, fisc_test_read(test, 2), 2);
}

/* Broken, emptied, filled, rebuilt: it is chosen while it has memory. */
static void chunk_is_chosen_while_it_has_frames(struct kunit *test)
{
	struct fisc_region *region = fisc_test_region(test);
	struct fisc_chunk *chunk = fisc_test_chunk(test);
	unsigned int i;

	KUNIT_EXPECT_PTR_EQ(test, fisc_listed_choose(region), chunk);
	fisc_region_remove(region, 1, FISC_CHUNK_PAGES - 1);
	KUNIT_EXPECT_PTR_EQ(test, fisc_listed_choose(region), chunk);
	KUNIT_EXPECT_EQ(test, atomic_read(&chunk->private), 1);
	fisc_region_remove(region, 0, 0);
	KUNIT_EXPECT_EQ(test, fisc_listed_count(region), 0);
	KUNIT_EXPECT_NULL(test, fisc_listed_choose(region));

	fisc_large_enabled = 0;
	for (i = 0; i < FISC_CHUNK_PAGES; i++)
		fisc_test_write(test, region, i, i);
	KUNIT_EXPECT_EQ(test, atomic_read(&chunk->private), FISC_CHUNK_PAGES);
	fisc_large_enabled = 1;
	chunk->breaks = 0;
	KUNIT_EXPECT_EQ(test, fisc_large_rebuild(region, chunk), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&chunk->private), 0);
	KUNIT_EXPECT_EQ(test, fisc_listed_count(region), 1);
	fisc_region_remove(region, 0, FISC_CHUNK_PAGES - 1);
	KUNIT_EXPECT_EQ(test, fisc_listed_count(region), 0);
}

static struct kunit_case fisc_large_cases[] = {
	KUNIT_CASE(first_write_makes_the_chunk_large),
	KUNIT_CASE(chunk_beyond_the_end_stays_small),
	KUNIT_CASE(zero_entries_give_way),
	KUNIT_CASE(hole_in_the_middle_breaks_it),
	KUNIT_CASE(hole_in_a_frame_in_use_is_zeroed),
	KUNIT_CASE(equals_are_not_copied),
	KUNIT_CASE(all_private_is_rebuilt),
	KUNIT_CASE(chunk_is_chosen_while_it_has_frames),
	{}
};

static struct kunit_suite fisc_large_suite = {
	.name = "fisc_large",
	.init = fisc_large_test_init,
	.exit = fisc_large_test_exit,
	.test_cases = fisc_large_cases,
};

kunit_test_suite(fisc_large_suite);
